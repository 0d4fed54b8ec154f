"""The picture of an epidemic over the real guard: each number opens its cases, and counts nobody
whom its reader does not see; supervisors are told of weeks without small groups.
"""

from __future__ import annotations

import asyncio
import re
from datetime import date, timedelta

import asyncpg
from books import ADDRESS, CREDIT, Books, organization
from clinic import Clinic
from reporting import (
    BESIDE,
    CLASS,
    HERE,
    SUBTYPE,
    counted_case,
    entered,
    now_of,
    pages_of,
    settle,
    step,
)
from workers import at_work

from quanmin.base.jobs import JobLimits, Worker
from quanmin.demo.numbering import credit_code
from quanmin.trust import Actor
from quanmin.trust.case_counts import COUNT_CASES, CaseIndex, count_cases_kind
from quanmin.workflow import notifiable


async def test_each_number_opens_its_cases(clinic: Clinic) -> None:
    county = await settle(clinic)
    pages = pages_of(county)
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    first = await entered(county, doctor)
    await entered(county, doctor, disease="rubella", person__area=BESIDE)
    carrier = f"{CLASS}|carrier"
    await entered(county, doctor, disease="diphtheria", case__class=carrier)
    gone = await entered(county, doctor, disease="mumps")
    await step(checker, gone, "return_inside", words="A mistake")
    await step(doctor, gone, "withdraw", words="A mistake")
    centre = await county.enter("cdc-wu", pages)
    now = now_of(county)
    time = f"since={now - timedelta(days=30):%Y-%m-%d}&until={now:%Y-%m-%d}"
    page = await centre.get(f"/epidemic?{time}")
    assert page.status_code == 200, page.text
    assert "2 cases</a>" in page.text
    listed = await centre.get(f"/epidemic/counts?{time}")
    links = re.findall(r'href="(/epidemic/cases\?[^"]+)">2</a>', listed.text)
    assert len(links) == 1
    rows = await centre.get(links[0].replace("&amp;", "&"))
    assert rows.text.count('href="/infectious/') == 2
    areas = await centre.get(f"/epidemic/areas.csv?{time}")
    assert sorted(areas.text.split()[1:]) == sorted(
        line for line in areas.text.split()[1:] if line.startswith(("580101,", "580102,"))
    )
    one = await centre.get(f"/epidemic/cases?disease=measles&{time}")
    assert one.text.count('href="/infectious/') == 1
    assert first in one.text
    sent = await centre.get(f"/epidemic?by=report&{time}")
    assert "No case was reported in this time." in sent.text
    await step(checker, first, "check")
    sent = await centre.get(f"/epidemic?by=report&span=week&lang=zh&{time}")
    assert "1 例" in sent.text
    # The city's centre has both counties; the one beside sees nothing of the hospital's.
    city, beside = await county.enter("cdc-gao", pages), await county.enter("cdc-qi", pages)
    assert (await city.get(f"/epidemic/cases?{time}")).text.count('href="/infectious/') == 2
    assert "No case was reported" in (await beside.get(f"/epidemic?{time}")).text
    for asked in ("?since=never", "?since=2026-01-02&until=2026-01-01", "?by=x", "?disease=flu",
                  "?area=58x", "?since=2020-01-01&until=2026-01-01", "?until=0001-01-01",
                  "?since=0001-01-01&until=0001-01-02", "/signals?until=soon",
                  "/signals?until=0001-01-01", "/signals?until=2026-02-30"):  # fmt: skip
        assert (await centre.get(f"/epidemic{asked}")).status_code == 400, asked
    assert (await doctor.get("/epidemic")).status_code == 403
    # One case of measles is nothing unusual, one of cholera is.
    today = f"until={now:%Y-%m-%d}&lang=en"
    assert "Nowhere more than usual." in (await centre.get(f"/epidemic/signals?{today}")).text
    await step(checker, await entered(county, doctor, disease="cholera"), "check")
    told = await centre.get(f"/epidemic/signals?{today}")
    (link,) = re.findall(r'href="(/epidemic/cases\?[^"]+)">1</a>', told.text)
    assert "any case is one" in told.text
    cases = (await centre.get(link.replace("&amp;", "&"))).text
    assert cases.count('href="/infectious/') == 1
    assert "Cholera" in cases
    sheets = {
        (who, asked): (await one.get(f"/epidemic/signals.csv?{today}&disease={asked}")).text
        for who, one in (("centre", centre), ("beside", beside))
        for asked in ("cholera", "measles")
    }
    assert [key for key, sheet in sheets.items() if "Cholera" in sheet] == [("centre", "cholera")]


async def test_one_case_of_a_subtype_under_the_measures_of_class_a_is_a_signal(
    clinic: Clinic,
) -> None:
    county = await settle(clinic)
    pages = pages_of(county)
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    for area, subtype in ((HERE, "cutaneous-anthrax"), (BESIDE, "pulmonary-anthrax")):
        more = {"case__subtype": f"{SUBTYPE}|{subtype}", "person__area": area}
        where = await entered(county, doctor, disease="anthrax", **more)
        await step(checker, where, "check", words="Not the same case")
    centre = await county.enter("cdc-wu", pages)
    for asked in ("", "anthrax"):
        sheet = (await centre.get(f"/epidemic/signals.csv?disease={asked}")).text
        (line,) = [one for one in sheet.splitlines() if "Anthrax" in one]
        assert BESIDE in line
        assert "any case is one" in line


