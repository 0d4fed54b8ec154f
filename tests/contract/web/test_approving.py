"""People let applications work for them: the code flow from the approve page to tokens (SMART App
Launch 2.2, app-launch; RFC 6749, 7636, 9207, 9700), and what attackers try on the way.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
from clients import ADDRESS, Backend, bearing, caller, now, open_server, proof
from clinic import Browser, Clinic
from joserfc import jws
from joserfc.jwk import KeySet
from starlette.applications import Starlette

from quanmin.api import DoorLimits
from quanmin.api import build as build_door
from quanmin.trust.scopes import parse_scopes
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.codes import Launch
from quanmin.trust.sign_in.secrets import digest_of, new_family
from quanmin.trust.sign_in.tokens import Grant
from quanmin.web import KitSettings
from quanmin.web import build as build_pages

REDIRECT = "https://app.example/back"
PEOPLE = frozenset({"authorization_code", "refresh_token"})
SCOPES = (
    "openid fhirUser launch launch/patient offline_access online_access patient/*.rs user/*.cruds"
)
LIMITS = DoorLimits(stranger_burst_requests=1e6, client_burst_requests=1e6)


def app(**more: Any) -> Client:
    usual: dict[str, Any] = {
        "code": "app",
        "name": "Growth chart",
        "grants": PEOPLE,
        "scopes": SCOPES,
        "redirects": (REDIRECT, "com.example.app:/back"),
        "launch_url": "https://app.example/launch",
    }
    return Client(**(usual | more))


class Stage:
    """A clinic with an authorization server, its pages and its door."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic = clinic
        self.clock = 0
        self.server = open_server(
            clinic.pool,
            clinic.actors,
            revoked=clinic.revoked,
            clock=lambda: now() + self.clock,
            log=clinic.guard.log,
        )
        kit = KitSettings(secret=b"p" * 32, zone=ZoneInfo("Asia/Shanghai"))
        server = self.server
        self.pages = Starlette(
            routes=build_pages(
                clinic.guard, clinic.sign_in, kit, installed=(), authorization=server
            )
        )
        door = build_door(
            clinic.guard,
            clinic.actors,
            LIMITS,
            link_key=b"k" * 32,
            zone=kit.zone,
            authorization=server,
        )
        self.api = caller(door)
        self.verifier, self.challenge = proof()

    def wish(self, **more: str | None) -> str:
        usual = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": REDIRECT,
            "scope": "openid launch/patient patient/*.rs offline_access",
            "state": "a state",
            "aud": f"{ADDRESS}/fhir",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            "nonce": "n-1",
        }
        fields = {name: value for name, value in (usual | more).items() if value is not None}
        return f"/oauth/authorize?{urlencode(fields)}"

    async def approve(self, browser: Browser, wish: str, **more: str) -> httpx.Response:
        page = await browser.get(wish)
        assert page.status_code == 200, (page.status_code, page.headers.get("location"))
        state = state_of(page)
        keep = {f"keep-{at}": "1" for at in range(page.text.count('name="keep-'))}
        return await browser.send(
            "/oauth/authorize", **{"state": state, "say": "approve", **keep, **more}
        )

    async def exchange(self, code: str, **more: str | None) -> httpx.Response:
        usual = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "client_id": "app",
            "code_verifier": self.verifier,
        }
        return await self.post({n: v for n, v in (usual | more).items() if v is not None})

    async def post(self, form: dict[str, str], path: str = "/oauth/token") -> httpx.Response:
        return await self.api.post(path, data=form)

    async def tokens(self, browser: Browser, **more: str | None) -> dict[str, Any]:
        back = went_back(await self.approve(browser, self.wish(**more)))
        answer = await self.exchange(back["code"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def renew(self, refresh: str, **more: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": "app"}
        return await self.post(form | more)


async def own_token(stage: Stage, code: str) -> str:
    """A token by which an application of the node itself asks for this actor."""
    grant = Grant(
        client="app", actor=code, scopes=parse_scopes("user/Patient.r"), family=new_family()
    )
    async with stage.clinic.pool.acquire() as connection:
        return (await stage.server.tokens.give(connection, grant)).access


def state_of(page: httpx.Response) -> str:
    found = re.search(r'name="state" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def went_back(answer: httpx.Response, to: str = REDIRECT) -> dict[str, str]:
    """What the browser brings back to the application."""
    assert answer.status_code == 303, answer.text
    address, _, query = answer.headers["location"].partition("?")
    assert address == to
    return dict(parse_qsl(query))


@pytest.fixture
async def stage(clinic: Clinic) -> Stage:
    opened = Stage(clinic)
    await opened.server.clients.add(app())
    return opened


@pytest.fixture
async def resident(stage: Stage) -> AsyncIterator[Browser]:
    opened = await stage.clinic.enter("resident", stage.pages)
    yield opened
    await opened.client.aclose()


@pytest.fixture
async def desk(stage: Stage) -> AsyncIterator[Browser]:
    """A browser of hospital A."""
    opened = await stage.clinic.enter("hospital-a", stage.pages)
    yield opened
    await opened.client.aclose()


async def test_smart_app_launch_a_resident_lets_an_application_read_their_own_record(
    stage: Stage, resident: Browser
) -> None:
    page = await resident.get(stage.wish())
    assert "Growth chart" in page.text
    assert "read, search all records of the chosen patient" in page.text
    back = went_back(await stage.approve(resident, stage.wish()))
    assert back.keys() == {"code", "state", "iss"}
    assert (back["state"], back["iss"]) == ("a state", ADDRESS), "RFC 9207: no mix-up"
    answer = await stage.exchange(back["code"])
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 900)
    assert re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", told["access_token"]), "RFC 6750 section 2.1"
    assert {"id_token", "refresh_token"} <= told.keys()
    assert told["need_patient_banner"] is True
    assert set(told["scope"].split()) == {
        "openid",
        "launch/patient",
        "offline_access",
        "patient/*.rs",
    }
    assert told["patient"] in {stage.clinic.ids[f"hospital-{one} man"] for one in "ab"}
    mine = bearing(told["access_token"])
    found = await stage.api.get("/fhir/Observation", headers=mine)
    entries = found.json()["entry"]
    assert len(entries) == 2, "of both institutions that the person is registered at"
    assert "entry" not in (await stage.api.get("/fhir/Patient?name=王", headers=mine)).json()
    writing = {**mine, "Content-Type": "application/fhir+json"}
    assert (
        await stage.api.post("/fhir/Patient", content=b"{}", headers=writing)
    ).status_code == 403


async def test_openid_connect_the_id_token_is_signed_by_the_published_key(
    stage: Stage, resident: Browser
) -> None:
    told = await stage.tokens(resident, scope="openid fhirUser patient/Patient.r")
    keys = KeySet.import_key_set((await stage.api.get("/oauth/keys")).json())
    signed = jws.deserialize_compact(told["id_token"], keys, algorithms=["RS256"])
    claims = json.loads(signed.payload)
    assert {name: claims[name] for name in ("iss", "aud", "sub", "nonce")} == {
        "iss": ADDRESS,
        "aud": "app",
        "sub": "resident",
        "nonce": "n-1",
    }
    assert claims["exp"] > claims["iat"]
    assert claims["fhirUser"] == f"{ADDRESS}/fhir/Patient/{told['patient']}"


async def test_smart_app_launch_staff_choose_a_patient_whom_they_may_see(
    stage: Stage, desk: Browser
) -> None:
    page = await desk.get(stage.wish())
    assert "Choose a patient" in page.text
    many = await desk.send("/oauth/authorize", state=state_of(page), term="王")
    assert "More than these 10 match" in many.text
    found = await desk.send("/oauth/authorize", state=state_of(many), term="张伟")
    names = re.findall(r'name="patient" value="([^"]+)"', found.text)
    own = stage.clinic.ids["hospital-a man"]
    assert names == [own]
    other = await desk.send(
        "/oauth/authorize", state=state_of(found), patient=stage.clinic.ids["hospital-b man"]
    )
    assert other.status_code == 404, "nobody chooses whom they may not see"
    approving = await desk.send("/oauth/authorize", state=state_of(found), patient=own)
    keep = {f"keep-{at}": "1" for at in range(approving.text.count('name="keep-'))}
    done = await desk.send("/oauth/authorize", state=state_of(approving), say="approve", **keep)
    told = (await stage.exchange(went_back(done)["code"])).json()
    assert told["patient"] == own
    mine = bearing(told["access_token"])
    seen = (await stage.api.get("/fhir/Patient", headers=mine)).json()
    assert [one["resource"]["id"] for one in seen["entry"]] == [own], "of all of the hospital's"


async def test_smart_ehr_launch_an_application_is_opened_with_the_patient_at_hand(
    stage: Stage, desk: Browser
) -> None:
    own = stage.clinic.ids["hospital-a man"]
    registered = await stage.api.post(
        "/oauth/launches",
        data={"client_id": "app", "patient": own, "encounter": "e1"},
        headers=bearing(await own_token(stage, "hospital-a")),
    )
    launch = registered.json()
    assert launch["iss"] == f"{ADDRESS}/fhir"
    told = await stage.tokens(
        desk, launch=launch["launch"], scope="launch openid patient/Observation.rs"
    )
    assert (told["patient"], told["encounter"]) == (own, "e1")
    handle = await stage.server.codes.launch("app", "hospital-b", Launch(own))
    stolen = await desk.get(stage.wish(launch=handle, scope="launch patient/*.rs"))
    assert went_back(stolen)["error"] == "invalid_request", "a launch is for who was there"


async def test_the_person_drops_scopes_and_the_application_gets_the_rest(
    stage: Stage, resident: Browser
) -> None:
    wish = stage.wish(scope="openid patient/Patient.rs patient/Observation.rs")
    page = await resident.get(wish)
    names = re.findall(r"<code>([^<]+)</code></label>", page.text)
    dropped = names.index("patient/Observation.rs")
    state = state_of(page)
    keep = {f"keep-{at}": "1" for at in range(len(names)) if at != dropped}
    back = await resident.send("/oauth/authorize", state=state, say="approve", **keep)
    told = (await stage.exchange(went_back(back)["code"])).json()
    assert set(told["scope"].split()) == {"openid", "patient/Patient.rs"}
    mine = bearing(told["access_token"])
    assert (await stage.api.get("/fhir/Observation", headers=mine)).status_code == 403
    nothing = await resident.send("/oauth/authorize", state=state, say="approve")
    assert went_back(nothing)["error"] == "access_denied"
    no = await resident.send("/oauth/authorize", state=state, say="refuse")
    assert went_back(no) == {
        "error": "access_denied",
        "error_description": "the person did not approve",
        "state": "a state",
        "iss": ADDRESS,
    }


async def test_a_code_that_is_shown_again_ends_all_that_it_was_exchanged_for(
    stage: Stage, resident: Browser
) -> None:
    code = went_back(await stage.approve(resident, stage.wish()))["code"]
    told = (await stage.exchange(code)).json()
    mine = bearing(told["access_token"])
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    again = await stage.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.renew(told["refresh_token"])).json()["error"] == "invalid_grant"


async def test_of_two_who_exchange_a_code_at_once_neither_keeps_tokens(
    stage: Stage, resident: Browser
) -> None:
    code = went_back(await stage.approve(resident, stage.wish()))["code"]
    answers = await asyncio.gather(*(stage.exchange(code) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 400, 400, 400]
    (told,) = (one.json() for one in answers if one.status_code == 200)
    asked = await stage.api.get("/fhir/Patient", headers=bearing(told["access_token"]))
    assert asked.status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "com.example.app:/back"},
        {"client_id": "other"},
        {"code": "guessed"},
    ],
    ids=str,
)
async def test_a_code_is_of_no_use_to_others(
    stage: Stage, resident: Browser, wrong: dict[str, str]
) -> None:
    await stage.server.clients.add(app(code="other"))
    code = went_back(await stage.approve(resident, stage.wish()))["code"]
    answer = await stage.exchange(**({"code": code} | wrong))
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "invalid_request"}


