"""Accounts: by invitation only, and the three administrators are three persons."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path

import asyncpg
import pytest
from entrance import HOUR, PASSWORD, Entrance, SetClock
from persons import NUMBER, asking
from stores import IDENTITY_NUMBERS, open_context, open_guard, patient

from quanmin.base.problems import Conflict, Invalid, NotFound
from quanmin.trust import Actor
from quanmin.trust.sign_in.accounts import bare_number
from quanmin.trust.sign_in.administrators import refuse_misread, same_persons

CLERK = Actor("wang", "institution", "hospital-a desk", "hospital-a")
ADMINISTRATORS = ("system_administrator", "security_administrator", "audit_administrator")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def entrance(pool: asyncpg.Pool[asyncpg.Record], clock: SetClock) -> Entrance:
    return Entrance(pool, clock.now)


def administrator(role: str, code: str | None = None) -> Actor:
    return Actor(code or role.replace("_", "-"), role, "Li", "")  # type: ignore[arg-type]  # a role


async def test_an_account_is_opened_by_its_invitation_once(entrance: Entrance) -> None:
    invitation = await entrance.accounts.add("wang", CLERK)
    assert len(invitation.replace("-", "")) == 20
    found = await entrance.accounts.invited(invitation.lower().replace("-", " "))
    assert found is not None
    await entrance.accounts.accept(invitation, PASSWORD)
    with pytest.raises(NotFound):
        await entrance.accounts.accept(invitation, PASSWORD + "x")
    assert await entrance.accounts.invited(invitation) is None


async def test_of_two_who_use_one_invitation_at_once_one_gets_in(entrance: Entrance) -> None:
    invitation = await entrance.accounts.add("wang", CLERK)
    tries = [entrance.accounts.accept(invitation, f"{PASSWORD} {n}") for n in range(4)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(one, NotFound) for one in done) == 1


async def test_an_invitation_ends_by_time_by_a_newer_one_and_by_a_lock(
    entrance: Entrance, clock: SetClock
) -> None:
    first = await entrance.accounts.add("wang", CLERK)
    second = await entrance.accounts.invite("wang")
    assert await entrance.accounts.invited(first) is None
    assert await entrance.accounts.invited(second) is not None
    clock.go_on(73 * HOUR)
    assert await entrance.accounts.invited(second) is None
    third = await entrance.accounts.invite("wang")
    await entrance.accounts.lock("wang")
    assert await entrance.accounts.invited(third) is None


async def test_a_reset_leaves_nothing_to_sign_in_with(entrance: Entrance) -> None:
    await entrance.add(CLERK)
    await entrance.pool.execute(
        "insert into trust.totp (account, sealed, made_at) values ('wang', '', 0)"
    )
    await entrance.accounts.invite("wang")
    account = await entrance.accounts.find("wang")
    assert account is not None
    assert account.password is None
    assert await entrance.pool.fetchval("select count(*) from trust.totp") == 0


async def test_a_retired_account_does_not_come_back(entrance: Entrance) -> None:
    await entrance.add(CLERK)
    await entrance.accounts.retire("wang")
    with pytest.raises(NotFound):
        await entrance.accounts.invite("wang")
    with pytest.raises(Conflict):
        await entrance.accounts.add("wang", CLERK)
    account = await entrance.accounts.find("wang")
    assert account is not None
    assert not account.may_sign_in


@pytest.mark.parametrize("role", ADMINISTRATORS)
async def test_gb_22239_8_1_5_nobody_is_two_of_the_three_administrators(
    entrance: Entrance, role: str
) -> None:
    first = ADMINISTRATORS[0]
    await entrance.accounts.add("li", administrator(first, "li"), document="11010519491231002X")
    same_person = administrator(role, "li-2")
    with pytest.raises(Conflict, match="three persons"):
        await entrance.accounts.add("li-2", same_person, document="1101 0519491231 002x")
    with pytest.raises(Conflict, match="three persons"):
        await entrance.accounts.add_post("li", administrator(role, "li-3"))
    await entrance.accounts.add("he", administrator(role, "he"), document="passport:E1")


async def test_gb_22239_8_1_5_two_documents_of_one_person_are_one_person(
    pool: asyncpg.Pool[asyncpg.Record], clock: SetClock, tmp_path: Path
) -> None:
    """By a Patient that has both numbers, or by two Patients of one person."""
    context = open_context(tmp_path)
    hospital = asking(open_guard(pool, context), "institution", "a")
    accounts = Entrance(pool, clock.now, keying=context.keying).accounts
    system, security, audit = ADMINISTRATORS

    async def both(passport: str) -> str:
        identifier = [
            {"system": IDENTITY_NUMBERS, "value": NUMBER},
            {"type": {"text": "passport"}, "value": passport},
        ]
        made = await hospital.create("Patient", patient(identifier=identifier))
        return made.stored.id

    first = await both("E12345678")
    await accounts.add("li", administrator(system, "li"), document=NUMBER)
    with pytest.raises(Conflict, match="three persons"):
        await accounts.add("li-2", administrator(security, "li-2"), document="e1234 5678")
    assert await accounts.find("li-2") is None
    # Two passports of one person; and what becomes known afterwards is told, not undone.
    await accounts.add("li-3", administrator(security, "li-3"), document="E11111111")
    await accounts.add("he", administrator(audit, "he"), document="E33333333")
    assert await same_persons(pool) == []
    await both("E11111111")
    assert await same_persons(pool) == [("li", "li-3")]
    await hospital.delete("Patient", first)
    await accounts.retire("li")
    assert await same_persons(pool) == []


@pytest.mark.parametrize(
    ("kind", "typed", "is_right"),
    [
        ("identity-card", "11010519491231002x", True),
        ("identity-card", "110105 194912310021", False),
        ("identity-card", "E12345678", False),
        ("identity-card", " ", False),
        ("passport", "e 1234 5678", True),
        ("passport", "11010519491231002X", False),
        ("passport", "x", False),
        ("residence-permit", "830000199201300022", True),
        ("a letter", "E12345678", False),
    ],
)
def test_a_slip_in_a_number_is_no_other_person(kind: str, typed: str, *, is_right: bool) -> None:
    with nullcontext() if is_right else pytest.raises(Invalid):
        refuse_misread(kind, bare_number(typed))


async def test_gb_22239_8_1_5_two_who_try_at_once_do_not_get_round_it(entrance: Entrance) -> None:
    tries = [
        entrance.accounts.add(f"a{n}", administrator(role, f"a{n}"), document="passport:E1")
        for n, role in enumerate(ADMINISTRATORS)
    ]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, str) for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 2
    assert len(await entrance.accounts.all()) == 1


async def test_gb_22239_8_1_5_the_database_itself_holds_the_administrators_apart(
    entrance: Entrance,
) -> None:
    await entrance.accounts.add("li", administrator(ADMINISTRATORS[0], "li"), document="x:1")
    await entrance.accounts.add("he", CLERK, document="x:1")
    with pytest.raises(asyncpg.UniqueViolationError):
        await entrance.pool.execute(
            "update trust.actor set role = 'audit_administrator' where code = 'wang'"
        )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await entrance.pool.execute(
            "update trust.actor set role = 'audit_administrator', holder = '\\x00'"
            " where code = 'wang'"
        )
    with pytest.raises(asyncpg.CheckViolationError):
        await entrance.pool.execute(
            "update trust.actor set role = 'audit_administrator', account = null"
            " where code = 'wang'"
        )


@pytest.mark.parametrize(
    "typed",
    [
        "11010519491231002x",
        " 110105 19491231 002X ",
        "110105-19491231-002X",
        "".join(chr(ord(sign) + 0xFEE0) for sign in "11010519491231002X"),  # in full width
        "110105491231002",
    ],
)
async def test_gb_22239_8_1_5_a_document_is_one_however_its_number_is_typed(
    entrance: Entrance, typed: str
) -> None:
    await entrance.accounts.add(
        "li", administrator(ADMINISTRATORS[0], "li"), document="11010519491231002X"
    )
    with pytest.raises(Conflict, match="three persons"):
        await entrance.accounts.add(
            "li-2", administrator(ADMINISTRATORS[1], "li-2"), document=typed
        )


async def test_gb_22239_8_1_5_no_later_change_joins_two_administrators(entrance: Entrance) -> None:
    """Neither the account nor the actor gets another holder, nor an old actor its role back."""
    first, second, third = ADMINISTRATORS
    await entrance.accounts.add("li", administrator(first, "li"), document="x:1")
    await entrance.accounts.add("he", administrator(second, "he"), document="x:2")
    await entrance.accounts.retire("he")
    await entrance.accounts.add("he-2", administrator(third, "he-2"), document="x:2")
    holder = "(select holder from trust.account where code = 'li')"
    for change in (
        f"update trust.account set holder = {holder} where code = 'he-2'",
        f"update trust.actor set holder = {holder} where code = 'he-2'",
        f"update trust.actor set holder = {holder}, account = 'li' where code = 'he-2'",
        "update trust.actor set holder = null where code = 'he-2'",
        "update trust.actor set is_active = true where code = 'he'",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await entrance.pool.execute(change)


async def test_an_administrator_is_a_known_person(entrance: Entrance) -> None:
    with pytest.raises(Invalid, match="identity document"):
        await entrance.accounts.add("li", administrator(ADMINISTRATORS[0], "li"))
    assert await entrance.accounts.all() == ()


async def test_who_has_ceased_to_be_one_administrator_may_become_another(
    entrance: Entrance,
) -> None:
    await entrance.accounts.add("li", administrator(ADMINISTRATORS[0], "li"), document="x:1")
    await entrance.accounts.retire("li")
    await entrance.accounts.add("li-2", administrator(ADMINISTRATORS[2], "li-2"), document="x:1")
    assert [roles for _, roles in await entrance.accounts.all()] == [(), (ADMINISTRATORS[2],)]


async def test_the_document_itself_is_not_kept(entrance: Entrance) -> None:
    await entrance.accounts.add(
        "li", administrator(ADMINISTRATORS[0], "li"), document="11010519491231002X"
    )
    for table in ("account", "actor"):
        rows = await entrance.pool.fetch(f"select t::text as row from trust.{table} t")
        assert all("11010519491231002" not in row["row"] for row in rows)


@pytest.mark.parametrize("code", ["", "Wang", "wang li", "王", ".wang", "x" * 64, "a\r\nb"])
async def test_a_code_that_is_none_is_refused(entrance: Entrance, code: str) -> None:
    with pytest.raises(Invalid, match="code of an account"):
        await entrance.accounts.add(code, CLERK)


async def test_a_persons_actor_gets_no_token(entrance: Entrance) -> None:
    from quanmin.trust import Actors  # noqa: PLC0415 - of this test only

    await entrance.add(CLERK)
    assert await Actors(entrance.pool).renew("wang") is None