HOSPITAL = Actor("hospital-a", "institution", "青县人民医院", "hospital-a")


async def test_supervisors_are_told_of_weeks_without_small_groups_and_of_no_case(
    clinic: Clinic,
) -> None:
    county = await settle(clinic)
    books = Books(clinic.guard, clinic.pool)
    for sender, region, number in (("over-city", "580100", 21), ("over-beside", BESIDE, 22)):
        code = credit_code(region, number)
        names = ((CREDIT, code), (ADDRESS.sender, sender))
        told = [{"system": system, "value": value} for system, value in names]
        await books.enter(organization(code, "city", name=sender, identifier=told))
        await clinic.add(Actor(f"{sender}-he", "supervisor", "何", sender))
    today = now_of(county).date()
    monday = today - timedelta(days=today.weekday())
    last = monday - timedelta(days=3)
    records = clinic.guard.records(HOSPITAL, purpose="PUBHLTH", request_id="fill")
    for disease, area, day, number in (
        *(("measles", HERE, last, 7), ("measles", BESIDE, last, 2), ("measles", "580103", last, 6)),
        *(("influenza", HERE, last, 9), ("influenza", BESIDE, last, 8)),
        *(("rubella", HERE, last, 1), ("mumps", HERE, monday, 9)),
    ):
        for _ in range(number):
            await records.create("Task", counted_case(disease, area, day))
    await records.create("Task", counted_case("influenza", HERE, last, "carrier"))
    pages = pages_of(county)
    over = await county.enter("over-city-he", pages)
    page = await over.get("/epidemic")
    assert page.headers["location"] == "/epidemic/weeks"
    page = await over.get("/epidemic/weeks?disease=measles")
    assert page.status_code == 200, page.text
    assert "* stands for fewer than 5" in page.text

    async def told_of(disease: str, what: str = "areas") -> dict[str, str]:
        address = f"/epidemic/weeks/{what}.csv?disease={disease}"
        lines = (await over.get(address)).text.lstrip("\ufeff").splitlines()[1:]
        return {line.split(",")[0]: line.split(",")[-1] for line in lines}

    week = f"{monday - timedelta(days=7)}"
    # Two of measles, which neither the sum of the row nor that of the column may tell; the single
    # case of rubella follows from no sum of the diseases, and whom a week that is not over has,
    # from nothing.
    found = {one: await told_of(one) for one in ("measles", "influenza", "rubella", "mumps", "")}
    hidden = {(one, area) for one, row in found.items() for area, n in row.items() if n == "*"}
    assert {("measles", BESIDE), ("rubella", HERE)} <= hidden
    for one in (BESIDE, HERE):
        assert len([key for key in hidden if key[1] == one]) > 1, hidden
    assert len([key for key in hidden if key[0] == "measles"]) > 1, hidden
    assert found["mumps"][HERE] == "0"
    sums = {one: (await told_of(one, "counts"))[week] for one in found}
    assert (sums["rubella"], sums[""]) == ("*", "33")
    assert list(sums.values()).count("*") > 1, sums
    for one in ("cases", "counts", "areas", "signals"):
        assert (await over.get(f"/epidemic/{one}")).status_code == 403
    for asked in ("week=soon", f"week={last}", f"week={monday}", "disease=flu"):
        assert (await over.get(f"/epidemic/weeks?{asked}")).status_code == 400, asked
    beside = await county.enter("over-beside-he", pages)
    counted = (await beside.get("/epidemic/weeks/counts.csv?disease=influenza")).text
    assert f"{week},0" in counted, "no institution of this region has reported"


async def test_cases_from_before_they_were_counted_are_counted_by_a_job(
    clinic: Clinic, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    records = clinic.guard.records(HOSPITAL, purpose="PUBHLTH", request_id="fill")
    for case_class in ("confirmed", "suspected", "carrier"):
        await records.create("Task", counted_case("measles", HERE, date(2026, 3, 2), case_class))
    rows = await pool.fetch("select * from trust.counted_case order by task")
    assert len(rows) == 2
    await pool.execute("delete from trust.counted_case")
    await pool.execute(
        "insert into jobs.job (kind, owner, payload, once) values ($1, 'node', '{}', $1)",
        COUNT_CASES,
    )
    context = clinic.guard.store.context
    kind = count_cases_kind(CaseIndex(context, notifiable.counted), context)
    async with at_work(Worker(pool, [kind], JobLimits(places=1))):
        for _ in range(300):
            if await pool.fetchval("select state from jobs.job") not in {"waiting", "running"}:
                break
            await asyncio.sleep(0.02)
    assert await pool.fetch("select * from trust.counted_case order by task") == rows
