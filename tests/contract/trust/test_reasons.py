"""Every entry of the access log says which rules decided, and for which client it was."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import msgspec
import pytest
from persons import asking, consent, query, registered, result, to_institution, visit
from stores import bundle, observation, open_context, open_guard, post

from quanmin.records.model import Stored
from quanmin.trust import Actor, Guard, GuardedRecords, Related
from quanmin.trust.deciding.reasons import sentences
from quanmin.trust.deciding.rules import load_rules
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.scopes import parse_scopes


class Town:
    """One person at hospitals a and b, whom a treats, and a result that b has sent."""

    def __init__(self, guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.guard, self.pool = guard, pool
        self.here: Stored
        self.there: Stored
        self.theirs: Stored

    async def settle(self) -> Town:
        self.here, self.there = await registered(self.guard, "a"), await registered(self.guard, "b")
        self.theirs = await result(self.guard, "b", self.there.id)
        hospital = asking(self.guard, "institution", "a")
        await hospital.create("Encounter", visit(self.here.id))
        return self

    async def rules(self, action: str) -> list[str]:
        """The rules of the last entry about this action, without their versions."""
        text = await self.pool.fetchval(
            "select rules from trust.access where action = $1 order by at desc limit 1", action
        )
        return [token.partition(":")[0] for token in (text or "").split()]


@pytest.fixture
async def town(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Town:
    return await Town(open_guard(pool, open_context(tmp_path)), pool).settle()


async def test_a_read_names_the_rules_that_let_this_record_through(town: Town) -> None:
    await asking(town.guard, "institution", "b").read("Observation", town.theirs.id)
    assert await town.rules("read") == ["own-records"]
    await asking(town.guard, "doctor", "a").read("Observation", town.theirs.id)
    assert await town.rules("read") == ["treatment", "no-consent-on-file"]
    person = str(await town.pool.fetchval("select person from people.link limit 1"))
    resident = asking(town.guard, "resident", person=person, purpose="PATRQT")
    await resident.read("Observation", town.theirs.id)
    assert await town.rules("read") == ["own-person"]
    versions = {f"{rule.id}:{rule.version}" for rule in load_rules()}
    text = await town.pool.fetchval("select rules from trust.access where action = 'read' limit 1")
    assert set(text.split()) <= versions


async def test_what_was_consented_is_not_remarked_on(town: Town) -> None:
    person = str(await town.pool.fetchval("select person from people.link limit 1"))
    resident = asking(town.guard, "resident", person=person, purpose="PATRQT")
    said = consent(town.here.id, type="permit", actor=to_institution("a"))
    given = (await resident.create("Consent", json.dumps(said).encode())).stored
    doctor = asking(town.guard, "doctor", "a")
    await doctor.read("Observation", town.theirs.id)
    assert await town.rules("read") == ["treatment", "consented"]
    await resident.delete("Consent", given.id)
    await doctor.read("Observation", town.theirs.id)
    assert await town.rules("read") == ["treatment", "no-consent-on-file"]


async def test_a_search_names_the_rules_in_force_whatever_it_finds(town: Town) -> None:
    doctor = asking(town.guard, "doctor", "a")
    for found in (town.theirs.id, "nothing"):
        await doctor.search(query(town.guard, "Observation", _id=found))
        rules = await town.rules("search")
        assert {"own-records", "treatment", "sensitive-kinds", "beyond-level"} == set(rules)
    # Nobody has refused or permitted anything, and no result is in the directory.


@pytest.mark.parametrize("action", ["timeline", "everything"])
async def test_going_through_a_persons_record_remarks_that_no_consent_is_there(
    town: Town, action: str
) -> None:
    doctor = asking(town.guard, "doctor", "a")
    if action == "timeline":
        await doctor.timeline(town.here.id, count=10)
    else:
        await doctor.related("Patient", town.here.id, Related(count=10))
    assert {"treatment", "no-consent-on-file"} <= set(await town.rules(action))
    of_c = await registered(town.guard, "c")
    stranger = asking(town.guard, "doctor", "c")
    await stranger.timeline(of_c.id, count=10)
    assert "no-consent-on-file" not in await town.rules("timeline")


async def test_a_write_names_the_rules_that_let_it(town: Town) -> None:
    nurse = asking(town.guard, "nurse", "a")
    await nurse.create("Observation", observation(f"Patient/{town.here.id}"))
    assert await town.rules("create") == ["own-records"]
    reads = {"request": {"method": "GET", "url": f"Observation/{town.theirs.id}"}}
    body = bundle("transaction", post(observation(f"Patient/{town.here.id}")), reads)
    await asking(town.guard, "doctor", "a").bundle(body)
    assert {"own-records", "treatment"} <= set(await town.rules("transaction"))


async def test_a_batch_names_for_each_reading_what_let_it_through(town: Town) -> None:
    reads = [{"request": {"method": "GET", "url": f"Observation/{town.theirs.id}"}}]
    await asking(town.guard, "doctor", "a").bundle(bundle("batch", *reads, *reads))
    assert await town.rules("read") == ["treatment", "no-consent-on-file"]


async def test_opening_in_an_emergency_names_its_rule(town: Town) -> None:
    doctor = asking(town.guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(town.there.id, "unconscious after a fall")
    assert await town.rules("break-glass") == ["break-glass"]
    await doctor.read("Observation", town.theirs.id)
    assert await town.rules("read") == ["break-glass"]


async def test_a_refused_read_names_the_rules_that_did_not_let_it(town: Town) -> None:
    with pytest.raises(Exception, match="there is no Observation"):
        await asking(town.guard, "doctor", "c").read("Observation", town.theirs.id)
    assert "own-records" in await town.rules("read")


async def test_the_client_is_in_the_entry(town: Town) -> None:
    actor = Actor("doctor-a", "doctor", "Somebody", "a")
    actor = msgspec.structs.replace(actor, client="chart", scopes=parse_scopes("user/*.rs"))
    records: GuardedRecords = town.guard.records(actor, purpose="TREAT", request_id="r-2")
    await records.read("Observation", town.theirs.id)
    assert await town.pool.fetchval("select client from trust.access where request = 'r-2'") == (
        "chart"
    )
    assert await town.rules("read") == ["treatment", "no-consent-on-file"]


async def test_an_event_names_the_rules_and_is_found_by_them(town: Town) -> None:
    await asking(town.guard, "doctor", "a").read("Observation", town.theirs.id)
    auditor = asking(town.guard, "audit_administrator", purpose="HSYSADMIN")
    for policy in ("treatment", "urn:quanmin:rule:treatment", "urn:quanmin:rule:treatment:1"):
        asked = query(town.guard, "AuditEvent", policy=policy, subtype="read")
        (event,) = (await auditor.search(asked)).matches
        agent = json.loads(event.body or b"{}")["agent"][0]
        assert agent["policy"] == [
            "urn:quanmin:rule:treatment:1",
            "urn:quanmin:rule:no-consent-on-file:1",
        ]
    for policy in ("treatment:2", "treat", "urn:quanmin:rule:own-person"):
        asked = query(town.guard, "AuditEvent", policy=policy, subtype="read")
        assert (await auditor.search(asked)).matches == ()


def test_rules_of_an_entry_are_told_in_words() -> None:
    english = sentences("treatment:1 no-consent-on-file:1", "en")
    assert english[0].startswith("Whoever treats a person")
    assert "no consent" in english[1]
    assert sentences("treatment:1", "zh")[0].startswith("诊疗期间")
    assert sentences("gone:3", "en") == ("gone:3",)
    assert sentences("treatment:0", "en")[0].endswith("(treatment:0)")
    assert sentences(None, "en") == ()
    own = msgspec.structs.replace(load_rules()[0], id="own-1", en="A rule of this node.")
    assert sentences("own-1:1 treatment:1", "en", (own, *load_rules()))[0] == "A rule of this node."
