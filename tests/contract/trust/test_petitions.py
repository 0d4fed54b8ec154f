"""What residents ask of those who hold their records: who answers, how, and what it brings."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import pytest
from books import ADDRESS, Books, organization
from clinic import with_check_digit
from persons import (
    asking,
    consent,
    day,
    is_seen,
    query,
    registered,
    result,
    to_institution,
    visit,
)
from stores import observation, open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Gone, Invalid, NotFound, Problem
from quanmin.demo.numbering import credit_code
from quanmin.records.model import Stored
from quanmin.trust import Actor, Actors, Guard
from quanmin.trust.lifecycle.petition_record import Petition
from quanmin.trust.lifecycle.petition_rules import petition_rules
from quanmin.trust.lifecycle.petitions import Filing, Petitions, Wanted
from quanmin.trust.lifecycle.retention import hold, release
from quanmin.trust.lifecycle.wishes import Wishes
from quanmin.trust.registers.proxies import Proxies
from quanmin.trust.sign_in.acting import as_proxy

OPEN = Wanted(only_open=True)
WRONG, SHOULD = "the value is of somebody else", "it was 5.4, see the sheet"


class Town:
    """A person registered at two hospitals, as those see it who take part."""

    def __init__(self, guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.guard, self.pool = guard, pool

    async def fill(self) -> None:
        self.here, self.there = await registered(self.guard, "a"), await registered(self.guard, "b")
        self.result = await result(self.guard, "a", self.here.id)
        self.person = str(await self.pool.fetchval("select person from people.link limit 1"))
        self.mine = asking(self.guard, "resident", person=self.person, purpose="PATRQT")
        self.me = self.mine.desk(Petitions)
        self.a, self.b = self.desk("institution", "a"), self.desk("institution", "b")

    def desk(self, role: str, sender: str = "", person: str | None = None) -> Petitions:
        return asking(self.guard, role, sender, person=person, purpose="PATRQT").desk(Petitions)

    async def filed(self, kind: str = "correction", **more: str) -> str:
        about = "" if more.get("institution") else f"Observation/{self.result.id}"
        return await self.me.file(
            Filing(kind, about, more.get("institution", ""), wrong=WRONG, should=SHOULD)
        )

    async def erased(self) -> Petition | Wishes:
        """What hospital a held of the person is erased, as nothing obliges it to keep it."""
        old = json.loads(observation(f"Patient/{self.here.id}"))
        old |= {"effectiveDateTime": "1999-05-01", "id": self.result.id}
        ours = asking(self.guard, "institution", "a")
        await ours.update("Observation", self.result.id, json.dumps(old).encode())
        id_ = await self.filed("erasure", institution="a")
        assert (await self.a.open(id_)).kept == ()
        return await self.a.take(id_, "grant", "nothing obliges us to keep it")

    async def state(self, id_: str) -> str:
        return (await self.me.open(id_)).petition.state

    async def correct(self) -> Stored:
        ours = asking(self.guard, "institution", "a")
        body = json.loads(observation(f"Patient/{self.here.id}", value="5.5"))
        raw = json.dumps({**body, "id": self.result.id}).encode()
        return (await ours.update("Observation", self.result.id, raw)).stored


@pytest.fixture
async def town(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Town:
    opened = Town(open_guard(pool, open_context(tmp_path)), pool)
    await opened.fill()
    return opened


async def test_a_correction_is_granted_only_when_the_record_was_corrected(town: Town) -> None:
    id_ = await town.filed()
    (waiting,) = await town.a.listed(wanted=OPEN, count=10)
    assert (waiting.kind, waiting.state, waiting.answerer) == ("correction", "received", "a")
    assert await town.b.listed(count=10) == []
    await town.a.take(id_, "accept")
    with pytest.raises(Conflict, match="correct it first"):
        await town.a.take(id_, "grant", "we have looked it up")
    corrected = await town.correct()
    await town.a.take(id_, "grant", "we have looked it up")
    petition = (await town.me.open(id_)).petition
    assert petition.result == f"Observation/{town.result.id}/_history/{corrected.version}"
    assert [one.step for one in petition.taken] == ["file", "accept", "grant"]
    assert petition.taken[-1].words == "we have looked it up"
    assert await town.a.listed(wanted=OPEN, count=10) == []


async def test_a_refused_correction_leaves_the_persons_statement_beside_the_record(
    town: Town,
) -> None:
    id_ = await town.filed()
    with pytest.raises(Invalid, match="say why"):
        await town.a.take(id_, "refuse", " ")
    await town.a.take(id_, "refuse", "the sheet says the same as the record")
    with pytest.raises(Conflict):
        await town.a.take(id_, "grant", "on second thoughts")
    await town.me.take(id_, "state", "I was at the sea that day")
    said = {}
    for who in (town.me, town.a):
        (statement,) = await who.statements("Observation", town.result.id)
        said[statement.words] = statement.id
    assert list(said) == ["I was at the sea that day"]
    with pytest.raises(NotFound):
        await town.b.statements("Observation", town.result.id)
    ours = asking(town.guard, "institution", "a")
    (number,) = said.values()
    communication = json.loads((await ours.read("Communication", number)).body or b"")
    assert communication["about"] == [{"reference": f"Observation/{town.result.id}"}]
    communication["payload"] = [{"contentString": "I agree with all of it"}]
    for change in (
        ours.update("Communication", number, json.dumps(communication).encode()),
        ours.delete("Communication", number),
    ):
        with pytest.raises(Forbidden, match="pages of petitions"):
            await change
    forged = {name: part for name, part in communication.items() if name not in {"id", "meta"}}
    with pytest.raises(Forbidden, match="pages of petitions"):
        await ours.create("Communication", json.dumps(forged).encode())
    (kept,) = await town.a.statements("Observation", town.result.id)
    assert kept.words == "I was at the sea that day"


async def test_an_objection_closes_the_record_to_others_from_the_commit_on(town: Town) -> None:
    doctor = asking(town.guard, "doctor", "b", purpose="TREAT")
    theirs = asking(town.guard, "institution", "b")
    visit = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{town.there.id}"},
        "period": {"start": day(-1)},
    }
    await theirs.create("Encounter", json.dumps(visit).encode())
    assert await is_seen(doctor, town.result)
    asked = Filing("objection", institution="a", wrong=WRONG, uses=("TREAT",))
    id_ = await town.me.file(asked)
    assert not await is_seen(doctor, town.result)
    await town.me.take(id_, "withdraw")
    assert await is_seen(doctor, town.result), "what was filed with it goes with it"
    id_ = await town.me.file(asked)
    await town.a.take(id_, "refuse", "we use it to treat you alone")
    opened = await town.me.open(id_)
    assert opened.is_denied
    assert not await is_seen(doctor, town.result), "it is the person's, whatever is answered"
    refusal = json.loads((await town.mine.read(*opened.petition.denial.split("/"))).body or b"")
    body = json.dumps(refusal | {"status": "inactive"}).encode()
    await town.mine.update("Consent", refusal["id"], body)
    assert not (await town.me.open(id_)).is_denied
    assert await is_seen(doctor, town.result)
    with pytest.raises(Invalid, match="the uses to object to"):
        await town.me.file(Filing("objection", institution="a", wrong=WRONG, uses=("BTG",)))


async def test_what_the_law_keeps_is_not_erased_and_says_which_and_until_when(town: Town) -> None:
    id_ = await town.filed("erasure", institution="a")
    (kept,) = (await town.a.open(id_)).kept
    assert (kept.clock, kept.type, kept.count) == ("outpatient", "Observation", 1)
    with pytest.raises(Conflict, match=r"outpatient\) until 20"):
        await town.a.take(id_, "grant", "as you wish")
    assert await town.state(id_) == "received"


async def test_an_institution_erases_nothing_that_another_has_written(town: Town) -> None:
    old = json.loads(observation(f"Patient/{town.here.id}")) | {"effectiveDateTime": "1999-05-01"}
    ours = asking(town.guard, "institution", "a")
    body = json.dumps(old | {"id": town.result.id}).encode()
    await ours.update("Observation", town.result.id, body)
    await asking(town.guard, "institution", "b").create("Observation", json.dumps(old).encode())
    id_ = await town.filed("erasure", institution="a")
    with pytest.raises(Conflict, match="other institutions"):
        await town.a.take(id_, "grant", "as you wish")
    assert await town.state(id_) == "received"


async def test_an_erasure_takes_the_institutions_records_of_the_person_and_no_others(
    town: Town,
) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    ours = asking(town.guard, "institution", "a")
    assert await town.erased() == Wishes()
    for stored in (town.here, town.result):
        with pytest.raises(Gone):
            await ours.read(stored.type, stored.id)
    assert await is_seen(asking(town.guard, "institution", "b"), theirs)
    assert await is_seen(town.mine, theirs)
    row = await town.pool.fetchrow("select patient, about, state, is_open from trust.petition")
    assert row is not None
    assert tuple(row) == (None, None, "granted", False)


async def test_what_a_person_refuses_outlives_the_registration_that_it_names(town: Town) -> None:
    """It holds as it was given, so what was permitted since goes before it still."""
    guard = town.guard
    theirs = await result(guard, "b", town.there.id)
    for hospital in ("c", "d"):
        again = await registered(guard, hospital)
        await asking(guard, "institution", hospital).create("Encounter", visit(again.id))
    treating = {one: asking(guard, "doctor", one, purpose="TREAT") for one in ("c", "d")}
    assert [await is_seen(doctor, theirs) for doctor in treating.values()] == [True, True]
    refusal = consent(town.here.id, type="deny")
    made = await town.mine.create("Consent", json.dumps(refusal).encode())
    to = consent(town.there.id, type="permit", actor=to_institution("d"))
    await town.mine.create("Consent", json.dumps(to).encode())
    assert [await is_seen(doctor, theirs) for doctor in treating.values()] == [False, True]
    assert await town.erased() == Wishes(moved=1)
    assert [await is_seen(doctor, theirs) for doctor in treating.values()] == [False, True]
    kept = await town.mine.read("Consent", made.stored.id)
    assert kept.facts.patient == town.there.rid
    assert town.here.id.encode() not in (kept.body or b"")


async def test_what_a_person_refuses_ends_with_their_last_registration(town: Town) -> None:
    await town.erased()
    refusal = consent(town.there.id, type="deny")
    await town.mine.create("Consent", json.dumps(refusal).encode())
    id_ = await town.me.file(Filing("erasure", institution="b", wrong=WRONG, should=SHOULD))
    assert await town.b.take(id_, "grant", "as you wish") == Wishes(ended=1)


async def test_an_appeal_goes_to_who_stands_above_and_binds_the_institution(town: Town) -> None:
    id_ = await town.filed()
    above = town.desk("supervisor", "commission")
    assert await above.listed(count=10) == []
    with pytest.raises(NotFound):
        await above.open(id_)
    await town.a.take(id_, "refuse", "the sheet says the same as the record")
    await town.me.take(id_, "appeal", "the sheet is of another person")
    (waiting,) = await above.listed(count=10)
    assert waiting.state == "appealed"
    with pytest.raises(Forbidden):
        await town.a.take(id_, "confirm", "we were right")
    await above.take(id_, "overturn", "the sheet bears another name")
    with pytest.raises(Conflict, match="do what is asked for"):
        await town.a.take(id_, "refuse", "we stay with it")
    await town.correct()
    await town.a.take(id_, "grant", "corrected as was decided")
    assert await town.state(id_) == "granted"


async def test_an_appeal_for_erasure_is_upheld_only_of_what_may_be_erased(town: Town) -> None:
    id_, above = await town.filed("erasure", institution="a"), town.desk("supervisor", "commission")
    await town.a.take(id_, "refuse", "the law keeps the records")
    await town.me.take(id_, "appeal", "I was never a patient there")
    with pytest.raises(Conflict, match="the law keeps"):
        await above.take(id_, "overturn", "erase it all the same")
    old = json.loads(observation(f"Patient/{town.here.id}"))
    old |= {"effectiveDateTime": "1999-05-01", "id": town.result.id}
    ours = asking(town.guard, "institution", "a")
    await ours.update("Observation", town.result.id, json.dumps(old).encode())
    await above.take(id_, "overturn", "nothing keeps it now")
    assert [one.code for one in (await town.a.open(id_)).steps] == ["grant"]
    with pytest.raises(Conflict, match="do what is asked for"):
        await town.a.take(id_, "refuse", "we stay with it")
    async with town.pool.acquire() as connection, connection.transaction():
        await hold(connection, town.here.rid, reason="lawsuit", at=1, by="one")
    assert [one.code for one in (await town.a.open(id_)).steps] == ["grant", "refuse"]
    await town.a.take(id_, "refuse", "they have been held for a court since")
    assert await town.state(id_) == "refused"


async def test_nobody_judges_their_own_answer_or_answers_their_own_petition(town: Town) -> None:
    """One account with two posts: at the hospital and at the commission above it."""
    await town.pool.execute(
        "insert into trust.account (code, name, holder, real_name_level, made_at) values"
        " ('wang', 'Wang', 'w', 2, 1), ('wang2', 'Wang', 'w', 2, 1)"
    )
    posts = ("institution-a", "supervisor-commission", "resident-")
    for code in posts:
        await town.pool.execute(
            "insert into trust.actor (code, role, name, sender, account)"
            " values ($1, split_part($1, '-', 1), 'Wang', split_part($1, '-', 2), $2)",
            *(code, "wang" if code != "resident-" else None),
        )
    above = town.desk("supervisor", "commission")
    id_ = await town.filed()
    await town.a.take(id_, "refuse", "the sheet says the same as the record")
    await town.me.take(id_, "appeal", "the sheet is of another person")
    for step in ("confirm", "overturn"):
        with pytest.raises(Forbidden, match="judges an answer that they gave"):
            await above.take(id_, step, "I looked at it again")
    other = asking(town.guard, "supervisor", "commission", purpose="PATRQT")
    other.actor = msgspec.structs.replace(other.actor, code="another")
    await other.desk(Petitions).take(id_, "confirm", "the answer stands")
    assert [one.state for one in await above.listed(count=10)] == ["confirmed"]
    await town.pool.execute("update trust.actor set account = 'wang2' where account is null")
    mine = await town.filed("copy", institution="a")
    with pytest.raises(Forbidden, match="nobody answers their own petition"):
        await town.a.take(mine, "grant", "here it is, as a file")


async def test_an_answer_that_nobody_appealed_stays_between_the_two(town: Town) -> None:
    id_ = await town.filed()
    await town.a.take(id_, "refuse", "the sheet says the same as the record")
    await town.pool.execute("update trust.petition set due = 1")  # the time for an appeal is over
    above = town.desk("supervisor", "commission")
    assert await above.listed(count=10) == []
    assert await above.counted() == []


async def test_what_is_held_nobody_erases(town: Town) -> None:
    old = json.loads(observation(f"Patient/{town.here.id}"))
    old |= {"effectiveDateTime": "1999-05-01", "id": town.result.id}
    ours = asking(town.guard, "institution", "a")
    await ours.update("Observation", town.result.id, json.dumps(old).encode())
    id_ = await town.filed("erasure", institution="a")
    centre = asking(town.guard, "operator", "centre", purpose="HOPERAT")
    async with town.pool.acquire() as connection:
        async with connection.transaction():
            # Of the same person, at the other hospital.
            number = await hold(connection, town.there.rid, reason="lawsuit", at=1, by="one")
        with pytest.raises(Conflict, match="held"):
            await town.a.take(id_, "grant", "as you wish")
        with pytest.raises(Conflict, match="held"):
            await centre.erase(town.here.id)
        assert await is_seen(ours, town.result)
        await release(connection, number, at=2, by="one")
        await centre.erase(town.here.id)
        with pytest.raises(NotFound):
            await hold(connection, town.here.rid, reason="too late", at=3, by="one")


async def test_who_stands_above_is_of_the_same_region_or_a_wider_one(town: Town) -> None:
    books = Books(town.guard, town.pool)
    of_a = {"identifier": organization()["identifier"][:1]}
    of_a["identifier"].append({"system": ADDRESS.sender, "value": "a"})
    await books.enter(organization() | of_a)
    city, elsewhere = credit_code("580100", 1), credit_code("590000", 1)
    for code in (city, elsewhere):
        await books.enter(organization(code))
    id_ = await town.filed()
    await town.a.take(id_, "refuse", "the sheet says the same as the record")
    await town.me.take(id_, "appeal", "the sheet is of another person")
    above = town.desk("supervisor", f"sender-{city}")
    assert [one.state for one in await above.listed(count=10)] == ["appealed"]
    for code in (f"sender-{elsewhere}", "unknown"):
        other = town.desk("supervisor", code)
        assert await other.listed(count=10) == []
        with pytest.raises(NotFound):
            await other.open(id_)
    await above.take(id_, "confirm", "the name on the sheet is theirs")
    assert await town.state(id_) == "confirmed"


async def test_a_complaint_is_about_an_access_to_ones_own_record(town: Town) -> None:
    ours = asking(town.guard, "institution", "a")
    await town.pool.execute(
        "insert into trust.actor (code, role, name, sender, token_hash)"
        " values ('institution-a', 'institution', 'a', 'a', '\\x00')"
    )
    await ours.read("Observation", town.result.id)
    hits = await town.mine.search(query(town.guard, "AuditEvent", altid="institution-a"))
    event = f"AuditEvent/{hits.matches[0].id}"
    id_ = await town.me.file(Filing("complaint", about=event, wrong="nobody there treats me"))
    petition = (await town.a.open(id_)).petition
    assert (petition.about, petition.answerer) == (event, "a")
    stranger = await registered(town.guard, "c", None)
    await result(town.guard, "c", stranger.id)
    other = await town.pool.fetchval(
        "select 'log-' || lane || '-' || n from trust.access where patients = array[$1::bigint]",
        stranger.rid,
    )
    for about in (f"AuditEvent/{other}", "AuditEvent/log-20261101-999", f"Patient/{town.here.id}"):
        with pytest.raises((NotFound, Invalid)):
            await town.me.file(Filing("complaint", about=about, wrong="nobody there treats me"))


async def test_others_learn_nothing_of_a_petition(town: Town) -> None:
    id_ = await town.filed()
    outsiders = [town.b, town.desk("resident"), town.desk("supervisor"), town.desk("guardian")]
    for who in outsiders[:2]:
        with pytest.raises(NotFound) as absent:
            await who.open("q000000000000")
        with pytest.raises(NotFound) as hidden:
            await who.open(id_)
        assert (absent.value.code, hidden.value.code) == ("not-found", "not-found")
    for role in ("doctor", "nurse", "researcher", "audit_administrator", "public_health_worker"):
        with pytest.raises(Forbidden):
            await town.desk(role, "a").open(id_)
        with pytest.raises(Forbidden):
            await town.desk(role, "a").listed(count=1)
    watcher = town.desk("security_administrator")
    (seen,) = await watcher.listed(count=10)
    assert (seen.patient, seen.kind) == (None, "correction")
    with pytest.raises(Forbidden):
        await watcher.open(id_)
    (number,) = await watcher.counted()
    assert (number.answerer, number.number, number.overdue) == ("a", 1, 0)


async def test_no_level_opens_a_petition_to_who_treats_the_person(town: Town) -> None:
    id_ = await town.filed()
    visit = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{town.here.id}"},
        "period": {"start": day(-1)},
    }
    ours = asking(town.guard, "institution", "a")
    await ours.create("Encounter", json.dumps(visit).encode())
    task = await town.mine.read("Task", id_)
    assert await is_seen(town.mine, task)
    for role in ("doctor", "nurse", "institution"):
        for purpose in ("TREAT", "BTG", "HOPERAT"):
            assert not await is_seen(asking(town.guard, role, "a", purpose=purpose), task)
    body = json.loads(task.body or b"")
    body["status"] = "completed"
    for who in (ours, town.mine, asking(town.guard, "doctor", "a")):
        with pytest.raises(Problem):
            await who.update("Task", id_, json.dumps(body).encode())
    del body["id"]
    with pytest.raises(Forbidden, match="pages of petitions"):
        await ours.create("Task", json.dumps(body).encode())
    assert await town.state(id_) == "received"


async def test_a_proxy_who_may_only_see_asks_nothing_and_who_asks_is_named(town: Town) -> None:
    proxies, now = Proxies(town.pool, ZoneInfo("Asia/Shanghai")), town.guard.now()
    child = await registered(town.guard, "a", with_check_digit("58010120200307471"))
    ward = await town.pool.fetchval("select person from people.link where patient = $1", child.rid)
    mother = Actor("mother", "resident", "司马清风", "", town.person)
    await Actors(town.pool).enrol(mother)
    given: dict[str, Any] = {
        "kind": "parent",
        "evidence": "birth-certificate",
        "born": date(2020, 3, 7),
    }
    proxy = await proxies.enter(int(town.person), ward, at=now, by="t", **given)
    acting = town.guard.records(as_proxy(mother, proxy), purpose="PATRQT", request_id="r-1")
    desk = acting.desk(Petitions)
    asked = Filing("copy", institution="a", wrong=WRONG)
    id_ = await desk.file(asked)
    (step,) = (await town.a.open(id_)).petition.taken
    assert (step.by, step.proxy) == ("asker", "司马清风")
    await town.pool.execute("update trust.proxy set scope = '{read}'")
    assert (await desk.open(id_)).steps == ()
    for done in (desk.registrations(), desk.file(asked), desk.take(id_, "withdraw")):
        with pytest.raises(Forbidden, match="not to decide"):
            await done
    assert (await desk.open(id_)).petition.state == "received"


async def test_what_is_filed_must_be_ones_own_and_say_something(town: Town) -> None:
    stranger = await registered(town.guard, "c", None)
    theirs = await result(town.guard, "c", stranger.id)
    cases = [
        (Filing("correction", f"Observation/{theirs.id}", wrong=WRONG, should=SHOULD), NotFound),
        (Filing("correction", "Observation/nobody", wrong=WRONG, should=SHOULD), NotFound),
        (Filing("correction", "", wrong=WRONG, should=SHOULD), Invalid),
        (Filing("correction", f"Observation/{town.result.id}", wrong=WRONG), Invalid),
        (Filing("correction", f"Observation/{town.result.id}", wrong=WRONG * 999), Invalid),
        (Filing("copy", institution="c", wrong=WRONG), Invalid),
        (Filing("nothing", institution="a", wrong=WRONG), Invalid),
    ]
    for filing, expected in cases:
        with pytest.raises(expected):
            await town.me.file(filing)
    with pytest.raises(Forbidden):
        await town.a.file(Filing("copy", institution="a", wrong=WRONG))
    assert await town.me.listed(count=10) == []


async def test_a_late_petition_comes_first_and_reaches_who_stands_above(town: Town) -> None:
    first, second = await town.filed(), await town.filed("copy", institution="a")
    await town.pool.execute(
        "update trust.petition set due = 1 where kind = 'copy'",
    )
    assert [one.kind for one in await town.a.listed(count=10)] == ["copy", "correction"]
    page = await town.a.listed(count=1)
    rest = await town.a.listed(count=10, after=page[0].place)
    assert [one.kind for one in rest] == ["correction"]
    (late,) = await town.desk("supervisor", "commission").listed(count=10)
    assert late.kind == "copy"
    assert late.is_overdue(town.guard.now())
    assert first != second


async def test_of_two_answers_at_once_one_holds(town: Town) -> None:
    id_ = await town.filed("copy", institution="a")
    stale = await town.a._open(id_)
    await town.a.take(id_, "grant", "here it is, as a file")

    async def as_it_was(_id: str) -> object:
        return stale

    town.a._open = as_it_was  # type: ignore[assignment,method-assign]  # the other of two
    with pytest.raises(Problem) as refused:
        await town.a.take(id_, "refuse", "we do not find you")
    assert refused.value.status in {409, 412}
    assert await town.state(id_) == "granted"


async def test_every_step_is_in_the_access_log_and_no_word_of_it(town: Town) -> None:
    id_ = await town.filed()
    await town.a.take(id_, "refuse", "the sheet says the same as the record")
    rows = await town.pool.fetch(
        "select action, actor, patients from trust.access where action like '%-petition'"
        " order by at"
    )
    assert [(row["action"], row["actor"]) for row in rows] == [
        ("file-petition", "resident-"),
        ("answer-petition", "institution-a"),
    ]
    assert all(row["patients"] == [town.here.rid] for row in rows)
    text = str(await town.pool.fetch("select t.*::text from trust.petition t"))
    assert WRONG not in text


def test_every_state_is_reached_and_left_by_a_step_of_the_definition() -> None:
    rules = petition_rules()
    states = {one.code for one in rules.state}
    for step in rules.step:
        assert set(step.from_) <= states
        assert step.to is None or step.to in states
        assert step.clock is None or step.clock in rules.clocks
    assert {step.to for step in rules.step} - {None} == states
    left = {state for step in rules.step for state in step.from_}
    assert {one.code for one in rules.state if one.is_open} <= left
