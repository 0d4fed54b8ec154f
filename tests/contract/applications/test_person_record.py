"""Finding a person and reading their record, over the real store and the real guard."""

from __future__ import annotations

import csv
import io
import re

import asyncpg
import pytest
from clinic import MAN, PHONE, WOMAN, Browser, Clinic, with_check_digit
from stores import observation, patient

from quanmin.trust import Actor


async def found(browser: Browser, term: str) -> list[str]:
    """The names of the hits of a search."""
    await browser.get("/people")
    answer = await browser.send("/people", term=term)
    assert answer.status_code == 200
    return re.findall(
        r'scope="row"><a href="/person/[^"]+">(?:<span lang="zh">)?([^<]+)', answer.text
    )


@pytest.mark.parametrize(
    ("term", "names"),
    [
        ("欧阳明月", {"欧阳明月"}),
        ("欧阳", {"欧阳明月"}),
        ("明月", {"欧阳明月"}),
        ("ouyang mingyue", {"欧阳明月"}),
        ("ouyang", {"欧阳明月"}),
        ("mingyue", {"欧阳明月"}),
        ("oymy", {"欧阳明月"}),
        ("OuYáng", {"欧阳明月"}),
        (with_check_digit(WOMAN), {"欧阳明月"}),
        (with_check_digit(MAN), {"张伟"}),
        (PHONE, {"张伟"}),
        ("154-0000-1234", {"张伟"}),
        ("王春", {"王春"}),
        ("诸葛", set()),
        ("15499999999", set()),
        ("' or true --", set()),
        ("%", set()),
        ("*", set()),
        ("a|b,c$d\\", set()),
        ("𠮷", set()),
    ],
)
async def test_a_person_is_found_by_name_pinyin_initials_number_or_phone(
    browser: Browser, term: str, names: set[str]
) -> None:
    assert set(await found(browser, term)) == names


async def test_a_term_that_no_text_may_hold_is_refused(browser: Browser) -> None:
    answer = await browser.send("/people", term="\u0000")
    assert answer.status_code == 400


async def test_a_hit_tells_who_it_is_and_how_often_they_are_registered(browser: Browser) -> None:
    await browser.get("/people")
    page = (await browser.send("/people", term="张伟")).text
    assert with_check_digit(MAN) not in page
    assert "580***********" in page
    for words in ("Male", "1980-05-03", "白市青县", "青县人民医院", "白市中心医院"):
        assert words in page
    assert re.findall(r'#registrations">(\d+)<', page) == ["2", "2"]


async def test_what_is_searched_stands_in_no_address(browser: Browser) -> None:
    await browser.get("/people")
    answer = await browser.send("/people", term="王")
    addresses = re.findall(r'(?:href|action)="([^"]*)"', answer.text)
    assert addresses
    assert not [address for address in addresses if "王" in address or "%E7" in address]
    assert str(answer.url).endswith("/people")


async def test_hits_are_paged_without_gap_or_repetition(browser: Browser) -> None:
    await browser.get("/people")
    seen: list[str] = []
    answer = await browser.send("/people", term="王")
    while True:
        seen += re.findall(r'/person/([^"#]+)#registrations', answer.text)
        more = re.search(r'name="state" value="([^"]+)">\s*<button>Next', answer.text)
        if more is None:
            break
        answer = await browser.send("/people", state=more[1])
    assert len(seen) == len(set(seen)) == 26


async def test_the_state_of_a_search_serves_nobody_else(clinic: Clinic, browser: Browser) -> None:
    await browser.get("/people")
    answer = await browser.send("/people", term="王")
    state = re.search(r'name="state" value="([^"]+)"', answer.text)
    assert state is not None
    other = await clinic.enter("hospital-b")
    await other.get("/people")
    assert (await other.send("/people", state=state[1])).status_code == 400


async def test_a_result_is_told_again_in_the_other_language(browser: Browser) -> None:
    await browser.get("/people")
    english = await browser.send("/people", term="张伟")
    state = re.search(r'name="state" value="([^"]+)"', english.text)
    assert state is not None
    chinese = await browser.send("/people", state=state[1], lang="zh")
    assert "2 条登记" in chinese.text
    assert '<html lang="zh-CN"' in (await browser.get("/people")).text


async def test_every_hit_is_in_the_sheet(browser: Browser) -> None:
    await browser.get("/people")
    answer = await browser.send("/people", term="王")
    states = re.findall(r'name="state" value="([^"]+)"', answer.text)
    sheet = await browser.send("/people.csv", state=states[-1])
    rows = list(csv.reader(io.StringIO(sheet.text.removeprefix("\ufeff"))))
    assert len(rows) == 1 + 26
    assert rows[0][0] == "Name"
    assert all(row[0].startswith("王") for row in rows[1:])


async def test_a_term_that_is_too_long_is_refused_with_a_reason(browser: Browser) -> None:
    await browser.get("/people")
    answer = await browser.send("/people", term="王" * 101)
    assert answer.status_code == 400
    assert "100 characters" in answer.text


