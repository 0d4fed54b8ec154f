"""Break-glass: what it opens, for how long, and that the person and a reviewer are told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from books import CODE, Books, organization, practice, practitioner, qualification
from persons import NUMBER, asking, consent, is_seen, registered, result
from stores import open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.trust import Actor, Guard
from quanmin.trust.deciding.glass import State, Wanted, load_glass_rules
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.emergency_reviews import EmergencyReviews

OPINION = "nothing in the chart of the visit speaks of it"
REASON = "unconscious after a fall, allergies unknown"
HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


async def test_it_opens_what_a_refusal_has_closed_and_only_to_who_opened_it(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    person = str(await pool.fetchval("select person from people.link limit 1"))
    resident = asking(guard, "resident", person=person, purpose="PATRQT")
    await resident.create("Consent", json.dumps(consent(here.id, type="deny")).encode())
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    assert not await is_seen(doctor, theirs)
    await doctor.desk(Emergencies).open(there.id, REASON)
    assert await is_seen(doctor, theirs)
    assert await is_seen(doctor, here)
    assert not await is_seen(asking(guard, "doctor", "c", purpose="TREAT"), theirs)
    assert not await is_seen(asking(guard, "nurse", "c", purpose="BTG"), theirs)


async def test_it_ends_by_itself(guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    there = await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    until = await doctor.desk(Emergencies).open(there.id, REASON)
    assert await is_seen(doctor, there)
    await pool.execute("update records.granted set until = $2 where until = $1", until, guard.now())
    assert not await is_seen(doctor, there)


async def test_it_opens_nothing_beyond_the_role_and_no_kind_that_is_kept_apart(
    guard: Guard,
) -> None:
    there = await registered(guard, "b")
    secret = await result(guard, "b", there.id, meta={"security": [HIV]})
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(there.id, REASON)
    assert not await is_seen(doctor, secret)
    for role in ("institution", "researcher", "supervisor", "resident", "audit_administrator"):
        with pytest.raises(Forbidden):
            await asking(guard, role, "c", purpose="BTG").desk(Emergencies).open(there.id, REASON)


# Too short, and what looks like something: unseen characters, letters that are blank, one letter.
SILENT = [
    "  ok  ",
    *("\u200b" * 12, "\u3164" * 9, "\u2800" * 9, "\U000e0041" * 9, "\u0301" * 9),
    *("......", "-" * 10, "aaaaaaaaaa", "1234567890", "ok" + "\u2060" * 20),
]


async def test_a_reason_must_say_something_and_the_patient_be_there(guard: Guard) -> None:
    there = await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    for silent in SILENT:
        with pytest.raises(Invalid, match="say why"):
            await doctor.desk(Emergencies).open(there.id, silent)
    with pytest.raises(NotFound):
        await doctor.desk(Emergencies).open("nobody", REASON)


async def test_the_person_is_told_and_somebody_else_judges(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(there.id, REASON)
    person = str(await pool.fetchval("select person from people.link limit 1"))
    resident = asking(guard, "resident", person=person, purpose="PATRQT")
    (told,) = await resident.desk(Emergencies).about_asker()
    assert (told.actor, told.reason, told.state) == ("doctor-c", REASON, "waiting")
    assert here.rid != there.rid == told.patient
    stored = bytes(await pool.fetchval("select reason from trust.glass"))
    assert REASON.encode() not in stored
    reviews = asking(guard, "security_administrator").desk(EmergencyReviews)
    ((waiting, institution),) = await reviews.listed(Wanted("waiting"), count=10)
    assert institution == "c"
    await reviews.judge(waiting.glass, "unjustified", OPINION)
    assert await reviews.listed(Wanted("waiting"), count=10) == []
    with pytest.raises(Conflict):
        await reviews.judge(waiting.glass, "justified", OPINION)
    (told,) = await resident.desk(Emergencies).about_asker()
    assert (told.state, told.reviewer, told.opinion) == (
        "unjustified",
        "security_administrator-",
        OPINION,
    )
    (own,) = await doctor.desk(Emergencies).own(10)
    assert (own.state, own.opinion) == ("unjustified", OPINION)
    ((row, _),) = await reviews.statistics(0, 2**62)
    assert (row.actor, row.number, row.waiting, row.unjustified) == ("doctor-c", 1, 0, 1)
    with pytest.raises(Forbidden):
        await doctor.desk(EmergencyReviews).listed(Wanted(), count=10)


async def test_the_person_is_told_the_moment_it_is_opened(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await registered(guard, "a")
    there = await registered(guard, "b")
    person = str(await pool.fetchval("select person from people.link limit 1"))
    resident = asking(guard, "resident", person=person, purpose="PATRQT")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    assert await resident.desk(Emergencies).about_asker() == []
    until = await doctor.desk(Emergencies).open(there.id, REASON)
    (told,) = await resident.desk(Emergencies).about_asker()
    assert (told.until, told.state) == (until, "waiting")
    # Neither is there without the other: both are of one transaction, with the entry of the log.
    rows = await pool.fetch(
        "select xmin::text from trust.glass union all"
        " select xmin::text from records.granted where until = $1 union all"
        " select xmin::text from trust.access where action = 'break-glass'",
        until,
    )
    assert len({row["xmin"] for row in rows}) == 1
    assert len(rows) >= 3


async def test_nobody_judges_what_they_or_another_account_of_theirs_opened(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    there = await registered(guard, "b")
    await asking(guard, "doctor", "c", purpose="BTG").desk(Emergencies).open(there.id, REASON)
    glass: int = await pool.fetchval("select glass from trust.glass")
    await pool.executemany(
        "insert into trust.account (code, name, holder, made_at) values ($1, 'Li', $2, 0)",
        [("li", b"document"), ("li-too", b"document"), ("wang", b"other")],
    )
    await pool.executemany(
        "insert into trust.actor (code, role, name, sender, account, holder)"
        " values ($1, $2, 'Li', 'c', $3, $4)",
        [
            ("doctor-c", "doctor", "li", b"document"),
            ("keeper-li", "security_administrator", "li-too", b"document"),
            ("keeper-wang", "security_administrator", "wang", b"other"),
        ],
    )

    def keeper(code: str) -> EmergencyReviews:
        actor = Actor(code, "security_administrator", "Keeper", "")
        records = guard.records(actor, purpose="HSYSADMIN", request_id="r-9")
        return records.desk(EmergencyReviews)

    with pytest.raises(Forbidden, match="themselves"):
        await keeper("keeper-li").judge(glass, "justified", OPINION)
    with pytest.raises(Invalid, match="say why"):
        await keeper("keeper-wang").judge(glass, "justified", "ok")
    with pytest.raises(NotFound):
        await keeper("keeper-wang").judge(glass + 1, "justified", OPINION)
    await keeper("keeper-wang").judge(glass, "justified", OPINION)
    rows = await pool.fetch("select outcome from trust.access where action = 'judge-break-glass'")
    assert {row["outcome"] for row in rows} == {"forbidden", "invalid", "not-found", "justified"}
    assert OPINION.encode() not in bytes(await pool.fetchval("select opinion from trust.glass"))


async def test_of_two_who_judge_at_once_one_does(guard: Guard) -> None:
    there = await registered(guard, "b")
    await asking(guard, "doctor", "c", purpose="BTG").desk(Emergencies).open(there.id, REASON)
    reviews = asking(guard, "security_administrator").desk(EmergencyReviews)
    ((waiting, _),) = await reviews.listed(Wanted(), count=10)
    others = [asking(guard, "security_administrator", sender) for sender in ("x", "y")]
    done = await asyncio.gather(
        *(one.desk(EmergencyReviews).judge(waiting.glass, "justified", OPINION) for one in others),
        return_exceptions=True,
    )
    assert [one for one in done if one is None] == [None]
    assert [type(one) for one in done if one is not None] == [Conflict]


async def test_a_review_tells_what_was_read_and_not_what_it_says(guard: Guard) -> None:
    there = await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    stranger = await registered(guard, "d", None)
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(there.id, REASON)
    await doctor.read("Patient", there.id)
    await doctor.read("Observation", theirs.id)
    await doctor.read("Observation", theirs.id)
    await asking(guard, "doctor", "d", purpose="BTG").read("Patient", stranger.id)
    reviews = asking(guard, "security_administrator").desk(EmergencyReviews)
    ((opened, _),) = await reviews.listed(Wanted(), count=10)
    review = await reviews.review(opened.glass)
    assert review.patient == f"Patient/{there.id}"
    assert (review.read, review.requests) == ((("Observation", 1), ("Patient", 1)), 4)


async def test_who_opens_it_can_close_it_again(guard: Guard) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    until = await doctor.desk(Emergencies).open(there.id, REASON)
    assert await doctor.desk(Emergencies).under_way("Patient", here.id) == until
    assert (
        await asking(guard, "doctor", "d").desk(Emergencies).under_way("Patient", here.id) is None
    )
    with pytest.raises(NotFound):
        await asking(guard, "doctor", "d").desk(Emergencies).close(here.id)
    await doctor.desk(Emergencies).close(here.id)
    assert not await is_seen(doctor, there)
    assert await doctor.desk(Emergencies).under_way("Patient", there.id) is None
    with pytest.raises(NotFound):
        await doctor.desk(Emergencies).close(here.id)
    (own,) = await doctor.desk(Emergencies).own(10)
    assert own.closed_at == own.until < until


async def test_who_opened_too_much_without_reason_opens_no_more_for_a_time(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    there = await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    reviews = asking(guard, "security_administrator").desk(EmergencyReviews)
    for _ in range(load_glass_rules().suspension.unjustified):
        await doctor.desk(Emergencies).open(there.id, REASON)
        ((waiting, _),) = await reviews.listed(Wanted("waiting"), count=10)
        assert await reviews.suspended_until(["doctor-c"]) == {}
        await reviews.judge(waiting.glass, "unjustified", OPINION)
    with pytest.raises(Forbidden, match="unjustified"):
        await doctor.desk(Emergencies).open(there.id, REASON)
    assert [*await reviews.suspended_until(["doctor-c", "doctor-d"])] == ["doctor-c"]
    await asking(guard, "doctor", "d", purpose="BTG").desk(Emergencies).open(there.id, REASON)
    day = 86_400_000_000
    long_ago = (load_glass_rules().suspension.days + 1) * day
    await pool.execute("update trust.glass set reviewed_at = reviewed_at - $1", long_ago)
    await doctor.desk(Emergencies).open(there.id, REASON)


async def test_who_may_open_no_more_may_not_by_another_post_or_account_either(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    there = await registered(guard, "b")
    await pool.executemany(
        "insert into trust.account (code, name, holder, made_at) values ($1, 'Li', $2, 0)",
        [("li", b"document"), ("li-too", b"document"), ("wang", b"other")],
    )
    await pool.executemany(
        "insert into trust.actor (code, role, name, sender, account, holder)"
        " values ($1, 'doctor', 'Li', $2, $3, $4)",
        [
            ("doctor-c", "c", "li", b"document"),
            ("doctor-d", "d", "li", b"document"),
            ("doctor-e", "e", "li-too", b"document"),
            ("doctor-f", "f", "wang", b"other"),
        ],
    )
    reviews = asking(guard, "security_administrator").desk(EmergencyReviews)
    for hospital in "cde"[: load_glass_rules().suspension.unjustified]:
        await (
            asking(guard, "doctor", hospital, purpose="BTG")
            .desk(Emergencies)
            .open(there.id, REASON)
        )
        ((waiting, _),) = await reviews.listed(Wanted("waiting"), count=10)
        await reviews.judge(waiting.glass, "unjustified", OPINION)
    for hospital in "cde":
        doctor = asking(guard, "doctor", hospital, purpose="BTG")
        with pytest.raises(Forbidden, match="unjustified"):
            await doctor.desk(Emergencies).open(there.id, REASON)
    await asking(guard, "doctor", "f", purpose="BTG").desk(Emergencies).open(there.id, REASON)


async def test_who_reviews_for_an_institution_sees_and_judges_its_emergencies_only(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    books = Books(guard, pool)
    organization_id = await books.enter(organization())
    there, ours = await registered(guard, "b"), f"sender-{CODE}"
    for hospital in ("c", ours):
        doctor = asking(guard, "doctor", hospital, purpose="BTG")
        await doctor.desk(Emergencies).open(there.id, REASON)
    glasses = {
        row["actor"]: row["glass"]
        for row in await pool.fetch("select actor, glass from trust.glass")
    }
    own, other = glasses[f"doctor-{ours}"], glasses["doctor-c"]
    reviewer = (await books.actor("quality", "doctor")).desk(EmergencyReviews)
    uncharged = (await books.actor("helper", "doctor")).desk(EmergencyReviews)
    for actor, duties in (("quality", ["emergency_review"]), ("helper", ["quality"])):
        licensed = await books.enter(practitioner(qualification("physician", "clinical")))
        await books.enter(practice(licensed, organization_id))
        await books.appoint(actor, practitioner_id=licensed, duties=duties)
    ((seen, institution),) = await reviewer.listed(Wanted("waiting"), count=10)
    assert (seen.glass, institution) == (own, ours)
    assert await reviewer.listed(Wanted(), institution="c", count=10) == []
    assert [row.actor for row, _ in await reviewer.statistics(0, 2**62)] == [f"doctor-{ours}"]
    for glass in (other, 99_999):
        with pytest.raises(NotFound, match="nothing was opened"):
            await reviewer.review(glass)
        with pytest.raises(NotFound, match="nothing was opened"):
            await reviewer.judge(glass, "justified", OPINION)
    assert (await reviewer.review(own)).institution == ours
    await reviewer.judge(own, "justified", OPINION)
    with pytest.raises(Forbidden, match="charged with it"):
        await uncharged.listed(Wanted(), count=10)
    with pytest.raises(Forbidden, match="charged with it"):
        await uncharged.judge(own, "justified", OPINION)


async def test_what_was_opened_without_reason_is_closed_with_the_judgement(guard: Guard) -> None:
    there = await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    reviews = asking(guard, "security_administrator").desk(EmergencyReviews)
    states: tuple[State, ...] = ("justified", "unjustified")
    for state in states:
        await doctor.desk(Emergencies).open(there.id, REASON)
        ((waiting, _),) = await reviews.listed(Wanted("waiting"), count=10)
        await reviews.judge(waiting.glass, state, OPINION)
        assert await is_seen(doctor, there) is (state == "justified")


async def test_a_patient_is_found_by_a_whole_identifier_and_it_is_noted(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG").desk(Emergencies)
    assert await doctor.find(NUMBER) in {here.id, there.id}
    assert await doctor.find(NUMBER[:17]) is None
    assert await doctor.find(f"{NUMBER},x") is None
    with pytest.raises(Forbidden):
        await asking(guard, "institution", "c").desk(Emergencies).find(NUMBER)
    rows = await pool.fetch(
        "select outcome, patients from trust.access where action = 'find-break-glass' order by at"
    )
    assert [row["outcome"] for row in rows] == ["ok", "ok", "ok", "forbidden"]
    assert set(rows[0]["patients"]) == {here.rid, there.rid}
