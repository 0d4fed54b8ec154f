"""Everybody begins on a first page of their own, and the menu never offers what is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from books import CODE, Books, organization, practice, practitioner, qualification
from clinic import Browser, Clinic
from starlette.applications import Starlette
from starlette.responses import Response

from quanmin.base.problems import Forbidden
from quanmin.trust import Actor, Role
from quanmin.web import Access, Application, DeclaredRecords, Text, Visit, Work, page
from quanmin.web.application import Installed, discover
from quanmin.web.house import KitSettings
from quanmin.web.route import ROLES
from quanmin.web.whole import build

SENDER = f"sender-{CODE}"
APPLICATIONS = {one.application.home: one.application for one in discover()}
IN_POST: tuple[tuple[Role, str | None], ...] = (
    ("doctor", "physician"),
    ("nurse", "nurse"),
    ("institution", None),
    ("public_health_worker", None),
)
NAMED = sorted(
    {
        duty
        for one in APPLICATIONS.values()
        for declared in one.pages
        if declared.access.charge
        for duty in declared.access.charge.duties
    }
)


def links(text: str) -> set[str]:
    """The homes of applications that a page leads to."""
    return {link for link in re.findall(r'href="([^"?#]+)"', text) if link in APPLICATIONS}


def account(role: Role, duty: str | None) -> str:
    return f"{role}-{duty or 'none'}"


async def somebody_of_each(clinic: Clinic) -> list[tuple[Role, str | None]]:
    """An account of each role: in a post with each duty that a page asks for, with
    another and with none; of the rest without a post.
    """
    books = Books(clinic.guard, clinic.pool)
    home = await books.enter(organization())
    found: list[tuple[Role, str | None]] = []
    person = await clinic.pool.fetchval("select person from people.link limit 1")
    for role in sorted(ROLES - {one for one, _ in IN_POST}):
        of = str(person) if role in {"resident", "guardian"} else None
        await clinic.add(Actor(account(role, None), role, "新来的人", "" if of else "x", of))
        found.append((role, None))
    for role, licence in IN_POST:
        for duty in (None, "quality", *NAMED):
            code = account(role, duty)
            await clinic.add(Actor(code, role, "新来的人", SENDER))
            held = [] if licence is None else [qualification(licence, "clinical")]
            of_staff = await books.enter(practitioner(*held))
            await books.enter(practice(of_staff, home))
            await books.appoint(code, practitioner_id=of_staff, duties=[duty] if duty else [])
            found.append((role, duty))
    return found


async def test_every_page_a_menu_leads_to_answers_and_every_role_has_a_first_page(
    clinic: Clinic,
) -> None:
    assert NAMED, "no page asks for a duty any more: what tests them here?"
    pages = clinic.pages()
    refused: list[str] = []
    hidden: list[str] = []
    for role, duty in await somebody_of_each(clinic):
        browser = await clinic.enter(account(role, duty), pages)
        first = await browser.get("/")
        assert first.status_code == 200, (role, duty)
        everything = (await browser.get("/applications")).text
        offered = links(everything)
        assert links(first.text) >= offered, (role, duty)
        assert offered <= {home for home, one in APPLICATIONS.items() if role in one.in_menu_of}, (
            role,
            duty,
        )
        for home, application in APPLICATIONS.items():
            if role not in application.in_menu_of and home not in offered:
                continue
            status = (await browser.get(home)).status_code
            if home in offered and status == 403:
                refused.append(f"{role} {duty} {home}")
            if home not in offered and status != 403:
                hidden.append(f"{role} {duty} {home}")
        await browser.client.aclose()
    assert refused == []
    assert hidden == []


async def test_who_has_the_duty_is_offered_the_counter_and_who_has_not_is_refused(
    clinic: Clinic,
) -> None:
    await somebody_of_each(clinic)
    pages = clinic.pages()
    for role, _ in IN_POST:
        for duty, is_open in (("registrar", True), ("quality", False)):
            browser = await clinic.enter(account(role, duty), pages)
            assert ("/enrolment" in links((await browser.get("/")).text)) is is_open
            answer = await browser.get("/enrolment")
            assert answer.status_code == (200 if is_open else 403), (role, duty)
    desk = await clinic.enter("hospital-a", pages)
    assert "/enrolment" in links((await desk.get("/")).text), "without a post, by the role"


async def test_whom_the_registers_stop_is_told_why_and_offered_nothing(clinic: Clinic) -> None:
    await clinic.add(Actor("unposted", "doctor", "无岗医师", "hospital-a"))
    clinic.guard.standings.posts_required = True
    browser = await clinic.enter("unposted")
    page_ = await browser.get("/")
    assert page_.status_code == 200
    assert links(page_.text) == set()
    assert "you have no post in the register" in page_.text


async def test_who_searches_begins_with_the_box_and_residents_with_few_large_choices(
    clinic: Clinic, browser: Browser
) -> None:
    assert 'action="/people"' in (await browser.get("/")).text
    resident = await clinic.enter("resident")
    text = (await resident.get("/?large=1")).text
    assert 'action="/people"' not in text
    choices = re.search(r'<ul class="choose">(.*?)</ul>', text, re.DOTALL)
    assert choices is not None
    assert 1 <= choices[1].count("<li>") <= 5
    assert 'class="choose"' not in (await resident.get("/?large=0")).text
    assert (await resident.get("/people")).status_code == 403
    found = await resident.get("/my-record")
    assert found.headers["location"].startswith("/person/")


async def test_a_field_of_work_has_a_page_with_its_applications_alone(browser: Browser) -> None:
    found = links((await browser.get("/applications?section=registers")).text)
    assert {"/posts", "/practitioners", "/registers/institutions", "/admissions"} <= found
    main = re.search(
        r"<main.*?</main>", (await browser.get("/applications?section=node")).text, re.DOTALL
    )
    assert main is not None
    assert links(main[0]) == {"/tenants", "/messages"}
    nothing = await browser.get("/applications?section=<script>")
    assert "No application of this kind" in nothing.text
    assert "<script>" not in nothing.text


Telling = Callable[[Visit, DeclaredRecords], Awaitable[list[Work]]]


def installed(folder: Path, *telling: Telling) -> Iterator[Installed]:
    """Applications that tell their work in these ways."""
    (folder / "templates").mkdir()
    for number, work in enumerate(telling):
        home = f"/trial-{number}"

        @page(home, access=Access(frozenset({"operator"})))
        async def nothing(visit: Visit, records: DeclaredRecords) -> Response:
            del records
            return visit.go("/")

        yield Installed(
            Application(
                name=f"trial-{number}",
                title=Text(zh=f"试用{number}", en=f"Trial {number}"),
                summary=Text(zh="试用", en="To try"),
                levels=frozenset({"county"}),
                roles=frozenset({"operator"}),
                reads=frozenset(),
                home=home,
                pages=(nothing,),
                work=work,
            ),
            folder,
        )


async def first_page(clinic: Clinic, folder: Path, *telling: Telling, seconds: float = 5) -> str:
    kit = KitSettings(
        secret=b"p" * 32,
        zone=clinic.guard.store.context.zone,
        work_seconds_max=seconds,
    )
    found = tuple(installed(folder, *telling))
    routes = build(clinic.guard, clinic.sign_in, kit, installed=found)
    browser = await clinic.enter("centre", Starlette(routes=routes))
    answer = await browser.get("/")
    assert answer.status_code == 200
    return answer.text


async def test_numbers_lead_to_their_rows_and_stop_at_the_cap(
    clinic: Clinic, tmp_path: Path
) -> None:
    async def few(_visit: Visit, _records: DeclaredRecords) -> list[Work]:
        return [Work(words="<b>cards</b>", link="/x?a=1&b=2", number=7, late=2, late_link="/late")]

    async def many(visit: Visit, _records: DeclaredRecords) -> list[Work]:
        cap = visit.house.settings.work_count_max
        return [
            Work(words="visits", link="/visits", number=cap + 1, late=cap),
            Work(words="letters", link="/letters", number=0),
        ]

    text = await first_page(clinic, tmp_path, few, many)
    assert re.search(
        r'href="/x\?a=1&amp;b=2"><span class="big number">7</span> &lt;b&gt;cards', text
    )
    assert re.search(r'href="/late">\s*2 late', text)
    assert '<span class="big number">99+</span> visits' in text
    assert "99 late" in text
    assert "letters" not in text


async def test_one_that_fails_or_hangs_is_said_and_keeps_no_other_away(
    clinic: Clinic, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def good(_visit: Visit, _records: DeclaredRecords) -> list[Work]:
        return [Work(words="cards", link="/cards", number=3)]

    async def broken(_visit: Visit, _records: DeclaredRecords) -> list[Work]:
        raise KeyError("张伟")

    async def hanging(_visit: Visit, _records: DeclaredRecords) -> list[Work]:
        await asyncio.sleep(3600)
        return []

    async def refused(_visit: Visit, _records: DeclaredRecords) -> list[Work]:
        raise Forbidden("not yours")

    text = await first_page(clinic, tmp_path, broken, good, hanging, refused, seconds=0.3)
    said = re.findall(r"Trial (\d) does not say now", text)
    assert said == ["0", "2"]
    assert '<span class="big number">3</span> cards' in text
    assert "张伟" not in text
    assert {record.getMessage() for record in caplog.records} >= {
        "an application could not tell its work",
        "an application did not tell its work in time",
    }


async def test_nothing_that_waits_is_said_too(clinic: Clinic, tmp_path: Path) -> None:
    async def nothing(_visit: Visit, _records: DeclaredRecords) -> list[Work]:
        return []

    assert "Nothing waits for you now." in await first_page(clinic, tmp_path, nothing)
