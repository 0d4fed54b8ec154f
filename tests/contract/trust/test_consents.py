"""What a person permits, refuses and takes back holds on the next read, whoever asks and how."""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
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
from stores import coded, open_context, open_guard, patient
from workers import at_work

from quanmin.base.jobs import JobLimits, Worker
from quanmin.base.migrations import read_migrations
from quanmin.base.problems import Forbidden, Invalid, NotFound
from quanmin.records.model import Stored
from quanmin.records.portions import Extent
from quanmin.terminology import Terms
from quanmin.trust import Actor, Actors, Guard, GuardedRecords
from quanmin.trust.deciding.consents import ConsentIndex
from quanmin.trust.deciding.regranting import regrant_kind
from quanmin.trust.record_access import RecordAccess
from quanmin.trust.registers.proxies import Proxies
from quanmin.trust.sign_in.acting import as_proxy

HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}


class Town:
    """One person at hospitals a and b; c knows nothing of them."""

    def __init__(self, guard: Guard, here: Stored, there: Stored, person: str) -> None:
        self.guard = guard
        self.here, self.there, self.person = here, there, person

    def resident(self) -> GuardedRecords:
        return asking(self.guard, "resident", person=self.person, purpose="PATRQT")

    async def says(self, body: dict[str, Any]) -> Stored:
        return (await self.resident().create("Consent", json.dumps(body).encode())).stored


