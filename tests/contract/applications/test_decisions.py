"""The pages that explain decisions, over a real store."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from clinic import Browser, Clinic
from persons import asking, visit

from quanmin.trust import Actor
from quanmin.trust.registers.definitions import roles


@pytest.fixture
async def keeper(clinic: Clinic) -> Browser:
    await clinic.add(Actor("keeper", "security_administrator", "安全员", ""))
    await clinic.add(Actor("chen", "doctor", "陈医师", "hospital-a"))
    hospital = asking(clinic.guard, "institution", "hospital-a")
    await hospital.create("Encounter", visit(clinic.ids["hospital-a man"]))
    return await clinic.enter("keeper")


def question(clinic: Clinic, **more: str) -> dict[str, str]:
    record = f"Patient/{clinic.ids['hospital-b man']}"
    return {"who": "actor", "actor": "chen", "record": record, "purpose": "TREAT", **more}


async def test_a_security_administrator_is_told_why_and_why_not(
    clinic: Clinic, keeper: Browser
) -> None:
    await keeper.get("/decisions")
    answer = await keeper.send("/decisions/answer", **question(clinic, purpose="HRESCH"))
    assert "<strong>No.</strong>" in answer.text
    assert "Another institution sent the record: hospital-b." in answer.text
    assert "Stated for another purpose it would be seen" in answer.text
    yes = await keeper.send("/decisions/answer", **question(clinic))
    assert "<strong>Yes: the whole record.</strong>" in yes.text
    assert "treatment by Encounter/" in yes.text
    assert "张伟" not in yes.text
    chinese = await keeper.send("/decisions/answer", **question(clinic), lang="zh")
    assert "可查看记录全文" in chinese.text
    assert "诊疗关系" in chinese.text


async def test_an_answer_is_a_sheet_as_well(clinic: Clinic, keeper: Browser) -> None:
    await keeper.get("/decisions?lang=en")
    answer = await keeper.send("/decisions/answer", **question(clinic))
    states = re.findall(r'name="state" value="([^"]+)"', answer.text)
    csv = await keeper.send("/decisions/answer.csv", state=states[-1])
    rows = [line.split(",")[0] for line in csv.text.splitlines()[1:]]
    every = clinic.guard.deciding.rules
    reading = [rule.id for rule in every if rule.does & {"read", "look_up"}]
    assert [row for row in rows if row in reading] == reading


async def test_a_wrong_question_is_asked_again_with_what_was_sent(
    clinic: Clinic, keeper: Browser
) -> None:
    await keeper.get("/decisions")
    for changed, status in (
        ({"record": "Observation/none"}, 404),
        ({"record": "nothing"}, 422),
        ({"actor": ""}, 422),
        ({"actor": "nobody"}, 404),
        ({"moment": "soon"}, 422),
        ({"moment": "9999-12-31T23:59"}, 422),
        ({"purpose": "FUN"}, 422),
        ({"who": "role", "institution": "nowhere", "role": "doctor"}, 404),
    ):
        answer = await keeper.send("/decisions/answer", **question(clinic, **changed))
        assert answer.status_code == status, changed
        assert 'role="alert"' in answer.text
        assert 'value="chen"' in answer.text or changed.get("actor") is not None


async def test_a_moment_with_an_offset_is_that_moment(clinic: Clinic, keeper: Browser) -> None:
    """By the clock of the node it would be eight hours ago, when there was no record."""
    await keeper.get("/decisions")
    moment = datetime.fromtimestamp(clinic.guard.now() // 1_000_000, UTC).isoformat()
    answer = await keeper.send("/decisions/answer", **question(clinic, moment=moment))
    assert answer.status_code == 200
    bare = moment.removesuffix("+00:00")
    answer = await keeper.send("/decisions/answer", **question(clinic, moment=bare))
    assert answer.status_code == 404


async def test_accounts_are_found_and_residents_are_not(keeper: Browser) -> None:
    found = await keeper.get("/decisions?find=che")
    assert re.findall(r'href="/decisions\?actor=([^"]+)"', found.text) == ["chen"]
    assert "陈医师" not in found.text
    none = await keeper.get("/decisions?find=resid")
    assert "No account was found" in none.text


async def test_the_rules_and_the_matrix_are_listed(clinic: Clinic, keeper: Browser) -> None:
    rules, every = await keeper.get("/decisions/rules"), clinic.guard.deciding.rules
    assert all(rule.id in rules.text for rule in every)
    sheet = await keeper.get("/decisions/rules.csv?lang=en")
    assert len(sheet.text.splitlines()) == len(every) + 1
    matrix = await keeper.get("/decisions/matrix.csv?lang=en")
    rows = matrix.text.splitlines()[1:]
    assert rows
    assert all(role.en in row for role in roles().values() for row in rows)


async def test_nobody_else_is_told(clinic: Clinic, keeper: Browser) -> None:
    await clinic.add(Actor("auditor", "audit_administrator", "审计员", ""))
    auditor = await clinic.enter("auditor")
    assert (await auditor.get("/decisions/rules")).status_code == 200
    assert 'action="/decisions/answer"' not in (await auditor.get("/decisions")).text
    refused = await auditor.send("/decisions/answer", **question(clinic))
    assert refused.status_code == 403
    resident = await clinic.enter("resident")
    for path in ("/decisions", "/decisions/rules", "/decisions/matrix.csv"):
        assert (await resident.get(path)).status_code == 403
    for one in (auditor, resident, keeper):
        await one.client.aclose()
