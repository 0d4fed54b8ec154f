"""Who prescribed, vaccinated or certified is held to the licences of that day, whoever sends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from books import (
    CODE,
    OTHER,
    Books,
    as_,
    organization,
    practice,
    practitioner,
    qualification,
)
from stores import START, bundle, open_context, open_guard, post

from quanmin.base.problems import Forbidden, Invalid
from quanmin.trust import GuardedRecords

TODAY, YESTERDAY, TOMORROW = "2026-09-21", "2026-09-20", "2026-09-22"  # START is on the 21st
BIRTH = {"coding": [{"system": "http://loinc.org", "code": "71230-7"}]}


@pytest.fixture
def books(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Books:
    return Books(open_guard(pool, open_context(tmp_path)), pool)


def prescription(author: str, day: str | None = None) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "Metformin"},
        "subject": {"display": "somebody"},
        "requester": {"reference": author},
        **({} if day is None else {"authoredOn": day}),
    }


async def doctor(books: Books, *licences: dict[str, Any], **place: Any) -> str:
    """The id of a Practitioner who practises at the hospital."""
    home = await books.enter(organization())
    person = await books.enter(practitioner(*licences))
    await books.enter(practice(person, home, **place))
    return person


def hospital(books: Books) -> GuardedRecords:
    """The hospital's own system, which answers to nobody's post."""
    return as_(books.guard, "institution", f"sender-{CODE}")


async def send(records: GuardedRecords, body: dict[str, Any]) -> str:
    written = await records.create(body["resourceType"], json.dumps(body).encode())
    return written.stored.id


@pytest.mark.parametrize(
    ("licence", "day", "holds"),
    [
        (qualification("physician", "clinical"), None, True),
        (qualification("physician", "clinical", end=YESTERDAY), None, False),
        (qualification("physician", "clinical", end=YESTERDAY), YESTERDAY, True),
        (qualification("physician", "clinical", end=YESTERDAY), TODAY, False),
        (qualification("physician", "clinical", end=TODAY), None, True),
        (qualification("physician", "clinical", start=TODAY), YESTERDAY, False),
        (qualification("physician", "clinical", start=TODAY), TODAY, True),
        (qualification("physician", "clinical", start=TOMORROW), None, False),
        (qualification("physician", "clinical", state="suspended"), None, False),
        (qualification("physician", "public_health"), None, False),
        (qualification("nurse", None), None, False),
    ],
)
async def test_a_prescription_needs_the_licence_of_its_day(
    books: Books, licence: dict[str, Any], day: str | None, *, holds: bool
) -> None:
    person = await doctor(books, licence)
    body = prescription(f"Practitioner/{person}", day)
    if holds:
        assert await send(hospital(books), body)
        return
    with pytest.raises(Invalid) as refused:
        await send(hospital(books), body)
    (issue,) = refused.value.issues
    assert issue.expression == "MedicationRequest.requester"
    assert "needs a licence in force of the kind physician" in issue.text
    assert "李" not in issue.text


async def test_a_role_of_the_register_names_its_practitioner(books: Books) -> None:
    home = await books.enter(organization())
    person = await books.enter(practitioner(qualification("nurse", None)))
    role = await books.enter(practice(person, home))
    with pytest.raises(Invalid, match="licence"):
        await send(hospital(books), prescription(f"PractitionerRole/{role}"))


async def test_practice_at_several_places_holds_at_each_and_nowhere_else(books: Books) -> None:
    person = await doctor(books, qualification("physician", "clinical"))
    second = await books.enter(organization(OTHER))
    elsewhere = as_(books.guard, "institution", f"sender-{OTHER}")
    body = prescription(f"Practitioner/{person}")
    with pytest.raises(Invalid, match="licence"):
        await send(elsewhere, body)
    role = await books.enter(practice(person, second, period={"start": YESTERDAY}))
    assert await send(elsewhere, body)
    await books.change(role, practice(person, second, active=False))
    with pytest.raises(Invalid, match="licence"):
        await send(elsewhere, body)
    # What was prescribed while it held is not wrong afterwards.
    assert await send(elsewhere, prescription(f"Practitioner/{person}", YESTERDAY))


async def test_whom_the_register_does_not_know_is_not_judged(books: Books) -> None:
    await doctor(books, qualification("nurse", None))
    desk = hospital(books)
    own = await send(desk, practitioner())
    assert await send(desk, prescription(f"Practitioner/{own}"))


async def test_a_transaction_is_refused_as_a_whole_and_says_which_entry(books: Books) -> None:
    person = await doctor(books, qualification("nurse", None))
    good, bad = prescription("Practitioner/unknown"), prescription(f"Practitioner/{person}")
    entries = [post(json.dumps(one).encode()) for one in (good, bad)]
    with pytest.raises(Invalid, match="licence"):
        await hospital(books).bundle(bundle("transaction", *entries))
    assert await books.pool.fetchval("select count(*) from records.record where type = 1") == 0
    said = await hospital(books).validating.creation("MedicationRequest", json.dumps(bad).encode())
    assert [issue.expression for issue in said] == ["MedicationRequest.requester"]


@pytest.mark.parametrize(("kind", "may"), [("midwifery", True), ("physician", False)])
async def test_a_certificate_of_birth_needs_the_licence_and_another_document_none(
    books: Books, kind: str, *, may: bool
) -> None:
    scope = "clinical" if kind == "physician" else None
    licences = [qualification(kind, scope)]
    if kind != "physician":
        licences.append(qualification("physician", "clinical"))
    person = await doctor(books, *licences)
    await books.actor("li", "doctor")
    await books.appoint("li", practitioner_id=person)
    certificate = {
        "resourceType": "Composition",
        "status": "final",
        "type": BIRTH,
        "date": TODAY,
        "title": "出生医学证明",
        "author": [{"reference": f"Practitioner/{person}"}],
    }
    letter = {**certificate, "type": {"text": "letter"}}
    for records, refusal in (
        (hospital(books), Invalid),
        (as_(books.guard, "doctor", f"sender-{CODE}", "li"), Forbidden),
    ):
        assert await send(records, letter)
        if may:
            assert await send(records, certificate)
        else:
            with pytest.raises((refusal, Invalid), match=r"certify a birth|licence"):
                await send(records, certificate)


async def test_what_a_licence_was_stays_with_its_end(books: Books) -> None:
    person = await doctor(books, qualification("physician", "clinical"))
    await books.change(person, practitioner())
    with pytest.raises(Invalid):
        await send(hospital(books), prescription(f"Practitioner/{person}"))
    assert await send(hospital(books), prescription(f"Practitioner/{person}", YESTERDAY))
    until = await books.pool.fetchval("select until from trust.licence")
    assert START < until < START + 3_600_000_000


@pytest.mark.parametrize(
    "later",
    [
        qualification("physician", "clinical", state="suspended"),
        qualification("physician", "public_health"),
        qualification("physician", "clinical", end=TODAY, state="revoked"),
    ],
    ids=["suspended", "another scope", "revoked and ended"],
)
async def test_what_a_licence_was_before_its_state_or_scope_changed_stands(
    books: Books, later: dict[str, Any]
) -> None:
    person = await doctor(books, qualification("physician", "clinical"))
    await books.change(person, practitioner(later))
    with pytest.raises(Invalid):
        await send(hospital(books), prescription(f"Practitioner/{person}"))
    assert await send(hospital(books), prescription(f"Practitioner/{person}", YESTERDAY))
    again = practitioner(qualification("physician", "clinical"))
    await books.change(person, again)
    assert await send(hospital(books), prescription(f"Practitioner/{person}"))
    rows = await books.pool.fetch(
        "select state, scopes, since, until from trust.licence order by 3"
    )
    assert len(rows) == 3
    assert [row["until"] for row in rows[:2]] == [row["since"] for row in rows[1:]]


async def test_one_of_two_licences_of_a_kind_ends_and_a_period_is_corrected(books: Books) -> None:
    first = qualification("physician", "clinical", "2020-01-01")
    second = qualification("physician", "public_health", "2021-01-01")
    person = await doctor(books, first, second)
    await books.change(person, practitioner(second))
    with pytest.raises(Invalid):
        await send(hospital(books), prescription(f"Practitioner/{person}"))
    assert await send(hospital(books), prescription(f"Practitioner/{person}", YESTERDAY))
    corrected = qualification("physician", "public_health", "2022-01-01")
    await books.change(person, practitioner(corrected))
    assert await books.pool.fetchval("select count(*) from trust.licence where until > $1", START)


async def test_of_a_sender_outside_the_register_the_place_is_not_judged(books: Books) -> None:
    licence = qualification("assistant_physician", "clinical")
    person = await doctor(books, licence)
    body = prescription(f"Practitioner/{person}")
    with pytest.raises(Invalid):
        await send(hospital(books), body)  # of a county: assistants do not prescribe alone there
    assert await send(as_(books.guard, "institution", "platform"), body)
