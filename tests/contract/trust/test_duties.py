"""What a public-health worker sees by duty, and that supervisors and researchers see nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from books import CODE, OTHER, Books, organization
from persons import asking, is_seen, registered, visit
from stores import open_context, open_guard

from quanmin.demo.numbering import credit_code
from quanmin.records.model import Stored
from quanmin.trust import Guard, GuardedRecords
from quanmin.trust.deciding.rules import load_rules

OF_CITY, BESIDE = credit_code("580100", 9), credit_code("580201", 10)
CHOLERA, FRACTURE, HIV = "A00.9", "S82.1", "B20"


class County:
    """Hospitals in two counties of a city and in another city, and who watches over them."""

    def __init__(self, guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.guard, self.books = guard, Books(guard, pool)

    async def settle(self) -> County:
        for code in (CODE, OTHER, OF_CITY, BESIDE):
            await self.books.enter(organization(code, kind="J"))
        return self

    async def finding(self, code: str, hospital: str) -> Stored:
        """A diagnosis that a hospital has sent."""
        sender = f"sender-{hospital}"
        patient = await registered(self.guard, sender, None)
        system = "http://hl7.org/fhir/sid/icd-10"
        body = {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{patient.id}"},
            "code": {"coding": [{"system": system, "code": code}]},
        }
        records = asking(self.guard, "institution", sender)
        return (await records.create("Condition", json.dumps(body).encode())).stored

    def worker(self, institution: str, purpose: str = "PUBHLTH", **more: Any) -> GuardedRecords:
        role = more.get("role", "public_health_worker")
        return asking(self.guard, role, f"sender-{institution}", purpose=purpose)


@pytest.fixture
async def county(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> County:
    return await County(open_guard(pool, open_context(tmp_path)), pool).settle()


async def test_what_is_reportable_is_seen_in_the_region_and_not_beyond(county: County) -> None:
    here = await county.finding(CHOLERA, CODE)
    beside = await county.finding(CHOLERA, OTHER)
    elsewhere = await county.finding(CHOLERA, BESIDE)
    of_county, of_city = county.worker(CODE), county.worker(OF_CITY)
    assert [await is_seen(of_county, one) for one in (here, beside, elsewhere)] == [
        True,
        False,
        False,
    ]
    assert [await is_seen(of_city, one) for one in (here, beside, elsewhere)] == [
        True,
        True,
        False,
    ]
    unknown = asking(county.guard, "public_health_worker", "nowhere", purpose="PUBHLTH")
    assert not await is_seen(unknown, here)


async def test_a_hospital_does_not_see_what_others_report(county: County) -> None:
    hospital = credit_code("580101", 11)
    await county.books.enter(organization(hospital, kind="A"))
    found, own = [await county.finding(CHOLERA, one) for one in (CODE, hospital)]
    assert not await is_seen(county.worker(hospital), found)
    assert await is_seen(county.worker(hospital), own)
    assert await is_seen(county.worker(CODE), own)


async def test_what_is_not_reportable_is_closed_and_hiv_is_open_by_duty(county: County) -> None:
    fracture, hiv = await county.finding(FRACTURE, OTHER), await county.finding(HIV, OTHER)
    of_city = county.worker(OF_CITY)
    assert not await is_seen(of_city, fracture)
    assert await is_seen(of_city, hiv)


async def test_a_duty_is_for_its_role_and_purpose(county: County) -> None:
    found = await county.finding(CHOLERA, OTHER)
    assert not await is_seen(county.worker(OF_CITY, "TREAT"), found)
    for role in ("doctor", "supervisor", "researcher", "institution"):
        assert not await is_seen(county.worker(OF_CITY, role=role), found)


async def test_a_refusal_does_not_stop_a_statutory_report(county: County) -> None:
    found = await county.finding(CHOLERA, OTHER)
    said = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                    "code": "patient-privacy",
                }
            ]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": json.loads(found.body or b"{}")["subject"],
        "policyRule": {"coding": [{"code": "OPTOUT"}]},
    }
    hospital = asking(county.guard, "institution", f"sender-{OTHER}")
    await hospital.create("Consent", json.dumps(said).encode())
    assert await is_seen(county.worker(OF_CITY), found)


async def test_what_a_closed_institution_has_reported_is_of_its_region_still(
    county: County,
) -> None:
    found = await county.finding(CHOLERA, OTHER)
    assert await is_seen(county.worker(OF_CITY), found)
    entry = await county.books.pool.fetchval(
        "select id from trust.institution_entry where code = $1", OTHER
    )
    await county.books.change(entry, organization(OTHER, active=False))
    assert await is_seen(county.worker(OF_CITY), found)


@pytest.mark.parametrize(
    "role",
    [
        *("supervisor", "researcher", "system_administrator"),
        *("security_administrator", "audit_administrator"),
    ],
)
async def test_who_works_without_persons_sees_none_whatever_joins_them(
    county: County, role: str
) -> None:
    found = await county.finding(CHOLERA, CODE)
    patient = json.loads(found.body or b"{}")["subject"]["reference"].partition("/")[2]
    hospital = asking(county.guard, "institution", f"sender-{CODE}")
    await hospital.create("Encounter", visit(patient))
    for purpose in ("TREAT", "PUBHLTH", "HRESCH", "BTG", "HSYSADMIN"):
        asker = county.worker(CODE, purpose, role=role)
        assert not await is_seen(asker, found)
    forbids = {
        one for rule in load_rules() if rule.effect == "forbid" for one in rule.when.roles or ()
    }
    assert role in forbids, "a rule that permits one day something else must not open persons"
