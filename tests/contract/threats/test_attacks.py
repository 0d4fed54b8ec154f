"""What an attacker with the source would try at the addresses of a node, beside what the tests of
each part try: others' ids, forged forms, hostile text, bombs, and addresses that lead inside.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import re
import socket
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from clients import bare
from clinic import ADDRESS, Browser
from entrance import PASSWORD
from outlet import ASYNC
from stores import bundle
from whole import APP, Whole

from quanmin.base.fetching import FetchPlaces
from quanmin.base.logs import JsonLines
from quanmin.base.problems import Problem
from quanmin.trust import Actor
from quanmin.web.application import discover
from quanmin.web.whole import KIT_PAGES

NONE = "there-is-none-of-this-id"
EVIL = "https://evil.example"
LINES = "x\r\nSet-Cookie: stolen=1\r\n\r\n<script>"


# ---- others' ids on every route ------------------------------------------------------------------


def settled(answer: httpx.Response, *ids: str) -> tuple[int, str, str]:
    """What an answer says, without what is sealed anew, its number, and the id asked for."""
    text = re.sub(r'(value|data-options)="[^"]*"|[0-9a-f]{32}', "", answer.text)
    where = answer.headers.get("location", "")
    for id_ in ids:
        text, where = text.replace(id_, "ID"), where.replace(id_, "ID")
    return answer.status_code, text, where


def pages_with_ids() -> Iterator[str]:
    pages = [*KIT_PAGES, *(page for found in discover() for page in found.application.pages)]
    for page in pages:
        if "GET" in page.methods and "{" in page.path:
            yield page.path


@pytest.mark.parametrize("path", sorted(set(pages_with_ids())))
async def test_a_page_at_an_id_of_others_is_as_one_at_an_id_of_nobody(
    whole: Whole, path: str
) -> None:
    ids = whole.clinic.ids
    browser = await whole.entered("hospital-a")
    for type_ in ("Patient", "Encounter", "Observation", "Condition"):
        key = "man" if type_ == "Patient" else type_
        theirs = ids[f"hospital-b {key}"]
        told = []
        for id_ in (theirs, NONE):
            filled = re.sub(r"\{\w+:int\}", "1", path).replace("{type}", type_)
            filled = re.sub(r"\{\w+\}", id_, filled)
            told.append(settled(await browser.get(filled), id_))
        assert told[0] == told[1], type_
        # What stands in the address of a paper is sealed: an id there is a seal that is none.
        assert told[0][0] in ({410} if "{sealed}" in path else {403, 404})
        if "{type}" not in path:
            break


async def test_a_job_of_others_is_as_one_that_is_not_there(whole: Whole) -> None:
    theirs, mine = whole.asking("program-b"), whole.asking("program-a")
    begun = [await theirs.get("/fhir/$export", headers=ASYNC)]
    ndjson = {**ASYNC, "Content-Type": "application/fhir+ndjson"}
    begun.append(
        await theirs.post("/fhir/$import", content=b'{"resourceType":"Basic"}', headers=ndjson)
    )
    for one in begun:
        assert one.status_code == 202, one.text
        number = one.headers["content-location"].rpartition("/")[2]
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/Patient.1.ndjson")):
            told = [
                settled(await mine.request(method, f"/fhir/_job/{job}{rest}"), job)
                for job in (number, "99999999")
            ]
            assert told[0] == told[1]
            assert told[0][0] == 404
        assert (await theirs.get(f"/fhir/_job/{number}")).status_code < 300


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "..%2f..%2fkeys", "%2Fetc%2Fpasswd", "..%5c..", "Patient.1.ndjson%00", "%ff"],
)
async def test_the_name_of_a_file_leads_out_of_no_export(whole: Whole, name: str) -> None:
    asking = whole.asking("program-a")
    begun = await asking.get("/fhir/$export?_type=Basic", headers=ASYNC)
    path = httpx.URL(begun.headers["content-location"]).path
    answer = await asking.get(f"{ADDRESS}{path}/{name}")
    assert answer.status_code in {400, 404}
    assert "keys" not in answer.text
    await asking.delete(path)


async def test_a_link_is_of_who_got_it_and_gives_what_they_may_see_now(whole: Whole) -> None:
    page = await whole.asking("program-b").get("/fhir/?_type=Patient,Observation&_count=1")
    (link,) = [one["url"] for one in page.json()["link"] if one["relation"] == "next"]
    mine = await whole.asking("program-a").get("/fhir/Patient?_count=1")
    (own,) = [one["url"] for one in mine.json()["link"] if one["relation"] == "next"]
    assert (await whole.asking("program-a").get(link)).status_code in {400, 403}
    token = await whole.app_token("program-a", "user/Observation.rs")
    narrow = whole.asking(None, Authorization=f"Bearer {token}")
    answer = await narrow.get(own)
    assert answer.status_code == 403, "a link of wider scopes opened what these do not"


async def test_forms_and_states_of_another_session_are_refused(whole: Whole) -> None:
    theirs, mine = await whole.entered("hospital-b"), await whole.entered("hospital-a")
    await theirs.get("/account")
    await mine.get("/account")
    mine.token = theirs.token
    assert (await mine.send("/account", session="1")).status_code == 400
    await theirs.get("/")
    found = await theirs.send("/people", term="张伟")
    assert found.status_code == 200
    states = re.findall(r'name="state" value="([^"]+)"', found.text)
    assert states
    await mine.get("/")
    for path in ("/people", "/people.csv"):
        answer = await mine.send(path, state=states[0])
        assert answer.status_code in {400, 404}, path


async def test_the_state_of_one_page_is_none_of_another(whole: Whole) -> None:
    mine, man = await whole.entered("hospital-a"), whole.clinic.ids["hospital-a man"]
    await mine.get("/enrolment")
    found = await mine.send("/enrolment", term="张伟")
    (chosen,) = set(re.findall(r'name="chosen" value="([^"]+)"', found.text))
    history = f"/record/Patient/{man}/history"
    assert (await mine.get(history)).status_code == 200
    assert (await mine.get(f"{history}?from={chosen}")).status_code == 400
    await mine.get("/")
    for path in ("/people", "/people.csv"):
        assert (await mine.send(path, state=chosen)).status_code in {400, 404}, path
    found = await mine.send("/people", term="张伟")
    (state,) = set(re.findall(r'name="state" value="([^"]+)"', found.text))
    assert (await mine.send("/enrolment/document", chosen=state)).status_code == 400


async def test_nobody_ends_the_session_or_removes_the_factor_of_another(whole: Whole) -> None:
    pool = whole.clinic.pool
    theirs = await whole.entered("hospital-b")
    mine = await whole.entered("hospital-a")
    rows = await pool.fetch("select id from trust.session where account = 'hospital-b'")
    assert rows
    await mine.get("/account")
    for row in rows:
        assert (await mine.send("/account", session=str(row["id"]))).status_code == 303
    assert (await theirs.get("/account")).status_code == 200
    await mine.get("/account")
    assert (await mine.send("/post", actor="hospital-b", code="hospital-b")).status_code in {
        *(303, 400, 403, 404, 422),
    }
    assert "hospital-b desk" not in (await mine.get("/account")).text


async def test_an_entry_of_the_log_about_others_is_told_to_nobody(whole: Whole) -> None:
    theirs = whole.asking("program-b")
    await theirs.get(f"/fhir/Patient/{whole.clinic.ids['hospital-b man']}")
    found = await whole.asking("loading").get("/fhir/AuditEvent?_count=50")
    ids = [entry["resource"]["id"] for entry in found.json().get("entry", [])]
    assert ids
    mine = whole.asking("program-a")
    none = "log-20260101-999999"
    for id_ in ids[:10]:
        told = [settled(await mine.get(f"/fhir/AuditEvent/{one}"), one) for one in (id_, none)]
        assert told[0] == told[1]


# ---- tokens and scopes ---------------------------------------------------------------------------


async def test_no_token_is_believed_but_one_that_was_given(whole: Whole) -> None:
    good, app = whole.tokens["program-a"], await whole.app_token("program-a")
    claims = {"sub": "program-a", "iss": ADDRESS, "aud": f"{ADDRESS}/fhir", "exp": 9e9}
    forged = [
        bare({"alg": "none"}, claims),
        bare({"alg": "HS256"}, claims, b"x" * 32),
        bare({"alg": "none", "typ": "at+jwt"}, {**claims, "scope": "system/*.cruds"}, b""),
        *(good.upper(), good[:-1], f"{good}=", f" {good} x", f"{good}\x00", app.swapcase()),
        *("program-a", "null", "undefined", "", "*", "%", "' or 1=1 --", "a" * 100_000),
        base64.b64encode(b"program-a:").decode(),
    ]
    asking = whole.asking(None)
    for token in forged:
        answer = await asking.get("/fhir/Patient", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token[:40]
    for header in (f"Basic {good}", f"bearer{good}", good, f"Token {good}", f"Bearer\t{good} "):
        answer = await asking.get("/fhir/Patient", headers={"Authorization": header})
        assert answer.status_code in {200, 401}
        assert (answer.status_code == 200) <= header.lower().startswith("bearer")
    for place in (f"?access_token={good}", f"?token={good}"):
        assert (await asking.get(f"/fhir/Patient{place}")).status_code == 401
    asking.cookies.set("quanmin_session", good)
    assert (await asking.get("/fhir/Patient")).status_code == 401


async def test_a_narrow_token_gets_nothing_more_by_any_detour(whole: Whole) -> None:
    token = await whole.app_token("program-a", "user/Patient.r user/Observation.rs")
    narrow = whole.asking(None, Authorization=f"Bearer {token}")
    man = whole.clinic.ids["hospital-a man"]
    condition = whole.clinic.ids["hospital-a Condition"]
    detours = [
        *("Condition", f"Condition/{condition}", f"Condition/{condition}/_history/1"),
        *(f"Patient/{man}/Condition", "Patient?_count=1", f"Patient/{man}/$everything"),
        *("_history", "Condition/_history", "?_type=Condition,Patient", "$export", "$meta"),
        f"Observation?patient={man}&_revinclude=Condition:subject",
        "Observation?_has:Provenance:target:agent=x",
        f"Observation?subject:Patient._has:Condition:subject:_id={condition}",
        f"Observation?_include=Observation:subject&patient={man}",
    ]
    for path in detours:
        answer = await narrow.get(f"/fhir/{path}", headers=ASYNC if "export" in path else {})
        text = answer.text
        assert f"Condition/{condition}" not in text, path
        assert '"resourceType":"Condition"' not in text, path
    entries = [
        {"request": {"method": "GET", "url": f"Condition/{condition}"}},
        {"request": {"method": "GET", "url": f"Patient/{man}/Condition"}},
        {"request": {"method": "DELETE", "url": f"Condition/{condition}"}},
        {"request": {"method": "DELETE", "url": f"Condition?_id={condition}"}},
    ]
    for kind in ("batch", "transaction"):
        answer = await narrow.post("/fhir", content=bundle(kind, *entries))
        assert '"resourceType":"Condition"' not in answer.text
    kept = await whole.asking("program-a").get(f"/fhir/Condition/{condition}")
    assert kept.status_code == 200


async def test_a_token_is_not_exchanged_for_a_wider_one(whole: Whole) -> None:
    token = await whole.app_token("program-a", "user/Patient.r")
    asking = whole.asking(None, **{"Content-Type": "application/x-www-form-urlencoded"})
    for form in (
        {"grant_type": "refresh_token", "refresh_token": token, "scope": "user/*.cruds"},
        {
            "grant_type": "authorization_code",
            "code": token,
            "redirect_uri": APP.redirects[0],
            "code_verifier": "v" * 43,
        },
        {"grant_type": "client_credentials", "scope": "system/*.cruds"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token},
        {"grant_type": "password", "username": "hospital-a", "password": PASSWORD},
    ):
        answer = await asking.post("/oauth/token", data={**form, "client_id": APP.code})
        assert answer.status_code in {400, 401}
        assert "access_token" not in answer.text


# ---- forged forms --------------------------------------------------------------------------------


def posting_pages() -> Iterator[str]:
    pages = [*KIT_PAGES, *(page for found in discover() for page in found.application.pages)]
    for page in pages:
        if "POST" in page.methods:
            yield re.sub(r"\{\w+(:int)?\}", "1", page.path)


# Other sites may post what a link of theirs could say: it is sent on as such a link.
ASKED_BY_POST = {page.path for page in KIT_PAGES if page.is_asked_by_post}


@pytest.mark.parametrize("path", sorted(set(posting_pages())))
async def test_every_form_is_refused_that_this_node_did_not_make_for_this_visitor(
    whole: Whole, path: str
) -> None:
    front = whole.front()
    theirs = Browser(front)
    await theirs.get("/sign-in")
    browser = await whole.entered("centre", front)
    await browser.get("/account")
    own = {"token": browser.token}
    form = "application/x-www-form-urlencoded"
    kinds = {"Content-Type": form, "Origin": ADDRESS}
    body = f"token={browser.token}"
    tries: list[tuple[dict[str, str], str]] = [
        (kinds, ""),
        (kinds, f"token={theirs.token}"),
        (kinds, "token=" + "A" * 80),
        ({**kinds, "Origin": EVIL}, body),
        ({**kinds, "Origin": "null"}, body),
        ({**kinds, "Origin": f"{ADDRESS}.evil.example"}, body),
        ({**kinds, "Sec-Fetch-Site": "cross-site"}, body),
        ({**kinds, "Sec-Fetch-Site": "same-site"}, body),
        ({**kinds, "Content-Type": "text/plain"}, body),
        ({**kinds, "Content-Type": "application/json"}, json.dumps(own)),
        ({**kinds, "Content-Type": "multipart/form-data; boundary=x"}, f"--x\r\n\r\n{body}"),
    ]
    if path in ASKED_BY_POST:
        _, content = tries.pop(0)
        answer = await browser.client.post(path, headers=kinds, content=content)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?")
    for headers, content in tries:
        answer = await browser.client.post(path, content=content, headers=headers)
        assert answer.status_code in {400, 403}, (headers, answer.status_code)
        assert "location" not in answer.headers
    without = httpx.AsyncClient(
        transport=httpx.ASGITransport(front), base_url=ADDRESS, cookies=browser.client.cookies
    )
    answer = await without.post(path, content=body, headers={"Content-Type": form})
    assert answer.status_code == 403, "whence it comes was not told"


async def test_no_method_stands_for_another(whole: Whole) -> None:
    browser = await whole.entered("hospital-a")
    await browser.get("/account")
    for headers in ({"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "POST"}):
        await browser.get("/sign-out", **headers)
        await browser.get("/sign-out?_method=POST", **headers)
        assert (await browser.get("/account")).status_code == 200
    override = {"X-HTTP-Method-Override": "DELETE"}
    man = whole.clinic.ids["hospital-a man"]
    await whole.asking("program-a", **override).get(f"/fhir/Patient/{man}?_method=DELETE")
    assert (await whole.asking("program-a").get(f"/fhir/Patient/{man}")).status_code == 200


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https:evil.example", "/\\evil.example", "javascript:alert(1)"]
)
async def test_nobody_is_sent_elsewhere_by_what_an_address_says(whole: Whole, wanted: str) -> None:
    browser = await whole.entered("hospital-a")
    for path in ("/account/again", "/sign-in", "/post", "/account", "/"):
        page = await browser.get(f"{path}?for={wanted}&next={wanted}&return={wanted}&from={wanted}")
        assert "evil.example" not in page.headers.get("location", "")
    await browser.get("/account/again")
    answer = await browser.send(f"/account/again?for={wanted}", password=PASSWORD, code="0")
    assert "evil" not in answer.headers.get("location", "")


# ---- hostile text --------------------------------------------------------------------------------


@asynccontextmanager
async def lines_of_log() -> AsyncIterator[list[str]]:
    """What is written to the log meanwhile, as it is written."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keeping()
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


