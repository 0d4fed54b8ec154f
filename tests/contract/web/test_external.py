"""People sign in by another issuer, a second node, and what attackers try on the way (OpenID
Connect Core 1.0, Back-Channel Logout 1.0, RFC 9207, 9068, 9700).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest
from clients import bearing, caller, now, open_server
from clinic import Browser, Clinic
from databases import administer
from foreign import LIMITS, OtherNode, browser_of, location_of

from quanmin.api import build as build_door
from quanmin.base.cluster import Cluster
from quanmin.base.postgres import open_pool
from quanmin.trust import Actor
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.sign_in.foreign_tokens import LOGOUT_EVENT
from quanmin.trust.sign_in.server import AuthorizationServer

RESIDENT = Actor("zhang", "resident", "张伟", "", None)
CLERK = Actor("clerk", "institution", "hospital-a desk", "hospital-a")
KEEPER = Actor("keeper", "security_administrator", "安全管理员", "")


DESKTOP = Client(
    code="desktop",
    name="Desktop",
    grants=frozenset({"authorization_code"}),
    scopes="openid user/Patient.cruds",
    redirects=("https://app.example/back",),
)


@pytest.fixture
async def other(postgres: Cluster, tmp_path: Path) -> AsyncIterator[OtherNode]:
    """A second node that is served, knows the first, and has accounts of its own."""
    name = "issuer"
    await administer(postgres, f"create database {name} template migrated strategy file_copy")
    pool = await open_pool(postgres.dsn(name), name="issuer", connections_max=5)
    (tmp_path / "issuer").mkdir()
    node = OtherNode(pool, tmp_path / "issuer")
    for actor in (RESIDENT, CLERK, KEEPER):
        await node.clinic.add(actor)
    await node.knows()
    try:
        async with node.served():
            yield node
    finally:
        node.listening.close()
        await pool.close()
        await administer(postgres, f"drop database {name} with (force)")


class Relying:
    """The node that lets people in by the other."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], folder: Path, settings: ExternalSettings
    ) -> None:
        self.clinic = Clinic(pool, folder, "https://node.test", settings)
        self.browser = browser_of(self.clinic)

    @property
    def external(self) -> Any:
        return self.clinic.sign_in.external

    def door(self, server: AuthorizationServer) -> httpx.AsyncClient:
        """A program that asks the door of this node, with no token."""
        return caller(
            build_door(
                self.clinic.guard,
                self.clinic.actors,
                LIMITS,
                link_key=b"k" * 32,
                zone=ZoneInfo("Asia/Shanghai"),
                authorization=server,
                external=self.external,
            )
        )

    async def come_back(self, other: OtherNode, person: str) -> httpx.Response:
        there = location_of(await self.browser.get("/sign-in/external"))
        return await self.browser.get(await other.approve(person, there))

    async def prove(self, person: str) -> httpx.Response:
        return await self.clinic.prove(self.browser, person)


@pytest.fixture
async def node(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, other: OtherNode) -> Relying:
    opened = Relying(pool, tmp_path, other.settings(tmp_path))
    for actor in (RESIDENT, CLERK, KEEPER):
        await opened.clinic.add(actor)
    return opened


async def test_openid_connect_a_resident_signs_in_by_the_other_node(
    node: Relying, other: OtherNode
) -> None:
    assert "Sign in by City health" in (await node.browser.get("/sign-in")).text
    asked = dict(
        parse_qsl(urlsplit(location_of(await node.browser.get("/sign-in/external"))).query)
    )
    assert asked.keys() >= {"state", "nonce", "code_challenge"}
    assert asked["code_challenge_method"] == "S256"
    assert location_of(await node.come_back(other, "zhang")) == "/sign-in/factor"
    assert location_of(await node.prove("zhang")) == "/"
    page = await node.browser.get("/account")
    assert "张伟" in page.text
    assert await node.external.linked("zhang") == "zhang"
    out = await node.browser.send("/sign-out")
    assert location_of(out) == "/sign-in/external/out"
    assert location_of(await node.browser.get("/account")) == "/sign-in"


