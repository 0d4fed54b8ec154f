"""The walls between tenants in the database: which tables have them, and that nothing passes."""

from __future__ import annotations

import itertools
import json
from datetime import date

import asyncpg
import pytest
from falling_due import child, dose
from persons import asking, registered, result, visit
from reporting import counted_case
from tenancy import City, both_filled

from quanmin.node.walls import MOVING, WALLED
from quanmin.records.walls import Walls
from quanmin.trust.due import Asked
from quanmin.trust.emergencies import Emergencies

# Tables without policies, and why. Whatever is new stands here with its reason or has a policy.
OPEN = {
    "keys and signs, from which nobody is told of": (
        *("records.clock", "records.data_key", "records.place", "records.sender"),
        *("records.unit", "records.wording", "records.consumer", "records.cursor"),
        *("plans.kind", "node.secret", "records.label_set", "records.label_count"),
        "records.nobody",
    ),
    "sealed bodies, for the ledger file alone": ("records.ledger",),
    "who is one person is one question for the whole node: keyed tokens and record keys": (
        *("people.person", "people.number", "people.link", "people.link_event"),
    ),
    "definitions that hold for the whole node": (
        *("terminology.resource", "terminology.concept", "terminology.ancestor"),
        *("terminology.property", "terminology.mapping", "profiles.structure"),
        *("profiles.edition", "indexing.catalogue", "indexing.parameter", "indexing.rule"),
        *("node.migration", "node.constant", "node.root", "plans.plan"),
    ),
    "that something was received, by a number of the sender's": ("trust.receipt",),
    "work under way, by keys; what is asked and refused is sealed": (
        *("jobs.job", "imports.input", "imports.refusal", "trust.question"),
    ),
    "one log of the node in one set of trees, read through its own rules": (
        *("trust.access", "trust.access_before", "trust.lane", "trust.head", "trust.subtree"),
        *("trust.checkpoint", "trust.checked", "trust.redaction", "trust.dropped"),
    ),
    "registers of the node and who signs in to it: no record, no patient": (
        *("trust.actor", "trust.account", "trust.former_password", "trust.totp", "trust.passkey"),
        *("trust.recovery_code", "trust.spent", "trust.invitation", "trust.attempt"),
        *("trust.session", "trust.institution_entry", "trust.institution"),
        *("trust.contact", "trust.quiet_time", "trust.message"),
        *("trust.post", "trust.proxy", "trust.licence", "trust.practice", "trust.party"),
        *("trust.party_member", "trust.admission", "trust.client", "trust.token", "trust.code"),
        *("trust.launch", "trust.assertion", "trust.tenant", "trust.tenant_member"),
        *("trust.practitioner_entry", "trust.allowance", "trust.external_link"),
        *("trust.enrolment", "trust.approval", "trust.recipient", "trust.transfer"),
        *("trust.activity", "trust.activity_use", "trust.restored", "trust.id_token_key"),
        *("trust.tenant_application", "trust.tenant_agreement", "trust.party_tenant"),
        *("trust.wall", "trust.device"),
    ),
    "whose turn a petition is, by keys: residents are of no tenant, what is said is a record": (
        *("trust.petition", "trust.statement"),
    ),
    "what is done with personal data, and to whom it may go abroad: no record, no patient": (
        *("trust.activity", "trust.activity_use", "trust.recipient", "trust.transfer"),
    ),
    "what an account is told, by keys; its words are sealed": (
        *("trust.notice", "trust.pending_notice"),
    ),
    "what somebody has begun to fill in or has sent, by keyed hashes; the rest is sealed": (
        *("trust.draft", "trust.sent_form"),
    ),
    "when cases run out of time and what is told of them, by keys; what is answered is sealed": (
        *("trust.task_clock", "trust.outgoing"),
        *("trust.outgoing_place", "trust.outgoing_answer"),
    ),
    "what is due for deletion or held, by keys: the node's own work over all tenants": (
        *("trust.retention_due", "trust.hold", "trust.deletion", "trust.deletion_item"),
    ),
    "incidents of the node: keys of whom they concern, sealed words, numbers": (
        *("trust.incident", "trust.incident_patient", "trust.incident_kind"),
        *("trust.incident_step", "trust.suspension"),
    ),
    "nobody's but the owner's": ("trust.wall_key", "trust.opening"),
}

_TABLES = """
    select format('%I.%I', n.nspname, c.relname) as name, c.relrowsecurity as is_walled
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition
        and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""
_OWN_RIGHTS = """
    select format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relispartition and c.relkind = 'r' and has_table_privilege(c.oid, 'select')
