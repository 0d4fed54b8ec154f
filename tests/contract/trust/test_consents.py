"""What a person permits, refuses and takes back holds on the next read, whoever asks and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from persons import asking, consent, day, is_seen, registered, result, to_institution, visit
from stores import open_context, open_guard, patient

from quanmin.base.problems import Forbidden, Invalid
from quanmin.records.model import Stored
from quanmin.trust import Guard, GuardedRecords

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


async def test_what_is_not_decided_by_opens_nothing(town: Town) -> None:
    theirs = await result(town.guard, "b", town.there.id)
    loinc = {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]}
    await town.says(consent(town.here.id, type="permit", actor=to_institution("c"), code=[loinc]))
    assert not await is_seen(asking(town.guard, "institution", "c"), theirs)


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
    await clinic.create("Consent", json.dumps(said).encode())


async def test_a_resident_writes_consents_and_nothing_else(town: Town) -> None:
    with pytest.raises(Forbidden, match="Consent only"):
        await town.resident().create("Patient", patient())
