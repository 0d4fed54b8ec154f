"""Codes that people choose by typing: found on the page, chosen, kept, and checked when sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from clinic import Browser, Clinic
from questionnaires import CORE, extension, item, questionnaire
from shelf import query_of
from starlette.applications import Starlette
from trial_form import page_of, trial_pages
from vocabulary import concept, system

from quanmin.fhir.json import decode
from quanmin.trust import Actor
from quanmin.web.page_settings import PageSettings
from quanmin.web.pickers import with_codes
from quanmin.workflow.forms import compile_form

ICD, DRUGS, TINY = (f"http://node.test/CodeSystem/{name}" for name in ("icd", "drugs", "tiny"))
SEARCHED = extension(
    f"{CORE}questionnaire-itemControl",
    valueCodeableConcept={"coding": [{"code": "autocomplete"}]},
)


def _all_of(url: str, id_: str) -> dict[str, Any]:
    compose = {"include": [{"system": url}]}
    return {"resourceType": "ValueSet", "id": id_, "status": "active", "compose": compose}


FORM = compile_form(
    questionnaire(
        item("diagnosis", "choice", required=True, text="Diagnosis", answerValueSet="#icd"),
        item("others", "choice", repeats=True, text="Others", answerValueSet="#icd"),
        item("size", "choice", text="Size", answerValueSet="#tiny"),
        item("nowhere", "choice", text="Nowhere", answerValueSet="http://node.test/ValueSet/none"),
        item(
            "medicine",
            "group",
            repeats=True,
            text="Medicine",
            item=[
                item("name", "open-choice", SEARCHED, text="Name", maxLength=20,
                     answerValueSet="http://node.test/ValueSet/drugs"),
                item("times", "integer", text="Times"),
            ],
        ),
        title="Trial",
        contained=[_all_of(ICD, "icd"), _all_of(TINY, "tiny")],
    )
)  # fmt: skip


@pytest.fixture
def pages(clinic: Clinic, tmp_path: Path) -> Starlette:
    limits = PageSettings(codes_listed_max=3, codes_found_max=4)
    return trial_pages(clinic, tmp_path, page_of(FORM, with_codes), limits=limits)


@pytest.fixture
async def browser(clinic: Clinic, pages: Starlette) -> Browser:
    english = {"language": "en", "value": "Essential hypertension"}
    pneumonia = [concept(f"J18.{n}", f"肺炎第{n}型") for n in range(9)]
    icd = system(
        ICD,
        concept("I10", "原发性高血压", designation=[english]),
        concept("I11", "高血压性心脏病"),
        concept("J18", "肺炎", *pneumonia, property=[_prop("notSelectable")]),
        concept("Z99", "旧码", property=[_prop("inactive")]),
    )
    drugs = system(DRUGS, concept("C08CA05", "硝苯地平片"), concept("N02BE01", "对乙酰氨基酚片"))
    tiny = system(TINY, concept("s", "小"), concept("l", "大"))
    named = _all_of(DRUGS, "x") | {"url": "http://node.test/ValueSet/drugs"}
    actor = Actor("centre", "operator", "c", "centre")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    for one in (icd, drugs, tiny, named):
        await records.create(one["resourceType"], json.dumps(one).encode())
    return await clinic.enter("hospital-a", pages)


def _prop(code: str) -> dict[str, Any]:
    return {"code": code, "valueBoolean": True}


async def stored(clinic: Clinic) -> list[dict[str, Any]]:
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    found = await records.search(query_of("QuestionnaireResponse"))
    return [decode(hit.body or b"") for hit in found.matches]


def offered(html: str, key: str) -> list[str]:
    """What may be chosen of a question, and with a mark what is chosen."""
    inputs = re.findall(rf'<input name="{re.escape(key)}" value="([^"]*)"([^>]*)>', html)
    return [value + ("*" if "checked" in more else "") for value, more in inputs if value]


def fault(html: str, key: str) -> str:
    found = re.search(rf'id="fault-{re.escape(key)}">\s*([^<]*?)\s*</p>', html)
    return found[1] if found else ""


FOUND = {
    "I1": ["I10", "I11"],
    "i10": ["I10"],
    "高血压": ["I11", "I10"],  # what begins so comes first
    "原发 高血压": ["I10"],
    "yfxgxy": ["I10"],
    "gaoxueya": ["I10", "I11"],
    "hypertension": ["I10"],
    "J18": ["J18.0", "J18.1", "J18.2", "J18.3"],
    "旧码": [],
    "%_' or 1=1 --": [],
    "": [],
}


async def test_what_is_typed_finds_codes_on_the_same_page_without_a_script(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    for words, found in FOUND.items():
        sent = {"diagnosis~find": words, "medicine.0/times": "3", "do": "find diagnosis"}
        answer = await browser.send(where, **sent)
        assert answer.status_code == 200
        assert offered(answer.text, "diagnosis") == [f"{ICD}|{code}" for code in found], words
        assert re.search(r'name="medicine.0/times"[^>]*value="3"', answer.text)
        assert "autofocus" in answer.text


async def test_a_chosen_code_is_stored_as_the_value_set_has_it(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    picked = {"diagnosis": f"{ICD}|I10", "diagnosis~find": "高血压", "diagnosis~found": "高血压"}
    page_ = await browser.send(where, **picked, do="look")
    assert offered(page_.text, "diagnosis") == [f"{ICD}|I10*", f"{ICD}|I11"]
    assert "I10 Essential hypertension" in page_.text
    assert (await browser.send(where, **picked, do="send")).status_code == 303
    (response,) = await stored(clinic)
    coding = {"system": ICD, "code": "I10", "display": "原发性高血压"}
    assert response["item"][0]["answer"] == [{"valueCoding": coding}]


async def test_more_of_what_is_found_follows_behind_it(clinic: Clinic, browser: Browser) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    seen: list[str] = []
    sent = {"diagnosis~find": "肺炎", "do": "find diagnosis"}
    for _ in range(4):
        text = (await browser.send(where, **sent)).text
        seen += offered(text, "diagnosis")
        more = re.search(r'value="(more diagnosis [^"]+)"', text)
        if more is None:
            break
        start = re.search(r'name="diagnosis~from" value="([^"]*)"', text)
        sent = {"diagnosis~find": "肺炎", "diagnosis~found": "肺炎", "do": more[1],
                "diagnosis~from": start[1] if start else ""}  # fmt: skip
    assert seen == [f"{ICD}|J18.{n}" for n in range(9)]
    assert (await browser.send(where, **{**sent, "do": "more diagnosis x"})).status_code == 400


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"diagnosis": f"{ICD}|I99"}, "The code I99 is not one of the list: look for another."),
    ({"diagnosis": f"{ICD}|J18"}, "The code J18 is not one of the list: look for another."),
    ({"diagnosis": "urn:other|I10"}, "The code I10 is not one of the list: look for another."),
    ({"diagnosis~find": "高血压"}, "Choose one of what is found, or empty the box."),
    ({"diagnosis": f"{ICD}|I10", "diagnosis~find": "肺"}, "Choose one of what is found"),
    ({"diagnosis": "~words"}, "Choose one of what is found, or empty the box."),
    ({}, "Fill this in."),
]


async def test_what_is_not_in_the_value_set_is_told_and_nothing_is_stored(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    for sent, said in REFUSED:
        answer = await browser.send(where, **sent, do="send")
        assert answer.status_code == 422
        assert said in fault(answer.text, "diagnosis"), sent
    assert await stored(clinic) == []


async def test_a_code_or_a_whole_name_needs_no_choosing(clinic: Clinic, browser: Browser) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    sent = {"diagnosis~find": "i10", "others": f"{ICD}|J18.1", "others~find": "高血压性心脏病"}
    assert (await browser.send(where, **sent, do="send")).status_code == 303
    (response,) = await stored(clinic)
    codes = [[one["valueCoding"]["code"] for one in two["answer"]] for two in response["item"]]
    assert codes == [["I10"], ["J18.1", "I11"]]


async def test_an_open_choice_takes_a_code_or_other_words_and_a_draft_keeps_both(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    sent = {"medicine.0/name~find": "c08ca05", "medicine.1/": "",
            "medicine.1/name~find": "本地草药"}  # fmt: skip
    assert (await browser.send(where, **sent, do="draft")).status_code == 303
    await browser.get(where)
    kept = (await browser.send(where, do="resume")).text
    assert 'value="c08ca05"' in kept
    assert 'value="本地草药"' in kept
    again = {"diagnosis~find": "I10", "medicine.0/name": f"{DRUGS}|C08CA05",
             "medicine.1/name": "~本地草药", "medicine.2/name": "别的"}  # fmt: skip
    assert (await browser.send(where, **again, do="send")).status_code == 303
    (response,) = await stored(clinic)
    names = [one["item"][0]["answer"][0] for one in response["item"][1:]]
    assert [next(iter(one)) for one in names] == ["valueCoding", "valueString", "valueString"]
    long = await browser.send(where, **{"medicine.0/name~find": "草" * 21}, do="send")
    assert fault(long.text, "medicine.0/name") == "At most 20 characters."


async def test_taking_a_group_away_keeps_what_was_typed_in_the_others(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    sent = {"medicine.0/name~find": "硝苯", "medicine.1/name~find": "氨基酚"}
    text = (await browser.send(where, **sent, do="drop medicine.0")).text
    assert (
        'name="medicine.0/name~find" type="text" autocomplete="off"\n      value="氨基酚"' in text
    )
    assert offered(text, "medicine.0/name") == [f"{DRUGS}|N02BE01", "~氨基酚"]
    assert "medicine.1/name" not in text


async def test_few_codes_are_listed_and_a_list_that_is_not_here_is_told_of(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    text = (await browser.get(where)).text
    assert offered(text, "size") == [f"{TINY}|s", f"{TINY}|l"]
    assert "size~find" not in text
    sent = {"diagnosis~find": "I10", "nowhere~find": "x", "size": f"{TINY}|s"}
    answer = await browser.send(where, **sent, do="send")
    assert "The list of codes is not on this node" in fault(answer.text, "nowhere")
    assert answer.status_code == 422


async def test_the_script_is_told_what_the_page_would_list_and_nothing_else(
    clinic: Clinic, browser: Browser, pages: Starlette
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    page_ = await browser.get(where)
    source = re.findall(r'data-codes="([^"]+)"', page_.text)
    assert "script-src 'self'" in page_.headers["content-security-policy"]
    answer = await browser.send("/codes", of=source[0], words="高血压")
    assert answer.json() == {
        "listed": [
            {"value": f"{ICD}|I11", "words": "I11 高血压性心脏病"},
            {"value": f"{ICD}|I10", "words": "I10 Essential hypertension"},
        ],
        "after": "",
        "said": "2 found.",
    }
    first = (await browser.send("/codes", of=source[0], words="肺炎")).json()
    second = await browser.send("/codes", of=source[0], words="肺炎", after=first["after"])
    assert [one["words"][:5] for one in second.json()["listed"]] == [
        f"J18.{n}" for n in (4, 5, 6, 7)
    ]
    open_ = (await browser.send("/codes", of=source[-1], words="草药")).json()
    assert open_["listed"] == [{"value": "~草药", "words": "As typed: 草药"}]
    for fields in ({"of": "x"}, {"of": source[0], "after": "x"}, {"of": source[0], "token": "x"}):
        assert (await browser.send("/codes", **fields, words="x")).status_code == 400
    other = await clinic.enter("hospital-b", pages)
    await other.get("/account")
    assert (await other.send("/codes", of=source[0], words="x")).status_code == 400