async def test_hostile_text_writes_no_header_and_no_line_of_the_log(whole: Whole) -> None:
    """CRLF, ANSI and JSON in all that a stranger can send: addresses, names, headers, forms."""
    hostile = ["\r\nX-Evil: 1", "%0d%0aX-Evil:%201", "\x1b[2Jcleared", '","severity":"fatal', LINES]
    front = whole.front()
    answers: list[httpx.Response] = []
    async with lines_of_log() as lines:
        for text in hostile:
            plain = text.replace("\r\n", " ").replace("\x1b", " ")
            quoted = httpx.QueryParams({"name": text, "_format": text, "_sort": text})
            asking = whole.asking(
                "program-a", front, **{"User-Agent": plain, "X-Request-Id": plain[:60]}
            )
            answers += [
                await asking.get(f"/fhir/Patient?{quoted}"),
                await asking.get(f"/fhir/Patient/{httpx.QueryParams({'a': text})}"),
                await asking.get(
                    "/fhir/Patient", headers={"If-None-Match": plain, "Prefer": plain}
                ),
                await asking.put("/fhir/Basic/x", content=b"{}", headers={"If-Match": plain}),
                await asking.get("/fhir/metadata", headers={"Accept": plain}),
            ]
            browser = Browser(front)
            browser.client.headers["User-Agent"] = plain
            await browser.get(f"/sign-in?{quoted}&lang={quoted}")
            answers.append(await browser.send("/sign-in", name=text, password=text))
            answers.append(
                await browser.client.post(
                    "/oauth/token",
                    data={"grant_type": text, "client_id": text, "scope": text},
                )
            )
    for answer in answers:
        assert answer.status_code < 500
        assert "x-evil" not in answer.headers
        assert not [value for value in answer.headers.values() if re.search(r"[\r\n\x1b]", value)]
        assert "stolen" not in answer.headers.get("set-cookie", "")
    assert lines
    for line in lines:
        assert "\n" not in line
        assert "\x1b" not in line
        told = json.loads(line)
        assert told["severity"] != "fatal"
        assert "evil" not in line.casefold()


