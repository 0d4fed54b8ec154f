"""Apps, devices, parties and entrusted operators: admitted in steps, stopped at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from books import as_
from stores import START, observation, open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound, Problem
from quanmin.trust import Actor, Guard
from quanmin.trust.registers import Admission, Admissions, Application, is_admitted

DAY = 86_400_000_000
YEAR = 365 * DAY


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


@pytest.fixture
def admissions(pool: asyncpg.Pool[asyncpg.Record]) -> Admissions:
    return Admissions(pool)


def application(**more: Any) -> Application:
    usual: dict[str, Any] = {
        "party": "keeper-ltd",
        "kind": "operator",
        "name": "Keeper Ltd",
        "purpose": "runs the node for the county",
        "members": (("actor", "keeper"), ("sender", "keeper-ltd"), ("client", "keeper-app")),
    }
    return Application(**{**usual, **more})


async def admitted(admissions: Admissions, until: int = START + YEAR) -> Admission:
    applied = await admissions.apply(application(), at=START - DAY, by="desk")
    number = applied.admission
    await admissions.review(number, is_recommended=True, opinion="sound", at=START - DAY, by="s")
    return await admissions.admit(
        number, agreement="contract 7", since=START - DAY, until=until, at=START - DAY, by="s"
    )


async def test_a_party_acts_while_it_is_admitted_and_not_a_request_longer(
    guard: Guard, admissions: Admissions
) -> None:
    keeper = as_(guard, "operator", "node", "keeper")
    clerk = as_(guard, "institution", "keeper-ltd")
    await keeper.create("Observation", observation())  # of no party yet
    applied = await admissions.apply(application(), at=START, by="desk")
    for records in (keeper, clerk):
        with pytest.raises(Forbidden, match="admitted"):
            await records.create("Observation", observation())
    await admissions.withdraw(applied.admission, reason="begin anew", at=START, by="s")
    found = await admitted(admissions)
    for records in (keeper, clerk):
        await records.create("Observation", observation())
    await admissions.withdraw(found.admission, reason="breach of contract", at=START, by="s")
    for records in (keeper, clerk):
        with pytest.raises(Forbidden, match="admitted"):
            await records.create("Observation", observation())
        with pytest.raises(Forbidden):
            await records.history("Observation", None, count=1)
    await as_(guard, "operator", "node").create("Observation", observation())


async def test_an_application_that_is_withdrawn_asks_for_nobody_from_the_next_request_on(
    guard: Guard, admissions: Admissions
) -> None:
    of_app = Actor("clerk", "institution", "Clerk", "hospital-b", client="keeper-app")
    by_app = guard.records(of_app, purpose="TREAT", request_id="r")
    found = await admitted(admissions)
    await by_app.create("Observation", observation())
    await admissions.withdraw(found.admission, reason="breach of contract", at=START, by="s")
    with pytest.raises(Forbidden, match="admitted"):
        await by_app.create("Observation", observation())
    await as_(guard, "institution", "hospital-b", "clerk").create("Observation", observation())


async def test_an_operators_rights_end_with_the_contract(
    guard: Guard, admissions: Admissions, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await admitted(admissions, until=START)
    with pytest.raises(Forbidden, match="admitted"):
        await as_(guard, "operator", "node", "keeper").create("Observation", observation())
    for kind, member in application().members:
        assert await is_admitted(pool, kind, member, START - 1)
        assert not await is_admitted(pool, kind, member, START)
    assert await is_admitted(pool, "client", "another", START)


async def test_one_application_is_under_way_however_many_arrive(admissions: Admissions) -> None:
    tried = await asyncio.gather(
        *(admissions.apply(application(), at=START, by="desk") for _ in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Admission) for one in tried) == 1
    assert {type(one) for one in tried} == {Admission, Conflict}
    other = application(party="other-ltd", kind="app", members=(("actor", "keeper"),))
    with pytest.raises(Conflict, match="another party"):
        await admissions.apply(other, at=START, by="desk")
    assert [one.party for one in await admissions.all(count=10)] == ["keeper-ltd"]


async def test_whoever_applied_neither_reviews_nor_admits(admissions: Admissions) -> None:
    applied = await admissions.apply(application(), at=START, by="desk")
    more: dict[str, Any] = {"is_recommended": True, "opinion": "fine", "at": START}
    with pytest.raises(Forbidden):
        await admissions.review(applied.admission, **more, by="desk")
    await admissions.review(applied.admission, **more, by="s")
    with pytest.raises(Forbidden):
        await admissions.admit(
            applied.admission, agreement="a", since=START, until=START + DAY, at=START, by="desk"
        )


async def test_nobody_of_a_party_decides_of_it_by_whatever_account(
    admissions: Admissions, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Its rights end with the contract only if it cannot give itself another."""
    for code, sender, account, holder in (
        ("keeper", "node", "o", b"1"),
        ("of-the-same-account", "node", "o", b"1"),
        ("of-the-same-person", "node", "p", b"1"),
        ("of-their-sender", "keeper-ltd", "q", None),
        ("desk", "node", "r", b"2"),
        ("desk-again", "node", "s", b"2"),
        ("sound", "node", "t", b"3"),
    ):
        await pool.execute(
            "insert into trust.account (code, name, holder, made_at) values ($1, $1, $2, 0)"
            " on conflict do nothing", account, holder,
        )  # fmt: skip
        await pool.execute(
            "insert into trust.actor (code, role, name, sender, account, holder)"
            " values ($1, 'operator', $1, $2, $3, $4)",
            code, sender, account, holder,
        )  # fmt: skip
    applied = await admissions.apply(application(), at=START, by="desk")
    more: dict[str, Any] = {"opinion": "fine", "at": START}
    for by in ("keeper", "of-the-same-account", "of-the-same-person", "of-their-sender"):
        with pytest.raises(Forbidden, match="of themselves"):
            await admissions.review(applied.admission, is_recommended=True, **more, by=by)
    with pytest.raises(Forbidden, match="entered an application"):
        await admissions.review(applied.admission, is_recommended=False, **more, by="desk-again")
    await admissions.review(applied.admission, is_recommended=True, **more, by="sound")
    with pytest.raises(Forbidden, match="of themselves"):
        await admissions.admit(
            applied.admission, agreement="a", since=START, until=START + DAY, at=START, by="keeper"
        )