async def test_staff_are_asked_for_the_nodes_own_second_factor(
    node: Relying, other: OtherNode
) -> None:
    assert location_of(await node.come_back(other, "clerk")) == "/sign-in/factor"
    assert location_of(await node.browser.get("/account")) == "/sign-in"
    assert location_of(await node.prove("clerk")) == "/"


async def test_a_second_factor_of_the_issuer_counts_where_a_setting_says_so(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, other: OtherNode
) -> None:
    node = Relying(pool, tmp_path, other.settings(tmp_path, second_factors="mfa"))
    for actor in (RESIDENT, CLERK):
        await node.clinic.add(actor)
    assert location_of(await node.come_back(other, "clerk")) == "/"
    methods = await node.clinic.pool.fetchval("select methods from trust.session")
    assert methods == ["ext", "mfa"]


async def test_an_administrator_is_chosen_by_no_claim_but_by_the_command(
    node: Relying, other: OtherNode
) -> None:
    assert (await node.come_back(other, "keeper")).status_code == 401
    await node.external.link("keeper", "keeper")
    assert location_of(await node.come_back(other, "keeper")) == "/sign-in/factor"


async def test_a_subject_stays_the_account_it_was_linked_to(
    node: Relying, other: OtherNode
) -> None:
    await node.external.link("another subject", "zhang")
    assert (await node.come_back(other, "zhang")).status_code == 401, "a name is given anew there"
    await node.external.unlink("zhang")
    await node.come_back(other, "zhang")
    assert location_of(await node.prove("zhang")) == "/"
    await node.external.unlink("zhang")
    assert location_of(await node.browser.get("/account")) == "/sign-in", "out at once"


async def test_nobody_gets_an_account_by_coming_from_there(node: Relying, other: OtherNode) -> None:
    await other.clinic.add(Actor("stranger", "resident", "无名", ""))
    assert (await node.come_back(other, "stranger")).status_code == 401
    await node.clinic.sign_in.accounts.lock("zhang")
    assert (await node.come_back(other, "zhang")).status_code == 401
    counted = await node.clinic.pool.fetchval("select count(*) from trust.account")
    assert counted == 3


async def test_rfc_9700_an_answer_works_once_and_in_its_own_browser(
    node: Relying, other: OtherNode
) -> None:
    there = location_of(await node.browser.get("/sign-in/external"))
    cookie = node.browser.client.cookies["quanmin_external"]
    back = await other.approve("zhang", there)
    thief = browser_of(node.clinic)
    assert (await thief.get(back)).status_code == 401, "login CSRF: another browser"
    await thief.get("/sign-in/external")
    assert (await thief.get(back)).status_code == 401, "the state of another request"
    assert location_of(await node.browser.get(back)) == "/sign-in/factor"
    node.browser.client.cookies.delete("quanmin_session")
    node.browser.client.cookies.set(
        "quanmin_external", cookie, domain="node.test", path="/sign-in/external"
    )
    assert (await node.browser.get(back)).status_code == 401, "replayed"


async def test_rfc_9207_an_answer_that_is_another_lets_nobody_in(
    node: Relying, other: OtherNode
) -> None:
    changes: tuple[dict[str, str | None], ...] = (
        {"iss": "https://evil.example"},
        {"iss": None},
        {"state": "guessed"},
        {"state": None},
        {"code": None},
        {"code": "guessed"},
        {"code": "x" * 5000},
        {"error": "access_denied"},
    )
    for change in changes:
        there = location_of(await node.browser.get("/sign-in/external"))
        path, _, query = (await other.approve("zhang", there)).partition("?")
        fields = {name: v for name, v in (dict(parse_qsl(query)) | change).items() if v is not None}
        answer = await node.browser.client.get(path, params=fields)
        assert answer.status_code == 401, change
        assert "quanmin_session" not in node.browser.client.cookies