async def test_no_secret_is_written_anywhere_by_a_days_work(whole: Whole) -> None:
    """Every kind of secret passes; then all that was written, answered and counted is read."""
    front = whole.front()
    app = await whole.app_token("program-a")
    basic = base64.b64encode(b"app:the-secret-of-a-client").decode()
    code = "code-" + "c" * 40
    secrets = {
        *(PASSWORD, app, whole.tokens["program-a"], "the-secret-of-a-client", basic, code),
        *("a-guessed-token", "123654", whole.clinic.secrets["hospital-a"]),
    }
    told: list[str] = []
    async with lines_of_log() as lines:
        for token in (app, whole.tokens["program-a"], "a-guessed-token"):
            asking = whole.asking(None, front, Authorization=f"Bearer {token}")
            told += [
                (await asking.get(path)).text
                for path in ("/fhir/Patient", "/fhir/Nothing", "/metrics", "/account", "/fhir")
            ]
        asking = whole.asking(None, front, **{"Content-Type": "application/x-www-form-urlencoded"})
        for data in (
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": "x",
                "code_verifier": code,
                "client_id": "app",
            },
            {"token": app},
        ):
            headers = {"Authorization": f"Basic {basic}"}
            told += [
                (await asking.post(path, data=data, headers=headers)).text
                for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke")
            ]
        browser = Browser(front)
        await browser.get("/sign-in")
        step = await browser.send("/sign-in", name="hospital-a", password=PASSWORD)
        told.append(step.text)
        told.append((await browser.send("/sign-in/factor", code="123654")).text)
        secrets |= {value for value in browser.client.cookies.values() if len(value) > 20}
        told.append((await whole.asking("loading", front).get("/metrics")).text)
    tables = await whole.clinic.pool.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname in ('trust', 'jobs')"
    )
    for table in tables:
        rows = await whole.clinic.pool.fetch(f"select t::text as row from {table['name']} t")
        told += [row["row"] for row in rows]
    assert lines
    assert len(told) > 100
    found = [secret for secret in secrets for text in (*told, *lines) if secret in text]
    assert found == []


