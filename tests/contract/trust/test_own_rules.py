"""A node has rules of access of its own: whom they concern, what they reach, and when they hold."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

import asyncpg
import msgspec
import pytest
from books import CODE, OTHER, Books, organization
from persons import asking, is_seen, registered, result, visit
from ruling import under, written
from stores import open_context, open_guard

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden
from quanmin.demo.numbering import credit_code
from quanmin.records.model import Stored
from quanmin.records.reading import grants_of
from quanmin.records.visibility import Facts
from quanmin.records.visibility_sql import allows
from quanmin.trust import Guard
from quanmin.trust.decisions import Asked, Decisions
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.registers import Posts

FAR = credit_code("580201", 9)
REASON = "unconscious after a fall, allergies unknown"
LABEL = {"system": "urn:labels", "code": "shared"}
DUTY = 'duties = ["infection_report"]'


class District:
    """Two institutions in two counties of a city, one in another city, and results of the last."""

    def __init__(self, guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.guard, self.books = guard, Books(guard, pool)
        self.patient: Stored
        self.plain: Stored
        self.labelled: Stored

    async def settle(self) -> District:
        await self.books.enter(organization(CODE))
        await self.books.enter(organization(OTHER, "township"))
        await self.books.enter(organization(FAR, "city"))
        self.patient = await registered(self.guard, f"sender-{FAR}")
        self.plain = await result(self.guard, f"sender-{FAR}", self.patient.id)
        meta = {"security": [LABEL]}
        self.labelled = await result(self.guard, f"sender-{FAR}", self.patient.id, meta=meta)
        return self

    async def seen_by(self, rule: str, *, of: Stored | None = None, **more: str) -> list[bool]:
        """Under a rule, whether somebody at each of the two sees a record, and at the last of them
        for another purpose.
        """
        guard, stored = under(self.guard, rule), of or self.plain
        role = more.get("role", "doctor")
        records = [
            asking(guard, role, f"sender-{CODE}"),
            asking(guard, role, f"sender-{OTHER}"),
            asking(guard, role, f"sender-{CODE}", purpose="HRESCH"),
        ]
        return [await is_seen(each, stored) for each in records]


@pytest.fixture
async def district(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> District:
    return await District(open_guard(pool, open_context(tmp_path)), pool).settle()


async def test_a_rule_asks_by_role_purpose_and_where_the_asker_acts(district: District) -> None:
    for when, seen in (
        ("", [True, True, True]),
        ('roles = ["doctor"]', [True, True, True]),
        ('roles = ["nurse"]', [False, False, False]),
        ('purposes = ["HRESCH"]', [False, False, True]),
        (f'institutions = ["{CODE}"]', [True, False, True]),
        (f'institutions = ["sender-{OTHER}"]', [False, True, False]),
        ('levels = ["county"]', [True, False, True]),
        ('levels = ["township", "village"]', [False, True, False]),
        ('grades = ["2"]', [True, True, True]),
        ('grades = ["3"]', [False, False, False]),
        ('kinds = ["A"]', [True, True, True]),
        ('kinds = ["B"]', [False, False, False]),
        ('regions = ["580100"]', [True, True, True]),
        ('regions = ["580102"]', [False, True, False]),
        ('regions = ["580200"]', [False, False, False]),
        ('regions = ["580100"], levels = ["county"], purposes = ["TREAT"]', [True, False, False]),
    ):
        assert await district.seen_by(written("ours", when)) == seen, when
    nowhere = under(district.guard, written("ours", 'regions = ["000000"]'))
    assert not await is_seen(asking(nowhere, "doctor", "unknown"), district.plain)


async def test_a_rule_reaches_by_type_label_region_treatment_and_consent(
    district: District,
) -> None:
    for among in ('"treated"', '"consented"', '"region"'):
        assert await district.seen_by(written("ours", among=among)) == [False, False, False]
    narrow = written("ours", reach='{ among = ["everything"], labels = ["urn:labels|shared"] }')
    assert await district.seen_by(narrow) == [False, False, False]
    assert await district.seen_by(narrow, of=district.labelled) == [True, True, True]
    typed = written("ours", reach='{ among = ["everything"], types = ["Patient"] }')
    assert await district.seen_by(typed) == [False, False, False]
    assert await district.seen_by(typed, of=district.patient) == [True, True, True]
    region = under(district.guard, written("ours", among='"region"'))
    here = await registered(district.guard, f"sender-{OTHER}", None)
    beside = asking(region, "doctor", f"sender-{CODE}")
    assert not await is_seen(beside, here), "a county is not the region of the other"
    # What is kept apart and what is beyond the level stays so, whatever a node permits.
    hiv = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    apart = await result(
        district.guard, f"sender-{FAR}", district.patient.id, meta={"security": [hiv]}
    )
    assert await district.seen_by(written("ours"), of=apart) == [False, False, False]


async def test_a_relation_that_a_rule_asks_for_is_looked_up_for_any_role(
    district: District,
) -> None:
    """Also where no rule of the program asks for it of that role, or it stands under `outside`."""
    of_workers = written("ours", 'roles = ["public_health_worker"]', among='"treated"')
    closed = written(
        "closed",
        'roles = ["resident"]',
        effect='"forbid"',
        reach='{ among = ["everything"], outside = ["treated"] }',
    )
    guard = under(district.guard, of_workers, closed)
    patient = await registered(guard, f"sender-{CODE}")
    # Of level 3, up to which a public-health worker sees what others have sent for treatment.
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    meta = {"security": [{"system": system, "code": "M"}]}
    theirs = await result(guard, f"sender-{FAR}", district.patient.id, meta=meta)
    worker = asking(guard, "public_health_worker", f"sender-{CODE}")
    person = str(await district.books.pool.fetchval("select person from people.link limit 1"))
    resident = asking(guard, "resident", f"sender-{CODE}", purpose="PATRQT", person=person)
    assert not await is_seen(worker, theirs)
    assert not await is_seen(resident, theirs)
    hospital = asking(guard, "institution", f"sender-{CODE}")
    await hospital.create("Encounter", visit(patient.id))
    assert await is_seen(worker, theirs)
    assert await is_seen(resident, theirs)


async def test_a_rule_asks_for_a_duty_of_the_post(district: District) -> None:
    guard = under(district.guard, written("ours", DUTY))
    worker = await district.books.actor("wang", "public_health_worker")
    acting = guard.records(worker.actor, purpose="PUBHLTH", request_id="r-1")
    assert not await is_seen(acting, district.plain)
    posts = Posts(district.books.pool)
    begun = guard.now() - 1_000_000
    await posts.appoint(
        "wang", practitioner=None, since=begun, at=begun, by="test", duties=["infection_report"]
    )
    acting = guard.records(worker.actor, purpose="PUBHLTH", request_id="r-1")
    assert await is_seen(acting, district.plain)


async def test_a_rule_decides_from_its_first_day_to_before_its_last(district: District) -> None:
    """By the time zone of the node: the day begins at 16:00 of the day before in UTC."""
    midnight = int(datetime.fromisoformat("2027-03-01T00:00+08:00").timestamp() * 1_000_000)
    guard = under(
        district.guard,
        written("begins", effective="2027-03-01"),
        written("ends", 'roles = ["nurse"]', ends="2027-03-01"),
        written("closes", 'roles = ["institution"]', effect='"forbid"', effective="2027-03-01"),
        written("opens", 'roles = ["institution"]'),
    )
    moments = {"before": midnight - 1, "from": midnight}
    seen: dict[str, list[bool]] = {}
    for name, moment in moments.items():
        guard.now = guard.standings._now = partial(int, moment)
        seen[name] = [
            await is_seen(asking(guard, role, f"sender-{CODE}"), district.plain)
            for role in ("doctor", "nurse", "institution")
        ]
    assert seen == {"before": [False, True, True], "from": [True, True, False]}


async def test_nothing_that_a_node_permits_outweighs_what_is_forbidden(district: District) -> None:
    closed = written("closed", f'institutions = ["{CODE}"]', effect='"forbid"')
    both = under(district.guard, written("open"), closed)
    for role in ("doctor", "operator", "institution"):
        assert not await is_seen(asking(both, role, f"sender-{CODE}"), district.plain), role
    assert await is_seen(asking(both, "doctor", f"sender-{OTHER}"), district.plain)
    for role in ("supervisor", "researcher", "audit_administrator"):
        keeper = asking(both, role, f"sender-{OTHER}")
        assert not await is_seen(keeper, district.plain), role


async def test_who_breaks_glass_is_a_rule_too(district: District) -> None:
    opens = written(
        "ours",
        f'roles = ["public_health_worker"], purposes = ["BTG"], {DUTY}',
        among='"glass-opened"',
    )
    guard = under(district.guard, opens)
    worker = await district.books.actor("zhao", "public_health_worker")
    acting = guard.records(worker.actor, purpose="BTG", request_id="r-1")
    with pytest.raises(Forbidden):
        await acting.desk(Emergencies).open(district.patient.id, REASON)
    begun = guard.now() - 1_000_000
    await Posts(district.books.pool).appoint(
        "zhao", practitioner=None, since=begun, at=begun, by="test", duties=["infection_report"]
    )
    acting = guard.records(worker.actor, purpose="BTG", request_id="r-1")
    await acting.desk(Emergencies).open(district.patient.id, REASON)


async def test_log_and_explanation_name_a_rule_of_the_nodes_own(district: District) -> None:
    guard = under(
        district.guard, written("ours", f'institutions = ["{CODE}"]', effective="2026-02-01")
    )
    doctor = asking(guard, "doctor", f"sender-{CODE}")
    await doctor.read("Observation", district.plain.id)
    rules = "select rules from trust.access where action = 'read' order by at desc limit 1"
    assert await district.books.pool.fetchval(rules) == "ours:1"
    keeper = asking(guard, "security_administrator", "", purpose="HSYSADMIN")
    asked = Asked(
        record=f"Observation/{district.plain.id}",
        purpose="TREAT",
        institution=f"sender-{CODE}",
        role="doctor",
    )
    desk = keeper.desk(Decisions)
    here = (await desk.explain(asked)).answer
    assert (here.seen, [rule.id for rule in here.deciding]) == ("whole", ["ours"])
    there = (
        await desk.explain(msgspec.structs.replace(asked, institution=f"sender-{OTHER}"))
    ).answer
    (step,) = (one for one in there.steps if one.rule.id == "ours")
    assert (there.seen, step.verdict) == ("no", "not-concerned")
    assert step.findings[0].values == {"those": CODE, "own": OTHER}


async def test_a_rule_keeps_what_is_seen_from_being_taken_out(district: District) -> None:
    """Of what may be seen, by any relation: who is treated is asked about for this as well."""
    kept = written(
        "kept",
        'roles = ["doctor"]',
        effect='"forbid"',
        does='["take_out"]',
        reach='{ among = ["everything"], outside = ["treated"] }',
    )
    guard = under(district.guard, kept)
    patient = await registered(guard, f"sender-{CODE}")
    doctor = asking(guard, "doctor", f"sender-{CODE}")
    own = await result(guard, f"sender-{CODE}", patient.id)

    async def is_taken() -> bool:
        sender, rights = await guard.own_rights(doctor.actor, "TREAT")
        taken = await guard.taken_out(doctor.actor, "TREAT", sender, rights)
        async with guard.store.glancing() as connection:
            facts = await with_grants(connection, own)
        return allows(taken.whole, facts)

    assert not await is_taken()
    await asking(guard, "institution", f"sender-{CODE}").create("Encounter", visit(patient.id))
    assert await is_taken()


async def with_grants(connection: Connection, stored: Stored) -> Facts:
    grants = await grants_of(connection, stored.facts.patient or 0)
    return msgspec.structs.replace(stored.facts, grants=grants)
