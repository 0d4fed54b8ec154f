"""Files that take longer than a page may: their state is told, they are fetched by who asked alone,
and are given to nobody once they are stopped, removed, too old or about somebody who was erased.
"""

from __future__ import annotations

import json
import re

from clinic import Browser, Clinic
from persons import asking

from quanmin.base.growing import Shelf
from quanmin.trust import Mandate
from quanmin.trust.lifecycle.handing_out import MAKING
from quanmin.web.page_settings import PageSettings


def page_of(clinic: Clinic) -> str:
    return f"/person/{clinic.ids['hospital-a man']}/download"


async def begun(clinic: Clinic, browser: Browser) -> str:
    """The page of a record that is asked for and that nobody makes yet."""
    await browser.get(page_of(clinic))
    return str((await browser.send(page_of(clinic), what="record")).headers["location"])


async def test_how_far_a_file_has_come_is_told_until_who_asks_stops_it(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    where = await begun(clinic, resident)
    page = await resident.get(where)
    assert "Being made: 0 lines so far" in page.text
    assert "<progress" in page.text
    assert page.headers["refresh"] == "3"
    assert "refresh" not in (await resident.get(f"{where}?still=1")).headers
    assert (await resident.get(f"{where}/file")).status_code == 404
    assert "being made" in (await resident.get("/made")).text
    assert (await resident.send(where)).status_code == 303
    assert (await resident.get(where)).status_code == 404
    for wrong in ("0", "x", "9" * 30):
        assert (await resident.get(f"/made/{wrong}")).status_code == 404


async def test_a_file_that_is_made_no_more_hides_no_other(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    first, gone = await begun(clinic, resident), await begun(clinic, resident)
    await clinic.pool.execute("update jobs.job set done = 1")
    assert "Being made: 1 line so far" in (await resident.get(first)).text
    (actor,) = await clinic.sign_in.actors.of_account("resident")
    records = clinic.guard.records(actor, purpose="HOPERAT", request_id="r")
    errand = await records.errands.find(int(gone.rpartition("/")[2]))
    asked = {**errand.mandate.asked, "name": "made by an older node"}
    await records.errands.begin(MAKING, Mandate("/", asked), open_max=9)
    listed = await resident.get("/made")
    assert listed.status_code == 200
    assert listed.text.count("being made") == 2


async def test_somebody_has_so_many_files_made_at_a_time(clinic: Clinic) -> None:
    pages = clinic.pages(pages=PageSettings(made_open_max=1))
    resident = await clinic.enter("resident", pages)
    await begun(clinic, resident)
    await resident.get(page_of(clinic))
    assert (await resident.send(page_of(clinic), what="record")).status_code == 429


async def test_why_a_file_could_not_be_made_is_told_in_the_language_of_the_page(
    clinic: Clinic,
) -> None:
    resident = await clinic.enter("resident")
    where = await begun(clinic, resident)
    english = "a file of this job is damaged: ask for it again"
    reasons = json.dumps([{"at": 1, "text": english, "status": 500}])
    await clinic.pool.execute("update jobs.job set state = 'dead', reasons = $1", reasons)
    page = (await resident.get(f"{where}?lang=zh")).text
    assert "此作业的一个文件已损坏：请重新申请" in page
    assert english not in page


async def test_a_file_that_was_removed_or_is_too_old_is_given_no_more(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    async with clinic.making():
        where = re.findall(
            r'href="(/made/\d+)/file"',
            (await clinic.made(resident, page_of(clinic), what="record")).text,
        )[0]
    hasty = await clinic.enter("resident", clinic.pages(made=Shelf(clinic.folder / "made", 0)))
    assert "has been removed" in (await hasty.get(where)).text
    assert (await hasty.get(f"{where}/file")).status_code == 410
    assert f'href="{where}"' not in (await hasty.get("/made")).text
    assert (await resident.get(f"{where}/file")).status_code == 200
    await resident.get(where)
    assert (await resident.send(where)).status_code == 303
    assert (await resident.get(f"{where}/file")).status_code == 404
    assert list((clinic.folder / "made").iterdir()) == []


async def test_an_erasure_ends_the_files_about_its_person(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    async with clinic.making():
        ready = await clinic.made(resident, page_of(clinic), what="record")
        (where,) = re.findall(r'href="(/made/\d+)/file"', ready.text)
        operator = asking(clinic.guard, "operator", "centre")
        await operator.erase(clinic.ids["hospital-b man"])
    assert (await resident.get(f"{where}/file")).status_code == 404
