"""A form on a page: opened from the records, filled in over several looks, kept, and sent."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clinic import Browser, Clinic
from questionnaires import (
    CORE,
    SDC,
    calculated,
    extension,
    initially,
    item,
    options,
    questionnaire,
    unit,
    variable,
    when,
)
from shelf import query_of
from starlette.applications import Starlette
from trial_form import page_of, trial_pages

from quanmin.fhir.json import decode
from quanmin.trust import Actor
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.questionnaires import (
    around,
    opened,
)
from quanmin.workflow.forms import Around, Form, compile_form
from quanmin.workflow.forms.filling import Filling

LOINC = "http://loinc.org"
TEMPLATE = {
    "resourceType": "Observation",
    "id": "pressure",
    "status": "final",
    "code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
    "subject": {
        "_reference": {
            "extension": [
                extension(f"{SDC}templateExtractValue", valueString="%resource.subject.reference")
            ]
        }
    },
    "valueQuantity": {
        "extension": [extension(f"{SDC}templateExtractValue", valueString="answer.value")]
    },
}
EXTRACTED = {
    "url": f"{SDC}templateExtract",
    "extension": [{"url": "template", "valueReference": {"reference": "#pressure"}}],
}
LAUNCH = {
    "url": f"{SDC}launchContext",
    "extension": [
        {"url": "name", "valueCoding": {"code": "patient"}},
        {"url": "type", "valueCode": "Patient"},
    ],
}
QUERY = {
    "url": f"{CORE}variable",
    "valueExpression": {
        "name": "visits",
        "language": "application/x-fhir-query",
        "expression": "Encounter?patient={{%patient.id}}&_count=5",
    },
}


def trial() -> Form:
    asked = questionnaire(
        item("born", "date", initially("%patient.birthDate"), readOnly=True, text="Born"),
        item("visits", "integer", initially("%visits.entry.count()"), readOnly=True, text="Visits"),
        item("systolic", "quantity", unit("mm[Hg]"), EXTRACTED, required=True, text="Systolic"),
        item("smokes", "boolean", text="Smokes"),
        item(
            "how-many",
            "integer",
            extension(f"{CORE}maxValue", valueInteger=200),
            text="How many a day",
            enableWhen=[when("smokes", answerBoolean=True)],
        ),
        item(
            "packs", "decimal", calculated("%cigarettes / 20"), readOnly=True, text="Packs a day",
            enableWhen=[when("smokes", answerBoolean=True)],
        ),
        item("ever", "integer", calculated("%visits.entry.count()"), readOnly=True, text="Ever"),
        item("doses", "decimal", repeats=True, text="Doses"),
        item("course", "choice", answerOption=options("better", "same", "worse"), text="Course"),
        item(
            "medicine",
            "group",
            repeats=True,
            text="Medicine",
            item=[item("name", text="Name"), item("taken", "boolean", text="Taken")],
        ),
        title="Trial",
        contained=[TEMPLATE],
        extension=[
            LAUNCH,
            QUERY,
            variable("cigarettes", "%resource.item.where(linkId='how-many').answer.value"),
        ],
    )  # fmt: skip
    return compile_form(asked)


FORM = trial()
HEAD = {"status": "in-progress"}


async def begun(visit: Visit, records: DeclaredRecords) -> Filling:
    patient = decode((await records.read("Patient", visit.path("id"))).body or b"")
    within = around(visit, patient=patient)
    subject = {"reference": f"Patient/{patient['id']}"}
    return await opened(records, FORM, within, {"subject": subject})


async def as_begun(_visit: Visit, _records: DeclaredRecords, begun: Filling) -> Around:
    return begun.around


@pytest.fixture
def pages(clinic: Clinic, tmp_path: Path) -> Starlette:
    fill_in = page_of(FORM, as_begun, begin=begun)
    reads, writes = frozenset({"Encounter"}), frozenset({"Observation"})
    return trial_pages(clinic, tmp_path, fill_in, reads=reads, writes=writes)


@pytest.fixture
async def browser(clinic: Clinic, pages: Starlette) -> Browser:
    return await clinic.enter("hospital-a", pages)


def values(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input id="([^"]+)" name="[^"]+"[^>]*?value="([^"]*)"', html))


async def stored(clinic: Clinic, type_: str) -> list[dict[str, Any]]:
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    return [decode(hit.body or b"") for hit in (await records.search(query_of(type_))).matches]


async def test_a_form_opens_with_what_the_records_hold(clinic: Clinic, browser: Browser) -> None:
    answer = await browser.get(f"/trial/{clinic.ids['hospital-a Patient']}?lang=en")
    assert answer.status_code == 200
    assert "<h1>Trial</h1>" in answer.text
    assert re.search(r"<dt>Born</dt>\s*<dd>\d{4}-\d\d-\d\d</dd>", answer.text)
    assert "How many a day" not in answer.text


async def test_looking_again_shows_what_follows_and_keeps_what_was_typed(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    sent = {"systolic": "abc", "smokes": "true", "do": "look", "how-many": "30"}
    answer = await browser.send(where, **sent)
    assert answer.status_code == 200
    assert values(answer.text)["systolic"] == "abc"
    assert values(answer.text)["how-many"] == "30"
    assert re.search(r"<dd>1\.5</dd>", answer.text)


async def test_groups_are_added_and_taken_away(clinic: Clinic, browser: Browser) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    answer = await browser.send(where, **{"medicine.0/name": "a", "do": "add medicine"})
    assert values(answer.text)["medicine.0/name"] == "a"
    assert values(answer.text)["medicine.1/name"] == ""
    named = {"medicine.0/name": "a", "medicine.1/name": "b", "medicine.2/name": "c"}
    answer = await browser.send(where, **named, do="drop medicine.1")
    found = values(answer.text)
    assert (found["medicine.0/name"], found["medicine.1/name"]) == ("a", "c")
    assert "medicine.2/name" not in found


async def test_each_of_several_answers_has_a_box_of_its_own(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    sent: dict[str, Any] = {"doses": ["0.0000001", "0", "many"], "systolic": "0", "do": "look"}
    found = values((await browser.send(where, **sent)).text)
    boxes = ["doses", "doses~2", "doses~3", "doses~4"]
    assert [found.get(name) for name in boxes] == ["0.0000001", "0", "many", ""]
    assert found["systolic"] == "0"
    sent |= {"doses": ["0.0000001", "2", ""], "do": "send"}
    answer = await browser.send(where, **sent)
    assert answer.status_code == 303, answer.text
    (response,) = await stored(clinic, "QuestionnaireResponse")
    (doses,) = [one["answer"] for one in response["item"] if one["linkId"] == "doses"]
    assert [one["valueDecimal"] for one in doses] == [Decimal("0.0000001"), 2]


async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_stored(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    answer = await browser.send(where, **{"smokes": "true", "how-many": "201", "do": "send"})
    assert answer.status_code == 422
    assert '<a href="#systolic">' in answer.text
    assert re.search(r'id="fault-how-many">\s*At most 200\.', answer.text)
    assert await stored(clinic, "QuestionnaireResponse") == []


async def test_what_is_sent_is_stored_with_what_is_made_of_it_in_one_transaction(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    sent = {"systolic": "152", "course": "urn:test|same", "do": "send"}
    assert (await browser.send(where, **sent)).status_code == 303
    (response,) = await stored(clinic, "QuestionnaireResponse")
    assert response["status"] == "completed"
    assert response["questionnaire"] == "http://example.org/form|1"
    made = [one for one in await stored(clinic, "Observation") if "valueQuantity" in one
            and one["code"]["coding"][0]["code"] == "8480-6"]  # fmt: skip
    assert [one["valueQuantity"]["value"] for one in made] == [152]


@pytest.mark.parametrize(
    "button",
    ["erase", "drop medicine", "drop medicine.x", f"drop medicine.{'9' * 5000}", "add", ""],
)
async def test_no_button_breaks_the_page(clinic: Clinic, browser: Browser, button: str) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    assert (await browser.send(where, do=button)).status_code in {200, 400, 422}


async def test_a_form_of_too_many_fields_is_refused(clinic: Clinic, browser: Browser) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    many = {f"f{n}": "x" for n in range(2001)}
    assert (await browser.send(where, **many)).status_code == 400