async def test_a_record_is_readable_and_its_json_is_as_it_was_stored(
    clinic: Clinic, browser: Browser
) -> None:
    page = (await browser.get(f"/record/Observation/{clinic.ids['hospital-a Observation']}")).text
    for words in ("空腹血糖", "11.5 mmol/L", "5 March 2024 09:10", "Final"):
        assert words in page
    assert f'href="/record/Encounter/{clinic.ids["hospital-a Encounter"]}"' in page
    assert "&#34;value&#34;: 11.5" in page


async def test_the_history_tells_each_version_and_what_it_changed(
    clinic: Clinic, browser: Browser
) -> None:
    address = f"/record/Patient/{clinic.ids['hospital-a man']}"
    page = (await browser.get(f"{address}/history")).text
    assert page.index("Version 2") < page.index("Version 1")
    assert "<code>maritalStatus.text</code>" in page
    assert "<ins>" in page
    assert "sent by hospital-a" in page
    sheet = await browser.get(f"{address}/history?sheet=changes-2")
    assert "sheet=changes-2" in page
    assert sheet.text.startswith("\ufeffElement,Before,After")
    assert "maritalStatus.text" in sheet.text
    assert (await browser.get(f"{address}/history?sheet=changes-1")).status_code == 404
    first = (await browser.get(f"{address}/version/1")).text
    assert "已婚" not in first
    assert "已婚" in (await browser.get(f"{address}/version/2")).text
    for none in ("3", "9" * 15, "9" * 5000, "²", "-1", "x"):
        assert (await browser.get(f"{address}/version/{none}")).status_code == 404


async def test_a_deleted_record_is_gone_and_its_history_says_so(
    clinic: Clinic, browser: Browser
) -> None:
    actor = await clinic.actors.by_code("hospital-b")
    assert actor is not None
    records = clinic.guard.records(actor, purpose="TREAT", request_id="gone")
    id_ = clinic.ids["hospital-b AllergyIntolerance"]
    await records.delete("AllergyIntolerance", id_)
    answer = await browser.get(f"/record/AllergyIntolerance/{id_}")
    assert answer.status_code == 410
    assert "This record has been deleted" in answer.text
    history = (await browser.get(f"/record/AllergyIntolerance/{id_}/history")).text
    assert "Deleted" in history
    page = (await browser.get(f"/person/{clinic.ids['hospital-b man']}")).text
    assert "none recorded" in page


async def test_an_institution_sees_its_own_registration_only(clinic: Clinic) -> None:
    browser = await clinic.enter("hospital-b")
    assert await found(browser, "张伟") == ["张伟"]
    assert await found(browser, "欧阳明月") == []
    page = (await browser.get(f"/person/{clinic.ids['hospital-b man']}")).text
    assert "青县人民医院" not in page
    assert (await browser.get(f"/person/{clinic.ids['hospital-a man']}")).status_code == 404
    address = f"/record/Observation/{clinic.ids['hospital-a Observation']}"
    for path in (address, f"{address}/history", f"{address}/version/1"):
        assert (await browser.get(path)).status_code == 404


async def test_script_in_a_name_is_shown_as_text(clinic: Clinic) -> None:
    script = "<script>alert(1)</script>"
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    made = (await records.create("Patient", patient(name=script))).stored
    result = observation(f"Patient/{made.id}", code={"text": script}, note=[{"text": script}])
    noted = (await records.create("Observation", result)).stored
    browser = await clinic.enter("hospital-a")
    pages = [
        await browser.get(path)
        for path in (
            f"/person/{made.id}",
            f"/record/Patient/{made.id}",
            f"/record/Observation/{noted.id}",
            f"/record/Observation/{noted.id}/history",
        )
    ]
    await browser.get("/people")
    pages.append(await browser.send("/people", term="script"))
    for page in pages:
        assert page.status_code == 200
        assert "<script" not in page.text.lower()
    for page in (*pages[:3], pages[-1]):
        assert "&lt;script&gt;" in page.text


async def test_a_resident_follows_the_link_to_an_institution(clinic: Clinic) -> None:
    browser = await clinic.enter("resident")
    visit = (await browser.get(f"/record/Encounter/{clinic.ids['hospital-a Encounter']}")).text
    address = f"/record/Organization/{clinic.ids['hospital-a organization']}"
    assert address in visit
    answer = await browser.get(address)
    assert answer.status_code == 200
    assert "青县人民医院" in answer.text


async def test_each_opening_is_in_the_access_log_with_its_purpose(
    clinic: Clinic, browser: Browser, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    before = await pool.fetchval("select count(*) from trust.access")
    answer = await browser.get(f"/person/{clinic.ids['hospital-a man']}")
    rows = await pool.fetch("select * from trust.access order by 1 desc limit 20")
    assert await pool.fetchval("select count(*) from trust.access") > before
    mine = [row for row in rows if answer.headers["x-request-id"] in map(str, row.values())]
    assert mine
    assert all("TREAT" in map(str, row.values()) for row in mine)
