"""Keeping the registers on pages: entering, changing, ending, and what each of it does at once."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import httpx
import pytest
from books import CODE, OTHER, Books, organization
from clinic import Browser, Clinic

from quanmin.trust import Actor

TODAY = "2026-09-21"


@pytest.fixture
async def keeper(clinic: Clinic) -> Browser:
    """A browser in which a security administrator has entered."""
    await clinic.add(Actor("keeper", "security_administrator", "安全管理员", "register"))
    return await clinic.enter("keeper")


def told(answer: httpx.Response) -> list[str]:
    """What a form says is wrong, beside which field."""
    return re.findall(r'id="fault-(\w+)"', answer.text)


def lines(answer: httpx.Response) -> list[list[str]]:
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))[1:]


async def send(browser: Browser, path: str, **fields: str) -> httpx.Response:
    """Open a form and send it."""
    assert (await browser.get(path)).status_code == 200, path
    return await browser.send(path, **fields)


async def confirmed(browser: Browser, path: str, **fields: str) -> httpx.Response:
    """Send a form that asks before it stops somebody, and say yes."""
    asked = await send(browser, path, **fields)
    assert asked.status_code == 200
    assert "Yes, do it" in asked.text
    kept = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    kept.pop("token")
    return await browser.send(path, **kept)


async def actions(clinic: Clinic, actor: str) -> list[tuple[str, str]]:
    rows = await clinic.pool.fetch(
        "select action, outcome from trust.access where actor = $1 order by at", actor
    )
    return [tuple(row) for row in rows]


INSTITUTION = {"credit_code": CODE, "sender": "hospital-a", "name": "青县人民医院", "kind": "A"}


async def test_an_institution_is_entered_renamed_and_closed(
    clinic: Clinic, keeper: Browser
) -> None:
    new = "/registers/institutions/new"
    wrong = await send(keeper, new, **{**INSTITUTION, "credit_code": "X", "name": "", "kind": "Q"})
    assert (wrong.status_code, told(wrong)) == (422, ["name", "kind"])
    wrong = await send(keeper, new, **{**INSTITUTION, "credit_code": "X", "parent": OTHER})
    assert (wrong.status_code, told(wrong)) == (422, ["parent"])
    assert 'value="青县人民医院"' in wrong.text  # what was filled in is still there
    wrong = await send(keeper, new, **{**INSTITUTION, "credit_code": CODE[:-1] + "?"})
    assert wrong.status_code == 422
    made = await send(keeper, new, **INSTITUTION)
    assert (made.status_code, made.headers["location"]) == (303, f"/registers/institutions/{CODE}")
    again = await send(keeper, new, **INSTITUTION)
    assert again.status_code == 422
    one = f"/registers/institutions/{CODE}"
    await send(keeper, f"{one}/change", name="青县中心医院", kind="A", level="county")
    history = lines(await keeper.get(f"{one}/sheet.csv"))
    assert [line[0] for line in history] == ["青县人民医院", "青县中心医院"]
    desk = await clinic.enter("hospital-a")
    assert (await desk.get("/people")).status_code == 200
    assert (await desk.get("/registers/institutions")).status_code == 200
    asked = await send(keeper, f"{one}/state", state="closed", **{"from": "2020-01-01"})
    assert "nobody acts for this institution" in asked.text
    assert (await desk.get("/registers/institutions")).status_code == 200  # asked is not done
    done = await confirmed(keeper, f"{one}/state", state="closed", **{"from": "2020-01-01"})
    assert done.status_code == 303
    before = len(await actions(clinic, "hospital-a"))
    refused = await desk.get("/registers/institutions")
    assert refused.status_code == 403
    assert "ask who keeps the register of institutions" in refused.text
    assert (await actions(clinic, "hospital-a"))[before:] == [("stopped", "forbidden")]


async def test_a_state_begins_on_its_day_and_the_day_before_is_the_last_of_the_other(
    keeper: Browser,
) -> None:
    await send(keeper, "/registers/institutions/new", **INSTITUTION)
    one = f"/registers/institutions/{CODE}"
    await send(keeper, f"{one}/state", state="active", **{"from": "2021-01-01"})
    await confirmed(keeper, f"{one}/state", state="suspended", **{"from": "2024-03-01"})
    await send(keeper, f"{one}/state", state="active", **{"from": "2024-05-01"})
    history = [(line[2], line[7], line[8]) for line in lines(await keeper.get(f"{one}/sheet.csv"))]
    assert history == [
        ("Active", "2021-01-01", "2024-02-29"),
        ("Suspended", "2024-03-01", "2024-04-30"),
        ("Active", "2024-05-01", ""),
    ]


async def test_a_site_is_entered_and_ended_after_a_day(
    keeper: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quanmin.applications.registers.sites._SITES_AT_ONCE", 1)
    await send(keeper, "/registers/institutions/new", **INSTITUTION)
    sites = f"/registers/institutions/{CODE}/sites"
    wrong = await send(keeper, f"{sites}/new", name="", address="x", **{"from": "soon"})
    assert (wrong.status_code, told(wrong)) == (422, ["name", "from"])
    made = await send(
        keeper, f"{sites}/new", name="东院区", address="青县东街1号", **{"from": "2020-01-01"}
    )
    assert made.status_code == 303
    (end,) = re.findall(r'href="([^"]+/end)"', (await keeper.get(sites)).text)
    assert told(await send(keeper, end, until="")) == ["until"]
    early = await confirmed(keeper, end, until="2019-12-31")
    assert (early.status_code, told(early)) == (422, ["until"])
    await confirmed(keeper, end, until="2022-06-30")
    for day, number in (("2022-06-30", 1), ("2022-07-01", 0), ("2019-12-31", 0)):
        found = lines(await keeper.get(f"{sites}.csv?day={day}&sort=-from"))
        assert [len(line) for line in found] == [4] * number, day
    none = (await keeper.get(f"{sites}?day=2019-12-31&lang=en")).text
    assert "On this day it has no site" in none
    both = {"address": "青县西街2号", "from": "2020-01-01"}
    await send(keeper, f"{sites}/new", name="西院区", **both)
    assert len(lines(await keeper.get(f"{sites}.csv?day=2022-06-30"))) == 2


async def test_a_licence_is_entered_and_suspended_from_a_day(
    clinic: Clinic, keeper: Browser
) -> None:
    await send(keeper, "/registers/institutions/new", **INSTITUTION)
    made = await send(keeper, "/practitioners/new", number="S1", name="李明")
    one = made.headers["location"]
    twice = await send(keeper, "/practitioners/new", number="S1", name="李明")
    assert (twice.status_code, told(twice)) == (422, ["number"])
    licence = {"kind": "physician", "scope": "clinical", "scope2": "tcm", "from": "2020-01-01"}
    wrong = await send(keeper, f"{one}/licence", **{**licence, "until": "2019-01-01"})
    assert (wrong.status_code, told(wrong)) == (422, ["until"])
    assert (await send(keeper, f"{one}/licence", **licence)).status_code == 303
    wrong = await send(keeper, f"{one}/place", institution=OTHER, **{"from": "2020-01-01"})
    assert (wrong.status_code, told(wrong)) == (422, ["institution"])
    await send(keeper, f"{one}/place", institution=CODE.lower(), **{"from": "2020-01-01"})
    state = {"number": "0", "state": "suspended"}
    wrong = await send(keeper, f"{one}/state", **state, **{"from": "2019-12-31"})
    assert (wrong.status_code, told(wrong)) == (422, ["from"])
    assert (await confirmed(keeper, f"{one}/state", **state, **{"from": "2024-03-01"})).status_code
    history = lines(await keeper.get(f"{one}/licences.csv"))
    assert [line[2:] for line in history] == [
        ["In force", "2020-01-01", "2024-02-29"],
        ["Suspended", "2024-03-01", ""],
    ]
    for day, asked, number in (
        ("2024-02-29", "state=active", 1),
        ("2024-03-01", "state=active", 0),
        ("2024-03-01", "state=suspended&kind=physician", 1),
        ("2024-03-01", f"institution={CODE}", 1),
        ("2019-12-31", f"institution={CODE}", 0),
    ):
        found = lines(await keeper.get(f"/practitioners.csv?day={day}&{asked}"))
        assert len(found) == number, (day, asked)
    shown = await keeper.get(one)
    assert "李明" in shown.text
    assert "李明" in (await keeper.get("/practitioners")).text
    assert ("read-staff", "ok") in await actions(clinic, "keeper")


async def test_posts_are_given_and_ended_and_a_head_keeps_those_of_the_own_institution(
    clinic: Clinic, keeper: Browser
) -> None:
    books = Books(clinic.guard, clinic.pool)
    for code, sender in ((CODE, "hospital-a"), (OTHER, "hospital-b")):
        body = organization(code)
        body["identifier"][1]["value"] = sender
        await books.enter(body)
    for code, sender in (("wang", "hospital-a"), ("li", "hospital-b")):
        await clinic.actors.enrol(Actor(code, "public_health_worker", code, sender))
    long_ago = {"from": "2020-01-01"}
    wrong = await send(keeper, "/posts/new", actor="nobody", duty1="tea", **{"from": "2026"})
    assert (wrong.status_code, told(wrong)) == (422, ["actor", "duty1", "from"][1:])
    wrong = await send(keeper, "/posts/new", actor="nobody", **long_ago)
    assert told(wrong) == ["actor"]
    wrong = await send(keeper, "/posts/new", actor="wang", staff="S9", **long_ago)
    assert told(wrong) == ["staff"]
    for code, duty in (("wang", "quality"), ("hospital-a", "head")):
        given = await send(keeper, "/posts/new", actor=code, duty1=duty, **long_ago)
        assert given.status_code == 303, given.text
    twice = await send(keeper, "/posts/new", actor="wang", duty1="head", **long_ago)
    assert (twice.status_code, told(twice)) == (422, ["from"])
    head = await clinic.enter("hospital-a")
    assert [line[1] for line in lines(await head.get("/posts.csv"))] == ["wang", "hospital-a"]
    await send(keeper, "/posts/new", actor="li", **long_ago)
    assert len(lines(await keeper.get("/posts.csv"))) == 3
    assert len(lines(await head.get("/posts.csv"))) == 2
    assert (await head.get(f"/posts.csv?institution={OTHER}")).status_code == 400
    other = await send(head, "/posts/new", actor="hospital-b", **long_ago)
    assert (other.status_code, told(other)) == (422, ["actor"])
    own = await send(head, "/posts/new", actor="hospital-a", **long_ago)
    assert (own.status_code, "to themselves" in own.text) == (422, True)
    numbers = {one.actor: one.post for one in await books.posts.as_of(2**61, count=9)}
    assert (await head.get(f"/posts/{numbers['li']}/end")).status_code == 404
    assert (await head.get("/posts/0/end")).status_code == 404
    page = (await keeper.get("/posts?sort=-account&lang=en")).text
    assert re.findall(r'data-label="Account">([^<]+)<', page) == ["wang", "li", "hospital-a"]
    after = f"/posts?sort=-account&after={numbers['li']}"
    assert re.findall(r'data-label="Account">([^<]+)<', (await keeper.get(after)).text) == [
        "hospital-a"
    ]
    for query in ("after=x", "sort=name", "sort=-"):
        assert (await keeper.get(f"/posts?{query}")).status_code == 400, query
    assert (await confirmed(head, f"/posts/{numbers['wang']}/end")).status_code == 303
    assert [one.actor for one in await books.posts.as_of(2**61, count=9)] == ["hospital-a", "li"]
    await books.appoint("hospital-b")
    desk = await clinic.enter("hospital-b")  # keeps none, and sees the own
    assert [line[1] for line in lines(await desk.get("/posts.csv"))] == ["hospital-b"]
    for number in numbers.values():
        assert (await desk.get(f"/posts/{number}/end")).status_code == 404
    held = await books.posts.history("hospital-b")
    assert (await confirmed(desk, f"/posts/{held[0].post}/end")).status_code == 422
    assert ("end-post", "ok") in await actions(clinic, "hospital-a")


async def test_a_party_is_admitted_in_steps_by_two_and_stopped_at_once(
    clinic: Clinic, keeper: Browser, browser: Browser
) -> None:
    application = {"party": "desk", "name": "Desk Ltd", "kind": "organisation", "purpose": "care"}
    member = {"member_kind": "sender", "member": "hospital-b"}
    wrong = await send(keeper, "/admissions/new", **application, member_kind="friend")
    assert (wrong.status_code, told(wrong)) == (422, ["member_kind", "member"])
    made = await send(keeper, "/admissions/new", **application, **member)
    one = made.headers["location"]
    desk = await clinic.enter("hospital-b")
    assert (await desk.get("/registers/institutions")).status_code == 403
    same = await send(keeper, f"{one}/review", opinion="sound", result="yes")
    assert (same.status_code, "neither reviews" in same.text) == (422, True)
    await send(browser, f"{one}/review", opinion="sound", result="yes")
    days = {"from": "2026-01-01", "until": "2036-01-01"}
    wrong = await send(browser, f"{one}/admit", agreement="A7", **days)
    assert wrong.status_code == 422
    admitted = await send(
        browser, f"{one}/admit", agreement="A7", **{**days, "until": "2027-12-31"}
    )
    assert admitted.status_code == 303
    assert (await desk.get("/registers/institutions")).status_code == 200
    assert "A7" in (await keeper.get(one)).text
    assert (await confirmed(keeper, f"{one}/withdraw", reason="breach")).status_code == 303
    assert (await desk.get("/registers/institutions")).status_code == 403
    assert [line[3] for line in lines(await keeper.get("/admissions.csv"))] == ["Withdrawn"]
    assert lines(await keeper.get("/admissions.csv?state=admitted")) == []


PAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/registers/institutions/new", INSTITUTION),
    ("/practitioners/new", {"number": "S1", "name": "x"}),
    ("/posts/new", {"actor": "hospital-a", "from": TODAY}),
    ("/admissions/new", {"party": "a"}),
)


async def test_nobody_else_keeps_the_registers_nor_does_another_site(
    clinic: Clinic, keeper: Browser
) -> None:
    for path, fields in PAGES:
        forged = await keeper.client.post(path, data=fields)
        assert forged.status_code in {400, 403}, path
        elsewhere = await keeper.client.post(
            path, data={**fields, "token": keeper.token}, headers={"Origin": "http://evil.test"}
        )
        assert elsewhere.status_code == 403, path
    for code in ("hospital-a", "resident"):
        other = await clinic.enter(code)
        for path, fields in PAGES:
            assert (await other.get(path)).status_code == 403, (code, path)
            assert (await other.send(path, **fields)).status_code in {400, 403}, (code, path)
    assert await clinic.pool.fetchval("select count(*) from trust.institution_entry") == 0
    for path in ("/practitioners", "/posts", "/admissions", "/registers/institutions"):
        chinese = await keeper.get(f"{path}?lang=zh&day=soon")
        assert (chinese.status_code, "登记簿" in chinese.text) == (400, True), path
        assert (await keeper.get(f"{path}.csv?day=soon")).status_code == 400, path


# What each list is asked by, so that what is odd reaches the register and not the kit alone.
NAMES = {
    "/registers/institutions": ("text", "region", "after"),
    f"/registers/institutions/{CODE}/sites": ("after",),
    "/practitioners": ("institution", "after"),
    "/posts": ("institution", "after"),
    "/admissions": ("after",),
}
ODD = ("%00", "0001-01-01", "9999-12-31", "-1", "9" * 30, "%E2%80%AE", "1e3", "..%2F..", "%F0%9F")


async def test_no_odd_address_or_field_makes_a_page_fail(keeper: Browser) -> None:
    await send(keeper, "/registers/institutions/new", **INSTITUTION)
    made = await send(keeper, "/practitioners/new", number="S1", name="李明")
    one, failed = made.headers["location"], []
    for path, names in NAMES.items():
        for odd in ODD:
            for asked in (f"day={odd}&state={odd}", *(f"{name}={odd}" for name in names)):
                for form in ("", ".csv"):
                    answer = await keeper.get(f"{path}{form}?{asked}")
                    if answer.status_code >= 500:
                        failed.append(str(answer.url))
    for path in ("/posts/{}/end", "/admissions/{}", "/practitioners/{}", "/admissions/new?of={}"):
        for odd in ODD:
            answer = await keeper.get(path.format(odd))
            if answer.status_code >= 500:
                failed.append(str(answer.url))
    forms = (
        *("/registers/institutions/new", f"/registers/institutions/{CODE}/state"),
        *(f"/registers/institutions/{CODE}/sites/new", "/practitioners/new", f"{one}/licence"),
        *(f"{one}/state", f"{one}/place", f"{one}/leave", "/posts/new", "/admissions/new"),
    )
    for path in forms:
        fields = re.findall(r'<(?:input|select) id="(\w+)"', (await keeper.get(path)).text)
        for odd in ("\x00", "0001-01-01", "9999-12-31", "\u202e", "x" * 5000, "-1"):
            answer = await keeper.send(path, **dict.fromkeys(fields, odd))
            if answer.status_code >= 500:
                failed.append(f"{path} {odd[:20]!r} {answer.status_code}")
    assert failed == []
