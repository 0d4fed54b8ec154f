"""Sessions: known to every worker, of the stage they are in, and gone the moment they are ended."""

from __future__ import annotations

from typing import Any, cast

import asyncpg
import pytest
from entrance import HOUR, MINUTE, Entrance, SetClock

from quanmin.trust import Actor
from quanmin.trust.sign_in import Sessions, SignInLimits
from quanmin.trust.sign_in.sessions import Stage

CLERK = Actor("wang", "institution", "hospital-a desk", "hospital-a")
METHODS = ("pwd", "otp", "mfa")
KEEPER = Actor("li", "security_administrator", "Li", "")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def entrance(pool: asyncpg.Pool[asyncpg.Record], clock: SetClock) -> Entrance:
    return Entrance(pool, clock.now)


async def signed_in(entrance: Entrance, actor: Actor = CLERK) -> str:
    if await entrance.accounts.find(actor.code) is None:
        await entrance.add(actor, document="passport:1")
    return await entrance.sessions.begin(actor.code, "whole", METHODS, actor=actor)


async def test_a_session_says_who_and_how_and_is_known_to_every_worker(
    entrance: Entrance, clock: SetClock
) -> None:
    cookie = await signed_in(entrance)
    session = await Entrance(entrance.pool, clock.now).sessions.of(cookie)
    assert session is not None
    assert (session.account, session.actor, session.methods) == ("wang", CLERK, METHODS)
    assert session.authenticated_at == clock.now()


async def test_the_database_knows_no_cookie(entrance: Entrance) -> None:
    cookie = await signed_in(entrance)
    rows = await entrance.pool.fetch("select t::text as row from trust.session t")
    assert rows
    assert all(cookie not in row["row"] for row in rows)
    for other in ("", "nonsense", "x" * 10_000, cookie[:-1], "令牌"):
        assert await entrance.sessions.of(other) is None


async def test_a_session_in_use_leaves_the_setting_that_all_else_waits_for_a_disk(
    entrance: Entrance, clock: SetClock
) -> None:
    cookie = await signed_in(entrance)
    began = await entrance.pool.fetchval("select used_at from trust.session")
    clock.go_on(MINUTE)
    async with entrance.pool.acquire() as connection:
        await connection.execute("set synchronous_commit = on")
        # A connection is asked as its pool is.
        sessions = Sessions(cast("Any", connection), SignInLimits(), clock.now)
        assert await sessions.of(cookie) is not None
        assert await connection.fetchval("select used_at from trust.session") == began + MINUTE
        assert await connection.fetchval("show synchronous_commit") == "on"
        await connection.execute("reset synchronous_commit")


@pytest.mark.parametrize("stage", ["proving", "enrolling"])
async def test_a_session_that_has_not_proved_all_is_nobodys(
    entrance: Entrance, clock: SetClock, stage: Stage
) -> None:
    await entrance.add(CLERK)
    cookie = await entrance.sessions.begin("wang", stage, ("pwd",))
    assert await entrance.sessions.of(cookie) is None
    begun = await entrance.sessions.begun(cookie)
    assert begun is not None
    assert (begun.stage, begun.actor) == (stage, None)
    clock.go_on(11 * MINUTE)
    assert await entrance.sessions.begun(cookie) is None


async def test_every_stage_has_a_new_id_and_the_old_one_is_worth_nothing(
    entrance: Entrance,
) -> None:
    await entrance.add(CLERK)
    first = await entrance.sessions.begin("wang", "proving", ("pwd",))
    second = await entrance.sessions.replace(first, "wang", "whole", METHODS, actor=CLERK)
    assert second is not None
    assert second != first
    assert await entrance.sessions.begun(first) is None
    assert await entrance.sessions.of(second) is not None
    again = await entrance.sessions.replace(first, "wang", "whole", METHODS, actor=CLERK)
    assert again is None


async def test_a_session_of_another_account_is_not_taken_over(entrance: Entrance) -> None:
    await entrance.add(CLERK)
    await entrance.add(KEEPER, document="passport:2")
    first = await entrance.sessions.begin("wang", "proving", ("pwd",))
    taken = await entrance.sessions.replace(first, "li", "whole", ("hwk",), actor=KEEPER)
    assert taken is None
    assert await entrance.sessions.begun(first) is not None


async def test_a_session_that_lies_idle_ends_and_one_in_use_goes_on_to_its_hour(
    entrance: Entrance, clock: SetClock
) -> None:
    idle, used = await signed_in(entrance), await signed_in(entrance)
    for _ in range(12 * 3 - 1):
        clock.go_on(20 * MINUTE)
        assert await entrance.sessions.of(used) is not None
    assert await entrance.sessions.of(idle) is None
    clock.go_on(20 * MINUTE)
    assert await entrance.sessions.of(used) is None