async def test_keys_that_the_issuer_changes_are_found_and_the_old_ones_forgotten(
    node: Relying, other: OtherNode
) -> None:
    clock = [0.0]
    node.external.provider._clock = lambda: clock[0]
    assert location_of(await node.come_back(other, "zhang")) == "/sign-in/factor"
    await other.change_key()
    node.browser = browser_of(node.clinic)
    assert (await node.come_back(other, "zhang")).status_code == 401, "not asked for at once again"
    clock[0] += 11
    node.browser = browser_of(node.clinic)
    assert location_of(await node.come_back(other, "zhang")) == "/sign-in/factor"
    asked = other.calls.count("/oauth/keys")
    for kid in "abcdef":
        await node.external.provider.keys(kid)
    assert other.calls.count("/oauth/keys") == asked, "whoever makes up names asks nobody"


async def test_an_issuer_that_is_down_slow_or_another_is_no_fault_of_the_node(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, other: OtherNode
) -> None:
    for more in (
        {"issuer": "http://127.0.0.1:9"},
        {"issuer": f"{other.address}/"},
        {"issuer": f"{other.address}/fhir"},
        {"ask_seconds_max": 0.000001},
        {"answer_bytes_max": 1024, "origins": ""},
    ):
        node = Relying(pool, tmp_path, other.settings(tmp_path, **more))
        started = time.monotonic()
        for path in ("/sign-in/external", "/sign-in/external/out"):
            answer = await node.browser.get(path)
            assert answer.status_code in {303, 401}, (more, answer.text)
        assert (await node.browser.get("/sign-in/external/back?code=a&state=b")).status_code == 401
        assert time.monotonic() - started < 5


async def test_a_session_of_hours_at_the_issuer_is_no_proof_of_this_minute(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, other: OtherNode
) -> None:
    node = Relying(pool, tmp_path, other.settings(tmp_path, second_factors="mfa"))
    await node.clinic.add(RESIDENT)
    minute, hour = 60_000_000, 3_600_000_000
    for ago, password_page, way in (
        (minute, 200, "/"),
        (hour, "/account/again?for=/account/password", "/"),
        (13 * hour, None, None),
    ):
        node.browser = browser_of(node.clinic)
        there = location_of(await node.browser.get("/sign-in/external"))
        answer = await node.browser.get(await other.approve("zhang", there, ago=ago))
        if way is None:
            assert answer.status_code in {401, 303}
            assert "quanmin_session" not in node.browser.client.cookies
            continue
        assert location_of(answer) == way
        page = await node.browser.get("/account/password")
        assert page.headers.get("location", page.status_code) == password_page
    again = location_of(await node.browser.get("/sign-in/external?again=1"))
    assert dict(parse_qsl(urlsplit(again).query))["prompt"] == "login"
    browser = await other.clinic.enter("zhang", other.pages)
    parts = urlsplit(again)
    sent = await browser.get(f"{parts.path}?{parts.query}")
    assert location_of(sent) == "/sign-in", "the issuer asks anew"
    await browser.client.aclose()


async def test_no_address_leads_elsewhere_and_none_is_there_without_an_issuer(
    clinic: Clinic, node: Relying
) -> None:
    for path in ("", "/back", "/out"):
        assert (await Browser(clinic.pages()).get(f"/sign-in/external{path}")).status_code == 404
    await node.browser.get(
        "/sign-in/external?redirect_uri=https://evil.example&next=//evil.example"
    )
    there = location_of(await node.browser.get("/sign-in/external?next=//evil.example"))
    assert "evil" not in there
    out = await node.browser.get(
        "/sign-in/external/out?post_logout_redirect_uri=https://evil.example"
    )
    assert "evil" not in out.headers.get("location", "")