"""


async def seen_by(city: City, claim: str | None) -> dict[str, set[str]]:
    """All rows of all tables with policies, as a transaction with this claim reads them."""
    found = {}
    async with city.worker.acquire() as connection, connection.transaction():
        if claim is not None:
            wall = await city.walls.of(city.worker, claim, 0)
            await wall.raise_in(connection)
        for table in WALLED:
            rows = await connection.fetch(f"select r::text from {table} r")
            found[table] = {row[0] for row in rows}
    return found


async def fill(city: City) -> None:
    """Something of either county in every table with a policy."""
    for sender in "ab":
        patient = await registered(city.guard, sender)
        await result(city.guard, sender, patient.id)
        ours = asking(city.guard, "institution", sender)
        await ours.create("Encounter", visit(patient.id))
        condition = {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{patient.id}"},
            "onsetDateTime": "2025-01-01",
            "recordedDate": "2026-03-01",
        }
        await ours.create("Condition", json.dumps(condition).encode())
        again = await result(city.guard, sender, patient.id, effectiveDateTime="2026-03-02")
        body = (again.body or b"").replace(b'"5.40', b'"5.41').replace(b"5.40", b"5.41")
        await ours.update("Observation", again.id, body)
        doctor = asking(city.guard, "doctor", sender)
        await doctor.desk(Emergencies).open(patient.id, "unconscious, brought by ambulance")
        other = (await ours.create("Patient", json.dumps(child("2025-11-30", 101)).encode())).stored
        await ours.create("Immunization", json.dumps(dose(other.id, "hepb", "2025-12-01")).encode())
        await ours.create("Task", counted_case("measles", "580101", date(2026, 3, 2)))


async def test_every_table_has_a_policy_or_a_reason(city: City) -> None:
    named = set(itertools.chain.from_iterable(OPEN.values()))
    tables = await city.owner.fetch(_TABLES)
    walled = {row["name"] for row in tables if row["is_walled"]}
    assert walled == {*WALLED, *MOVING}
    assert {row["name"] for row in tables} - walled - named == set()
    assert named - {row["name"] for row in tables} <= {"trust.access_before"}


async def test_sql_of_one_tenant_reads_no_row_of_another(city: City) -> None:
    await fill(city)
    everything = await seen_by(city, "all||")
    east = await seen_by(city, "sender|TREAT|a")
    west = await seen_by(city, "sender|TREAT|b")
    nobody = await seen_by(city, None)
    assert await seen_by(city, "tenant|TREAT|east") == east
    for table in WALLED:
        assert east[table], table
        assert west[table], table
        assert not east[table] & west[table], table
        assert east[table] | west[table] == everything[table], table
        assert not nobody[table], table


async def test_a_due_list_tells_of_no_dose_that_another_tenant_gave(city: City) -> None:
    rows = []
    for sender in "ab":
        ours = asking(city.guard, "institution", sender)
        body = json.dumps(child("2025-11-30", 103)).encode()
        patient = (await ours.create("Patient", body)).stored
        rows.append((await ours.due.slice(Asked(plan="immunization"), count=50)).rows)
        given = json.dumps(dose(patient.id, "hepb", "2025-11-30")).encode()
        await ours.create("Immunization", given)
    turns = [{row.line.series: row.line.turn for row in several} for several in rows]
    assert turns[0] == turns[1], "the dose at a has told b something"
    assert len(turns[0]) > 1
    ours = asking(city.guard, "institution", "b")
    own = (await ours.due.slice(Asked(plan="immunization"), count=50)).rows
    assert {row.line.turn for row in own if row.line.series == "hepb"} == {2}
    everybody = asking(city.guard, "operator").due
    found = (await everybody.slice(Asked(plan="immunization", series=("hepb",)), count=9)).rows
    assert len(found) == 1, "the person is one"


async def test_a_claim_that_the_node_did_not_seal_opens_nothing(city: City) -> None:
    await fill(city)
    forger = Walls(b"another key")
    for claim in (forger.all.claim, "all||", city.walls.all.claim[:-3] + "x||", "", "0" * 64):
        async with city.worker.acquire() as connection, connection.transaction():
            await connection.execute("select set_config('quanmin.claim', $1, true)", claim)
            assert not await connection.fetchval("select count(*) from records.record")


async def test_a_worker_cannot_step_around_the_walls(city: City) -> None:
    for statement in (
        "select * from trust.wall_key",
        "select * from trust.opening",
        "select * from records.record_patient",
        "alter table records.record disable row level security",
        "drop policy walls on records.record",
        "set role quanmin",
        "set session authorization quanmin",
        "update trust.wall set is_up = false",
        "insert into trust.tenant_member values ('b', 1, 0, 1, 0, 'me')",
        "delete from trust.tenant_agreement",
        "update records.sender set code = 'c' where code = 'b'",
        "delete from records.sender",
        "alter function trust.opened() owner to quanmin_worker",
        "create policy mine on records.record using (true)",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await city.worker.execute(statement)
    assert not await city.worker.fetch(_OWN_RIGHTS)


async def test_a_setting_ends_with_its_transaction(city: City) -> None:
    await both_filled(city.guard)
    async with city.worker.acquire() as connection:
        async with connection.transaction():
            await city.walls.all.raise_in(connection)
            assert await connection.fetchval("select count(*) from records.record")
        assert not await connection.fetchval("select count(*) from records.record")
