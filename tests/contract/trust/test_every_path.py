"""What a person has said, or not said, holds on every path by which a record can be reached."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from books import CODE as HOSPITAL
from books import Books, organization
from persons import NUMBER, asking, consent, query, result, visit
from planning import definition, series, turn
from stores import coded, open_context, open_guard, patient

from quanmin.base.problems import NotFound
from quanmin.demo.numbering import credit_code
from quanmin.records.model import Hits, Stored
from quanmin.records.portions import Extent
from quanmin.records.related import Related
from quanmin.trust import Guard, GuardedRecords
from quanmin.trust.due import STATUSES, Asked
from quanmin.trust.emergencies import Emergencies
from quanmin.workflow.plans import Keeper, declare

CODE, SYSTEM = "A15.0", "http://hl7.org/fhir/sid/icd-10"  # tuberculosis is reported by law


class Case:
    """A person's record at hospital b, to which a report of hospital a refers, and the paths to it:
    each says whether it shows that there is such a record.
    """

    def __init__(self, guard: Guard, here: Stored, there: Stored, wanted: Stored) -> None:
        self.guard, self.here, self.there, self.wanted = guard, here, there, wanted

    async def ways(self, records: GuardedRecords) -> dict[str, bool]:
        """Of each path whether it shows the record."""
        paths: tuple[Callable[[GuardedRecords], Awaitable[bool]], ...] = (
            self.read,
            self.version,
            self.history,
            self.type_history,
            self.search,
            self.count,
            self.include,
            self.revinclude,
            self.has,
            self.chain,
            self.timeline,
            self.everything,
            self.due_list,
            self.schedule,
        )
        return {path.__name__: await path(records) for path in paths}

    def _among(self, hits: Hits) -> bool:
        return self.wanted.id in {one.id for one in (*hits.matches, *hits.included)}

    async def _search(self, records: GuardedRecords, type_: str, **terms: str) -> Hits:
        return await records.search(query(self.guard, type_, **terms))

    async def read(self, records: GuardedRecords) -> bool:
        try:
            return (await records.read("Observation", self.wanted.id)).id == self.wanted.id
        except NotFound:
            return False

    async def version(self, records: GuardedRecords) -> bool:
        try:
            return (await records.version("Observation", self.wanted.id, 1)).version == 1
        except NotFound:
            return False

    async def history(self, records: GuardedRecords) -> bool:
        try:
            found = await records.history("Observation", self.wanted.id, count=9)
        except NotFound:
            return False
        return bool(found.versions)

    async def type_history(self, records: GuardedRecords) -> bool:
        found = await records.history("Observation", None, count=99)
        return self.wanted.id in {one.id for one in found.versions}

    async def search(self, records: GuardedRecords) -> bool:
        return self._among(await self._search(records, "Observation"))

    async def count(self, records: GuardedRecords) -> bool:
        asked = query(self.guard, "Observation", code=CODE)
        hits = await self._search(records, "Observation", code=CODE, _summary="count")
        assert [hits.total] == await records.counts([asked])
        return bool(hits.total)

    async def include(self, records: GuardedRecords) -> bool:
        wanted = "DiagnosticReport:result"
        return self._among(await self._search(records, "DiagnosticReport", _include=wanted))

    async def revinclude(self, records: GuardedRecords) -> bool:
        wanted = "Observation:subject"
        return self._among(await self._search(records, "Patient", _revinclude=wanted))

    async def has(self, records: GuardedRecords) -> bool:
        pairs = {"_has:Observation:subject:code": CODE}
        return bool((await self._search(records, "Patient", **pairs)).matches)

    async def chain(self, records: GuardedRecords) -> bool:
        return bool(
            (await self._search(records, "DiagnosticReport", **{"result.code": CODE})).matches
        )

    async def timeline(self, records: GuardedRecords) -> bool:
        for id_ in (self.here.id, self.there.id):
            try:
                found = await records.timeline(id_, types=("Observation",), count=99)
            except NotFound:
                continue
            if self.wanted.id in {one.id for one in found.entries}:
                return True
        return False

    async def everything(self, records: GuardedRecords) -> bool:
        for id_ in (self.here.id, self.there.id):
            try:
                hits = await records.related("Patient", id_, Related(count=99))
            except NotFound:
                continue
            if self._among(hits):
                return True
        return False

    async def due_list(self, records: GuardedRecords) -> bool:
        found = await records.due.slice(Asked(plan="reports", statuses=STATUSES), count=99)
        return any(row.line.turn == AFTER_IT for row in found.rows)

    async def schedule(self, records: GuardedRecords) -> bool:
        for id_ in (self.here.id, self.there.id):
            try:
                found = await records.due.schedule(id_, "reports")
            except NotFound:
                continue
            if any(item.turn == "second" for item in found.explained.items):
                return True
        return False


AFTER_IT = 2


def reports() -> Keeper:
    """A plan that knows of the record: after it something else is due."""
    turns = [turn("first", "1 mo"), turn("second", "+1 mo")]
    fact = {
        "resource": "Observation",
        "code": f"code.coding.where(system = '{SYSTEM}').code",
        "on": "effective.ofType(dateTime)",
        "codes": {CODE: "report"},
    }
    plan = json.dumps(definition(series("report", "report", turns))).encode()
    return Keeper(declare("reports", plan, {"event": [fact]}), ZoneInfo("Asia/Shanghai"))


async def registered(guard: Guard, hospital: str) -> Stored:
    body = patient(NUMBER, birthDate="1990-03-07")
    return (await asking(guard, "institution", hospital).create("Patient", body)).stored


@pytest.fixture
async def case(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Case:
    guard = open_guard(pool, open_context(tmp_path), plans=[reports()])
    here, there = await registered(guard, "a"), await registered(guard, "b")
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    wanted = await result(guard, "b", there.id, code=coded(CODE, SYSTEM))
    body = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": coded("report"),
        "subject": {"reference": f"Patient/{here.id}"},
        "result": [{"reference": f"Observation/{wanted.id}"}],
    }
    ours = asking(guard, "institution", "a")
    await ours.create("DiagnosticReport", json.dumps(body).encode())
    return Case(guard, here, there, wanted)


async def test_a_missing_consent_blocks_no_treatment_and_is_noted(
    case: Case, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    doctor = asking(case.guard, "doctor", "a")
    assert set((await case.ways(doctor)).values()) == {True}
    rows = await pool.fetch("select rules from trust.access where action = 'read'")
    assert any("no-consent-on-file" in (row["rules"] or "") for row in rows)
    stranger = asking(case.guard, "doctor", "c")
    assert set((await case.ways(stranger)).values()) == {False}


async def test_a_refusal_stops_others_on_every_path_but_in_an_emergency(
    case: Case, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person = await pool.fetchval("select person from people.link limit 1")
    resident = asking(case.guard, "resident", person=str(person), purpose="PATRQT")
    refusal = json.dumps(consent(case.here.id, type="deny")).encode()
    await resident.create("Consent", refusal)
    doctor = asking(case.guard, "doctor", "a")
    assert set((await case.ways(doctor)).values()) == {False}
    own = await case.ways(asking(case.guard, "doctor", "b"))
    assert {name for name, shown in own.items() if not shown} <= {"include", "chain"}
    assert set((await case.ways(resident)).values()) == {True}
    glass = asking(case.guard, "doctor", "a", purpose="BTG")
    assert set((await case.ways(glass)).values()) == {False}
    await glass.desk(Emergencies).open(case.here.id, "unconscious, brought in by the ambulance")
    assert set((await case.ways(glass)).values()) == {True}
    assert set((await case.ways(doctor)).values()) == {False}, "for that purpose only"
    extent = Extent(type="Observation", until=case.guard.now())
    for records in (doctor, glass):
        taken = await records.exporting.portion(
            None, extent, (), after=None, count=99, bytes_max=1 << 20, seconds=9
        )
        assert taken.versions == ()


REPORTED = {"read", "version", "history", "type_history", "search", "count"}
"""The paths that lead to a report without the person's Patient, which no duty opens."""


