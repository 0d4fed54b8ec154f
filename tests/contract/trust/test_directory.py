"""The directory: everyone looks up institutions and staff, and nobody their private details."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from stores import bundle, observation, open_context, open_guard, patient

from quanmin.base.problems import Forbidden, NotFound
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Clause, MissingOperand, Query, SortKey
from quanmin.fhir.table import load_table
from quanmin.trust import Actor, Guard, GuardedRecords, Stored
from quanmin.trust.directory import asks_for_hidden, directory

ZONE = ZoneInfo("Asia/Shanghai")
NUMBER = "580101198005030031"
DOCTOR = {
    "resourceType": "Practitioner",
    "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": NUMBER}],
    "active": True,
    "_active": {"extension": [{"url": "urn:x", "valueString": "y"}]},
    "name": [{"text": "欧阳明月", "family": "欧阳"}],
    "telecom": [{"system": "phone", "value": "15400001234"}],
    "birthDate": "1980-05-03",
    "_birthDate": {"extension": [{"url": "urn:x", "valueString": "around noon"}]},
    "address": [{"city": "白市"}],
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
}
HOME = {"resourceType": "Location", "name": "家庭病床", "address": {"city": "白市"}}
HOSPITAL = {"resourceType": "Organization", "name": "青县人民医院", "telecom": []}
PRIVATE = ("identifier=", "phone=", "telecom=", "address=", "address-city=", "email:missing=")


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


@pytest.fixture
def owner(guard: Guard) -> GuardedRecords:
    return asker(guard, "institution", "a")


def asker(guard: Guard, role: str, sender: str = "") -> GuardedRecords:
    actor = Actor(f"{role}-{sender}", role, "Somebody", sender)  # type: ignore[arg-type]  # a role
    return guard.records(actor, purpose="TREAT", request_id="r-1")


def others(guard: Guard) -> list[GuardedRecords]:
    return [asker(guard, "institution", "b"), asker(guard, "resident")]


def query(type_: str | None, *pairs: tuple[str, str]) -> Query:
    return parse_query(type_, pairs, strict=True, zone=ZONE, limits=QueryLimits())


async def put_in(records: GuardedRecords, resource: dict[str, Any]) -> Stored:
    body = {name: value for name, value in resource.items() if value != []}
    return (await records.create(resource["resourceType"], json.dumps(body).encode())).stored


def members(stored: Stored | None) -> set[str]:
    assert stored is not None
    return set(json.loads(stored.body or b"{}"))


async def test_everyone_reads_and_finds_the_directory(guard: Guard, owner: GuardedRecords) -> None:
    made = await put_in(owner, HOSPITAL)
    for other in others(guard):
        assert (await other.read("Organization", made.id)).body == made.body
        hits = await other.search(query("Organization", ("name", "青县"), ("_total", "accurate")))
        assert ([hit.body for hit in hits.matches], hits.total) == ([made.body], 1)


async def test_others_are_shown_no_private_detail_of_staff_and_places(
    guard: Guard, owner: GuardedRecords
) -> None:
    doctor, home = await put_in(owner, DOCTOR), await put_in(owner, HOME)
    shown = {"resourceType", "id", "meta", "active", "_active", "name"}
    for other in others(guard):
        seen = await other.read("Practitioner", doctor.id)
        assert members(seen) == shown
        assert json.loads(seen.body or b"")["meta"]["tag"][0]["code"] == "SUBSETTED"
        [hit] = (await other.search(query("Practitioner", ("family", "欧阳")))).matches
        assert hit.body == seen.body
        assert "address" not in members(await other.read("Location", home.id))
        _, answers = await other.bundle(
            bundle(
                "batch",
                {"request": {"method": "GET", "url": f"Practitioner/{doctor.id}"}},
                {"request": {"method": "GET", "url": "Practitioner?family=欧阳"}},
            )
        )
        assert members(answers[0].stored) == shown
        assert answers[1].hits is not None
        assert [members(hit) for hit in answers[1].hits.matches] == [shown]
    assert (await owner.read("Practitioner", doctor.id)).body == doctor.body
    [own] = (await owner.search(query("Practitioner", ("identifier", NUMBER)))).matches
    assert own.body == doctor.body


async def test_what_is_included_is_shown_as_the_directory_shows_it(
    guard: Guard, owner: GuardedRecords
) -> None:
    doctor = await put_in(owner, DOCTOR)
    role = {"resourceType": "PractitionerRole", "active": True}
    await put_in(owner, {**role, "practitioner": {"reference": f"Practitioner/{doctor.id}"}})
    asked = query("PractitionerRole", ("_include", "PractitionerRole:practitioner"))
    for other in others(guard):
        [included] = (await other.search(asked)).included
        assert included.id == doctor.id
        assert "telecom" not in members(included)


@pytest.mark.parametrize("term", [*PRIVATE, "_sort=phone", "_sort=-address"])
async def test_nobody_is_found_by_what_the_directory_does_not_show(
    guard: Guard, owner: GuardedRecords, term: str
) -> None:
    await put_in(owner, DOCTOR)
    name, _, value = term.partition("=")
    values = {"identifier": NUMBER, "email:missing": "true", "phone": "15400001234"}
    values |= {"telecom": "15400001234", "address": "白市", "address-city": "白市"}
    asked = query("Practitioner", (name, value or values[name]), ("_total", "accurate"))
    for other in others(guard):
        hits = await other.search(asked)
        assert (hits.matches, hits.total) == ((), 0)
    assert len((await owner.search(asked)).matches) == 1


@pytest.mark.parametrize(
    ("type_", "name", "value", "is_shown"),
    [
        ("PractitionerRole", "practitioner.name", "欧阳", True),
        ("PractitionerRole", "practitioner.identifier", NUMBER, False),
        ("PractitionerRole", "practitioner:Practitioner.phone", "15400001234", False),
        ("PractitionerRole", "practitioner.address-city", "白市", False),
        ("Practitioner", "_has:PractitionerRole:practitioner:active", "true", True),
        ("Practitioner", "_has:PractitionerRole:practitioner:email", "a@example.org", False),
        ("Organization", "_has:PractitionerRole:organization:practitioner.name", "欧阳", True),
        (
            "Organization",
            "_has:PractitionerRole:organization:practitioner.identifier",
            NUMBER,
            False,
        ),
    ],
)
async def test_nobody_is_found_through_others_by_what_the_directory_does_not_show(
    guard: Guard, owner: GuardedRecords, type_: str, name: str, value: str, *, is_shown: bool
) -> None:
    doctor, hospital = await put_in(owner, DOCTOR), await put_in(owner, HOSPITAL)
    role = {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{doctor.id}"},
        "organization": {"reference": f"Organization/{hospital.id}"},
        "telecom": [{"system": "email", "value": "a@example.org"}],
    }
    await put_in(owner, role)
    asked = query(type_, (name, value), ("_total", "accurate"))
    assert len((await owner.search(asked)).matches) == 1
    for other in others(guard):
        hits = await other.search(asked)
        assert (len(hits.matches), hits.total) == (int(is_shown), int(is_shown))


async def test_the_directory_shows_no_history_and_takes_no_writes_of_others(
    guard: Guard, owner: GuardedRecords
) -> None:
    made = await put_in(owner, HOSPITAL)
    for other in others(guard):
        with pytest.raises(NotFound):
            await other.history("Organization", made.id, count=5)
        with pytest.raises(NotFound):
            await other.version("Organization", made.id, 1)
        with pytest.raises(Forbidden):
            await other.delete("Organization", made.id)
        assert (await other.history(None, None, count=5)).versions == ()


async def test_a_number_of_staff_within_a_shown_element_is_not_shown_and_finds_nothing(
    guard: Guard, owner: GuardedRecords
) -> None:
    number = {"system": "urn:numbers", "value": NUMBER}
    role = {
        "resourceType": "PractitionerRole",
        "practitioner": {"identifier": number, "display": "欧阳医生"},
        "organization": {"identifier": number},
        "specialty": [{"coding": [{"system": "urn:x", "code": "1"}], "text": "identifier"}],
    }
    doctor = {
        **DOCTOR,
        "qualification": [{"identifier": [number], "code": {"text": "主任医师"}}],
    }
    made, person = await put_in(owner, role), await put_in(owner, doctor)
    asked = query("PractitionerRole", ("practitioner:identifier", NUMBER))
    for other in others(guard):
        seen = json.loads((await other.read("PractitionerRole", made.id)).body or b"")
        assert seen["practitioner"] == {"display": "欧阳医生"}
        assert "organization" not in seen
        assert seen["specialty"] == role["specialty"]
        assert seen["meta"]["tag"][0]["code"] == "SUBSETTED"
        seen = json.loads((await other.read("Practitioner", person.id)).body or b"")
        assert seen["qualification"] == [{"code": {"text": "主任医师"}}]
        assert (await other.search(asked)).matches == ()
    assert [hit.id for hit in (await owner.search(asked)).matches] == [made.id]
    assert (await owner.read("PractitionerRole", made.id)).body == made.body


async def test_the_directory_opens_nothing_else(guard: Guard, owner: GuardedRecords) -> None:
    made = (await owner.create("Patient", patient(NUMBER))).stored
    await owner.create("Observation", observation(f"Patient/{made.id}"))
    await put_in(owner, HOSPITAL)
    everything = query(None, ("_lastUpdated", "ge2000-01-01"))
    for other in others(guard):
        hits = await other.search(everything)
        assert {hit.type for hit in hits.matches} == {"Organization"}
        with pytest.raises(NotFound):
            await other.read("Patient", made.id)


def test_no_type_of_the_directory_is_about_a_patient_and_every_element_is_real() -> None:
    types = load_table().types
    for type_, shown in directory().items():
        assert not types[type_].patient_params
        real = {element.name for element in types[type_].elements}
        assert shown - {"resourceType"} <= real, type_


def test_a_parameter_is_asked_of_others_only_when_all_it_reads_is_shown() -> None:
    for type_, shown in directory().items():
        for param in load_table().types[type_].params.values():
            read = set(re.findall(rf"{type_}\.([a-zA-Z]+)", param.expression))
            clause = Clause(param, None, (MissingOperand(missing=True),))
            sort = SortKey(param, descending=False)
            for asked in (Query(type=type_, clauses=(clause,)), Query(type=type_, sort=(sort,))):
                assert asks_for_hidden(asked) is not (read <= shown), param
    assert not asks_for_hidden(query("Patient", ("identifier", NUMBER)))
