"""Passwords: what is refused, and that a question costs the same whoever is asked for."""

from __future__ import annotations

import asyncpg
import msgspec
import pytest
from entrance import HOUR, PASSWORD, Entrance, SetClock, quick_passwords

from quanmin.base.problems import Invalid
from quanmin.trust import Actor
from quanmin.trust.sign_in.measures import load_measures
from quanmin.trust.sign_in.passwords import Passwords, find_faults

CLERK = Actor("wang.li", "institution", "王丽", "hospital-a")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def entrance(pool: asyncpg.Pool[asyncpg.Record], clock: SetClock) -> Entrance:
    return Entrance(pool, clock.now)


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("Short 1!", "12 characters"),
        ("x1!" * 50, "128 characters"),
        ("onlysmallletters", "3 of"),
        ("Password1234!", "common"),
        ("!!!Woaini1314!!!", "common"),
        ("Aa1" + "a" * 11, "common"),
        ("my Wang house 7", "owner's name"),
        ("我的名字是王丽丽吗Abc1", None),
        ("correct horse battery staple", None),
        (PASSWORD, None),
    ],
)
def test_a_weak_password_is_refused_with_every_reason(password: str, told: str | None) -> None:
    faults = find_faults(load_measures().password, password, ("wang.li", "wang", "li", "王丽"))
    if told is None:
        assert faults == []
    else:
        words = "; ".join(fault.text for fault in faults)
        assert told in words
        assert password not in words


async def test_what_is_kept_is_argon2id_and_takes_the_same_text_in_other_bytes() -> None:
    passwords = quick_passwords()
    kept = await passwords.hash("Ångström ﬁnds 7 words")
    assert kept.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await passwords.is_right(kept, "A\u030angstro\u0308m finds 7 words")
    assert not await passwords.is_right(kept, "Angstrom finds 7 words")
    assert await passwords.hash("the same again") != await passwords.hash("the same again")


async def test_the_same_work_is_done_for_an_account_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []
    passwords = quick_passwords()
    kept = await passwords.hash(PASSWORD)
    assert not await passwords.is_right(None, PASSWORD)

    def verify(hashed: str, given: bytes) -> bool:
        asked.append((hashed.rpartition("$")[0].rpartition("$")[0], len(given)))
        return True

    monkeypatch.setattr("quanmin.trust.sign_in.passwords._verify", verify)
    assert await passwords.is_right(kept, "x" * 100_000)
    assert not await passwords.is_right(None, "x" * 100_000)
    assert asked == [("$argon2id$v=19$m=64,t=1,p=1", 129)] * 2


async def test_a_password_is_kept_anew_at_the_present_cost(
    entrance: Entrance, clock: SetClock
) -> None:
    await entrance.add(CLERK)
    account = await entrance.accounts.find("wang.li")
    assert account is not None
    dearer = msgspec.structs.replace(entrance.passwords.cost, iterations=2)
    later = Entrance(entrance.pool, clock.now, Passwords(entrance.passwords.rule, dearer, 2))
    await entrance.accounts.upgrade(account, PASSWORD)
    assert await entrance.accounts.find("wang.li") == account
    await later.accounts.upgrade(account, PASSWORD)
    kept = await entrance.accounts.find("wang.li")
    assert kept is not None
    assert kept.password is not None
    assert "m=64,t=2,p=1" in kept.password
    assert await later.passwords.is_right(kept.password, PASSWORD)
    assert kept.password_at == account.password_at


async def test_the_last_five_passwords_do_not_come_again(
    entrance: Entrance, clock: SetClock
) -> None:
    await entrance.add(CLERK)
    for number in range(4):
        clock.go_on(HOUR)
        await entrance.accounts.change_password("wang.li", f"{PASSWORD} {number}")
    with pytest.raises(Invalid, match="may not come again"):
        await entrance.accounts.change_password("wang.li", PASSWORD)
    with pytest.raises(Invalid, match="may not come again"):
        await entrance.accounts.change_password("wang.li", f"{PASSWORD} 3")
    clock.go_on(HOUR)
    await entrance.accounts.change_password("wang.li", f"{PASSWORD} 4")
    clock.go_on(HOUR)
    await entrance.accounts.change_password("wang.li", PASSWORD)


async def test_a_password_grows_old_after_half_a_year(entrance: Entrance, clock: SetClock) -> None:
    await entrance.add(CLERK)
    account = await entrance.accounts.find("wang.li")
    assert account is not None
    clock.go_on(180 * 24 * HOUR)
    assert not entrance.accounts.must_change(account)
    clock.go_on(24 * HOUR)
    assert entrance.accounts.must_change(account)


async def test_a_changed_password_ends_all_other_sessions(entrance: Entrance) -> None:
    await entrance.add(CLERK)
    here, there = [
        await entrance.sessions.begin("wang.li", "whole", ("pwd", "mfa"), actor=CLERK)
        for _ in range(2)
    ]
    session = await entrance.sessions.of(here)
    assert session is not None
    await entrance.accounts.change_password("wang.li", f"{PASSWORD} now", keep=session.id)
    assert await entrance.sessions.of(here) is not None
    assert await entrance.sessions.of(there) is None
