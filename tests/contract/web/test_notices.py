"""The notices of whoever has signed in, and what an application needs to tell people something."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from clinic import PHONE, Browser, Clinic
from starlette.applications import Starlette
from starlette.responses import Response

from quanmin.base.problems import Forbidden, Invalid
from quanmin.fhir.json import decode
from quanmin.trust import Actor
from quanmin.trust.notices import kinds_in
from quanmin.trust.notices.tellings import Tell
from quanmin.web import Application, DeclaredRecords, KitSettings, Text, Visit, build, page
from quanmin.web.application import Installed
from quanmin.web.route import READERS

KINDS = """
[definition]
source = "this test"

[[kind]]
code = "trial.due"
class = "reminder"
path = "/trial"
zh = "{vaccine}到期"
en = "{vaccine} is due"
zh_for_another = "您所代理的人的{vaccine}到期"
en_for_another = "{vaccine} is due for somebody for whom you act"

[[kind]]
code = "trial.assigned"
class = "task"
is_urgent = true
zh = "有新任务"
en = "There is a task for you"
"""


@page("/trial", access=READERS, methods=("GET",))
async def nothing(visit: Visit, records: DeclaredRecords) -> Response:
    """Where a notice leads."""
    del records
    return visit.go("/")


def trial(**more: Any) -> Application:
    return Application(
        name="trial",
        title=Text(zh="试用", en="Trial"),
        summary=Text(zh="试用", en="To try"),
        levels=frozenset({"county"}),
        roles=frozenset({"institution", "resident"}),
        reads=frozenset({"Patient", "Task"}),
        writes=frozenset({"Task"}),
        home="/trial",
        pages=(nothing,),
        **more,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "trial"
    for name in ("templates", "definitions"):
        (found / name).mkdir(parents=True)
    (found / "definitions" / "notices.toml").write_text(KINDS, "utf-8")
    return found


@pytest.fixture
def pages(clinic: Clinic, folder: Path) -> Starlette:
    kit = KitSettings(secret=b"p" * 32, zone=clinic.guard.store.context.zone)
    return Starlette(
        routes=build(clinic.guard, clinic.sign_in, kit, installed=(Installed(trial(), folder),))
    )


@pytest.fixture
def records(clinic: Clinic, folder: Path) -> DeclaredRecords:
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    guarded = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    zone = clinic.guard.store.context.zone
    return DeclaredRecords(guarded, trial(), zone, kinds_in(folder, "trial"))


def task(clinic: Clinic, status: str = "requested", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": status,
        "intent": "order",
        "for": {"reference": f"Patient/{clinic.ids['hospital-a man']}"},
        **more,
    }


def put_in(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"resource": resource, "request": {"method": "POST", "url": "Task"}}]


async def test_an_application_tells_a_person_in_the_transaction_that_makes_the_matter(
    clinic: Clinic, records: DeclaredRecords, pages: Starlette
) -> None:
    resident = await clinic.enter("resident", pages)
    told = Tell(kind="trial.due", words={"vaccine": "HepB"})
    (made,) = await records.transact(put_in(task(clinic)), tell=[told])
    assert made.stored is not None
    html = (await resident.get("/notices?lang=en")).text
    assert '<a href="/trial">HepB is due</a>' in html
    assert "Notices (1 new)" in re.sub(r"\s+", " ", html)
    assert "HepB到期" in re.sub(r"<[^>]+>", "", (await resident.get("/notices?lang=zh")).text)
    stored = str(await clinic.pool.fetch("select * from trust.notice"))
    assert "HepB" not in stored
    changed = decode(made.stored.body or b"") | {"status": "completed"}
    request = {"method": "PUT", "url": f"Task/{made.stored.id}"}
    await records.transact([{"resource": changed, "request": request}], over=["trial.due"])
    html = (await resident.get("/notices?lang=en")).text
    assert "HepB" not in html, "the matter is over"
    assert "Nothing was found" in html
    await resident.client.aclose()


async def test_staff_of_an_institution_are_told_by_their_role(
    clinic: Clinic, records: DeclaredRecords
) -> None:
    await records.transact(
        put_in(task(clinic)), tell=[Tell(kind="trial.assigned", roles=("institution",))]
    )
    await records.transact(
        put_in(task(clinic)),
        tell=[Tell(kind="trial.assigned", roles=("institution",), institution="hospital-b")],
    )
    await records.transact(
        put_in(task(clinic)), tell=[Tell(kind="trial.assigned", account="centre")]
    )
    rows = await clinic.pool.fetch("select account from trust.notice order by id")
    assert [row["account"] for row in rows] == ["hospital-a", "hospital-b", "centre"]
    with pytest.raises(Invalid, match="no such role"):
        await records.transact(
            put_in(task(clinic)), tell=[Tell(kind="trial.assigned", roles=("institutions",))]
        )


async def test_what_is_sent_again_unchanged_tells_nobody_again(
    clinic: Clinic, records: DeclaredRecords
) -> None:
    told = Tell(kind="trial.assigned")
    (made,) = await records.transact(put_in(task(clinic)), tell=[told])
    assert made.stored is not None
    request = {"method": "PUT", "url": f"Task/{made.stored.id}"}
    again = [{"resource": decode(made.stored.body or b""), "request": request}]
    await records.transact(again, tell=[told])
    assert await clinic.pool.fetchval("select count(*) from trust.notice") == 1


async def test_a_transaction_that_fails_tells_nobody(
    clinic: Clinic, records: DeclaredRecords
) -> None:
    bad = put_in(task(clinic)) + put_in(task(clinic) | {"status": "no such status"})
    with pytest.raises(Invalid):
        await records.transact(bad, tell=[Tell(kind="trial.assigned")])
    for words in ({}, {"vaccine": "HepB", "dose": "2"}, {"vaccine": "x" * 201}):
        with pytest.raises(Invalid):
            await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.due", words=words)])
    assert await clinic.pool.fetchval("select count(*) from trust.notice") == 0
    assert not (await records.find("Task", count=5)).matches, "nor is anything written"


async def test_an_application_tells_by_its_own_kinds_only(
    clinic: Clinic, records: DeclaredRecords
) -> None:
    for kind in ("breach", "trial.unknown"):
        with pytest.raises(Forbidden):
            await records.transact(put_in(task(clinic)), tell=[Tell(kind=kind)])
        with pytest.raises(Forbidden):
            await records.transact(put_in(task(clinic)), over=[kind])


async def test_the_list_goes_on_by_key_is_narrowed_and_is_a_sheet(
    clinic: Clinic, records: DeclaredRecords, pages: Starlette
) -> None:
    for number in range(60):
        words = {"vaccine": f"dose {number}"}
        await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.due", words=words)])
    await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.assigned")])
    resident = await clinic.enter("resident", pages)
    first = (await resident.get("/notices?lang=en&class=reminder")).text
    assert "dose 59 is due" in first
    assert "There is a task" not in first
    assert "dose 9 is due" not in first
    link = re.search(r'href="([^"]*after=[^"]*)"', first)
    assert link is not None
    following = (await resident.get(link[1].replace("&amp;", "&"))).text
    assert "dose 9 is due" in following
    assert "dose 10 is due" not in following
    sheet = (await resident.get("/notices.csv?lang=en&class=reminder")).text
    rows = list(csv.reader(io.StringIO(sheet.lstrip("\ufeff"))))
    assert [row[1] for row in rows[1:]] == [f"dose {number} is due" for number in range(59, -1, -1)]
    for wrong, said in (
        ("kind=zzz", "This list is not asked by “kind”. It is asked by: class, unread."),
        ("class=none", "“Kind”: choose one of the list."),
        ("unread=2", "“State”: choose one of the list."),
    ):
        for form in ("", ".csv"):
            answer = await resident.get(f"/notices{form}?{wrong}&lang=en")
            assert (answer.status_code, said in answer.text) == (400, True), wrong
    for place in ("x.y", "1", "1.", ".1", "1.2.3", "-1.2"):
        assert (await resident.get(f"/notices?after={place}&class=&unread=")).status_code == 400
    await resident.client.aclose()


async def test_what_was_read_is_counted_no_more_and_is_still_there(
    clinic: Clinic, records: DeclaredRecords, pages: Starlette
) -> None:
    resident = await clinic.enter("resident", pages)
    await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.assigned")])
    html = (await resident.get("/notices?lang=en")).text
    shown = re.search(r'name="shown" value="(\d+)"', html)
    assert shown is not None
    await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.assigned")])
    assert (await resident.send("/notices/read", shown=shown[1])).status_code == 303
    html = re.sub(r"\s+", " ", (await resident.get("/notices?lang=en")).text)
    assert "Notices (1 new)" in html, "what came meanwhile was not read"
    assert html.count("There is a task for you") == 2
    unread = (await resident.get("/notices?lang=en&unread=1")).text
    assert unread.count("There is a task for you") == 1
    for wrong in ("", "-1", "9" * 40, "²", ",,1;2"):
        assert (await resident.send("/notices/read", shown=wrong)).status_code == 303
    await resident.client.aclose()


async def test_what_another_page_or_kind_has_is_not_read_with_what_was_shown(
    clinic: Clinic, records: DeclaredRecords, pages: Starlette
) -> None:
    resident = await clinic.enter("resident", pages)
    tell = [Tell(kind="trial.due", words={"vaccine": "HepB"}) for _ in range(60)]
    await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.assigned"), *tell])

    async def press(address: str) -> None:
        shown = re.search(r'name="shown" value="([\d,]+)"', (await resident.get(address)).text)
        assert shown is not None
        await resident.send("/notices/read", shown=shown[1])

    async def left() -> list[tuple[str, int]]:
        rows = await clinic.pool.fetch(
            "select class, count(*) from trust.notice where seen_at is null group by class"
            " order by class"
        )
        return [tuple(row) for row in rows]

    await press("/notices?class=reminder")
    assert await left() == [("reminder", 10), ("task", 1)]
    html = (await resident.get("/notices?class=reminder")).text
    assert "shown" not in re.findall(r'name="(\w+)"', html), "all of this page has been read"
    await press("/notices?unread=1&class=reminder")
    assert await left() == [("task", 1)]
    await resident.client.aclose()


async def test_nobody_reads_the_notices_of_another(
    clinic: Clinic, records: DeclaredRecords, pages: Starlette
) -> None:
    await records.transact(put_in(task(clinic)), tell=[Tell(kind="trial.assigned")])
    number = await clinic.pool.fetchval("select id from trust.notice")
    other = await clinic.enter("hospital-b", pages)
    assert "There is a task" not in (await other.get("/notices?lang=en")).text
    await other.send("/notices/read", shown=str(number))
    seen = await clinic.pool.fetchval("select seen_at from trust.notice")
    assert seen is None
    nobody = Browser(pages)
    assert (await nobody.get("/notices")).headers["location"] == "/sign-in"
    for one in (other, nobody):
        await one.client.aclose()


async def test_what_a_registration_says_is_offered_and_not_used_before_it_is_kept(
    clinic: Clinic, pages: Starlette
) -> None:
    resident = await clinic.enter("resident", pages)
    assert f'value="{PHONE}"' in (await resident.get("/notices/choices?lang=en")).text
    assert await clinic.pool.fetchval("select count(*) from trust.contact") == 0
    desk = await clinic.enter("hospital-a", pages)
    assert PHONE not in (await desk.get("/notices/choices?lang=en")).text
    for one in (resident, desk):
        await one.client.aclose()


async def test_ways_and_hours_are_chosen_on_a_page(clinic: Clinic, pages: Starlette) -> None:
    resident = await clinic.enter("resident", pages)
    await resident.get("/notices/choices?lang=en")
    answer = await resident.send(
        "/notices/choices", sms="15400001234", mail="", language="zh", begins="21:30", ends="07:05"
    )
    assert answer.status_code == 303
    register, context = clinic.sign_in.notices, clinic.guard.store.context
    assert [
        (one.channel, one.address, one.language)
        for one in await register.contacts("resident", context)
    ] == [("sms", "15400001234", "zh")]
    assert await register.quiet_time("resident") == (21 * 60 + 30, 7 * 60 + 5)
    html = (await resident.get("/notices/choices?lang=en")).text
    assert 'value="15400001234"' in html
    assert 'value="07:05"' in html
    wrong = {"mail": "nobody", "begins": "25:00", "ends": "07:5", "language": "fr"}
    for name, value in wrong.items():
        fields = {"sms": "15400001234", "language": "zh", "begins": "", "ends": "", name: value}
        refused = await resident.send("/notices/choices", **fields)
        assert refused.status_code == 422, name
        assert f'id="fault-{name}"' in refused.text
    halves = await resident.send("/notices/choices", language="zh", begins="21:00", ends="")
    assert halves.status_code == 422
    assert await register.quiet_time("resident") == (21 * 60 + 30, 7 * 60 + 5), "nothing changed"
    await resident.send("/notices/choices", language="zh")
    assert await register.contacts("resident", context) == []
    assert await register.quiet_time("resident") is None
    await resident.client.aclose()
