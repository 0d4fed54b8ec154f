"""Why somebody can or cannot see something: the answer is the guard's, now and as it was then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from books import CODE, Books, organization
from persons import asking, consent, is_seen, registered, result, to_institution, visit
from stores import open_context, open_guard

from quanmin.base.problems import Forbidden, Invalid, NotFound
from quanmin.records.model import Stored
from quanmin.trust import Actor, Guard
from quanmin.trust.actors import Actors
from quanmin.trust.decisions import Asked, Decisions, Explained
from quanmin.trust.emergencies import Emergencies

HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}


class Town:
    """One person at hospitals a and b; b has sent a result and one of HIV."""

    def __init__(self, guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.guard, self.pool = guard, pool
        self.here: Stored
        self.there: Stored
        self.theirs: Stored
        self.secret: Stored

    async def settle(self) -> Town:
        self.here, self.there = await registered(self.guard, "a"), await registered(self.guard, "b")
        self.theirs = await result(self.guard, "b", self.there.id)
        self.secret = await result(self.guard, "b", self.there.id, meta={"security": [HIV]})
        for hospital in ("a", "b", "c"):
            await self.guard.store.sender(hospital)
        return self

    async def why(
        self,
        who: str,
        hospital: str,
        record: Stored,
        purpose: str = "TREAT",
        moment: int | None = None,
    ) -> Explained:
        named = f"{record.type}/{record.id}"
        asked = Asked(record=named, purpose=purpose, institution=hospital, role=who, moment=moment)
        desk = asking(self.guard, "security_administrator").desk(Decisions)
        return await desk.explain(asked)

    async def says(self, **provision: Any) -> Stored:
        person = str(await self.pool.fetchval("select person from people.link limit 1"))
        resident = asking(self.guard, "resident", person=person, purpose="PATRQT")
        body = json.dumps(consent(self.here.id, **provision)).encode()
        return (await resident.create("Consent", body)).stored


@pytest.fixture
async def town(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Town:
    return await Town(open_guard(pool, open_context(tmp_path)), pool).settle()


def verdicts(explained: Explained) -> dict[str, str]:
    return {step.rule.id: step.verdict for step in explained.answer.steps}


def changes(explained: Explained) -> set[str]:
    return {finding.code for finding in explained.answer.changes}


async def test_the_answer_is_that_of_the_guard_whoever_asks(town: Town) -> None:
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    await town.says(type="permit", actor=to_institution("c"))
    seen = 0
    for role in ("doctor", "nurse", "institution", "supervisor", "researcher"):
        for hospital in ("a", "b", "c"):
            for purpose in ("TREAT", "BTG", "HRESCH"):
                asker = asking(town.guard, role, hospital, purpose=purpose)
                for record in (town.theirs, town.secret):
                    said = await town.why(role, hospital, record, purpose)
                    assert (said.answer.seen == "whole") is await is_seen(asker, record)
                    seen += said.answer.seen == "whole"
    assert 5 < seen < 60


async def test_what_would_turn_the_answer_turns_it(town: Town) -> None:
    no = await town.why("doctor", "a", town.theirs)
    assert no.answer.seen == "no"
    assert changes(no) == {"treats", "permit", "glass"}
    assert verdicts(no)["treatment"] == "not-met"
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    yes = await town.why("doctor", "a", town.theirs)
    assert (yes.answer.seen, changes(yes)) == ("whole", {"refuse", "untreated"})
    await town.says(type="deny")
    refused = await town.why("doctor", "a", town.theirs)
    assert changes(refused) == {"lifted", "permit", "glass"}
    assert (verdicts(refused)["treatment"], verdicts(refused)["refused"]) == (
        "overridden",
        "forbids",
    )
    secret = await town.why("doctor", "a", town.secret)
    assert changes(secret) == {"permit-kind"}
    other = await town.why("doctor", "a", town.theirs, "HMARKT")
    assert "purpose" not in changes(other)
    nobody = await town.why("supervisor", "a", town.theirs)
    assert changes(nobody) == {"nothing"}


async def test_a_past_moment_is_answered_as_it_was(town: Town) -> None:
    before = town.guard.now()
    visited = await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    treated = town.guard.now()
    refusal = await town.says(type="deny")
    refused = town.guard.now()
    person = str(await town.pool.fetchval("select person from people.link limit 1"))
    resident = asking(town.guard, "resident", person=person, purpose="PATRQT")
    await resident.delete("Consent", refusal.id)
    lifted = town.guard.now()
    await asking(town.guard, "institution", "a").delete("Encounter", visited.stored.id)
    answers = {}
    for name, moment in (
        ("before", before),
        ("treated", treated),
        ("refused", refused),
        ("lifted", lifted),
        ("now", None),
    ):
        answers[name] = (await town.why("doctor", "a", town.theirs, moment=moment)).answer.seen
    assert answers == {
        "before": "no",
        "treated": "whole",
        "refused": "no",
        "lifted": "whole",
        "now": "no",
    }
    with pytest.raises(NotFound, match="none at that moment"):
        await town.why("doctor", "a", town.theirs, moment=town.here.updated - 1)
    with pytest.raises(Invalid, match="nobody knows"):
        await town.why("doctor", "a", town.theirs, moment=town.guard.now() + 10**9)


async def test_now_and_a_moment_ago_agree_on_all_that_is_granted(town: Town) -> None:
    await asking(town.guard, "institution", "a").create("Encounter", visit(town.here.id))
    await town.says(type="permit", actor=to_institution("c"), securityLabel=[HIV])
    doctor = asking(town.guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(town.there.id, "unconscious after a fall")
    for role, hospital, purpose in (
        ("doctor", "a", "TREAT"),
        ("institution", "c", "TREAT"),
        ("doctor", "c", "BTG"),
    ):
        for record in (town.theirs, town.secret):
            now = await town.why(role, hospital, record, purpose)
            then = await town.why(role, hospital, record, purpose, moment=town.guard.now())
            assert now.answer.seen == then.answer.seen
            assert verdicts(now) == verdicts(then)


async def test_a_post_and_a_licence_are_asked_of_the_moment(
    pool: asyncpg.Pool[asyncpg.Record], town: Town
) -> None:
    books = Books(town.guard, pool)
    await books.enter(organization())
    await Actors(pool).enrol(Actor("li", "doctor", "Li", CODE))
    desk = asking(town.guard, "security_administrator").desk(Decisions)
    asked = Asked(record=f"Observation/{town.theirs.id}", purpose="TREAT", actor="li")
    assert (await desk.explain(asked)).answer.obstacles == ()
    await pool.execute("update trust.actor set is_active = false where code = 'li'")
    (obstacle,) = (await desk.explain(asked)).answer.obstacles
    assert obstacle.code == "inactive"
    found = await desk.subjects(CODE[:18], 10)
    assert [one.code for one in found] == ["li"]
    assert await desk.subjects("%", 10) == []


async def test_the_person_themselves_and_an_application_are_asked_about(town: Town) -> None:
    desk = asking(town.guard, "security_administrator").desk(Decisions)
    record = f"Observation/{town.secret.id}"
    asked = Asked(record=record, purpose="PATRQT", is_self=True)
    assert (await desk.explain(asked)).answer.seen == "whole"
    await town.pool.execute(
        "insert into trust.client (code, name, grants, scopes, registered)"
        " values ('chart', 'Chart', '{client_credentials}', 'system/Patient.rs', 0)"
    )
    through = Asked(
        record=record, purpose="TREAT", institution="b", role="institution", client="chart"
    )
    explained = await desk.explain(through)
    assert [one.code for one in explained.answer.obstacles] == ["scopes"]
    assert (await desk.explain(msgspec.structs.replace(through, client=""))).answer.seen == "whole"


async def test_it_is_logged_and_for_nobody_else(town: Town) -> None:
    named = f"Observation/{town.theirs.id}"
    asked = Asked(record=named, purpose="TREAT", institution="a", role="doctor")
    for role in ("institution", "doctor", "system_administrator", "audit_administrator"):
        with pytest.raises(Forbidden):
            await asking(town.guard, role, "a").desk(Decisions).explain(asked)
    explained = await town.why("doctor", "a", town.theirs)
    rows = await town.pool.fetch(
        "select outcome, records, patients from trust.access where action = 'explain-decision'"
        " order by at"
    )
    assert [row["outcome"] for row in rows] == ["forbidden"] * 4 + ["ok"]
    assert (rows[-1]["records"], rows[-1]["patients"]) == ([town.theirs.rid], [town.there.rid])
    text = str(explained)
    body = json.loads(town.theirs.body or b"{}")
    assert body["code"]["coding"][0]["code"] not in text


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"record": "Observation/none"}, NotFound),
        ({"record": "Nothing/1"}, Invalid),
        ({"record": "Observation"}, Invalid),
        ({"record": "Observation/' or 1=1"}, NotFound),
        ({"purpose": "FUN"}, Invalid),
        ({"role": "wizard"}, Invalid),
        ({"institution": "nowhere"}, NotFound),
        ({"actor": "nobody"}, NotFound),
        ({"client": "none"}, NotFound),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(
    town: Town, changed: dict[str, str], problem: type[Exception]
) -> None:
    asked = Asked(
        record=f"Observation/{town.theirs.id}", purpose="TREAT", institution="a", role="doctor"
    )
    desk = asking(town.guard, "security_administrator").desk(Decisions)
    with pytest.raises(problem):
        await desk.explain(msgspec.structs.replace(asked, **changed))