async def test_a_code_and_an_access_token_end_in_time(stage: Stage, resident: Browser) -> None:
    code = went_back(await stage.approve(resident, stage.wish()))["code"]
    stage.clock += 61_000_000
    assert (await stage.exchange(code)).json()["error"] == "invalid_grant"
    told = await stage.tokens(resident)
    assert told["expires_in"] == 900
    # The door has a clock of its own: what it looks at is moved instead.
    await stage.clinic.pool.execute("update trust.token set expires = $1", now() - 1)
    asked = await stage.api.get("/fhir/Patient", headers=bearing(told["access_token"]))
    assert asked.status_code == 401


async def test_without_a_known_client_and_its_address_nobody_is_sent_anywhere(
    stage: Stage, resident: Browser
) -> None:
    for wrong in (
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://attacker.example/"},
        {"redirect_uri": f"{REDIRECT}/"},
        {"redirect_uri": f"{REDIRECT}?x=1"},
        {"redirect_uri": REDIRECT.upper()},
        {"redirect_uri": "https://app.example/back/../evil"},
        {"redirect_uri": "https://app.example@attacker.example/back"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": f"{REDIRECT}\r\nSet-Cookie: a=b"},
    ):
        answer = await resident.get(stage.wish(**wrong))
        assert answer.status_code == 400, wrong
        assert "location" not in answer.headers
    assert (await resident.get(stage.wish(client_id="a\0b"))).status_code == 400
    twice = f"{stage.wish()}&{urlencode({'redirect_uri': 'https://attacker.example/'})}"
    assert (await resident.get(twice)).status_code == 400


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"aud": "https://elsewhere.example/fhir"}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"scope": "patient/Nothing.rs"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"request": "x.y.z"}, "request_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request_uri": "https://app.example/request"}, "request_uri_not_supported"),
        ({"prompt": "none"}, "interaction_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"nonce": "a\0b"}, "invalid_request"),
        ({"launch": "unknown"}, "invalid_request"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_wish_is_told_to_its_application(
    stage: Stage, resident: Browser, wrong: dict[str, str | None], error: str
) -> None:
    back = went_back(await resident.get(stage.wish(**wrong)))
    assert (back["error"], back["iss"]) == (error, ADDRESS)
    assert back.get("state") == (None if "state" in wrong else "a state")


async def test_a_state_cannot_write_headers_or_other_parameters(
    stage: Stage, resident: Browser
) -> None:
    state = "x\r\nSet-Cookie: a=b&code=forged#"
    answer = await stage.approve(resident, stage.wish(state=state))
    assert went_back(answer)["state"] == state
    assert "\r" not in answer.headers["location"]
    assert answer.headers["location"].count("code=") == 1


async def test_approval_takes_a_form_of_this_node_for_this_person(
    stage: Stage, resident: Browser, desk: Browser
) -> None:
    state = state_of(await resident.get(stage.wish()))
    fields = {"state": state, "say": "approve", "keep-0": "1"}
    forged = await resident.client.post("/oauth/authorize", data={**fields, "token": "x"})
    assert forged.status_code == 400, "without the form's token"
    bare = await resident.client.post("/oauth/authorize", data=fields)
    assert bare.headers["location"].startswith("/oauth/authorize?state="), "a question, no decision"
    elsewhere = await resident.client.post(
        "/oauth/authorize",
        data={**fields, "token": resident.token},
        headers={"Origin": "https://attacker.example"},
    )
    assert elsewhere.status_code == 403
    await desk.get("/")
    others = await desk.send("/oauth/authorize", **fields)
    assert others.status_code == 400, "the state was sealed for somebody else"
    assert await stage.clinic.pool.fetchval("select count(*) from trust.code") == 0


async def test_the_approve_page_may_be_framed_by_nobody_and_sends_its_form_to_two_places(
    stage: Stage, resident: Browser
) -> None:
    policy = (await resident.get(stage.wish())).headers["content-security-policy"]
    assert "form-action 'self' https://app.example;" in policy
    assert "frame-ancestors 'none'" in policy


async def test_whoever_signs_in_for_an_application_goes_on_to_it(stage: Stage) -> None:
    browser = Browser(stage.pages)
    asked = await browser.get(stage.wish())
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in")
    entered = await stage.clinic.walk_in(browser, "resident")
    address = entered.headers["location"]
    assert urlsplit(address).path == "/oauth/authorize"
    assert "Growth chart" in (await browser.get(address)).text
    silent = await Browser(stage.pages).get(stage.wish(prompt="none"))
    assert went_back(silent)["error"] == "login_required"


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(
    stage: Stage, resident: Browser
) -> None:
    first = await stage.tokens(resident)
    second = (await stage.renew(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert (second["token_type"], second["expires_in"]) == ("Bearer", 900)
    assert second["patient"] == first["patient"]
    mine = bearing(second["access_token"])
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    assert (await stage.renew(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.renew(second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_renewal_asks_for_less_and_never_for_more(stage: Stage, resident: Browser) -> None:
    scope = "openid offline_access patient/Patient.rs patient/Observation.rs"
    first = await stage.tokens(resident, scope=scope)
    more = await stage.renew(first["refresh_token"], scope="patient/*.rs")
    assert more.json()["error"] == "invalid_scope"
    less = (await stage.renew(first["refresh_token"], scope="patient/Patient.r")).json()
    assert "patient/Patient.r" in less["scope"].split()
    mine = bearing(less["access_token"])
    assert (await stage.api.get("/fhir/Observation", headers=mine)).status_code == 403
    assert less["expires_in"] == 900
    await stage.server.clients.add(app(code="other"))
    stolen = await stage.renew(less["refresh_token"], client_id="other")
    assert stolen.json()["error"] == "invalid_grant", "it is bound to its client"
    whole = (await stage.renew(less["refresh_token"])).json()
    assert set(whole["scope"].split()) == set(first["scope"].split())


async def test_rfc_7662_introspection_tells_a_client_of_its_own_tokens_alone(
    stage: Stage, resident: Browser
) -> None:
    given = await stage.tokens(resident)
    token, until = given["access_token"], now() // 1_000_000 + given["expires_in"]
    asking, watching = Backend("asking"), Backend("watching")
    grants = frozenset({"introspection", "client_credentials"})
    await asking.register(stage.server)
    await watching.register(stage.server, grants=grants)

    async def told(backend: Backend, token: str) -> dict[str, Any]:
        form = {**backend.form(), "token": token}
        answer = await stage.post(form, "/oauth/introspect")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert await told(asking, token) == {"active": False}
    known = await told(watching, token)
    assert known["active"] is True
    assert (known["client_id"], known["sub"]) == ("app", "resident")
    for name in ("scope", "patient", "need_patient_banner"):
        assert known[name] == given[name], name
    assert (known["iss"], type(known["exp"])) == (ADDRESS, int)
    assert abs(known["exp"] - until) <= 5
    for backend, expected in ((watching, known), (asking, {"active": False})):
        mine = (await stage.post(backend.form("system/Patient.r"))).json()["access_token"]
        asked = await stage.api.post(
            "/oauth/introspect", data={"token": token}, headers=bearing(mine)
        )
        assert asked.json() == expected, "by a token of its own"
    public = await stage.api.post(
        "/oauth/introspect", data={"token": token}, headers=bearing(token)
    )
    assert public.status_code == 401
    assert await told(watching, "no token") == {"active": False}
    public = await stage.post({"client_id": "app", "token": token}, "/oauth/introspect")
    assert public.status_code == 401
    await stage.server.clients.retire("app")
    assert await told(watching, token) == {"active": False}


async def test_rfc_7009_a_client_revokes_what_is_its_own(stage: Stage, resident: Browser) -> None:
    await stage.server.clients.add(app(code="other"))
    first = await stage.tokens(resident)
    mine = bearing(first["access_token"])
    asked = {"token": first["refresh_token"]}
    strange = await stage.post({**asked, "client_id": "other"}, "/oauth/revoke")
    assert strange.status_code == 200
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    assert (await stage.post({**asked, "client_id": "app"}, "/oauth/revoke")).status_code == 200
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    unknown = await stage.post({"token": "none", "client_id": "app"}, "/oauth/revoke")
    assert unknown.status_code == 200


async def test_a_secret_proves_a_client_and_nothing_else_does(
    stage: Stage, resident: Browser
) -> None:
    await stage.server.clients.add(app(code="hidden", secret=digest_of("s3cret")))
    code = went_back(await stage.approve(resident, stage.wish(client_id="hidden")))["code"]
    assert (await stage.exchange(code, client_id="hidden")).status_code == 401
    in_form = await stage.exchange(code, client_id="hidden", client_secret="s3cret")
    assert in_form.json()["error"] == "invalid_request"
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": stage.verifier,
    }
    for wrong in ("hidden:other", "nobody:s3cret", "hidden", "app:"):
        basic = {"Authorization": f"Basic {base64.b64encode(wrong.encode()).decode()}"}
        answer = await stage.api.post("/oauth/token", data=form, headers=basic)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    basic = {"Authorization": f"Basic {base64.b64encode(b'hidden:s3cret').decode()}"}
    assert (await stage.api.post("/oauth/token", data=form, headers=basic)).status_code == 200