@pytest.mark.parametrize("status", ["active", "rejected", "inactive"])
async def test_no_refusal_and_no_withdrawal_stops_a_statutory_report_on_any_path(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, status: str
) -> None:
    guard = open_guard(pool, open_context(tmp_path), plans=[reports()])
    city = credit_code("580100", 9)
    for code, kind in ((HOSPITAL, "A"), (city, "J")):
        await Books(guard, pool).enter(organization(code, kind=kind))
    there = await registered(guard, f"sender-{HOSPITAL}")
    wanted = await result(guard, f"sender-{HOSPITAL}", there.id, code=coded(CODE, SYSTEM))
    case = Case(guard, there, there, wanted)
    worker = asking(guard, "public_health_worker", f"sender-{city}", purpose="PUBHLTH")
    extent = Extent(type="Observation", until=guard.now())

    async def shown() -> tuple[set[str], int]:
        taken = await worker.exporting.portion(
            None, extent, (), after=None, count=99, bytes_max=1 << 20, seconds=9
        )
        return {name for name, is_so in (await case.ways(worker)).items() if is_so}, len(
            taken.versions
        )

    assert await shown() == (REPORTED, 1)
    effect = "deny" if status == "active" else "permit"
    said = json.dumps(consent(there.id, status=status, type=effect)).encode()
    await asking(guard, "operator").create("Consent", said)
    treating = asking(guard, "doctor", "a")
    assert set((await case.ways(treating)).values()) == {False}
    assert await shown() == (REPORTED, 1)