async def test_steps_are_taken_in_their_order(admissions: Admissions) -> None:
    number = (await admissions.apply(application(), at=START, by="desk")).admission
    terms: dict[str, Any] = {"agreement": "a", "since": START, "until": START + DAY}
    with pytest.raises(Conflict, match="applied"):
        await admissions.admit(number, **terms, at=START, by="s")
    refused = await admissions.review(
        number, is_recommended=False, opinion="unsound", at=START, by="s"
    )
    assert refused.state == "refused"
    with pytest.raises(Conflict, match="refused"):
        await admissions.admit(number, **terms, at=START, by="s")
    with pytest.raises(Conflict, match="refused"):
        await admissions.withdraw(number, reason="late", at=START, by="s")
    with pytest.raises(NotFound):
        await admissions.withdraw(number + 1, reason="late", at=START, by="s")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "friend"},
        {"name": ""},
        {"purpose": ""},
        {"members": ()},
        {"members": (("person", "li"),)},
        {"members": (("sender", "node"),)},  # would stop the node itself
    ],
)
async def test_what_is_no_application_is_told(
    admissions: Admissions, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        await admissions.apply(application(**wrong), at=START, by="desk")


@pytest.mark.parametrize(
    "wrong", [{"agreement": ""}, {"until": START - DAY}, {"until": START + 4 * YEAR}]
)
async def test_an_admission_has_an_agreement_and_an_end(
    admissions: Admissions, wrong: dict[str, Any]
) -> None:
    number = (await admissions.apply(application(), at=START, by="desk")).admission
    await admissions.review(number, is_recommended=True, opinion="ok", at=START, by="s")
    terms: dict[str, Any] = {"agreement": "a", "since": START, "until": START + YEAR, **wrong}
    with pytest.raises(Invalid):
        await admissions.admit(number, **terms, at=START, by="s")
    with pytest.raises(Problem):
        await admissions.withdraw(number, reason="", at=START, by="s")
