"""Posts, licences and proxies: who may act today, and what they may do."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from books import (
    CODE,
    OTHER,
    Books,
    as_,
    organization,
    practice,
    practitioner,
    qualification,
)
from entrance import Entrance
from stores import START, observation, open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound, Stopped
from quanmin.fhir.dates import interval
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.trust import Actor, GuardedRecords, Role
from quanmin.trust.actors import Role as Roles
from quanmin.trust.registers import Proxies
from quanmin.trust.registers.definitions import roles
from quanmin.trust.registers.entry import OPEN_END

DAY = 86_400_000_000
ZONE = ZoneInfo("Asia/Shanghai")
YESTERDAY = "2026-09-20"  # START is on the 21st


@pytest.fixture
def books(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Books:
    return Books(open_guard(pool, open_context(tmp_path)), pool)


def prescription() -> bytes:
    body = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "Metformin"},
        "subject": {"display": "somebody"},
    }
    return json.dumps(body).encode()


def anything() -> Query:
    return parse_query("Observation", [], strict=True, zone=ZONE, limits=QueryLimits())


async def account(books: Books, role: Role) -> GuardedRecords:
    """The records of somebody who signs in, as the actor `wang`."""
    actor = Actor("wang", role, "Somebody", f"sender-{CODE}")
    accounts = Entrance(books.pool, lambda: START).accounts
    await accounts.add("wang", actor, document="passport:1")
    return as_(books.guard, role, actor.sender, "wang")


async def staff(
    books: Books,
    role: Role,
    *licences: dict[str, Any],
    place: dict[str, Any] | None = None,
    level: str = "county",
) -> GuardedRecords:
    """One of the staff with a post at the institution, who practises there or at `place`."""
    home = await books.enter(organization(level=level))
    at = home if place is None else await books.enter(place)
    person = await books.enter(practitioner(*licences))
    await books.enter(practice(person, at))
    records = await books.actor("li", role)
    await books.appoint("li", practitioner_id=person)
    return records


async def test_nobody_acts_outside_their_posts(books: Books) -> None:
    await books.enter(organization())
    worker = await books.actor("wang", "public_health_worker")
    await worker.create("Observation", observation())  # the register says nothing of them yet
    post = await books.appoint("wang", until=START + 365 * DAY)
    await worker.create("Observation", observation())
    await books.posts.end(post.post, at=START)
    with pytest.raises(Forbidden, match="post"):
        await worker.create("Observation", observation())
    with pytest.raises(Forbidden, match="post"):
        await worker.history("Observation", None, count=1)
    await books.appoint("wang", since=START)
    await worker.create("Observation", observation())


@pytest.mark.parametrize(
    ("role", "is_person", "may"),
    [
        ("doctor", False, False),
        ("nurse", True, False),
        ("public_health_worker", True, False),
        ("institution", True, False),
        ("institution", False, True),
        ("resident", True, True),
        ("security_administrator", True, True),
        ("operator", False, True),
    ],
)
async def test_staff_act_in_a_post_of_the_register_only(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, role: Role, *, is_person: bool, may: bool
) -> None:
    guard = open_guard(pool, open_context(tmp_path), posts_required=True)
    books = Books(guard, pool)
    await books.enter(organization())
    somebody = await books.actor("wang", role) if not is_person else await account(books, role)
    if may:
        await somebody.search(anything())
    else:
        with pytest.raises(Stopped, match="no post in the register"):
            await somebody.search(anything())
        if not roles()[role].licences:  # these need a licence as well
            await books.appoint("wang")
            await somebody.search(anything())


async def test_a_post_that_has_not_begun_opens_nothing(books: Books) -> None:
    await books.enter(organization())
    worker = await books.actor("wang", "public_health_worker")
    await books.appoint("wang", since=START + DAY)
    with pytest.raises(Forbidden, match="has not begun"):
        await worker.create("Observation", observation())


async def test_posts_of_one_actor_never_overlap_however_many_appoint_at_once(
    books: Books,
) -> None:
    await books.enter(organization())
    await books.actor("wang", "nurse")
    tried = await asyncio.gather(
        *(books.appoint("wang", since=START + day * DAY) for day in range(8)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in tried) == 1
    assert {type(one) for one in tried if isinstance(one, BaseException)} == {Conflict}
    assert len(await books.posts.history("wang")) == 1


async def test_nobody_acts_with_the_licences_of_another(books: Books) -> None:
    await books.enter(organization())
    person = await books.enter(practitioner(qualification("physician", "clinical")))
    for code in ("li", "wang"):
        await books.actor(code, "doctor")
    tried = await asyncio.gather(
        *(books.appoint(code, practitioner_id=person) for code in ("li", "wang")),
        return_exceptions=True,
    )
    assert {type(one) for one in tried if isinstance(one, BaseException)} == {Conflict}
    held = next(one for one in tried if not isinstance(one, BaseException))
    await books.posts.end(held.post, at=START)
    other = "wang" if held.actor == "li" else "li"
    await books.appoint(other, practitioner_id=person, since=START)
    with pytest.raises(Invalid, match="no Practitioner of the register"):
        await books.appoint(held.actor, practitioner_id="nobody", since=START)


async def test_the_register_of_posts_says_what_held_on_a_day(books: Books) -> None:
    await books.enter(organization())
    await books.actor("wang", "nurse")
    await books.appoint("wang", until=START, duties=["immunization"])
    await books.appoint("wang", since=START + DAY, duties=["chronic_disease"])
    told = {}
    for days in (-1, 0, 1):
        held = await books.posts.as_of(START + days * DAY, institution=CODE, count=10)
        told[days] = [(post.actor, post.duties) for post in held]
    assert told == {-1: [("wang", ["immunization"])], 0: [], 1: [("wang", ["chronic_disease"])]}


async def test_what_cannot_be_a_post_is_told(books: Books) -> None:
    await books.actor("wang", "nurse", "nowhere")
    with pytest.raises(Invalid, match="not in the register"):
        await books.appoint("wang")
    with pytest.raises(NotFound):
        await books.appoint("nobody")
    with pytest.raises(Invalid, match="ends after it begins"):
        await books.appoint("wang", since=START, until=START)
    with pytest.raises(Invalid, match="family_doctor"):
        await books.appoint("wang", duties=["tea"])
    with pytest.raises(NotFound):
        await books.posts.end(1, at=START)


async def test_a_doctor_acts_with_a_licence_in_force(books: Books) -> None:
    doctor = await staff(books, "doctor", qualification("physician", "clinical"))
    written = await doctor.create("MedicationRequest", prescription())
    assert (written.created, written.stored.type) == (True, "MedicationRequest")


@pytest.mark.parametrize(
    "licence",
    [
        qualification("physician", "clinical", end=YESTERDAY),
        qualification("physician", "clinical", start="2026-12-01"),
        qualification("physician", "clinical", state="revoked"),
        qualification("physician", "clinical", state="suspended"),
        qualification("nurse", None),
    ],
)
async def test_a_doctor_without_a_licence_in_force_acts_no_more(
    books: Books, licence: dict[str, Any]
) -> None:
    doctor = await staff(books, "doctor", licence)
    with pytest.raises(Forbidden, match="licence"):
        await doctor.create("Observation", observation())
    with pytest.raises(Forbidden, match="licence"):
        await doctor.history("Observation", None, count=1)


async def test_a_licence_that_ends_today_holds_today(books: Books) -> None:
    today = qualification("physician", "clinical", end="2026-09-21")
    doctor = await staff(books, "doctor", today)
    assert (await doctor.create("Observation", observation())).created


async def test_a_licence_holds_at_its_registered_place_only(books: Books) -> None:
    elsewhere = organization(OTHER)
    licence = qualification("physician", "clinical")
    doctor = await staff(books, "doctor", licence, place=elsewhere)
    with pytest.raises(Forbidden, match="at this institution"):
        await doctor.create("Observation", observation())


async def test_a_withdrawn_licence_stops_with_the_next_request(books: Books) -> None:
    home = await books.enter(organization())
    person = await books.enter(practitioner(qualification("physician", "clinical")))
    role = await books.enter(practice(person, home))
    doctor = await books.actor("li", "doctor")
    await books.appoint("li", practitioner_id=person)
    await doctor.create("Observation", observation())
    revoked = practitioner(qualification("physician", "clinical", state="revoked"))
    await books.change(person, revoked)
    with pytest.raises(Forbidden):
        await doctor.create("Observation", observation())
    await books.change(person, practitioner(qualification("physician", "clinical")))
    await doctor.create("Observation", observation())
    await books.change(role, practice(person, home, active=False))
    with pytest.raises(Forbidden):
        await doctor.create("Observation", observation())


async def test_a_nurse_does_not_prescribe(books: Books) -> None:
    nurse = await staff(books, "nurse", qualification("nurse", None))
    await nurse.create("Observation", observation())
    with pytest.raises(Forbidden, match="prescribe"):
        await nurse.create("MedicationRequest", prescription())


@pytest.mark.parametrize(
    ("licence", "level", "may"),
    [
        (qualification("physician", "tcm"), "county", True),
        (qualification("physician", "public_health"), "county", False),
        (qualification("physician", None), "county", False),
        (qualification("assistant_physician", "clinical"), "county", False),
        (qualification("assistant_physician", "clinical"), "township", True),
    ],
)
async def test_scope_kind_and_level_decide_who_prescribes(
    books: Books, licence: dict[str, Any], level: str, *, may: bool
) -> None:
    doctor = await staff(books, "doctor", licence, level=level)
    if may:
        await doctor.create("MedicationRequest", prescription())
    else:
        with pytest.raises(Forbidden, match="prescribe"):
            await doctor.create("MedicationRequest", prescription())


@pytest.mark.parametrize(
    ("licence", "place"),
    [
        (qualification("wizard", None), "Practitioner.qualification[0].code"),
        (
            qualification("nurse", None, start=None, end="2020"),
            "Practitioner.qualification[0].period",
        ),
        (qualification("nurse", None, state="merry"), "Practitioner.qualification[0]"),
        (qualification("physician", "magic"), "Practitioner.qualification[0]"),
    ],
)
async def test_a_licence_that_is_none_is_told_with_its_place(
    books: Books, licence: dict[str, Any], place: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await books.enter(practitioner(licence))
    assert [issue.expression for issue in refused.value.issues] == [place]


async def persons(pool: asyncpg.Pool[asyncpg.Record], number: int) -> list[int]:
    made = "insert into people.person (name_key, since) values (0, 0) returning person"
    return [await pool.fetchval(made) for _ in range(number)]


def midnight(day: str) -> int:
    found = interval(day, ZONE)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("born", "ends"),
    [("2015-03-09", "2029-03-09"), ("2016-02-29", "2030-03-01"), ("2012-09-22", "2026-09-22")],
)
async def test_a_parents_acting_ends_on_the_childs_fourteenth_birthday(
    pool: asyncpg.Pool[asyncpg.Record], born: str, ends: str
) -> None:
    proxies = Proxies(pool, ZONE)
    parent, child = await persons(pool, 2)
    entered = await proxies.enter(
        parent,
        child,
        kind="parent",
        evidence="birth-certificate",
        born=date.fromisoformat(born),
        at=START,
        by="test",
    )
    assert entered.until == midnight(ends)
    last = await proxies.acting(parent, entered.until - 1)
    assert [one.for_person for one in last] == [child]
    assert await proxies.acting(parent, entered.until) == []
    assert [one.proxy for one in await proxies.about(child)] == [entered.proxy]


async def test_a_proxy_is_given_for_a_time_and_taken_back_at_once(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    proxies = Proxies(pool, ZONE)
    daughter, father = await persons(pool, 2)
    more: dict[str, Any] = {"kind": "entrusted", "evidence": "in-person", "born": None}
    entered = await proxies.enter(daughter, father, **more, at=START, by="test")
    assert entered.until == midnight("2027-09-21")
    with pytest.raises(Conflict):
        await proxies.enter(daughter, father, **more, at=START, by="test")
    await proxies.end(entered.proxy, at=START + DAY)
    assert await proxies.acting(daughter, START + DAY) == []
    with pytest.raises(NotFound):
        await proxies.end(entered.proxy, at=START + DAY)
    again = await asyncio.gather(
        *(proxies.enter(daughter, father, **more, at=START + DAY, by="test") for _ in range(6)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in again) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "friend"},
        {"evidence": "a-letter"},
        {"born": None},
        {"born": date(2012, 9, 21)},
        {"until": START},
    ],
)
async def test_what_cannot_be_a_proxy_is_told(
    pool: asyncpg.Pool[asyncpg.Record], wrong: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {
        "kind": "parent",
        "evidence": "birth-certificate",
        "born": date(2020, 1, 1),
    }
    parent, child = await persons(pool, 2)
    proxies = Proxies(pool, ZONE)
    with pytest.raises(Invalid):
        await proxies.enter(parent, child, **{**usual, **wrong}, at=START, by="test")
    with pytest.raises(Invalid):
        await proxies.enter(parent, parent, **usual, at=START, by="test")
    with pytest.raises(NotFound):
        await proxies.enter(parent, child + 1, **usual, at=START, by="test")


def test_every_role_has_its_words() -> None:
    assert set(roles()) == set(Roles.__args__)  # type: ignore[attr-defined]  # of a Literal


async def test_posts_are_gone_through_by_place_in_each_order(books: Books) -> None:
    for code, sender in ((CODE, "hospital-a"), (OTHER, "hospital-b")):
        body = organization(code)
        body["identifier"][1]["value"] = sender
        await books.enter(body)
    for at in range(6):
        code = f"actor-{(at * 5) % 6}"
        await books.actor(code, "nurse", "hospital-b" if at == 2 else "hospital-a")
        end = START + (at * 7 % 4) * DAY if at % 2 else OPEN_END
        await books.appoint(code, since=START - (at % 3 + 1) * DAY, until=end)
    walked: list[int] = []
    columns = {"": "post", "account": "actor", "from": "since", "until": "until"}
    for order in ("", "account", "-account", "from", "-from", "until", "-until"):
        all_ = await books.posts.as_of(START - 1, order=order, count=10)
        name = columns[order.removeprefix("-")]
        keys = [(getattr(one, name), one.post) for one in all_]
        assert keys == sorted(keys, reverse=order.startswith("-"))
        walked = []
        while True:
            after = walked[-1] if walked else None
            found = await books.posts.as_of(START - 1, order=order, after=after, count=2)
            if not found:
                break
            walked += [one.post for one in found]
        assert walked == [one.post for one in all_], order
    assert len(walked) == 6
    (other,) = await books.posts.as_of(START - 1, institution=OTHER, count=10)
    for order in columns:
        tried = await books.posts.as_of(
            START - 1, institution=CODE, order=order, after=other.post, count=10
        )
        assert not tried, "where a hidden post stands tells nothing"
