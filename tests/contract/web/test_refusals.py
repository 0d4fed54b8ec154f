"""What the packages beneath the pages refuse is told on a Chinese page in Chinese, whole."""

from __future__ import annotations

import html
import importlib
import re
from pathlib import Path

import pytest
from clinic import Browser, Clinic

from quanmin.fhir.validation import validate
from quanmin.web.application import discover
from quanmin.web.languages import KIT, KIT_FOLDER, Words

_CODE = """
from quanmin.terminology import Canonical, TermLimits
from quanmin.web import Access, Application, Text, page

STAFF = Access(frozenset({"operator"}))

@page("/asking", access=STAFF)
async def asking(visit, records):
    if type_ := visit.asked("read"):
        await records.version(type_, visit.asked("id"), int(visit.asked("version")))
    if url := visit.asked("codes"):
        async with records.terminology(TermLimits()) as terms:
            await terms.entry("ValueSet", Canonical(url))
    asked = ((visit.asked("name"), visit.asked("value")),) if visit.asked("name") else ()
    await records.find("Patient", *asked, count=1, cursor=visit.asked("from") or None)

APPLICATION = Application(
    name="asking", title=Text(zh="试用", en="Trial"), summary=Text(zh="试用", en="Trial"),
    section="care", home="/asking", levels=frozenset({"county"}), roles=frozenset({"operator"}),
    reads=frozenset({"Patient"}), pages=(asking,),
)
"""
_ENTRY = 'source = "a"\nowner = "b"\nversion = "1"\neffective = 2026-11-23\npart_of = "care"\n'
_WRONG = b"""{
    "resourceType": "Observation", "status": "done", "colour": 1, "subject": {"reference": "a b"},
    "code": {"coding": []}, "issued": "today", "effectiveDateTime": "2026-02-30", "category": {},
    "valueInteger": 1.5, "valueString": "", "note": [], "device": {"reference": "Patient/1"},
    "text": {"status": "generated", "div": "<p>1</p>"}, "interpretation": [null], "bodySite": 5,
    "contained": [{"resourceType": "Patient"}, {"resourceType": "Person", "id": "x"}, {}],
    "referenceRange": [{"low": {"value": "1"}}, {}], "focus": [{"reference": "#y"}],
    "basedOn": [{"reference": "Nothing/1"}], "performer": {"reference": "Patient?name=x"}
}"""
_ENGLISH = re.compile(r"\b[A-Za-z]{2,} (?:[a-z]{2,} )+[a-z]{2,}\b")


@pytest.fixture
async def browser(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Browser:
    folder = tmp_path / "refusing" / "asking"
    (folder / "definitions").mkdir(parents=True)
    for file, text in (
        ("../__init__.py", ""),
        ("__init__.py", ""),
        ("application.py", _CODE),
        ("definitions/activity.toml", _ENTRY),
    ):
        (folder / file).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return await clinic.enter("centre", clinic.pages(installed=discover("refusing")))


def exact_words(page: str) -> list[str]:
    """What stands under *In exact words*."""
    told = re.findall("<li>(.*?)</li>", page.partition("<details")[2])
    return [html.unescape(re.sub("</?span[^>]*>", "", one)) for one in told]


async def test_what_search_store_and_terminology_refuse_is_told_in_the_language_of_the_page(
    clinic: Clinic, browser: Browser
) -> None:
    man = clinic.ids["hospital-a man"]
    for asked, chinese, english in (
        (
            "name=birthdate&value=soon",
            "birthdate 的值应为日期",
            (
                "The value of birthdate must be a date such as 2026, 2026-11, 2026-11-22 or"
                " 2026-11-22T08:30+08:00"
            ),
        ),
        ("from=x", "列表位置", "the cursor is not one this node gave: start again without it"),
        (
            f"read=Patient&id={man}&version=77",
            "该 Patient 没有版本 77",
            "there is no version 77 of this Patient",
        ),
        (
            "codes=http://a.test/codes",
            "请以此 url 存入 ValueSet 资源",
            (
                "this node knows no ValueSet 'http://a.test/codes': store it as a ValueSet resource"
                " with this url, or name another"
            ),
        ),
    ):
        (said,) = exact_words((await browser.get(f"/asking?lang=zh&{asked}")).text)
        assert chinese in said, said
        assert not _ENGLISH.search(said), said
        assert exact_words((await browser.get(f"/asking?lang=en&{asked}")).text) == [english]


def test_whatever_is_wrong_with_a_record_is_said_in_chinese_whole() -> None:
    words = Words({KIT: KIT_FOLDER})
    issues = validate("Observation", _WRONG)
    assert len(issues) > 15
    for issue in issues:
        said = words.say(issue.text, "zh")
        assert not _ENGLISH.search(said), said
        assert said != issue.text