async def test_back_channel_logout_2_6_ends_the_sessions_that_began_there(
    node: Relying, other: OtherNode
) -> None:
    await node.come_back(other, "zhang")
    await node.prove("zhang")
    own = await node.clinic.session("zhang")
    api = node.door(open_server(node.clinic.pool, node.clinic.actors))

    async def send(**more: Any) -> int:
        moment = now() // 1_000_000
        usual = {
            "iss": other.address,
            "aud": "node",
            "iat": moment,
            "exp": moment + 60,
            "jti": "j1",
            "sub": "zhang",
            "events": {LOGOUT_EVENT: {}},
        }
        claims = {name: value for name, value in (usual | more).items() if value is not None}
        token = await other.server.id_tokens.sign(claims)
        answer = await api.post("/oauth/backchannel-logout", data={"logout_token": token})
        return answer.status_code

    for wrong in (
        {"aud": "other"},
        {"iss": "https://evil.example"},
        {"events": None},
        {"events": {LOGOUT_EVENT: "no"}},
        {"nonce": "n"},
        {"jti": None},
        {"sub": None},
        {"exp": 1},
        {"sid": 7},
    ):
        assert await send(**wrong) == 400, wrong
    assert (await node.browser.get("/account")).status_code == 200
    assert await send(sid="of another") == 200
    assert (await node.browser.get("/account")).status_code == 200
    assert await send(jti="j2") == 200
    assert location_of(await node.browser.get("/account")) == "/sign-in"
    assert await node.clinic.sign_in.sessions.of(own), "what began here goes on"
    assert await send(jti="j2") == 400, "each once"


def unfit_claims() -> tuple[dict[str, Any], ...]:
    """What no access token may say."""
    return (
        {"aud": "node"},
        {"aud": ["https://node.test/fhir", "node"]},
        {"iss": "https://evil.example"},
        {"sub": "stranger"},
        {"client_id": "unknown"},
        {"client_id": None},
        {"exp": now() // 1_000_000 - 60},
        {"exp": now() // 1_000_000 + 86_400},
        {"iat": now() // 1_000_000 + 3600},
        {"scope": 7},
        {"scope": "user/Nothing.zz"},
        {"exp": "never"},
        {"amr": None},
        {"amr": ["pwd"]},
        {"amr": "mfa"},
        {"amr": None, "acr": "0"},
    )


async def test_rfc_9068_an_access_token_of_the_issuer_opens_the_records_as_far_as_both_may(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, other: OtherNode
) -> None:
    settings = other.settings(
        tmp_path,
        api_audience="https://node.test/fhir",
        api_types="at+jwt JWT",
        second_factors="mfa",
    )
    node = Relying(pool, tmp_path, settings)
    await node.clinic.add(CLERK)
    await node.external.link("clerk", "clerk")
    server = open_server(pool, node.clinic.actors)
    await server.clients.add(DESKTOP)
    api = node.door(server)
    records = node.clinic.guard.records(CLERK, purpose="TREAT", request_id="fill")
    body = json.dumps({"resourceType": "Patient", "name": [{"text": "王"}]}).encode()
    await records.create("Patient", body)

    async def ask(path: str = "/fhir/Patient", **more: Any) -> int:
        moment = now() // 1_000_000
        usual = {
            "iss": other.address,
            "aud": "https://node.test/fhir",
            "sub": "clerk",
            "client_id": "desktop",
            "scope": "user/*.rs patient/*.rs",
            "amr": ["pwd", "mfa"],
            "iat": moment,
            "exp": moment + 300,
            "jti": str(now()),
        }
        claims = {name: value for name, value in (usual | more).items() if value is not None}
        token = await other.server.id_tokens.sign(claims)
        answer = await api.get(path, headers=bearing(token))
        return answer.status_code

    assert await ask() == 200
    assert await ask(amr=None, acr="mfa") == 200
    assert await ask("/fhir/Observation") == 403, "beyond what the client is registered for"
    for wrong in unfit_claims():
        assert await ask(**wrong) == 401, wrong
    assert await ask(scope="openid") == 403
    assert (await api.get("/fhir/Patient", headers=bearing("a.b.c"))).status_code == 401
    await node.clinic.sign_in.accounts.lock("clerk")
    assert await ask() == 401
