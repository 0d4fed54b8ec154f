"""What applications may leave out, ask for otherwise or again, and what ends with whom: the corners
of the code flow (RFC 6749, 8252, OpenID Connect Core 1.0).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from clients import bearing
from clinic import Browser, Clinic
from entrance import HOUR

from quanmin.trust import Actor
from quanmin.trust.sign_in import present_code
from quanmin.trust.sign_in.id_tokens import replace_key

from .test_approving import REDIRECT, Stage, app, went_back

LOOPBACK = "http://127.0.0.1/back"


@pytest.fixture
async def stage(clinic: Clinic) -> Stage:
    opened = Stage(clinic)
    await opened.server.clients.add(app(redirects=(REDIRECT, LOOPBACK)))
    return opened


@pytest.fixture
async def resident(stage: Stage) -> AsyncIterator[Browser]:
    opened = await stage.clinic.enter("resident", stage.pages)
    yield opened
    await opened.client.aclose()


async def test_rfc_8252_7_3_a_program_on_the_persons_machine_is_answered_at_any_port(
    stage: Stage, resident: Browser
) -> None:
    own = "http://127.0.0.1:51004/back"
    back = went_back(await stage.approve(resident, stage.wish(redirect_uri=own)), own)
    assert (await stage.exchange(back["code"], redirect_uri=LOOPBACK)).status_code == 400
    back = went_back(await stage.approve(resident, stage.wish(redirect_uri=own)), own)
    assert (await stage.exchange(back["code"], redirect_uri=own)).status_code == 200
    for other in (
        "http://127.0.0.1:51004/other",
        "http://localhost:51004/back",
        "http://[::1]:51004/back",
        "http://127.0.0.1:51004@attacker.example/back",
        "http://127.0.0.1:/back",
        "http://127.0.0.1:510041/back",
        "https://127.0.0.1:51004/back",
        REDIRECT.replace("app.example", "app.example:8443"),
    ):
        answer = await resident.get(stage.wish(redirect_uri=other))
        assert (answer.status_code, answer.headers.get("location")) == (400, None), other


async def test_openid_connect_3_1_2_1_an_application_may_ask_by_post(
    stage: Stage, resident: Browser
) -> None:
    wish = urlsplit(stage.wish())
    fields = {name: values[0] for name, values in parse_qs(wish.query).items()}
    elsewhere = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(stage.pages), base_url=str(resident.client.base_url)
    ) as bare:
        asked = await bare.post(wish.path, data=fields, headers=elsewhere)
        assert asked.status_code == 303
        twice = await bare.post(
            wish.path, data={**fields, "scope": ["openid", "openid"]}, headers=elsewhere
        )
    assert "Growth chart" in (await resident.get(asked.headers["location"])).text
    refused = went_back(await resident.get(twice.headers["location"]))
    assert refused["error"] == "invalid_request"


async def test_rfc_6749_3_1_a_parameter_without_a_value_counts_as_left_out(
    stage: Stage, resident: Browser
) -> None:
    wish = stage.wish(launch="", nonce="", max_age="", prompt="", response_mode="")
    back = went_back(await stage.approve(resident, wish))
    first = (await stage.exchange(back["code"])).json()
    renewed = (await stage.renew(first["refresh_token"], scope="")).json()
    assert renewed["scope"] == first["scope"]


async def test_openid_connect_max_age_0_asks_once_and_not_for_ever(stage: Stage) -> None:
    browser = await stage.clinic.enter("resident", stage.pages)
    asked = await browser.get(stage.wish(max_age="0"))
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in")
    entered = await stage.clinic.walk_in(browser, "resident")
    assert "Growth chart" in (await browser.get(entered.headers["location"])).text


@pytest.mark.parametrize("end", ["sign-out", "idle", "lock", "reset"])
async def test_online_access_ends_with_the_session_at_once(
    stage: Stage, resident: Browser, end: str
) -> None:
    told = await stage.tokens(resident, scope="openid online_access patient/*.rs")
    mine = bearing(told["access_token"])
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    accounts = stage.clinic.sign_in.accounts
    if end == "sign-out":
        await resident.get("/account")
        await resident.send("/sign-out")
    elif end == "idle":
        await stage.clinic.pool.execute(
            "update trust.session set used_at = used_at - $1", 31 * 60 * 1_000_000
        )
        stage.clinic.revoked.advance()
    else:
        await (accounts.lock("resident") if end == "lock" else accounts.invite("resident"))
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.renew(told["refresh_token"])).status_code == 400


async def test_a_reset_ends_what_applications_were_let_do_and_a_lock_what_they_do_now(
    stage: Stage, resident: Browser
) -> None:
    told = await stage.tokens(resident)
    mine = bearing(told["access_token"])
    accounts = stage.clinic.sign_in.accounts
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    waiting = went_back(await stage.approve(resident, stage.wish()))["code"]
    await accounts.lock("resident")
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.exchange(waiting)).json()["error"] == "invalid_grant"
    await accounts.unlock("resident")
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    await accounts.invite("resident")
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.renew(told["refresh_token"])).json()["error"] == "invalid_grant"
    left = "select count(*) from trust.approval where withdrawn_at is null"
    assert await stage.clinic.pool.fetchval(left) == 0


async def test_openid_connect_10_1_1_a_key_is_published_before_it_signs_and_after(
    stage: Stage,
) -> None:
    tokens, day = stage.server.id_tokens, 24 * HOUR

    async def keys() -> list[str]:
        return [key["kid"] for key in (await tokens.key_set())["keys"]]

    async def signed_by() -> str:
        header = (await tokens.sign({})).split(".")[0]
        return str(json.loads(base64.urlsafe_b64decode(header + "=="))["kid"])

    (first,) = await keys()
    assert await signed_by() == first
    stage.clock = 90 * day
    known = await keys()
    assert (known[0], len(known)) == (first, 2), "its successor can be fetched"
    assert await signed_by() == first
    stage.clock += HOUR
    assert (await signed_by(), await keys()) == (known[1], known)
    stage.clock += day
    assert await keys() == known[1:]
    async with stage.clinic.pool.acquire() as connection:
        await replace_key(connection, b"s" * 32, stage.server.now())
    stage.clinic.revoked.advance()
    (fresh,) = await keys()
    assert fresh not in known
    assert await signed_by() == fresh
    sealed = await stage.clinic.pool.fetchval("select sealed from trust.id_token_key")
    assert b"\x30\x82" not in sealed[:64], "no key stands there as it is"


async def test_a_doctor_lets_applications_work_as_far_as_the_doctor_may(stage: Stage) -> None:
    doctor = Actor("doctor", "doctor", "Doctor", "hospital-a")
    await stage.clinic.add(doctor)
    browser = await stage.clinic.enter("doctor", stage.pages)
    told = await stage.tokens(browser, scope="user/Observation.rs offline_access")
    assert "user/Observation.rs" in told["scope"].split()
    await browser.client.aclose()


async def test_who_has_only_the_password_adds_no_factor_beside_one_that_is_there(
    stage: Stage,
) -> None:
    code, clinic = "hospital-a", stage.clinic
    cookie = await clinic.sign_in.sessions.begin(code, "enrolling", ("pwd",))
    browser = Browser(stage.pages)
    browser.client.cookies.set("quanmin_session", cookie, domain="node.test")
    await browser.get("/sign-in")
    answer = await browser.get("/account/factors")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    sent = await browser.send(
        "/account/factors", what="authenticator", secret="x", code=present_code("A" * 32)
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in")
    assert await clinic.sign_in.sessions.of(cookie) is None
