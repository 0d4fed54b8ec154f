"""Forms of questions that are begun and not sent: kept, gone on with, thrown away, and whose."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from clinic import Browser, Clinic
from questionnaires import item, questionnaire
from starlette.applications import Starlette
from trial_form import page_of, trial_pages

from quanmin.base.problems import Conflict
from quanmin.trust import Actor
from quanmin.trust.actors import Acting
from quanmin.trust.drafts import Drafts, Written, sweep_drafts
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.page_settings import PageSettings
from quanmin.workflow.forms import Around, compile_form
from quanmin.workflow.forms.filling import Filling

FORM = compile_form(
    questionnaire(
        item("words", text="Words", required=True),
        item("more", text="More"),
        item("group", "group", repeats=True, text="Group", item=[item("of", text="Of")]),
        title="Trial",
    )
)
SAID = "begun-in-secret"
HOSPITAL = Actor("hospital-a", "institution", "a", "hospital-a")


async def as_begun(visit: Visit, _records: DeclaredRecords, begun: Filling) -> Around:
    if visit.sent.get("words") == "late":
        raise Conflict("somebody was first")
    return begun.around


@pytest.fixture
def pages(clinic: Clinic, tmp_path: Path) -> Starlette:
    limits = PageSettings(drafts_max=2, draft_bytes_max=2000)
    return trial_pages(clinic, tmp_path, page_of(FORM, as_begun), limits=limits)


@pytest.fixture
async def browser(clinic: Clinic, pages: Starlette) -> Browser:
    return await clinic.enter("hospital-a", pages)


@pytest.fixture
def where(clinic: Clinic) -> str:
    return f"/trial/{clinic.ids['hospital-a Patient']}"


async def keep(browser: Browser, where: str, **fields: str) -> None:
    await browser.get(where)
    assert (await browser.send(where, **fields, do="draft script")).status_code == 204


def value(html: str, key: str) -> str:
    found = re.search(rf'<input id="{re.escape(key)}" name="[^"]+"[^>]*?value="([^"]*)"', html)
    return found[1] if found else ""


async def test_what_was_begun_is_offered_and_gone_on_with(browser: Browser, where: str) -> None:
    await browser.get(where)
    kept = await browser.send(where, words=SAID, **{"group.1/of": "second"}, do="draft")
    assert (kept.status_code, kept.headers["location"]) == (303, where)
    again = await browser.get(f"{where}?lang=en")
    assert "You began this and have not sent it" in again.text
    assert value(again.text, "words") == ""
    went_on = await browser.send(where, do="resume")
    assert went_on.status_code == 200
    assert value(went_on.text, "words") == SAID
    assert value(went_on.text, "group.1/of") == "second"
    assert "You began this" not in went_on.text


async def test_a_refused_form_keeps_its_draft_and_a_sent_one_ends_it(
    browser: Browser, where: str
) -> None:
    await keep(browser, where, more=SAID)
    assert (await browser.send(where, more=SAID, do="send")).status_code == 422
    assert "You began this" in (await browser.get(where)).text
    assert (await browser.send(where, words="w", do="send")).status_code == 303
    assert "You began this" not in (await browser.get(where)).text
    assert (await browser.send(where, do="resume")).status_code == 303


async def test_a_form_that_is_answered_by_another_page_is_begun_anew_with_what_was_sent(
    clinic: Clinic, browser: Browser, where: str
) -> None:
    await browser.get(where)
    assert (await browser.send(where, words="late", more=SAID, do="send")).status_code == 409
    kept = await Drafts(clinic.guard).find(HOSPITAL, where)
    assert kept is not None
    assert kept.fields == {"words": ["late"], "more": [SAID]}


async def test_what_is_thrown_away_is_gone(browser: Browser, where: str) -> None:
    await keep(browser, where, words=SAID)
    assert (await browser.send(where, do="forget")).status_code == 303
    assert "You began this" not in (await browser.get(where)).text


async def test_nobody_else_and_no_other_address_has_it(
    clinic: Clinic, browser: Browser, pages: Starlette, where: str
) -> None:
    await keep(browser, where, words=SAID)
    elsewhere = f"/trial/{clinic.ids['hospital-b Patient']}"
    assert "You began this" not in (await browser.get(elsewhere)).text
    assert "You began this" not in (await browser.get(f"{where}?n=1")).text
    other = await clinic.enter("hospital-b", pages)
    assert "You began this" not in (await other.get(where)).text
    assert SAID not in (await other.send(where, do="resume")).text
    assert "Trial" not in (await other.get("/drafts.csv")).text
    (draft,) = await Drafts(clinic.guard).listed(HOSPITAL)
    await other.get(f"/drafts/{draft.number}")
    assert (await other.get(f"/drafts/{draft.number}")).status_code == 404
    await other.send(f"/drafts/{draft.number}", confirmed="1")
    assert "You began this" in (await browser.get(where)).text


async def test_it_is_apart_for_each_for_whom_somebody_acts(clinic: Clinic) -> None:
    drafts, oneself = Drafts(clinic.guard), Actor("resident", "resident", "a", "")
    ward = msgspec.structs.replace(oneself, acting=Acting(1, "2", 3, frozenset()))
    other = msgspec.structs.replace(oneself, acting=Acting(2, "2", 3, frozenset()))
    written = Written("/form", {"en": "Form"}, {"words": [SAID]})
    await drafts.keep(ward, written, "", most=1, bytes_max=1000)
    assert await drafts.find(ward, "/form") == written
    for actor in (oneself, other):
        assert await drafts.find(actor, "/form") is None
        assert await drafts.kept_at(actor, "/form") is None
        assert list(await drafts.listed(actor)) == []
        await drafts.forget(actor, "/form")
    assert await drafts.count(ward) == 1


async def test_it_is_sealed_and_found_by_no_address(
    clinic: Clinic, browser: Browser, where: str
) -> None:
    await keep(browser, where, words=SAID)
    rows = await clinic.pool.fetch("select t::text as row, sealed from trust.draft t")
    assert len(rows) == 1
    assert where.rpartition("/")[2] not in rows[0]["row"]
    assert SAID.encode() not in rows[0]["sealed"]


async def test_beyond_the_limits_the_form_stays_and_says_why(browser: Browser, where: str) -> None:
    await keep(browser, where, words="1")
    await keep(browser, f"{where}?n=2", words="2")
    await browser.get(f"{where}?n=3&lang=en")
    shown = await browser.send(f"{where}?n=3", words=SAID, do="draft")
    assert "you have begun 2 forms and not sent them" in shown.text
    assert value(shown.text, "words") == SAID
    told = await browser.send(f"{where}?n=3", words=SAID, do="draft script")
    assert (told.status_code, told.headers["content-type"]) == (409, "text/plain; charset=utf-8")
    await keep(browser, where, words="in the place of the first")
    large = await browser.send(where, words="x" * 2000, do="draft script")
    assert (large.status_code, "at most 2000 bytes" in large.text) == (413, True)


async def test_they_are_listed_and_thrown_away_where_their_form_does_not_open(
    browser: Browser, where: str
) -> None:
    assert "/drafts" not in (await browser.get("/")).text
    await keep(browser, where, words=SAID)
    assert 'href="/drafts"' in (await browser.get("/")).text
    listed = (await browser.get("/drafts")).text
    assert f'href="{where}"' in listed
    assert SAID not in listed
    away = re.findall(r'href="(/drafts/\d+)"', listed)[0]
    sheet = (await browser.get("/drafts.csv")).text.splitlines()
    assert (len(sheet), sheet[1].startswith("Trial,")) == (2, True)
    assert "Throw away what you began?" in (await browser.get(away)).text
    assert (await browser.send(away, confirmed="1")).headers["location"] == "/drafts"
    assert (await browser.get(away)).status_code == 404
    assert (await browser.get("/drafts/x")).status_code == 404


async def test_it_goes_with_its_time_and_with_its_person(
    clinic: Clinic, browser: Browser, where: str
) -> None:
    await keep(browser, where, words=SAID)
    now = clinic.guard.now()
    await sweep_drafts(clinic.pool, now - 86_400_000_000)
    assert await clinic.pool.fetchval("select count(*) from trust.draft") == 1
    await sweep_drafts(clinic.pool, now + 1)
    assert await clinic.pool.fetchval("select count(*) from trust.draft") == 0
    await keep(browser, where, words=SAID)
    operator = Actor("centre", "operator", "Centre", "centre")
    records = clinic.guard.records(operator, purpose="TREAT", request_id="erase")
    await records.erase(clinic.ids["hospital-a Patient"])
    assert await clinic.pool.fetchval("select count(*) from trust.draft") == 0