# ---- bombs ---------------------------------------------------------------------------------------

LAUGHS = (
    '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c SYSTEM "file:///etc/passwd">]>'
)


@pytest.mark.parametrize(
    "div",
    [
        f'{LAUGHS}<div xmlns="http://www.w3.org/1999/xhtml">&b;&c;</div>',
        '<div xmlns="http://www.w3.org/1999/xhtml">&c;</div>',
        '<div xmlns="http://www.w3.org/1999/xhtml"><?php x ?></div>',
        '<div xmlns="http://www.w3.org/1999/xhtml">' + "<p>" * 20_000 + "</p>" * 20_000 + "</div>",
        '<div xmlns="http://www.w3.org/1999/xhtml"><xi:include href="file:///etc/passwd"/></div>',
    ],
)
async def test_no_entity_of_a_narrative_is_expanded_or_fetched(whole: Whole, div: str) -> None:
    body = {"resourceType": "Basic", "code": {"text": "x"}}
    started = time.process_time()
    answer = await whole.asking("program-a").post(
        "/fhir/Basic/$validate",
        content=json.dumps({**body, "text": {"status": "generated", "div": div}}),
    )
    assert answer.status_code in {200, 400, 413, 422}
    assert "root:" not in answer.text
    assert "hahaha" not in answer.text
    assert time.process_time() - started < 5