@pytest.fixture
async def town(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Town:
    guard = open_guard(pool, open_context(tmp_path))
    here, there = await registered(guard, "a"), await registered(guard, "b")
    await asking(guard, "institution", "c").create("Patient", patient(name="司马清风"))
    person = await pool.fetchval("select person from people.link limit 1")
    return Town(guard, here, there, str(person))


def purposes(*codes: str) -> list[dict[str, str]]:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    return [{"system": system, "code": code} for code in codes]


async def test_a_consent_opens_to_the_institution_and_for_the_purpose_it_names(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    desk = asking(town.guard, "institution", "c")
    assert not await is_seen(desk, theirs)
    await town.says(
        consent(town.here.id, type="permit", actor=to_institution("c"), purpose=purposes("TREAT"))
    )
    assert await is_seen(desk, theirs)
    assert await is_seen(asking(town.guard, "doctor", "c", purpose="COC"), theirs)
    assert not await is_seen(asking(town.guard, "institution", "c", purpose="HPAYMT"), theirs)
    assert not await is_seen(asking(town.guard, "institution", "d"), theirs)


async def test_a_consent_withdrawn_closes_on_the_next_read_whoever_treats(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    doctor = asking(town.guard, "doctor", "a")
    said = consent(town.here.id, type="permit", actor=to_institution("a"))
    given = await town.says(said)
    assert await is_seen(doctor, theirs)
    back = json.dumps(said | {"id": given.id, "status": "inactive"}).encode()
    await town.resident().update("Consent", given.id, back)
    assert not await is_seen(doctor, theirs)
    await town.says(said)
    assert await is_seen(doctor, theirs)


async def test_a_deleted_consent_and_one_that_has_ended_open_nothing(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    desk = asking(town.guard, "institution", "c")
    over = {"start": day(-20), "end": day(-2)}
    await town.says(consent(town.here.id, type="permit", actor=to_institution("c"), period=over))
    assert not await is_seen(desk, theirs)
    given = await town.says(consent(town.here.id, type="permit", actor=to_institution("c")))
    assert await is_seen(desk, theirs)
    await town.resident().delete("Consent", given.id)
    assert not await is_seen(desk, theirs)


async def test_a_missing_consent_never_blocks_treatment(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    assert await is_seen(asking(town.guard, "doctor", "a"), theirs)


@pytest.mark.parametrize("status", ["active", "rejected"])
async def test_a_refusal_stops_others_and_never_the_use_of_own_records(
    town: Town, status: str
) -> None:
    ours = await result(town.guard, "a", town.here.id)
    theirs = await result(town.guard, "b", town.there.id)
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    doctor = asking(town.guard, "doctor", "a")
    effect = "deny" if status == "active" else "permit"
    await town.says(consent(town.here.id, status=status, type=effect))
    assert not await is_seen(doctor, theirs)
    assert await is_seen(doctor, ours)
    assert await is_seen(asking(town.guard, "institution", "b"), theirs)
    assert await is_seen(town.resident(), theirs)


async def test_a_refusal_of_all_but_one_leaves_that_one(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    for hospital in ("a", "c"):
        own = town.here if hospital == "a" else await registered(town.guard, "c")
        await asking(town.guard, "institution", hospital).create("Encounter", visit(own.id))
    inner = [{"type": "permit", "actor": to_institution("a")}]
    await town.says(consent(town.here.id, type="deny", provision=inner))
    assert await is_seen(asking(town.guard, "doctor", "a"), theirs)
    assert not await is_seen(asking(town.guard, "doctor", "c"), theirs)


async def test_a_refusal_within_what_a_refusal_excepts_stays_closed(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    class_ = [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]
    again = [{"type": "deny", "class": class_}]
    inner = [{"type": "permit", "actor": to_institution("a"), "provision": again}]
    await town.says(consent(town.here.id, type="deny", provision=inner))
    assert not await is_seen(asking(town.guard, "doctor", "a"), theirs)


async def test_an_exception_within_a_permission_stays_closed(town: Town) -> None:
    result_, visit_ = (
        await result(town.guard, "b", town.there.id),
        (
            await asking(town.guard, "institution", "b").create("Encounter", visit(town.there.id))
        ).stored,
    )
    type_ = {"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}
    inner = [{"type": "deny", "class": [type_]}]
    await town.says(
        consent(town.here.id, type="permit", actor=to_institution("c"), provision=inner)
    )
    desk = asking(town.guard, "institution", "c")
    assert await is_seen(desk, visit_)
    assert not await is_seen(desk, result_)


async def test_a_kind_that_is_kept_apart_needs_a_consent_that_names_it(town: Town) -> None:
    secret = await result(town.guard, "b", town.there.id, meta={"security": [HIV]})
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    doctor = asking(town.guard, "doctor", "a")
    await town.says(consent(town.here.id, type="permit", actor=to_institution("a")))
    assert not await is_seen(doctor, secret)
    assert await is_seen(asking(town.guard, "doctor", "b"), secret)
    await town.says(
        consent(town.here.id, type="permit", actor=to_institution("a"), securityLabel=[HIV])
    )
    assert await is_seen(doctor, secret)


async def test_a_consent_about_a_kind_does_not_tell_others_of_the_kind(town: Town) -> None:
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    doctor = asking(town.guard, "doctor", "a")
    plain = await town.says(consent(town.here.id, type="permit", actor=to_institution("c")))
    named = await town.says(
        consent(town.here.id, type="permit", actor=to_institution("c"), securityLabel=[HIV])
    )
    inner = [{"type": "deny", "securityLabel": [HIV]}]
    within = await town.says(consent(town.here.id, type="permit", provision=inner))
    assert await is_seen(doctor, plain)
    for stored in (named, within):
        assert not await is_seen(doctor, stored)
        assert await is_seen(town.resident(), stored)


async def test_what_is_permitted_later_opens_what_was_refused(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    doctor = asking(town.guard, "doctor", "a")
    await town.says(consent(town.here.id, type="deny") | {"dateTime": day(-3)})
    assert not await is_seen(doctor, theirs)
    opened = consent(town.here.id, type="permit", actor=to_institution("a"))
    await town.says(opened | {"dateTime": day(-4)})
    assert not await is_seen(doctor, theirs), "what is written down late was said before"
    await town.says(opened | {"dateTime": day(-2)})
    assert await is_seen(doctor, theirs)
    await town.says(consent(town.here.id, type="deny") | {"dateTime": day(900)})
    assert not await is_seen(doctor, theirs)
    await town.says(opened)
    assert await is_seen(doctor, theirs), "no Consent is of a later moment than it is written"


async def test_a_permission_lifts_no_refusal_of_a_kind_that_it_does_not_name(town: Town) -> None:
    secret = await result(town.guard, "b", town.there.id, meta={"security": [HIV]})
    desk, to = asking(town.guard, "institution", "c"), to_institution("c")
    await town.says(consent(town.here.id, type="permit", actor=to, securityLabel=[HIV]))
    assert await is_seen(desk, secret)
    await town.says(consent(town.here.id, type="deny", actor=to, securityLabel=[HIV]))
    assert not await is_seen(desk, secret)
    await town.says(consent(town.here.id, type="permit", actor=to))
    assert not await is_seen(desk, secret)
    await town.says(consent(town.here.id, type="permit", actor=to, securityLabel=[HIV]))
    assert await is_seen(desk, secret)


async def test_a_code_means_all_below_it_in_a_code_system_of_the_node(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    guard = open_guard(pool, open_context(tmp_path, terms=Terms))
    concepts = [{"code": "glucose", "concept": [{"code": "fasting"}]}, {"code": "sodium"}]
    system = {
        "resourceType": "CodeSystem",
        "url": "urn:lab",
        "status": "active",
        "content": "complete",
        "concept": concepts,
    }
    await asking(guard, "operator").create("CodeSystem", json.dumps(system).encode())
    here, there = await registered(guard, "a"), await registered(guard, "b")
    person = await pool.fetchval("select person from people.link limit 1")
    town = Town(guard, here, there, str(person))
    await registered(guard, "c", None)
    fasting = await result(guard, "b", there.id, code=coded("fasting", "urn:lab"))
    sodium = await result(guard, "b", there.id, code=coded("sodium", "urn:lab"))
    other = await result(guard, "b", there.id, code=coded("fasting", "urn:other"))
    desk = asking(guard, "institution", "c")
    code = [coded("glucose", "urn:lab")]
    await town.says(consent(here.id, type="permit", actor=to_institution("c"), code=code))
    assert await is_seen(desk, fasting)
    assert not await is_seen(desk, sodium)
    assert not await is_seen(desk, other)


async def test_older_versions_follow_a_consent_by_code_only_where_it_closes(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id, code=coded("first"))
    body = json.loads(theirs.body or b"") | {"code": coded("second")}
    ours = asking(town.guard, "institution", "b")
    await ours.update("Observation", theirs.id, json.dumps(body).encode())
    desk = asking(town.guard, "institution", "c")
    to = to_institution("c")
    await town.says(consent(town.here.id, type="permit", actor=to, code=[coded("second")]))
    assert (await desk.read("Observation", theirs.id)).version == 2
    batch = await desk.history("Observation", theirs.id, count=9)
    assert [version.version for version in batch.versions] == [2]
    with pytest.raises(NotFound):
        await desk.version("Observation", theirs.id, 1)


async def test_a_period_of_a_consent_holds_to_the_microsecond(
    town: Town, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    to = {"start": "2026-09-01T00:00:00.000001Z", "end": "2026-09-30T10:00:00Z"}
    await town.says(consent(town.here.id, type="permit", actor=to_institution("c"), period=to))
    row = await pool.fetchrow("select since, until from records.granted limit 1")
    assert row is not None
    since, until = row
    start, end = (datetime.fromisoformat(to[one]) for one in ("start", "end"))
    assert since == int(start.timestamp()) * 1_000_000 + 1
    assert until == int(end.timestamp() + 1) * 1_000_000  # a second, said to the second, belongs
    desk = asking(town.guard, "institution", "c")
    for moment, is_open in ((since - 1, False), (since, True), (until - 1, True), (until, False)):
        town.guard.now = lambda moment=moment: moment  # type: ignore[misc]  # a default is known
        hits = await desk.search(query(town.guard, "Observation"))
        assert ([hit.id for hit in hits.matches] == [theirs.id]) is is_open


def _to(type_: str) -> list[dict[str, Any]]:
    return [{"role": {"text": "reader"}, "reference": {"reference": f"{type_}/one"}}]


IGNORED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("provision.provision[0].type", {"provision": [{"class": [{"code": "Observation"}]}]}),
    ("provision.actor[0].reference", {"actor": _to("Practitioner")}),
    ("provision.actor[0].reference", {"actor": _to("Group")}),
    ("provision.actor[0].reference", {"actor": _to("Device")}),
    (
        "provision.actor[0].role",
        {"actor": [{"role": coded("AUT"), "reference": {"identifier": {"value": "c"}}}]},
    ),
    ("provision.action", {"action": [coded("correct")]}),
    ("provision.action", {"action": [coded("access"), coded("disclose")]}),
    ("provision.securityLabel[0]", {"securityLabel": [{"system": "urn:x", "code": "HIV"}]}),
    ("provision.securityLabel[0]", {"securityLabel": [{"code": "R"}]}),
    ("provision.purpose[0]", {"purpose": [{"code": "FUN"}]}),
    ("provision.class[0]", {"class": [{"system": "urn:ietf:bcp:13", "code": "text/plain"}]}),
    ("provision.class[0]", {"class": [{"code": "Patient"}], "code": [coded("x")]}),
    ("provision.code[0]", {"code": [{"text": "sugar"}]}),
    (
        "provision.data[0].meaning",
        {"data": [{"meaning": "related", "reference": {"reference": "Observation/o"}}]},
    ),
    ("provision.modifierExtension[0]", {"modifierExtension": [{"url": "urn:x"}]}),
    (
        "provision.provision[0].code",
        {"code": [coded("x")], "provision": [{"type": "deny", "code": [coded("y")]}]},
    ),
)


async def test_what_would_be_ignored_is_refused_and_named(town: Town) -> None:
    loaded = asking(town.guard, "operator")
    for where, provision in IGNORED:
        with pytest.raises(Invalid) as refused:
            await town.says(consent(town.here.id, **{"type": "deny"} | provision))
        assert f"Consent.{where}" in {issue.expression for issue in refused.value.issues}
        body = consent(town.here.id, **{"type": "permit"} | provision)
        with pytest.raises(Invalid):
            await loaded.create("Consent", json.dumps(body).encode())


async def test_a_department_is_its_institution(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    body = {"resourceType": "Organization", "name": "Surgery"}
    ours = asking(town.guard, "institution", "c")
    department = (await ours.create("Organization", json.dumps(body).encode())).stored
    actor = [{"role": {"text": "x"}, "reference": {"reference": f"Organization/{department.id}"}}]
    await town.says(consent(town.here.id, type="permit", actor=actor))
    assert await is_seen(ours, theirs)


async def test_an_institution_that_has_asked_nothing_yet_can_be_named(
    town: Town, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    await Actors(pool).enrol(Actor("clinic-9", "institution", "New", "new"))
    await town.says(consent(town.here.id, type="permit", actor=to_institution("new")))
    assert await is_seen(asking(town.guard, "institution", "new"), theirs)


async def test_a_consent_of_who_may_not_give_it_is_refused(town: Town) -> None:
    said = consent(town.there.id, type="permit", actor=to_institution("c"))
    with pytest.raises(Forbidden, match="registered itself"):
        await _records(town, "c", said)
    with pytest.raises(Invalid, match="what was signed"):
        await _records(town, "b", said)
    doctor = {"performer": [{"reference": "Practitioner/p"}]}
    with pytest.raises(Forbidden, match="performer"):
        await _records(town, "b", said | doctor)
    await _records(town, "b", said | {"sourceAttachment": {"title": "signed form"}})
    stranger = asking(town.guard, "resident", person="4711", purpose="PATRQT")
    with pytest.raises(Forbidden, match="given by the person"):
        await stranger.create("Consent", json.dumps(said).encode())
    with pytest.raises(Invalid, match="does not know"):
        await town.says(consent(town.here.id, type="deny", actor=to_institution("nowhere")))


async def _records(town: Town, hospital: str, body: dict[str, Any]) -> None:
    await asking(town.guard, "institution", hospital).create("Consent", json.dumps(body).encode())


@pytest.mark.parametrize("born", ["2020-01-01", "2012", "2012-12"])  # it is September of 2026
async def test_for_a_child_under_14_a_guardian_consents(town: Town, born: str) -> None:
    clinic = asking(town.guard, "institution", "a")
    child = (await clinic.create("Patient", patient(birthDate=born))).stored
    said = consent(child.id, type="permit", actor=to_institution("c"))
    said["sourceAttachment"] = {"title": "signed form"}
    with pytest.raises(Forbidden, match="guardian"):
        await clinic.create("Consent", json.dumps(said).encode())
    said["performer"] = [{"reference": "RelatedPerson/mother"}]
    with pytest.raises(Forbidden, match="not here"):
        await clinic.create("Consent", json.dumps(said).encode())
    said["performer"] = [{"reference": await related(town, "a", child.id)}]
    await clinic.create("Consent", json.dumps(said).encode())


async def related(town: Town, hospital: str, patient_id: str) -> str:
    """The address of a RelatedPerson whom a hospital has recorded."""
    body = {"resourceType": "RelatedPerson", "patient": {"reference": f"Patient/{patient_id}"}}
    ours = asking(town.guard, "institution", hospital)
    stored = (await ours.create("RelatedPerson", json.dumps(body).encode())).stored
    return f"RelatedPerson/{stored.id}"


async def test_a_consent_in_the_name_of_somebody_else_is_refused(town: Town) -> None:
    other = await registered(town.guard, "b", None)
    signed = {"verification": [{"verified": True}]}
    said = consent(town.there.id, type="permit", actor=to_institution("c")) | signed
    form = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": reference(other),
        "content": [{"attachment": {"title": "signed form"}}],
    }
    clerk = asking(town.guard, "institution", "b")
    theirs = (await clerk.create("DocumentReference", json.dumps(form).encode())).stored
    stranger = reference(other)
    aunt = {"reference": await related(town, "b", other.id)}
    for forged in (
        {"performer": [stranger]},
        {"performer": [aunt]},
        {"performer": [{"reference": "Patient/nobody"}]},
        {"verification": [{"verified": True, "verifiedWith": stranger}]},
        {"sourceReference": reference(theirs)},
    ):
        with pytest.raises(Forbidden, match=next(iter(forged))):
            await _records(town, "b", said | forged)
    with pytest.raises(Forbidden, match="performer"):
        await town.says(said | {"performer": [stranger]})
    mother = {"reference": await related(town, "b", town.there.id)}
    for true in (reference(town.here), mother):
        await _records(town, "b", said | {"performer": [true]})


async def test_consents_of_before_an_upgrade_are_read_once_more(
    town: Town, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    desk = asking(town.guard, "institution", "c")
    await town.says(consent(town.here.id, type="deny"))
    await town.says(consent(town.here.id, type="permit", actor=to_institution("c")))
    gone = await town.says(consent(town.here.id, type="permit", actor=to_institution("b", "c")))
    await town.resident().delete("Consent", gone.id)
    granted = "select * from records.granted order by grantee, patient, source, part"
    before = [tuple(row) for row in await pool.fetch(granted)]
    assert await is_seen(desk, theirs)
    # As a node had them that knew no ranks: a refusal went before a permission, said when ever.
    await pool.execute("update records.granted set rank = 0")
    await pool.execute(
        "insert into records.granted (bucket, patient, grantee, type, since, until, source, about)"
        " values (0, $1, 77, 0, 0, 1, $2, $1)",
        town.here.rid,
        gone.rid,
    )
    assert not await is_seen(desk, theirs)
    steps = read_migrations(resources.files("quanmin.node") / "migrations")
    (step,) = (one for one in steps if one.name == "consents_anew")
    async with pool.acquire() as connection:
        await connection.execute(step.sql)
    context = town.guard.store.context
    row: tuple[Any, ...] = ()
    kind = regrant_kind(ConsentIndex(town.guard.people, context), context)
    async with at_work(Worker(pool, [kind], JobLimits(places=1))):
        for _ in range(300):
            row = tuple(await pool.fetchrow("select state, result, reasons from jobs.job") or ())
            if row[0] not in {"waiting", "running"}:
                break
            await asyncio.sleep(0.02)
    assert row[:2] == ("done", '{"consents": 3}'), row
    assert [tuple(row) for row in await pool.fetch(granted)] == before
    assert await is_seen(desk, theirs)


async def test_what_a_person_has_ended_no_institution_brings_back(town: Town) -> None:
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    theirs = await result(town.guard, "b", town.there.id)
    said = consent(town.here.id, type="permit", actor=to_institution("a"))
    said |= {"verification": [{"verified": True}]}
    clerk, doctor = asking(town.guard, "institution", "a"), asking(town.guard, "doctor", "a")
    recorded = (await clerk.create("Consent", json.dumps(said).encode())).stored
    assert await is_seen(doctor, theirs)

    def as_(status: str) -> bytes:
        return json.dumps(said | {"id": recorded.id, "status": status}).encode()

    await town.resident().update("Consent", recorded.id, as_("inactive"))
    for status in ("active", "entered-in-error", "draft"):
        with pytest.raises(Forbidden, match="stays so"):
            await clerk.update("Consent", recorded.id, as_(status))
    with pytest.raises(Forbidden, match="stays so"):
        await clerk.delete("Consent", recorded.id)
    assert not await is_seen(doctor, theirs)
    await clerk.create("Consent", json.dumps(said).encode())
    assert await is_seen(doctor, theirs), "what was signed since is a consent of its own"


async def test_what_a_person_has_closed_to_who_treats_them_is_told(town: Town) -> None:
    for hospital in ("d", "e"):
        again = await registered(town.guard, hospital)
        await asking(town.guard, "institution", hospital).create("Encounter", visit(again.id))

    async def told() -> dict[str, str]:
        found = await town.resident().desk(RecordAccess).treating()
        return {one.code: one.closed for one in found}

    assert await told() == {"d": "nothing", "e": "nothing"}

    async def say(effect: str, whom: str = "", **more: Any) -> Stored:
        to: dict[str, Any] = {"actor": to_institution(whom)} if whom else {}
        return await town.says(consent(town.here.id, type=effect, **to, **more))

    results = [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]
    await say("deny", "d", **{"class": results})
    assert await told() == {"d": "part", "e": "nothing"}
    await say("deny", purpose=purposes("HRESCH"))
    assert await told() == {"d": "part", "e": "nothing"}
    refusal = await say("deny")
    assert await told() == {"d": "all", "e": "all"}
    await say("permit", "d")
    assert await told() == {"d": "nothing", "e": "all"}
    body = json.loads(refusal.body or b"") | {"status": "inactive"}
    await town.resident().update("Consent", refusal.id, json.dumps(body).encode())
    ended = consent(town.here.id, status="inactive", type="permit", actor=to_institution("e"))
    await town.says(ended)
    assert await told() == {"d": "nothing", "e": "all"}, "what was taken back is closed"
    await say("permit", "e")
    await say("deny", "e", dataPeriod={"end": "2001-01-01"})
    assert await told() == {"d": "nothing", "e": "part"}


async def test_who_acts_for_a_person_no_more_changes_none_of_their_consents(
    town: Town, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    child = await registered(town.guard, "b", with_check_digit("58010120200307471"))
    ward = await pool.fetchval("select person from people.link where patient = $1", child.rid)
    mother = Actor("mother", "resident", "Mother", "", town.person)
    await Actors(pool).enrol(mother)
    proxies, now = Proxies(pool, ZoneInfo("Asia/Shanghai")), town.guard.now()
    usual: dict[str, Any] = {"kind": "parent", "evidence": "birth-certificate", "at": now}
    proxy = await proxies.enter(int(town.person), ward, born=date(2020, 3, 7), by="t", **usual)
    asks = {"purpose": "PATRQT", "request_id": "r-1"}
    acting = town.guard.records(as_proxy(mother, proxy), **asks)
    body = consent(child.id, type="deny")
    given = (await acting.create("Consent", json.dumps(body).encode())).stored
    await proxies.end(proxy.proxy, at=town.guard.now())
    alone = town.guard.records(mother, **asks)
    scope = {"coding": [{"system": body["scope"]["coding"][0]["system"], "code": "treatment"}]}
    for changed in ({"status": "draft"}, {"scope": scope}, {"patient": reference(town.here)}):
        said = json.dumps(body | {"id": given.id} | changed).encode()
        for records in (acting, alone):
            with pytest.raises((Forbidden, Invalid)):
                await records.update("Consent", given.id, said)
    assert await alone.delete("Consent", given.id) is None
    assert (await asking(town.guard, "operator").read("Consent", given.id)).version == 1
    with pytest.raises(Forbidden, match="given by the person"):
        await alone.create("Consent", json.dumps(body | {"scope": scope}).encode())


def reference(stored: Stored) -> dict[str, str]:
    return {"reference": f"{stored.type}/{stored.id}"}


async def test_a_resident_writes_consents_and_nothing_else(town: Town) -> None:
    with pytest.raises(Forbidden, match="Consent only"):
        await town.resident().create("Patient", patient())


async def taken(town: Town, role: str, hospital: str, purpose: str = "TREAT") -> set[str]:
    """The results that an export of an institution's takes out."""
    records = asking(town.guard, role, hospital, purpose=purpose)
    extent = Extent(type="Observation", until=town.guard.now())
    found = await records.exporting.portion(
        None, extent, (), after=None, count=99, bytes_max=1 << 20, seconds=9
    )
    return {stored.id for stored in found.versions}


async def test_what_others_have_sent_is_taken_out_with_a_consent_to_passing_on_only(
    town: Town,
) -> None:
    ours = await result(town.guard, "a", town.here.id)
    theirs = await result(town.guard, "b", town.there.id)
    secret = await result(town.guard, "b", town.there.id, meta={"security": [HIV]})
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    to = to_institution("a")
    await town.says(consent(town.here.id, type="permit", actor=to))
    await town.says(consent(town.here.id, type="permit", actor=to, securityLabel=[HIV]))
    doctor = asking(town.guard, "doctor", "a")
    assert await is_seen(doctor, theirs)
    assert await is_seen(doctor, secret)
    assert await taken(town, "doctor", "a") == {ours.id}
    disclose: dict[str, Any] = {"type": "permit", "actor": to, "action": [coded("disclose")]}
    given = consent(town.here.id, **disclose)
    stored = await town.says(given)
    assert await taken(town, "doctor", "a") == {ours.id, theirs.id}
    await town.says(consent(town.here.id, **disclose, securityLabel=[HIV]))
    assert await taken(town, "doctor", "a") == {ours.id, theirs.id, secret.id}
    back = json.dumps(given | {"id": stored.id, "status": "inactive"}).encode()
    await town.resident().update("Consent", stored.id, back)
    assert await taken(town, "doctor", "a") == {ours.id, secret.id}
    await town.says(consent(town.here.id, **disclose | {"type": "deny"}, securityLabel=[HIV]))
    assert await taken(town, "doctor", "a") == {ours.id}
    assert await is_seen(doctor, secret), "passing on is no reading"
