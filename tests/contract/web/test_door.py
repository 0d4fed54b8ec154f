"""What the kit does around every page: entering, forms, headers, languages, problems."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from clinic import ADDRESS, Browser, Clinic
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from quanmin.trust.sign_in import Sessions
from quanmin.web.application import discover
from quanmin.web.whole import KIT_PAGES as PAGES


def paths() -> Iterator[tuple[str, str]]:
    """Method and path of every page that needs somebody, with parts filled in."""
    pages = [page for installed in discover() for page in installed.application.pages]
    for page in [*PAGES, *pages]:
        if page.access.roles is not None:
            path = re.sub(r"\{\w+:int\}", "1", page.path).replace("{type}", "Patient")
            for method in page.methods:
                yield method, path.replace("{id}", "p1")


@pytest.mark.parametrize(("method", "path"), sorted(set(paths())))
async def test_nobody_opens_a_page_without_signing_in(
    clinic: Clinic, method: str, path: str
) -> None:
    browser = Browser(clinic.pages())
    await browser.get("/sign-in")
    answer = await browser.get(path) if method == "GET" else await browser.send(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in"


def routes_of(listed: list[BaseRoute]) -> Iterator[Route]:
    for route in listed:
        if isinstance(route, Route):
            yield route
        elif isinstance(route, Mount):
            yield from routes_of(list(route.routes))


async def test_every_route_is_a_declared_page(clinic: Clinic) -> None:
    declared = {page.path for one in discover() for page in one.application.pages}
    served = {route.path for route in routes_of(list(clinic.pages().routes))}
    assert served == declared | {page.path for page in PAGES} | {"/static/{name}"}


async def test_cookies_are_closed_to_scripts_and_other_sites(clinic: Clinic) -> None:
    browser = Browser(clinic.pages(is_secure=True), "https://node.test")
    answer = await browser.get("/sign-in")
    assert answer.headers["set-cookie"].count("HttpOnly") == 1
    answer = await clinic.walk_in(browser, "resident")
    cookies = answer.headers.get_list("set-cookie")
    session = [value for value in cookies if value.startswith("__Host-quanmin_session=")]
    assert len(session) == 1
    assert "Path=/" in session[0]
    assert "Domain" not in session[0]
    assert all("SameSite=lax" in one and "Secure" in one and "HttpOnly" in one for one in cookies)


async def test_who_has_signed_out_is_gone_and_a_withdrawn_account_stops_at_once(
    clinic: Clinic, browser: Browser
) -> None:
    other = await clinic.enter("centre")
    await other.get("/")
    answer = await other.send("/sign-out")
    assert answer.status_code == 303
    assert (await other.get("/")).headers["location"] == "/sign-in"
    assert (await browser.get("/")).status_code == 200
    await clinic.sign_in.accounts.retire("centre")
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_a_session_that_nobody_began_is_nobody(clinic: Clinic) -> None:
    for made_up in ("x" * 43, "", "x" * 5_000):
        browser = Browser(clinic.pages())
        browser.client.cookies.set("quanmin_session", made_up, domain="node.test")
        assert (await browser.get("/")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": ADDRESS, "Sec-Fetch-Site": "cross-site"},
        {"Origin": ADDRESS, "Sec-Fetch-Site": "same-site"},
        {"Origin": ""},
    ],
)
async def test_a_form_from_another_site_is_refused(
    browser: Browser, headers: dict[str, str]
) -> None:
    await browser.get("/")
    answer = await browser.client.post(
        "/people", data={"token": browser.token, "term": "张伟"}, headers=headers
    )
    assert answer.status_code == 403
    assert "张伟" not in answer.text


async def test_a_form_without_a_right_token_is_refused(clinic: Clinic, browser: Browser) -> None:
    other = await clinic.enter("hospital-a")
    await other.get("/")
    await browser.get("/")
    for token in ("", "nonsense", other.token):
        answer = await browser.client.post("/people", data={"token": token, "term": "张伟"})
        assert answer.status_code == 400
        assert "This could not be understood" in answer.text


async def test_only_forms_of_a_bounded_size_are_read(browser: Browser) -> None:
    await browser.get("/")
    large = await browser.send("/people", term="x" * 270_000)
    assert large.status_code == 413
    json = await browser.client.post("/people", json={"token": browser.token})
    assert json.status_code == 400
    for bytes_ in (b"\xff", b"%ff", b"%ed%a0%80", b"%00", b"\x00"):
        broken = await browser.client.post(
            "/people",
            content=b"token=" + browser.token.encode() + b"&term=" + bytes_,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert broken.status_code == 400, bytes_
    many = await browser.send("/people", **{f"f{number}": "x" for number in range(2001)})
    assert many.status_code == 400


async def test_every_answer_carries_the_same_strict_headers(browser: Browser) -> None:
    answers = [await browser.get(path) for path in ("/", "/nothing", "/invitation", "/sign-out")]
    answers.append(await browser.client.post("/", data={}))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_no_page_runs_or_fetches_anything_from_elsewhere(browser: Browser) -> None:
    page = (await browser.get("/")).text
    assert "<script" not in page
    assert "style=" not in page
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', page)


async def test_a_table_of_a_page_is_a_sheet_for_whom_the_page_is_open_to(
    clinic: Clinic, browser: Browser
) -> None:
    sheet = await browser.get("/account?sheet=sessions")
    assert sheet.headers["content-type"].startswith("text/csv")
    assert sheet.text.startswith("\ufeffBrowser,Since,Last used,\r\n")
    assert "<" not in sheet.text
    assert (await browser.get("/account?sheet=nothing")).status_code == 404
    stranger = Browser(clinic.pages())
    assert (await stranger.get("/account?sheet=sessions")).headers["location"] == "/sign-in"
    assert (await browser.get("/person/nobody?sheet=due")).status_code == 404


async def test_a_page_refuses_what_it_is_not_asked_by(clinic: Clinic, browser: Browser) -> None:
    for path in ("/", "/account", "/patterns", "/applications?section=node", "/decisions"):
        plain = await browser.get(f"{path}{'&' if '?' in path else '?'}lang=en&large=0&x=")
        assert plain.status_code == 200, path
        refused = await browser.get(f"{path}{'&' if '?' in path else '?'}lang=en&colour=<red>")
        assert refused.status_code == 400, path
        assert "This page is not asked by “colour”" in refused.text
        assert "<red>" not in refused.text
    told = (await browser.get("/applications?lang=en&colour=red")).text
    assert "It is asked by: section, sheet." in told
    assert "此页面不接受参数" in (await browser.get("/?lang=zh&colour=red")).text
    stranger = Browser(clinic.pages())
    assert (await stranger.get("/sign-in?colour=red")).status_code == 400
    assert (await stranger.get("/account?colour=red")).headers["location"] == "/sign-in"
    sheet = await browser.get("/account?sheet=sessions&colour=red")
    assert sheet.status_code == 400


async def test_a_form_that_was_sent_is_not_refused_for_its_address(browser: Browser) -> None:
    await browser.get("/")
    assert (await browser.send("/notices/read?colour=red", shown="0")).status_code == 303


async def test_the_language_is_the_browsers_until_one_is_chosen(browser: Browser) -> None:
    assert '<html lang="en"' in (await browser.get("/")).text
    chinese = await browser.get("/", **{"Accept-Language": "zh-CN"})
    assert '<html lang="zh-CN"' in chinese.text
    assert "首页" in chinese.text
    await browser.get("/?lang=zh")
    assert '<html lang="zh-CN"' in (await browser.get("/")).text


async def test_large_text_is_kept_until_it_is_switched_off(browser: Browser) -> None:
    assert 'class="large"' in (await browser.get("/?large=1")).text
    assert 'class="large"' in (await browser.get("/")).text
    assert 'class="large"' not in (await browser.get("/?large=0")).text
    assert 'class="large"' not in (await browser.get("/")).text


async def test_the_banner_stands_on_every_page_of_a_node_with_fictional_data(
    clinic: Clinic, browser: Browser
) -> None:
    for path in ("/", "/sign-in", "/nothing"):
        assert "Fictional data" in (await browser.get(path)).text
    real = await clinic.enter("centre", clinic.pages(is_fictional=False))
    assert "Fictional data" not in (await real.get("/")).text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nothing", 404, "There is nothing here"),
        ("/%00", 404, "There is nothing here"),
        ("/sign-out", 405, "This page cannot be opened like this"),
        ("/person/nobody", 404, "There is nothing here"),
        ("/person/nobody/timeline?from=nonsense", 400, "This could not be understood"),
        ("/record/Patient/' or true --", 404, "There is nothing here"),
        ("/record/AuditEvent/1", 404, "There is nothing here"),
    ],
)
async def test_a_problem_is_a_page_with_the_next_step(
    browser: Browser, path: str, status: int, words: str
) -> None:
    answer = await browser.get(path)
    assert answer.status_code == status
    assert words in answer.text
    assert answer.headers["x-request-id"] in answer.text


async def test_a_database_that_is_away_is_told_as_busy_and_a_fault_as_ours(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionResetError("connection of 张伟 lost")

    monkeypatch.setattr(Sessions, "begun", away)
    answer = await browser.get("/")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"

    async def broken(*_: object) -> None:
        raise KeyError("张伟")

    monkeypatch.setattr(Sessions, "begun", broken)
    with caplog.at_level(logging.ERROR, "quanmin.web"):
        answer = await browser.get("/")
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert "张伟" not in answer.text
    assert [record.getMessage() for record in caplog.records] == ["a page failed"]


async def test_a_request_is_followed_by_one_number(browser: Browser) -> None:
    answer = await browser.get("/", **{"X-Request-Id": "abc-123"})
    assert answer.headers["x-request-id"] == "abc-123"
    answer = await browser.get("/", **{"X-Request-Id": "<script>"})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_the_pages_are_no_application_of_a_level_they_are_not_for(clinic: Clinic) -> None:
    pages: Starlette = clinic.pages(level="nation")
    browser = await clinic.enter("centre", pages)
    assert (await browser.get("/people")).status_code == 404
    first = await browser.get("/")
    assert first.status_code == 200
    assert 'action="/people"' not in first.text