async def test_an_administrator_is_signed_out_sooner(entrance: Entrance, clock: SetClock) -> None:
    idle, used = await signed_in(entrance, KEEPER), await signed_in(entrance, KEEPER)
    clock.go_on(11 * MINUTE)
    assert await entrance.sessions.of(idle) is None
    used = await signed_in(entrance, KEEPER)
    for _ in range(4 * 12 - 1):
        clock.go_on(5 * MINUTE)
        assert await entrance.sessions.of(used) is not None
    clock.go_on(5 * MINUTE)
    assert await entrance.sessions.of(used) is None


async def test_sessions_are_listed_and_ended_here_there_and_everywhere(
    entrance: Entrance,
) -> None:
    cookies = [await signed_in(entrance) for _ in range(4)]
    sessions = [await entrance.sessions.of(cookie) for cookie in cookies]
    ids = [session.id for session in sessions if session]
    assert {one.id for one in await entrance.sessions.listed("wang")} == set(ids)
    await entrance.sessions.end(cookies[0])
    await entrance.sessions.end_one("wang", ids[1])
    await entrance.sessions.end_one("li", ids[2])
    assert [await entrance.sessions.of(one) is not None for one in cookies] == [
        False,
        False,
        True,
        True,
    ]
    await entrance.sessions.end_all("wang", keep=ids[3])
    assert [one.id for one in await entrance.sessions.listed("wang")] == [ids[3]]
    await entrance.sessions.end_all("wang")
    assert await entrance.sessions.of(cookies[3]) is None


@pytest.mark.parametrize("what", ["lock", "retire", "invite"])
async def test_an_account_that_is_stopped_is_out_at_once(entrance: Entrance, what: str) -> None:
    cookie = await signed_in(entrance)
    await getattr(entrance.accounts, what)("wang")
    assert await entrance.sessions.of(cookie) is None
    assert await entrance.sessions.listed("wang") == ()


async def test_an_actor_that_is_withdrawn_acts_no_more(entrance: Entrance) -> None:
    cookie = await signed_in(entrance)
    await entrance.pool.execute("update trust.actor set is_active = false where code = 'wang'")
    assert await entrance.sessions.of(cookie) is None


async def test_one_account_acts_in_one_of_its_posts_at_a_time(entrance: Entrance) -> None:
    cookie = await signed_in(entrance)
    other = Actor("wang-b", "institution", "hospital-b desk", "hospital-b")
    foreign = Actor("zhao", "institution", "hospital-c desk", "hospital-c")
    await entrance.accounts.add_post("wang", other)
    await entrance.add(foreign)
    assert await entrance.sessions.act_as(cookie, foreign) is None
    changed = await entrance.sessions.act_as(cookie, other)
    assert changed is not None
    assert await entrance.sessions.of(cookie) is None
    session = await entrance.sessions.of(changed)
    assert session is not None
    assert session.actor == other


async def test_acting_as_an_administrator_lasts_no_longer_than_their_sessions_do(
    entrance: Entrance, clock: SetClock
) -> None:
    keeper = Actor("wang-s", "security_administrator", "Wang", "")
    await entrance.add(CLERK, document="passport:1")
    await entrance.accounts.add_post("wang", keeper)
    early, late = await signed_in(entrance), await signed_in(entrance)
    acting = await entrance.sessions.act_as(early, keeper)
    assert acting is not None
    for _ in range(4 * 12 - 1):
        clock.go_on(5 * MINUTE)
        assert await entrance.sessions.of(acting) is not None
        assert await entrance.sessions.of(late) is not None
    clock.go_on(5 * MINUTE)
    assert await entrance.sessions.of(acting) is None
    assert await entrance.sessions.of(late) is not None
    assert await entrance.sessions.act_as(late, keeper) is None


async def test_proving_oneself_again_renews_the_moment_and_the_id(
    entrance: Entrance, clock: SetClock
) -> None:
    cookie = await signed_in(entrance)
    clock.go_on(20 * MINUTE)
    fresh = await entrance.sessions.prove_again(cookie)
    assert fresh is not None
    session = await entrance.sessions.of(fresh)
    assert session is not None
    assert session.authenticated_at == clock.now()
    assert await entrance.sessions.of(cookie) is None


async def test_what_has_ended_is_swept_away(entrance: Entrance, clock: SetClock) -> None:
    await signed_in(entrance)
    clock.go_on(13 * HOUR)
    kept = await signed_in(entrance)
    await entrance.sessions.sweep()
    assert await entrance.pool.fetchval("select count(*) from trust.session") == 1
    assert await entrance.sessions.of(kept) is not None
