"""What one tenant's institutions have is not there for another's: the database holds it, whatever
the rules permit and whatever a query asks.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from books import ADDRESS, organization, practitioner
from entrance import Entrance
from persons import NUMBER, asking, is_seen, query, registered, result, visit
from ruling import under, written
from stores import START, bundle
from tenancy import NOON, City, both_filled, open_city
from trials.infection_card.application import answered

from quanmin.base.cluster import WORKER, Cluster
from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.demo.numbering import credit_code
from quanmin.node.walls import lost_marks, lower_walls, raise_walls
from quanmin.records.related import Related
from quanmin.records.visibility import Everything
from quanmin.trust import Actor, Role
from quanmin.trust.allowances import Spending
from quanmin.trust.deciding import Bounds, Deciding, Rights
from quanmin.trust.deciding.compiling import Ground
from quanmin.trust.decisions import Decisions
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.trust.lifecycle.activities import ProcessingRegister
from quanmin.trust.lifecycle.incidents import Incidents, Scope
from quanmin.trust.lifecycle.petitions import Petitions
from quanmin.trust.notices import Notices
from quanmin.trust.registers import Admissions, Application, Registers
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.posts import Wished
from quanmin.trust.registers.staff import WantedStaff
from quanmin.trust.registers.tenants import Tenant
from quanmin.trust.sign_in.enrolling import EnrolmentDesk
from quanmin.trust.tenancy import Tenancy
from quanmin.web.application import discover
from quanmin.web.clocks import Clocks
from quanmin.workflow.states import Asking, take

YEAR = 365 * 86_400_000_000


class Permissive(Deciding):
    """Rules that permit everything to everybody."""

    def compile(self, actor: Actor, purpose: str, ground: Ground) -> Rights:
        rights = super().compile(actor, purpose, ground)
        every = Everything()
        return msgspec.structs.replace(rights, whole=every, readable=every, writable=every)


async def test_a_rule_that_permits_everything_shows_nothing_across(city: City) -> None:
    guard = city.guard
    ours, theirs = await both_filled(guard)
    there = (theirs.facts.patient, theirs)
    assert await is_seen(asking(guard, "operator"), theirs)
    guard.deciding = Permissive(guard.store.context.keying)
    east = asking(guard, "institution", "a")
    assert await is_seen(east, ours)
    assert not await is_seen(east, theirs)
    for type_, terms in (
        ("Observation", {"code": "2339-0"}),
        ("Observation", {"code__text": "x"}),
        ("Observation", {"patient.identifier": "580101199003078512"}),
        ("Observation", {"value-quantity": "gt1"}),
        ("Observation", {"date": "2026-03-01"}),
        ("Observation", {"_lastUpdated": "gt2020"}),
        ("Patient", {"identifier": "580101199003078512"}),
        ("Patient", {"_has:Observation:patient:code": "2339-0"}),
        ("Patient", {"name": "欧阳明月"}),
    ):
        hits = await east.search(query(guard, type_, _total="accurate", **terms))
        assert {hit.facts.sender for hit in hits.matches} <= {ours.facts.sender}, terms
        assert hits.total == len(hits.matches), terms
        assert await east.counts([query(guard, type_, **terms)]) == [len(hits.matches)]
    assert there[0] is not None
    for call in (
        east.update("Observation", theirs.id, theirs.body or b""),
        east.related("Patient", guard.store.context.named(103).name, Related(count=10)),
        east.timeline(theirs.id, count=10),
        east.version("Observation", theirs.id, 1),
        east.history("Observation", theirs.id, count=10),
    ):
        with pytest.raises((NotFound, Invalid)):
            await call
    assert await east.delete("Observation", theirs.id) is None
    mine = await east.search(query(guard, "Patient"))
    line = await east.timeline(mine.matches[0].id, count=50)
    assert {one.facts.sender for one in (*line.patients, *line.entries)} == {ours.facts.sender}
    assert await east.registrations(list(mine.matches)) == {mine.matches[0].id: 1}


async def test_a_resident_sees_their_record_in_every_county(city: City) -> None:
    ours, theirs = await both_filled(city.guard)
    person = await city.owner.fetchval("select person from people.link limit 1")
    resident = asking(city.guard, "resident", person=str(person), purpose="PATRQT")
    assert await is_seen(resident, ours)
    assert await is_seen(resident, theirs)


async def test_the_counter_of_a_county_enrols_whom_it_has_registered(city: City) -> None:
    here, there = await registered(city.guard, "a"), await registered(city.guard, "b")
    clerk = Actor("clerk", "institution", "A clerk", "a")
    records = city.guard.records(clerk, purpose="HOPERAT", request_id="r")
    desk, entrance = records.desk(EnrolmentDesk), Entrance(city.worker, lambda: START)
    notices = Notices(city.worker, lambda: START)
    for patient, is_ours in ((here, True), (there, False)):
        enrolling = desk.enrol(
            entrance.accounts, notices, patient.id, evidence="identity-card", number=NUMBER
        )
        if is_ours:
            assert (await enrolling).is_new
        else:
            with pytest.raises(NotFound):
                await enrolling


async def test_a_sender_of_no_tenant_sees_what_it_sent_itself(city: City) -> None:
    ours, theirs = await both_filled(city.guard)
    patient = await registered(city.guard, "c", None)
    own = await result(city.guard, "c", patient.id)
    city.guard.deciding = Permissive(city.guard.store.context.keying)
    third = asking(city.guard, "institution", "c")
    assert await is_seen(third, own)
    assert not await is_seen(third, ours)
    assert not await is_seen(third, theirs)


async def test_a_treatment_opens_nothing_across_without_an_agreement(city: City) -> None:
    guard, tenants = city.guard, city.tenants
    here, there = await registered(guard, "a"), await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    doctor = asking(guard, "doctor", "a")
    assert not await is_seen(doctor, theirs)
    number = await tenants.agree(
        "west", "east", purposes=["TREAT"], basis="agreement 7",
        since=NOON, until=NOON + YEAR, at=NOON, by="test",
    )  # fmt: skip
    assert await is_seen(doctor, theirs)
    assert not await is_seen(asking(guard, "doctor", "a", purpose="HOPERAT"), theirs)
    assert not await is_seen(asking(guard, "institution", "a"), theirs)  # the rules hold within
    guard.deciding = Permissive(guard.store.context.keying)
    with pytest.raises(Invalid):  # what is shown is not for others to change
        await doctor.update("Observation", theirs.id, theirs.body or b"")
    await tenants.end_agreement(number, at=NOON + 1)
    assert not await is_seen(doctor, theirs)


async def test_an_agreement_of_all_tenants_opens_every_county(city: City) -> None:
    guard = city.guard
    here, there = await registered(guard, "a"), await registered(guard, "b")
    ours, theirs = await result(guard, "a", here.id), await result(guard, "b", there.id)
    for patient, sender in ((here, "a"), (there, "b")):
        await asking(guard, "institution", sender).create("Encounter", visit(patient.id))
    await city.tenants.agree(
        None, None, purposes=["TREAT"], basis="city order 1",
        since=NOON, until=NOON + YEAR, at=NOON, by="test",
    )  # fmt: skip
    assert await is_seen(asking(guard, "doctor", "a"), theirs)
    assert await is_seen(asking(guard, "doctor", "b"), ours)


async def test_the_end_of_a_tenant_is_the_end_of_what_it_opened(city: City) -> None:
    guard = city.guard
    await city.tenants.release("a", at=NOON + 1)
    await city.tenants.assign("a", "west", since=NOON + 2, until=OPEN_END, at=NOON, by="test")
    _, theirs = await both_filled(guard)
    guard.deciding = Permissive(guard.store.context.keying)
    moved = asking(guard, "institution", "a")
    assert await is_seen(moved, theirs)
    await city.tenants.end("west", at=NOON + 3)
    assert not await is_seen(moved, theirs)
    with pytest.raises(Conflict):
        await city.tenants.end("west", at=NOON + 4)


async def test_an_id_of_another_tenant_is_refused_as_any_that_is_taken(city: City) -> None:
    body = b'{"resourceType":"Patient","id":"chosen"}'
    await asking(city.guard, "institution", "b").update("Patient", "chosen", body)
    east = asking(city.guard, "institution", "a")
    with pytest.raises(Forbidden) as refused:
        await east.update("Patient", "chosen", body)
    assert refused.value.text == "the id is not free: choose another, or create without one"
    transaction = bundle("transaction", {
        "resource": {"resourceType": "Patient", "id": "chosen"},
        "request": {"method": "PUT", "url": "Patient/chosen"},
    })  # fmt: skip
    with pytest.raises(Forbidden):
        await east.bundle(transaction)


async def test_a_node_without_tenants_has_no_walls(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    name = database.partition("@/")[2].partition("?")[0]
    async with open_city(postgres, name, tmp_path) as city:
        ours, theirs = await both_filled(city.guard)
        assert not await city.owner.fetchval("select bool_or(relrowsecurity) from pg_class")
        for sender in "ab":
            _, rights = await city.guard.own_rights(
                asking(city.guard, "institution", sender).actor, "TREAT"
            )
            assert rights.wall is None
        assert await is_seen(asking(city.guard, "operator"), ours)
        assert await is_seen(asking(city.guard, "operator"), theirs)


async def test_what_is_no_tenant_is_refused(city: City) -> None:
    good = Tenant("north", "北区", "North", "330109", None, NOON, OPEN_END, "test")
    changes: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"division": "3301060"}, Invalid),
        ({"division": "000000"}, Invalid),
        ({"code": "Not a code"}, Invalid),
        ({"name_zh": ""}, Invalid),
        ({"until": NOON}, Invalid),
        ({"parent": "nobody"}, NotFound),
        ({"code": "east"}, Conflict),
        ({"division": "330106"}, Conflict),
    ]
    for change, problem in changes:
        with pytest.raises(problem):
            await city.tenants.declare(msgspec.structs.replace(good, **change), at=NOON)
    assert (await city.tenants.declare(good, at=NOON)).state(NOON) == "in-force"


async def test_rules_that_an_application_brings_hold_where_it_is_switched_on(city: City) -> None:
    ours, _ = await both_filled(city.guard)
    text = written(
        "app.neighbours", 'roles = ["institution"], purposes = ["TREAT"]', does='["read"]',
        reach='{ among = ["addressed"], types = ["Observation"] }',
    )  # fmt: skip
    bounds = Bounds(
        application="app", place="app", text=text.encode(), roles=frozenset({"institution"}),
        purposes=frozenset({"TREAT"}), reads=frozenset({"Observation"}), writes=frozenset(),
    )  # fmt: skip
    guard = under(city.guard, brought=[bounds])
    await city.tenants.assign("c", "east", since=NOON, until=OPEN_END, at=NOON, by="test")
    label = {"system": "https://quanmin.example/fhir/addressed-to", "code": "c"}
    body = {**json.loads(ours.body or b""), "meta": {"security": [label]}}
    await asking(guard, "institution", "a").update(
        "Observation", ours.id, json.dumps(body).encode()
    )
    within = asking(guard, "institution", "c").within("app")
    assert await is_seen(within, ours)
    assert not await is_seen(asking(guard, "institution", "c"), ours)
    await city.tenants.switch("east", "app", is_on=False, since=NOON, at=NOON, by="test")
    assert not await is_seen(within, ours)


async def test_timers_fire_where_the_application_is_switched_on(city: City) -> None:
    """For each tenant by itself; what ran out meanwhile fires when it is switched on again."""
    (trial,) = discover("trials")
    workflow = trial.application.workflow
    assert workflow is not None
    tasks = []
    for sender in ("a", "b"):
        facts = {"disease": "measles", "diagnosed": datetime(2026, 1, 1, tzinfo=UTC)}
        actor = Actor("dr", "doctor", "Dr", sender)
        moment = datetime.fromtimestamp(city.guard.now() / 1e6, UTC)
        asking_ = Asking(actor=actor, moment=moment, zone=UTC, facts=facts)
        taken = take(workflow, "enter", None, asking_, recorded=[answered("x", "measles")])
        body = bundle("transaction", *json.loads(json.dumps(taken.entries)))
        _, outcomes = await city.guard.records(actor, purpose="PUBHLTH", request_id="r").bundle(
            body
        )
        stored = outcomes[-1].stored
        assert stored is not None
        tasks.append(stored)
    now = city.guard.now
    city.guard.now = lambda: now() + 3 * 3_600_000_000
    clocks = Clocks(city.guard, [trial])
    await city.tenants.switch("east", "infection_card", is_on=False, since=NOON, at=NOON, by="test")
    assert await clocks.fire() == 1
    node = asking(city.guard, "operator", "node")
    assert [(await node.read("Task", one.id)).version for one in tasks] == [1, 2]
    await city.tenants.switch("east", "infection_card", is_on=True, since=NOON, at=NOON, by="test")
    assert await clocks.fire() == 1
    assert [(await node.read("Task", one.id)).version for one in tasks] == [2, 2]


async def test_an_application_that_is_switched_off_is_refused_at_once(city: City) -> None:
    ours, _ = await both_filled(city.guard)
    actor = msgspec.structs.replace(asking(city.guard, "institution", "a").actor, client="app")
    records = city.guard.records(actor, purpose="TREAT", request_id="r")
    assert (await records.read("Observation", ours.id)).id == ours.id
    switch = city.tenants.switch
    await switch("east", "app", is_on=False, since=NOON, at=NOON, by="test")
    with pytest.raises(Forbidden, match="not switched on"):
        await records.read("Observation", ours.id)
    # What is to come does not count yet, and another tenant has decided nothing.
    await switch("east", "app", is_on=True, since=NOON + 50 * YEAR, at=NOON, by="test")
    with pytest.raises(Forbidden):
        await records.search(query(city.guard, "Observation"))
    there = msgspec.structs.replace(asking(city.guard, "institution", "b").actor, client="app")
    await city.guard.records(there, purpose="TREAT", request_id="r").search(
        query(city.guard, "Observation")
    )
    await switch("east", "app", is_on=True, since=NOON + 1, at=NOON, by="test")
    assert (await records.read("Observation", ours.id)).id == ours.id
    with pytest.raises(Invalid):
        await switch("east", "tenants", is_on=False, since=NOON, at=NOON, by="test")
    with pytest.raises(NotFound):
        await switch("nowhere", "app", is_on=False, since=NOON, at=NOON, by="test")


async def test_an_entrusted_operator_acts_within_its_tenants_and_its_contract(city: City) -> None:
    guard = city.guard
    ours, theirs = await both_filled(guard)
    admissions = Admissions(city.owner)
    actor = Actor("runner-1", "operator", "Runner", "runner")
    application = Application(
        party="runner",
        kind="operator",
        name="Runner Ltd",
        purpose="runs the county's node",
        members=(("actor", "runner-1"),),
    )
    applied = await admissions.apply(application, at=START, by="one")
    await admissions.review(applied.admission, is_recommended=True, opinion="x", at=START, by="two")
    await admissions.admit(
        applied.admission,
        agreement="contract 3", since=NOON, until=NOON + YEAR, at=START, by="three",
    )  # fmt: skip
    runner = guard.records(actor, purpose="HOPERAT", request_id="r")
    assert not await is_seen(runner, ours)
    await city.tenants.entrust("runner", ["east"])
    assert await is_seen(runner, ours)
    assert not await is_seen(runner, theirs)
    with pytest.raises(Invalid):
        await runner.update("Observation", theirs.id, theirs.body or b"")
    log = await runner.search(query(guard, "AuditEvent"))
    assert not log.matches  # there is one log of the node
    with pytest.raises(Forbidden, match="erases nobody"):
        await runner.erase((await runner.search(query(guard, "Patient"))).matches[0].id)
    await city.tenants.entrust("runner", ["west"])
    assert not await is_seen(runner, ours)
    with pytest.raises(NotFound):
        await city.tenants.entrust("runner", ["nowhere"])
    await admissions.withdraw(applied.admission, reason="ended", at=START, by="three")
    for call in (
        runner.read("Observation", theirs.id),
        runner.search(query(guard, "Observation")),
        runner.create("Observation", theirs.body or b""),
    ):
        with pytest.raises(Forbidden):
            await call


async def entrusted_runner(city: City) -> None:
    admissions = Admissions(city.owner)
    application = Application(
        party="runner",
        kind="operator",
        name="Runner Ltd",
        purpose="runs it",
        members=(("actor", "runner-1"),),
    )
    number = (await admissions.apply(application, at=START, by="one")).admission
    await admissions.review(number, is_recommended=True, opinion="x", at=START, by="two")
    await admissions.admit(
        number, agreement="contract 3", since=NOON, until=NOON + YEAR, at=START, by="three"
    )
    await city.tenants.entrust("runner", ["east"])


@pytest.mark.parametrize(
    ("role", "sender"),
    [("operator", "node"), ("security_administrator", "register"), ("operator", "runner")],
)
async def test_who_runs_a_tenant_has_no_part_in_what_is_of_the_node(
    city: City, role: Role, sender: str
) -> None:
    """Whatever the role: else it would move institutions into its tenant, and stay for ever."""
    guard = city.guard
    await entrusted_runner(city)
    runner = guard.records(
        Actor("runner-1", role, "Runner", sender), purpose="HOPERAT", request_id="r"
    )
    east = organization(credit_code("330106", 9))
    for type_, body in (
        ("Organization", east),
        ("Practitioner", practitioner()),
        ("SearchParameter", {"resourceType": "SearchParameter"}),
    ):
        with pytest.raises(Forbidden):
            await runner.create(type_, json.dumps(body).encode())
    registers = runner.desk(Registers)
    other = Application(party="p", kind="app", name="P", purpose="p", members=(("client", "c"),))
    moment = Scope(START, START + 1)
    for refused in (
        registers.apply(other),
        registers.review(1, is_recommended=True, opinion="x"),
        registers.admit(1, agreement="x", since=NOON, until=NOON + YEAR),
        registers.withdraw(1, reason="x"),
        registers.admissions(state=None, after=0, count=9),
        registers.staff(None, WantedStaff(), after=0, count=9),
        registers.appoint(Wished("institution-a", (), None, NOON, OPEN_END)),
        runner.desk(Tenancy).list(count=9),
        runner.desk(EmergencyReviews).suspended_until(["a"]),
        runner.desk(Incidents).open("x", {}, moment),
        runner.desk(ProcessingRegister).entries(),
        runner.desk(Decisions).subjects("a", 9),
        runner.desk(Petitions).listed(count=9),
        runner.desk(Spending).of("b"),
    ):
        with pytest.raises(Forbidden, match=r"of the whole node|register of posts is kept"):
            await refused
    assert await registers.posts(None, None, after=None, count=9) == []


async def test_what_moves_an_institution_is_derived_and_never_written(city: City) -> None:
    node = asking(city.guard, "operator", "node")
    code = credit_code("330106", 9)
    made = (await node.create("Organization", json.dumps(organization(code)).encode())).stored
    sender = f"sender-{code}"
    before = {one.sender for one in await city.tenants.members("east", START, count=9)}
    assert sender in before
    west = await city.walls.of(city.worker, "sender|TREAT|b", 0)
    async with city.worker.acquire() as connection, connection.transaction():
        await west.raise_in(connection)
        assert await connection.fetchval("select count(*) from trust.institution") == 1
        for statement in ("update trust.institution set region = '330108'",
                          "delete from trust.institution"):  # fmt: skip
            assert (await connection.execute(statement)).endswith(" 0")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "insert into trust.institution select organization, sender, code, name, level,"
                " grade, kind, '330108', parent, tenant, state, since - 1, since"
                " from trust.institution"
            )
    address = [{"extension": [{"url": ADDRESS.division, "valueCode": "330108"}]}]
    moved = {**organization(code), "id": made.id, "address": address}
    await node.update("Organization", made.id, json.dumps(moved).encode())
    members = await city.tenants.members("west", START + YEAR, count=9)
    assert sender in {one.sender for one in members}


async def test_the_walls_come_down_when_no_tenant_is_left_and_rise_again(city: City) -> None:
    guard = city.guard
    ours, theirs = await both_filled(guard)
    guard.deciding = Permissive(guard.store.context.keying)
    east = asking(guard, "institution", "a")
    async with city.owner.acquire() as owner:
        with pytest.raises(Conflict, match="east, west"):
            await lower_walls(owner, START)
        assert not await is_seen(east, theirs)
        for code in ("east", "west"):
            await city.tenants.end(code, at=START)
        assert not await is_seen(east, theirs), "of no tenant, and still behind walls"
        assert await lower_walls(owner, START + 1)
        assert await is_seen(east, theirs), "the rules alone say"
        assert not await lower_walls(owner, START + 1)
        assert await city.worker.fetchval("select count(*) from records.record")
        late = await result(guard, "b", (await registered(guard, "b")).id)
        assert not await lost_marks(owner)
        await raise_walls(owner, WORKER, lambda _: None, grace_seconds=0)
        assert not await is_seen(east, late)
        assert not (await east.search(query(guard, "Observation", code="2339-0"))).matches[1:]
        assert await is_seen(east, ours)
        assert not await lost_marks(owner)
        async with owner.transaction():
            await owner.execute("alter function numeric_lt(numeric, numeric) not leakproof")
            assert "numeric_lt(numeric, numeric) leakproof" in await lost_marks(owner)
            await owner.execute("alter function numeric_lt(numeric, numeric) leakproof")


async def test_an_institution_is_of_the_tenant_with_the_longest_division(city: City) -> None:
    await city.owner.execute("""
        insert into trust.institution_entry
        values (1, 'o', 'C1', 'north-1'), (2, 'p', 'C2', 'city-1');
        insert into trust.institution
            (organization, sender, code, name, region, state, since, until)
        values (1, 'north-1', 'C1', 'N', '330106003', 'active', 0, 9223372036854775807),
            (2, 'city-1', 'C2', 'C', '330100', 'active', 0, 9223372036854775807)
    """)
    before = {
        one.sender: one.is_decided for one in await city.tenants.members("east", START, count=9)
    }
    assert before == {"a": True, "north-1": False}
    whole = Tenant("city", "市", "City", "330100", None, NOON, OPEN_END, "test")
    assert (await city.tenants.declare(whole, at=NOON)).division == "3301"
    members = await city.tenants.members("city", START, count=9)
    assert [one.sender for one in members] == ["city-1"]
    await city.tenants.end("east", at=START)
    members = await city.tenants.members("city", START + 1, count=9)
    assert [one.sender for one in members] == ["city-1", "north-1"]
