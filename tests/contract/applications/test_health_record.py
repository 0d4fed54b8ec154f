"""A person's health record over all institutions: front page, timeline, results, taking it away."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from clinic import Browser, Clinic
from persons import asking, visit
from stores import START

from quanmin.trust import Actor, Part
from quanmin.web.page_settings import PageSettings

ICD = "http://hl7.org/fhir/sid/icd-10"
LOINC = "http://loinc.org"
TODAY = datetime.fromtimestamp(START / 1_000_000, UTC).date().isoformat()
MG = {"unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}


def sheet_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def main_of(text: str) -> str:
    """A page without what is sealed anew for each answer."""
    return re.sub(r'name="token" value="[^"]+"', "", text)


async def send(clinic: Clinic, hospital: str, type_: str, **body: Any) -> str:
    """What a hospital records of the man; its id."""
    subject = {"reference": f"Patient/{clinic.ids[f'{hospital} man']}"}
    records = asking(clinic.guard, "institution", hospital)
    resource = {"resourceType": type_, "subject": subject, **body}
    return (await records.create(type_, json.dumps(resource).encode())).stored.id


async def glucose(clinic: Clinic, hospital: str, value: float, day: str, **more: Any) -> str:
    return await send(
        clinic, hospital, "Observation", status="final",
        code={"coding": [{"system": LOINC, "code": "14771-0", "display": "空腹血糖"}]},
        effectiveDateTime=day, valueQuantity={"value": value, **MG}, **more,
    )  # fmt: skip


async def test_the_timeline_puts_all_institutions_together(
    clinic: Clinic, browser: Browser
) -> None:
    page = (await browser.get(f"/person/{clinic.ids['hospital-a man']}")).text
    assert page.index("March 2026") < page.index("March 2024")
    assert page.count("门诊就诊") == 2
    assert "青霉素" in page
    assert "11.5 mmol/L" in page
    assert "High" in page
    places = re.findall(r'class="where"><span lang="zh">([^<]+)', page)
    assert set(places) == {"青县人民医院", "白市中心医院"}
    registrations = page[page.index('id="registrations"') :]
    assert registrations.count("/record/Patient/") == 2


async def test_the_timeline_is_filtered_by_kind(clinic: Clinic, browser: Browser) -> None:
    address = f"/person/{clinic.ids['hospital-a man']}"
    results = (await browser.get(f"{address}/timeline?kind=result")).text
    line = results[results.index('class="line"') :]
    assert line.count("/record/Observation/") == 2
    assert "/record/Condition/" not in line
    nothing = (await browser.get(f"{address}/timeline?kind=vaccination")).text
    assert "Nothing recorded" in nothing


async def test_the_sheet_of_a_timeline_has_every_line(clinic: Clinic, browser: Browser) -> None:
    address = f"/person/{clinic.ids['hospital-a man']}/timeline.csv"
    rows = list(csv.reader(io.StringIO((await browser.get(address)).text.removeprefix("\ufeff"))))
    assert rows[0] == ["When", "Kind", "What", "Code", "Value", "Where",
                       "Address of the page", "Status"]  # fmt: skip
    assert len([row for row in rows if row[6].startswith("/record/Observation/")]) == 2
    assert ["2型糖尿病", "E11.9"] in [row[2:4] for row in rows]
    # A measured value names no institution itself: it is that of the visit.
    assert {row[5] for row in rows[1:] if "Observation" in row[6]} == {
        "青县人民医院",
        "白市中心医院",
    }


async def test_what_does_not_stand_says_so_on_its_line_and_is_no_allergy(
    clinic: Clinic, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"coding": [{"system": "urn:lab", "code": "hiv", "display": "HIV抗体阳性"}]}
    await send(clinic, "hospital-a", "Observation", status="entered-in-error",
               code=wrong, effectiveDateTime="2026-05-01", valueString="阳性")  # fmt: skip
    man = {"reference": f"Patient/{clinic.ids['hospital-a man']}"}
    systems = "http://terminology.hl7.org/CodeSystem/allergyintolerance"
    records = asking(clinic.guard, "institution", "hospital-a")
    for words, clinical, verified in (
        ("花生", "active", "refuted"),
        ("鸡蛋", "resolved", "confirmed"),
        ("芒果", "active", "confirmed"),
    ):
        body = {
            "resourceType": "AllergyIntolerance",
            "patient": man,
            "code": {"text": words},
            "clinicalStatus": {"coding": [{"system": f"{systems}-clinical", "code": clinical}]},
            "verificationStatus": {
                "coding": [{"system": f"{systems}-verification", "code": verified}]
            },
        }
        await records.create("AllergyIntolerance", json.dumps(body).encode())
    address = f"/person/{clinic.ids['hospital-a man']}"
    page = (await browser.get(address)).text
    head = page[: page.index("<main")]
    assert [one in head for one in ("花生", "鸡蛋", "芒果", "青霉素")] == [False, False, True, True]
    line = page[page.index("HIV抗体阳性") :].split("</li>")[0]
    assert "Entered in error" in line
    rows = sheet_of((await browser.get(f"{address}/timeline.csv")).text)
    assert {row[7] for row in rows if row[2] == "HIV抗体阳性"} == {"Entered in error"}
    assert "more in the timeline" not in head
    monkeypatch.setattr("quanmin.applications.health_record.reading.ALLERGIES",
                        Part(types=("AllergyIntolerance",), count=1))  # fmt: skip
    page = (await browser.get(address)).text
    assert "more in the timeline" in page[: page.index("<main")]


async def test_a_long_timeline_is_paged_without_gap(clinic: Clinic, browser: Browser) -> None:
    records = clinic.guard.records(
        (await clinic.actors.by_code("hospital-a")) or pytest.fail("no actor"),
        purpose="TREAT",
        request_id="more",
    )
    patient = clinic.ids["hospital-a man"]
    for number in range(120):
        await records.create(
            "Immunization",
            (
                '{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"疫苗"},'
                f'"patient":{{"reference":"Patient/{patient}"}},'
                f'"occurrenceDateTime":"20{10 + number % 12}-05-{1 + number % 28:02d}"}}'
            ).encode(),
        )
    address, seen = f"/person/{patient}/timeline?kind=vaccination", []
    while address:
        page = (await browser.get(address)).text
        seen += re.findall(r"/record/Immunization/([^\"]+)", page)
        more = re.search(r'class="button" href="([^"]+)"', page)
        address = more[1].replace("&amp;", "&") if more else ""
    assert len(seen) == len(set(seen)) == 120


async def test_a_resident_is_led_to_their_own_record_and_to_no_other(clinic: Clinic) -> None:
    browser = await clinic.enter("resident")
    assert (await browser.get("/people")).status_code == 403
    answer = await browser.get("/my-record")
    assert answer.status_code == 303
    own = {f"/person/{clinic.ids[f'{hospital} man']}" for hospital in ("hospital-a", "hospital-b")}
    assert answer.headers["location"] in own
    page = (await browser.get(answer.headers["location"])).text
    assert page.count("门诊就诊") == 2
    other = clinic.ids["hospital-a crowd"]
    assert (await browser.get(f"/person/{other}")).status_code == 404


SURVEY = [
    {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                "code": "survey",
            }
        ]
    }
]
RANGE = [{"low": {"value": 3.9, **MG}, "high": {"value": 6.1, **MG}}]


async def test_the_front_page_tells_identifiers_with_the_records_they_come_from(
    clinic: Clinic, browser: Browser
) -> None:
    weight = {"value": 81, "unit": "kg"}
    height = {"value": 170, "unit": "cm"}
    weighed = await send(
        clinic, "hospital-a", "Observation", status="final", effectiveDateTime=TODAY,
        code={"coding": [{"system": LOINC, "code": "29463-7"}]}, valueQuantity=weight,
    )  # fmt: skip
    await send(
        clinic, "hospital-b", "Observation", status="final", effectiveDateTime="2025-05-05",
        code={"coding": [{"system": LOINC, "code": "8302-2"}]}, valueQuantity=height,
    )  # fmt: skip
    blood = {"coding": [{"system": LOINC, "code": "883-9"}]}
    await send(
        clinic, "hospital-b", "Observation", status="final", effectiveDateTime="2001-01-01",
        code=blood, valueCodeableConcept={"text": "O型"},
    )  # fmt: skip
    # More than are looked at in one go: the height and the blood type are found all the same.
    for day in range(20):
        await send(
            clinic, "hospital-a", "Observation", status="final",
            effectiveDateTime=f"2026-07-{day + 1:02}", valueQuantity={"value": 70, "unit": "kg"},
            code={"coding": [{"system": LOINC, "code": "29463-7"}]},
        )  # fmt: skip
    page = (await browser.get(f"/person/{clinic.ids['hospital-a man']}")).text
    identifiers = page[page.index("Personal health identifiers") : page.index("Basic information")]
    assert "Diabetes" in identifiers
    assert identifiers.count("/record/Condition/") == 2, "both hospitals have said so"
    assert "BMI 28.0" in identifiers
    assert "<strong>O</strong>" in identifiers
    assert "Obesity" in identifiers
    assert f"/record/Observation/{weighed}" in identifiers
    assert "<form" not in identifiers
    assert "<input" not in identifiers
    basics = page[page.index("Basic information") : page.index("Services received")]
    assert "Marital status" in basics
    assert "154****1234" in basics, "whole numbers are for the person alone"
    told = re.findall(r"<dt>([^<]+)</dt>\s*<dd[^>]*>(.*?)\s*<", basics, re.DOTALL)
    empty = {name for name, words in told if words == "not recorded"}
    assert empty == {"Ethnic group", "Contact", "Education", "Occupation", "Covered by",
                     "Operations and procedures", "Family history", "Disability"}  # fmt: skip
    assert "青霉素" in page[: page.index("<main")], "allergies stand in the head of the page"


async def test_what_an_institution_does_not_see_changes_nothing_on_its_page(
    clinic: Clinic,
) -> None:
    doctor = await clinic.enter("hospital-b")
    address = f"/person/{clinic.ids['hospital-b man']}"
    paths = (address, f"{address}/timeline", f"{address}/results", f"{address}/timeline.csv")
    before = [main_of((await doctor.get(path)).text) for path in paths]
    await send(
        clinic, "hospital-a", "Condition",
        code={"coding": [{"system": ICD, "code": "B20", "display": "HIV病"}]},
    )  # fmt: skip
    await glucose(clinic, "hospital-a", 5.0, "2026-04-01")
    await send(
        clinic, "hospital-a", "Encounter", status="finished",
        **{"class": {"code": "AMB"}}, period={"start": "2025-01-01"},
    )  # fmt: skip
    after = [main_of((await doctor.get(path)).text) for path in paths]
    assert [re.sub(r"from=[^\"]+", "", one) for one in after] == [
        re.sub(r"from=[^\"]+", "", one) for one in before
    ]
    assert "whether they have nothing or it is closed to you is not told" in before[0]


async def test_what_is_kept_apart_is_on_the_pages_of_the_person_alone(clinic: Clinic) -> None:
    """Also for who treats the person and sees all the rest."""
    await send(
        clinic, "hospital-a", "Condition", recordedDate="2026-05-01",
        code={"coding": [{"system": ICD, "code": "B20", "display": "HIV病"}]},
    )  # fmt: skip
    await asking(clinic.guard, "institution", "hospital-b").create(
        "Encounter", visit(clinic.ids["hospital-b man"])
    )
    await clinic.add(Actor("chen", "doctor", "陈医师", "hospital-b"))
    treating, resident = await clinic.enter("chen"), await clinic.enter("resident")
    seen = {}
    for browser in (treating, resident):
        address = f"/person/{clinic.ids['hospital-b man']}"
        found = [(await browser.get(path)).text for path in (address, f"{address}/timeline")]
        assert all("青县人民医院" in one for one in found), "all the rest is seen"
        seen[browser] = ["HIV病" in one for one in found] + ["AIDS" in found[0]]
    assert seen[treating] == [False, False, False]
    assert seen[resident] == [True, True, True]


async def test_the_timeline_begins_where_the_address_says(clinic: Clinic, browser: Browser) -> None:
    address = f"/person/{clinic.ids['hospital-a man']}/timeline"
    for until, months in {
        "": {"March 2026", "March 2024"},
        "2026": {"March 2026", "March 2024"},
        "2026-03": {"March 2026", "March 2024"},
        "2026-02": {"March 2024"},
        "2025": {"March 2024"},
        "2024-02": set(),
    }.items():
        page = (await browser.get(f"{address}?until={until}")).text
        assert set(re.findall(r"<h2>(March \d+)</h2>", page)) == months, until
        rows = sheet_of((await browser.get(f"{address}.csv?until={until}")).text)
        assert bool(rows[1:]) is bool(months)
    for wrong in ("soon", "2024-13", "2024-00", "99999", "2024-1-1", "-5"):
        answer = await browser.get(f"{address}?until={wrong}")
        assert (answer.status_code, "2024-05" in answer.text) == (400, True), wrong


async def test_a_result_is_told_in_plain_words_with_its_range_and_its_trend(
    clinic: Clinic, browser: Browser
) -> None:
    high = await glucose(clinic, "hospital-a", 6.2, "2026-06-01", referenceRange=RANGE)
    await glucose(clinic, "hospital-b", 6.1, "2026-05-01", referenceRange=RANGE)
    bare = await glucose(clinic, "hospital-b", 5.1, "2026-04-01")
    await glucose(clinic, "hospital-b", 99, "2026-07-01", issued="2026-07-01T00:00:00Z")
    listed = (await browser.get(f"/person/{clinic.ids['hospital-a man']}/results")).text
    assert listed.count("Fasting blood sugar") == 1, "the newest of each examination"
    assert "on this page" not in listed
    few = await clinic.enter("centre", clinic.pages(pages=PageSettings(record_results_max=2)))
    part = (await few.get(f"/person/{clinic.ids['hospital-a man']}/results")).text
    assert "Earlier ones on this page" in part
    assert "Of the newest results only" in part
    (later,) = re.findall(r'href="([^"]+from=[^"]+)"', part)[-1:]
    rest = (await few.get(later.replace("&amp;", "&"))).text
    assert "newer ones of the same examination may stand" in rest
    await few.client.aclose()
    page = (await browser.get(f"/result/{high}")).text
    for words in ("Fasting blood sugar", "sugar in the blood before eating", "above the range",
                  "3.9 – 6.1", "One value out of its range is not an illness", "<svg"):  # fmt: skip
        assert words in page
    assert "no range came with it" in (await browser.get(f"/result/{bare}")).text
    rows = sheet_of((await browser.get(f"/result/{high}/trend.csv")).text)
    assert [(row[1], row[2]) for row in rows[2:]] == [
        ("6.2 mmol/L", "above the range"),
        ("6.1 mmol/L", "within the range"),
        ("5.1 mmol/L", "no range came with it"),
    ]
    every = sheet_of(
        (await browser.get(f"/person/{clinic.ids['hospital-a man']}/results.csv")).text
    )
    assert len(every) == 1 + 6
    assert f"/result/{high}" in (await browser.get(f"/record/Observation/{high}")).text
    asked = await glucose(clinic, "hospital-a", 3, "2026-06-01", category=SURVEY)
    assert "/result/" not in (await browser.get(f"/record/Observation/{asked}")).text
    assert (await browser.get(f"/result/{asked}")).status_code == 404, "an answer is no result"
    condition = clinic.ids["hospital-a Condition"]
    assert (await browser.get(f"/result/{condition}")).status_code == 404


async def test_values_of_any_zone_and_of_any_type_are_told_in_their_order(
    clinic: Clinic, browser: Browser
) -> None:
    """By text the later moment would be the earlier one."""
    await glucose(clinic, "hospital-a", 5.0, "2026-05-31T20:00:00Z")
    made = await glucose(clinic, "hospital-a", 4.0, "2026-05-31T23:00:00+08:00")
    page = (await browser.get(f"/result/{made}")).text
    drawn = page[page.index("<figure") : page.index("</figure")]
    assert drawn.rindex("2026-05-31") < drawn.rindex("2026-06-01")
    told = {
        "valueBoolean": (True, "Yes"),
        "valueRange": (
            {"low": {"value": 1, "unit": "g"}, "high": {"value": 2, "unit": "g"}},
            "1 g",
        ),
        "valueDateTime": ("2026-05-01", "1 May 2026"),
        "valueString": ("trace", "trace"),
    }
    for name, (value, words) in told.items():
        code = {"coding": [{"system": "urn:lab", "code": name}], "text": name}
        more = {"status": "final", "code": code, "effectiveDateTime": TODAY, name: value}
        id_ = await send(clinic, "hospital-a", "Observation", **more)
        answer = await browser.get(f"/result/{id_}")
        assert (answer.status_code, words in answer.text) == (200, True), name
        assert "no range came with it" in answer.text


async def test_a_result_of_somebody_else_is_nobodys_to_read(clinic: Clinic) -> None:
    made = await glucose(clinic, "hospital-a", 5.0, "2026-06-01")
    other = await clinic.enter("hospital-b")
    for path in (f"/result/{made}", f"/result/{made}/trend.csv"):
        assert (await other.get(path)).status_code == 404


async def test_a_page_says_what_for_it_is_read_and_is_logged_so(
    clinic: Clinic, browser: Browser, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    address = f"/person/{clinic.ids['hospital-a man']}"
    resident = await clinic.enter("resident")
    for who, path, purpose in (
        (browser, address, "TREAT"),
        (browser, f"{address}?for=PUBHLTH", "PUBHLTH"),
        (resident, f"{address}?for=PUBHLTH", "PATRQT"),
    ):
        answer = await who.get(path)
        rows = await pool.fetch(
            "select distinct purpose from trust.access where request = $1",
            answer.headers["x-request-id"],
        )
        assert [row["purpose"] for row in rows] == [purpose]
    page = (await browser.get(f"{address}?for=PUBHLTH")).text
    assert f"{address}/timeline?for=PUBHLTH" in page
    assert "Read for the purpose: <strong>" in page
    assert '<option value="PUBHLTH" selected>' in page
    for wrong in ("PATRQT", "BTG", "HMARKT", "x"):
        assert (await browser.get(f"{address}?for={wrong}")).status_code == 400


async def test_a_doctor_who_sees_part_of_it_is_led_to_opening_it_in_an_emergency(
    clinic: Clinic,
) -> None:
    await clinic.add(Actor("chen", "doctor", "陈医师", "hospital-b"))
    doctor = await clinic.enter("chen")
    man = clinic.ids["hospital-b man"]
    page = (await doctor.get(f"/person/{man}")).text
    assert "青县人民医院" not in page
    assert f'href="/emergency?patient={man}"' in page
    resident = await clinic.enter("resident")
    assert "/emergency" not in (await resident.get(f"/person/{man}")).text


async def test_the_whole_record_is_taken_away_by_the_person_alone_and_noted(
    clinic: Clinic, browser: Browser, pool: asyncpg.Pool[asyncpg.Record], monkeypatch: Any
) -> None:
    monkeypatch.setattr("quanmin.web.taking_out.BATCH", 2)
    address = f"/person/{clinic.ids['hospital-a man']}/download"
    assert (await browser.get(address)).status_code == 403
    resident = await clinic.enter("resident")
    step_by_step = PageSettings(made_step_seconds=0.000_001)
    async with clinic.making(pages=step_by_step):
        ready = await clinic.made(resident, address, what="record")
    assert "9 lines" in re.sub(r"\s+", " ", ready.text)
    (where,) = re.findall(r'href="(/made/\d+)/file"', ready.text)
    answer = await resident.get(f"{where}/file")
    assert len(answer.content) == int(answer.headers["content-length"])
    bundle = json.loads(answer.text)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    kept = [one["resource"] for one in bundle["entry"]]
    addresses = [(one["resourceType"], one["id"]) for one in kept]
    assert len(addresses) == len(set(addresses))
    counted: dict[str, int] = {}
    for type_, _ in addresses:
        counted[type_] = counted.get(type_, 0) + 1
    assert counted == {"Patient": 2, "Encounter": 2, "Observation": 2, "Condition": 2,
                       "AllergyIntolerance": 1, "Organization": 2}  # fmt: skip
    actions = await pool.fetch("select action from trust.access where actor = 'resident'")
    assert {"download", "timeline"} <= {row["action"] for row in actions}
    assert "a copy was taken away" in (await resident.get("/my-record-access/looked?own=1")).text
    assert "can be fetched" in (await resident.get("/notices")).text
    other = clinic.ids["hospital-a crowd"]
    assert (await resident.get(f"/person/{other}/download")).status_code == 404
    assert (await browser.get(f"{where}/file")).status_code == 404
    assert f'href="{where}"' not in (await browser.get("/made")).text
    assert f'href="{where}"' in (await resident.get("/made")).text


async def test_the_record_as_a_pdf_is_refused_where_it_is_too_long_and_made_by_the_year(
    clinic: Clinic,
) -> None:
    address = f"/person/{clinic.ids['hospital-a man']}/download"
    resident = await clinic.enter("resident")
    await resident.get(address)
    assert (await resident.send(address, what="paper", year="soon")).status_code == 400
    assert (await resident.send(address, what="everything")).status_code == 404
    async with clinic.making(pages=PageSettings(record_paper_rows_max=2)):
        refused = await clinic.made(resident, address, what="paper")
        assert "one year at a time" in refused.text
    offered = re.findall(r'<option value="(\w+)">', (await resident.get(address)).text)
    assert (offered[0], offered[-2:]) == (f"{datetime.now(UTC):%Y}", ["1980", "undated"])
    await send(clinic, "hospital-a", "Condition", code={"text": "an old scar"})
    told = (await resident.get(address.replace("download", "timeline?until=undated"))).text
    assert "an old scar" in told
    assert told.count('href="/record/') == 1, "and nothing that has a date"
    async with clinic.making():
        made = await clinic.made(resident, address, what="paper", year="undated")
        assert "/file" in made.text
        made = await clinic.made(resident, address, what="paper", year="2024")
    (where,) = re.findall(r'href="(/made/\d+)/file"', made.text)
    file = await resident.get(f"{where}/file")
    assert (file.status_code, file.content[:5]) == (200, b"%PDF-")
    assert "health-record" in file.headers["content-disposition"]
