"""What every address has in common, whoever asks and whatever comes of it: headers, addresses of
hosts, and how often may be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from clients import ADDRESS
from clinic import Browser
from whole import Whole

from quanmin.api import DoorLimits
from quanmin.api.interactions import INTERACTIONS
from quanmin.api.oauth import discovery
from quanmin.web.application import discover
from quanmin.web.assets import Assets
from quanmin.web.whole import KIT_PAGES

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
FEW = DoorLimits(stranger_requests_per_second=0.001, stranger_burst_requests=4)


def addresses() -> Iterator[tuple[str, str]]:
    """Each method and address of the node, parts filled in, and some that it has not."""
    for one in INTERACTIONS:
        shape = one.shape.replace("[type]/[id]/[kind]", "Patient/none/Condition")
        path = shape.replace("[type]", (one.types or ("Condition",))[0]).replace("[kind]", "files")
        yield one.method, "/fhir/" + path.replace("[id]", "1").replace("[version]", "1")
    pages = [*KIT_PAGES, *(page for found in discover() for page in found.application.pages)]
    for page in pages:
        for way in page.methods:
            yield way, re.sub(r"\{\w+:int\}", "1", page.path).replace("{type}", "Patient")
    for path in (discovery.TOKEN, discovery.INTROSPECT, discovery.REVOKE, discovery.LAUNCHES):
        yield "POST", path
    assets = Assets()
    yield from (
        ("GET", path)
        for path in (
            *(assets.address(name) for name in assets.names),
            *("/static/none.css", "/static/", "/static/a/b", "/static/..%2f..%2fhouse.py"),
            *("/health", "/ready", "/metrics", discovery.KEYS, "/nothing", "/sign-in/", "//x/"),
            *("/.well-known/smart-configuration", "/.well-known/openid-configuration"),
            *("/fhir/Nothing", "/fhir/Patient/a/b/c/d/e", "/fhir/$nothing", "/fhir/%ff"),
        )
    )
    for method in ("TRACE", "PUT", "OPTIONS", "CONNECT", "BREW", "HEAD"):
        for path in ("/fhir/Patient", "/", "/oauth/token", "/metrics", "/static/none.css"):
            yield method, path


async def test_every_answer_of_every_address_has_the_headers_that_browsers_need(
    whole: Whole,
) -> None:
    front = whole.front()
    asked = sorted(set(addresses()))
    assert len(asked) > 150
    for asking in (whole.asking(None, front), whole.asking("program-a", front)):
        for method, path in asked:
            answer = await asking.request(method, path, content=b"{" if method == "POST" else b"")
            where = (method, path, answer.status_code)
            assert answer.status_code < 500, where
            told = {name: answer.headers.get(name) for name in ALWAYS}
            assert told == ALWAYS, (*where, told)
            policy = answer.headers.get("content-security-policy", "")
            assert "default-src" in policy, where
            assert "frame-ancestors 'none'" in policy, where
            assert "unsafe" not in policy, where
            assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}, where
            kept = answer.headers["cache-control"]
            is_asset = path.startswith("/static/") and answer.status_code == 200
            assert kept == "no-store" or (is_asset and "immutable" in kept), where
            assert "server" not in answer.headers, where


@pytest.mark.parametrize(
    "path", ["/sign-in/", "/person/x/", "//elsewhere.example/", "/\\e.example"]
)
async def test_nobody_is_sent_on_to_the_host_that_a_request_names(whole: Whole, path: str) -> None:
    answer = await whole.asking(None, Host="elsewhere.example").get(f"{ADDRESS}{path}")
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_links_name_the_address_that_the_node_was_given_and_no_other(whole: Whole) -> None:
    front = whole.front(base_url="https://node.example/fhir")
    spoofed = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"}
    asking = whole.asking("loading", front, **spoofed)
    answers = [
        await asking.get("/fhir/Patient?_count=1"),
        await asking.get("/fhir/metadata"),
        await asking.post("/fhir/Basic", content=b'{"resourceType":"Basic","code":{"text":"x"}}'),
        await asking.get("/fhir/$export", headers={"Prefer": "respond-async"}),
    ]
    for answer in answers:
        assert answer.status_code < 300, answer.text
        told = f"{answer.text} {answer.headers}"
        assert "evil" not in told
        assert "https://node.example/fhir" in told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/fhir/Patient"),
        ("GET", "/metrics"),
        ("POST", "/oauth/launch"),
        ("POST", "/oauth/token"),
        ("GET", "/sign-in"),
        ("GET", "/nothing"),
    ],
)
async def test_a_stranger_is_slowed_down_at_every_address(
    whole: Whole, method: str, path: str
) -> None:
    """A guess costs the same wherever a token, a code or a page is asked for."""
    asking = whole.asking(None, whole.front(FEW), **{"X-Forwarded-For": "192.0.2.1"})
    path = discovery.LAUNCHES if path == "/oauth/launch" else path
    guess = {"Authorization": "Bearer a-guess", "Content-Type": "application/x-www-form-urlencoded"}
    answers = [await asking.request(method, path, headers=guess) for _ in range(6)]
    assert [answer.status_code == 429 for answer in answers] == [False] * 4 + [True] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_strangers_are_told_apart_by_what_the_one_in_front_says(whole: Whole) -> None:
    front = whole.front(FEW, header="X-Real-IP")
    statuses = []
    for number in range(6):
        # The first line is the client's own; the one in front adds its own after it.
        said = [("X-Real-IP", f"203.0.113.{number}"), ("X-Real-IP", f"2001:db8::{number}")]
        asking = whole.asking(None, front)
        statuses.append((await asking.get("/fhir/Patient", headers=said)).status_code)
    assert statuses == [401] * 4 + [429] * 2
    other = await whole.asking(None, front).get(
        "/fhir/Patient", headers={"X-Real-IP": "2001:db9::"}
    )
    assert other.status_code == 401


async def test_an_account_is_slowed_down_on_pages_whatever_its_sessions_and_addresses(
    whole: Whole,
) -> None:
    limits = DoorLimits(client_requests_per_second=0.001, client_burst_requests=3)
    front = whole.front(limits)
    statuses = []
    for _ in range(2):
        browser = await whole.entered("hospital-a", front)
        statuses += [(await browser.get("/account")).status_code for _ in range(2)]
    assert statuses == [200, 200, 200, 429]
    assert (await (await whole.entered("hospital-b", front)).get("/account")).status_code == 200


async def test_an_application_is_slowed_down_whoever_it_asks_for(whole: Whole) -> None:
    limits = DoorLimits(client_requests_per_second=0.001, client_burst_requests=3)
    front = whole.front(limits)
    clients = [await whole.app_token(actor) for actor in ("program-a", "program-b")]
    statuses = []
    for token in (*clients, *clients):
        asking = whole.asking(None, front, Authorization=f"Bearer {token}")
        statuses.append((await asking.get("/fhir/Patient?_count=1")).status_code)
    assert statuses == [200, 200, 200, 429]


async def test_a_page_is_framed_by_nobody_and_its_forms_go_nowhere_else(whole: Whole) -> None:
    browser = Browser(whole.front())
    page = await browser.get("/sign-in")
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "base-uri 'none'" in policy