async def test_xml_is_read_nowhere(whole: Whole) -> None:
    xml = f'<?xml version="1.0"?>{LAUGHS}<Patient xmlns="http://hl7.org/fhir">&b;&c;</Patient>'
    asking = whole.asking("program-a")
    for path in ("/fhir/Patient", "/fhir", "/fhir/$import", "/oauth/token", "/sign-in"):
        for kind in ("application/fhir+xml", "application/xml", "text/xml", "image/svg+xml"):
            headers = {"Content-Type": kind, **ASYNC, "Origin": ADDRESS}
            answer = await asking.post(path, content=xml, headers=headers)
            assert answer.status_code in {400, 403, 406, 415}, (path, kind, answer.status_code)
    for path in ("/fhir/Patient?_format=xml", "/fhir/metadata?_format=application/fhir%2Bxml"):
        assert (await asking.get(path)).status_code == 406


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "gzip;q=1", "compress"])
async def test_bodies_are_unpacked_once_and_from_gzip_alone(whole: Whole, coding: str) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 10_000_000))
    for body in (bomb, zlib.compress(b" " * 1_000_000)):
        headers = {"Content-Encoding": coding}
        answer = await whole.asking("program-a").post("/fhir/Basic", content=body, headers=headers)
        assert answer.status_code == 415
    twice = {"Content-Encoding": "gzip"}
    answer = await whole.asking("program-a").post("/fhir/Basic", content=bomb, headers=twice)
    assert answer.status_code == 400


@pytest.mark.parametrize("number", ["1e999999999", "-1e-999999999", "9" * 200_000, "1e400", "-0"])
async def test_a_number_without_measure_costs_no_time(whole: Whole, number: str) -> None:
    asking = whole.asking("program-a")
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":'
        f'{{"value":{number}}}}}'
    )
    started = time.process_time()
    written = await asking.post("/fhir/Observation", content=body)
    assert written.status_code in {201, 400, 413, 422}, written.status_code
    for way in ("value-quantity", "value-quantity=gt", "value-quantity=ap"):
        name, _, prefix = way.partition("=")
        answer = await asking.get(f"/fhir/Observation?{name}={prefix}{number[:8000]}")
        assert answer.status_code in {200, 400, 422}, answer.text[:300]
    assert time.process_time() - started < 3


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(.*a){20}", r"((a*)*)*\\1$"])
async def test_a_pattern_holds_nobody_up(whole: Whole, pattern: str) -> None:
    """FHIRPath `matches` in a patch, and a filter of a value set."""
    asking = whole.asking("loading")
    made = await asking.post(
        "/fhir/Basic",
        content=json.dumps({"resourceType": "Basic", "code": {"text": "a" * 5000 + "!"}}),
    )
    path = f"Basic.code.where(text.matches('{pattern}'))"
    part = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    started = time.process_time()
    answer = await asking.patch(f"/fhir/Basic/{made.json()['id']}", content=json.dumps(patch))
    assert answer.status_code < 500, answer.text
    system = f"http://node.test/{len(pattern)}{abs(hash(pattern))}"
    concepts = [{"code": "a" * 4000 + "!"}]
    codes = {"resourceType": "CodeSystem", "url": system, "status": "active", "content": "complete",
             "concept": concepts}  # fmt: skip
    made = await asking.post("/fhir/CodeSystem", content=json.dumps(codes))
    assert made.status_code == 201, made.text
    chosen = {"property": "code", "op": "regex", "value": pattern}
    compose = {"include": [{"system": system, "filter": [chosen]}]}
    listing = {"resourceType": "ValueSet", "status": "active", "compose": compose}
    parts = {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": listing}]}
    async with asyncio.timeout(30):
        answer = await asking.post("/fhir/ValueSet/$expand", content=json.dumps(parts))
    assert answer.status_code < 500, answer.text
    assert time.process_time() - started < 5


# ---- addresses that lead inside ------------------------------------------------------------------

INSIDE = (
    *("http://127.0.0.1", "http://localhost", "http://[::1]", "http://2130706433", "http://0"),
    *("http://0x7f000001", "http://127.1", "http://0177.0.0.1", "http://[::ffff:127.0.0.1]"),
    *("http://169.254.169.254/latest/meta-data", "http://metadata.google.internal"),
    *("https://files.example@127.0.0.1", "https://files.example:8443", "https://files.example."),
    *("https://files.example.evil.example", "http://files.example", "https://evil.example/#files"),
    *("https://files.example\\@evil.example", "https://files。example", "//files.example/a"),
    *("file:///etc/passwd", "ftp://files.example", "gopher://files.example", "data:,x"),
    *("https://FILES.example%00.evil.example", "https://files.example\t.evil.example"),
)


@pytest.mark.parametrize("url", INSIDE)
def test_nothing_is_fetched_but_from_the_very_origin_that_was_named(url: str) -> None:
    places = FetchPlaces(None, "https://files.example")
    with pytest.raises(Problem):
        places.check(f"{url}/a.ndjson" if not url.endswith("/a") else url, "hospital-a")
    places.check("https://files.example/a.ndjson", "hospital-a")


async def test_no_address_in_a_record_is_asked_for(whole: Whole) -> None:
    """A server listens, and whatever may name an address names it."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0)
    here = f"http://127.0.0.1:{listening.getsockname()[1]}"
    asking = whole.asking("loading")
    records: list[dict[str, Any]] = [
        {"resourceType": "Basic", "code": {"text": "x"}, "meta": {"profile": [f"{here}/p"]},
         "subject": {"reference": f"{here}/fhir/Patient/1"},
         "extension": [{"url": f"{here}/x", "valueUrl": here}]},
        {"resourceType": "DocumentReference", "status": "current",
         "content": [{"attachment": {"url": f"{here}/file", "contentType": "text/plain"}}]},
        {"resourceType": "ValueSet", "status": "active", "url": f"{here}/vs",
         "compose": {"include": [{"system": f"{here}/cs"}, {"valueSet": [f"{here}/other"]}]}},
        {"resourceType": "StructureDefinition", "url": f"{here}/p", "name": "P", "kind": "resource",
         "status": "active", "abstract": False, "type": "Basic", "derivation": "constraint",
         "baseDefinition": f"{here}/base", "differential": {"element": [{"id": "Basic",
         "path": "Basic"}]}},
        {"resourceType": "Subscription", "status": "requested", "reason": "x",
         "criteria": "Patient", "channel": {"type": "rest-hook", "endpoint": f"{here}/hook"}},
        {"resourceType": "Endpoint", "status": "active", "address": here,
         "connectionType": {"code": "hl7-fhir-rest"}, "payloadType": [{"text": "x"}]},
        {"resourceType": "SearchParameter", "url": f"{here}/sp", "name": "sp", "status": "active",
         "description": "x", "code": "sp", "base": ["Basic"], "type": "string",
         "derivedFrom": f"{here}/sp0", "expression": "Basic.code.text"},
    ]  # fmt: skip
    for record in records:
        answer = await asking.post(f"/fhir/{record['resourceType']}", content=json.dumps(record))
        assert answer.status_code < 500, answer.text
        await asking.post(f"/fhir/{record['resourceType']}/$validate", content=json.dumps(record))
    for path in (
        f"ValueSet/$expand?url={here}/vs",
        f"ValueSet/$expand?url={here}/unknown",
        f"Basic?code:in={here}/unknown",
        f"Basic?subject={here}/fhir/Patient/1&_include=Basic:subject",
        f"CodeSystem/$lookup?system={here}/cs&code=x",
        f"ConceptMap/$translate?url={here}/cm&code=x&system={here}",
    ):
        assert (await asking.get(f"/fhir/{path}")).status_code < 500
    for name in ("jwks_uri", "iss", "launch", "request_uri", "redirect_uri"):
        await asking.get(f"/oauth/authorize?client_id=app&{name}={here}")
        await asking.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", name: here, "client_id": here},
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    with pytest.raises(BlockingIOError):
        listening.accept()
    listening.close()


async def test_an_actor_of_a_code_with_hostile_signs_is_none(whole: Whole) -> None:
    """A code stands in the log and in names of folders."""
    for code in ("../a", "a/b", "a\nb", "", "a" * 64, "A", "a b"):
        with pytest.raises(Problem):
            await whole.clinic.sign_in.accounts.add(code, Actor(code, "doctor", "x", "hospital-a"))
