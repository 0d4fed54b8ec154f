"""A real Keycloak as the other issuer: people sign in by it, and its access tokens open records.

It runs where `QUANMIN_KEYCLOAK` names the folder of a distribution (org.keycloak:
keycloak-quarkus-dist, 26 runs on Java 17) and `java` is there; else the tests skip and say so.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import msgspec
import pyotp
import pytest
from clients import bearing, caller, open_server
from clinic import Clinic
from foreign import LIMITS, ORIGIN, SECRET, browser_of, location_of
from running import free_port

from quanmin.api import build as build_door
from quanmin.trust import Actor
from quanmin.trust.sign_in import present_code
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.external_settings import ExternalSettings

_FOLDER = os.environ.get("QUANMIN_KEYCLOAK", "")
_START_SECONDS_MAX = 600
_PASSWORD = "a Heron stands in 3 rivers"
_PASSWORDS = ({"type": "password", "value": _PASSWORD},)
# Who has a second factor is asked for it at every way in (the flows that a realm begins with).
_CODE_KEY = "a key that both keep"
_CODES = {
    "type": "otp",
    "secretData": json.dumps({"value": _CODE_KEY}),
    "credentialData": json.dumps(
        {"subType": "totp", "digits": 6, "period": 30, "counter": 0, "algorithm": "HmacSHA1"}
    ),
}
_RECORDS = "https://node.test/fhir"
_CLERK = Actor("clerk", "institution", "hospital-a desk", "hospital-a")

pytestmark = pytest.mark.skipif(
    not (Path(_FOLDER) / "bin" / "kc.sh").is_file() or shutil.which("java") is None,
    reason="QUANMIN_KEYCLOAK names no distribution of Keycloak, or there is no java",
)


def _mappers() -> tuple[dict[str, Any], ...]:
    """Who it is, what they are called, for what a token is, when they proved themselves and how."""
    audience = {
        "name": "records",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": _RECORDS, "access.token.claim": "true"},
    }
    subject = {
        "name": "subject",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-sub-mapper",
        "config": {"access.token.claim": "true"},
    }
    username = {
        "name": "username",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-usermodel-attribute-mapper",
        "config": {
            "user.attribute": "username",
            "claim.name": "preferred_username",
            "id.token.claim": "true",
        },
    }
    moment = {
        "name": "moment",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-usersessionmodel-note-mapper",
        "config": {
            "user.session.note": "AUTH_TIME",
            "claim.name": "auth_time",
            "jsonType.label": "long",
            "id.token.claim": "true",
        },
    }
    level = {
        "name": "level",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-acr-mapper",
        "config": {"access.token.claim": "true"},
    }
    return subject, username, audience, moment, level


def _person(name: str, *credentials: dict[str, Any]) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@hospital.example",
        "emailVerified": True,
        "firstName": "Li",
        "lastName": "Ming",
        "credentials": credentials,
    }


def _realm() -> dict[str, Any]:
    # A realm that names scopes of its own has none of the usual, which tell these.
    subject, username, audience, moment, level = _mappers()
    usual = {"enabled": True, "protocol": "openid-connect"}
    return {
        "realm": "health",
        "enabled": True,
        "sslRequired": "none",
        "clientScopes": [
            {
                "name": "user/Patient.rs",
                "protocol": "openid-connect",
                "attributes": {"include.in.token.scope": "true"},
            }
        ],
        "clients": [
            {
                **usual,
                "clientId": "node",
                "secret": SECRET,
                "protocolMappers": [subject, username, moment],
                "redirectUris": [f"{ORIGIN}/sign-in/external/back"],
                "attributes": {
                    "pkce.code.challenge.method": "S256",
                    "post.logout.redirect.uris": f"{ORIGIN}/sign-in",
                },
            },
            {
                **usual,
                "clientId": "desktop",
                "publicClient": True,
                "directAccessGrantsEnabled": True,
                "redirectUris": ["https://app.example/back"],
                "protocolMappers": [subject, audience, level],
                "optionalClientScopes": ["user/Patient.rs"],
            },
        ],
        "users": [_person("clerk", *_PASSWORDS), _person("nurse", *_PASSWORDS, _CODES)],
    }


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a realm of a Keycloak that runs meanwhile."""
    home = tmp_path_factory.mktemp("keycloak") / "home"
    shutil.copytree(_FOLDER, home)
    (home / "data" / "import").mkdir(parents=True)
    (home / "data" / "import" / "health.json").write_text(json.dumps(_realm()), "utf-8")
    port = free_port()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(home / "bin" / "kc.sh"),
                *("start-dev", "--import-realm", "--cache=local", "--http-host=127.0.0.1"),
                f"--http-port={port}",
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m"},
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}/realms/health"
            _wait_for(address, process)
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait(60)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/.well-known/openid-configuration").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail("Keycloak did not start")


def _settings(keycloak: str, folder: Path) -> ExternalSettings:
    (folder / "secret").write_text(SECRET, "utf-8")
    return ExternalSettings(
        issuer=keycloak,
        client_id="node",
        client_secret_file=folder / "secret",
        account_claim="preferred_username",
        api_audience=_RECORDS,
        api_types="at+jwt JWT",
    )


async def _sign_in_there(address: str, password: str = _PASSWORD) -> httpx.Response:
    """What Keycloak answers to somebody who gives this password on its page."""
    async with httpx.AsyncClient(timeout=60) as client:
        page = await client.get(address)
        found = re.search(r'action="([^"]+)"', page.text)
        assert found, page.text
        fields = {"username": "clerk", "password": password}
        # Marked as for TLS only, which browsers send to this machine without all the same.
        marks = "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)
        return await client.post(html.unescape(found[1]), data=fields, headers={"Cookie": marks})


async def test_people_sign_in_and_out_by_a_keycloak(
    keycloak: str, pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    clinic = Clinic(pool, tmp_path, ORIGIN, _settings(keycloak, tmp_path))
    await clinic.add(_CLERK)
    browser = browser_of(clinic)
    there = location_of(await browser.get("/sign-in/external"))
    assert (await _sign_in_there(there, "wrong")).status_code == 200, "its own page again"
    answer = await _sign_in_there(there)
    back = answer.headers["location"].removeprefix(ORIGIN)
    assert "iss=" in back, "RFC 9207"
    assert location_of(await browser.get(back)) == "/sign-in/factor"
    await browser.get("/sign-in/factor")
    done = await browser.send("/sign-in/factor", code=present_code(clinic.secrets["clerk"]))
    assert location_of(done) == "/"
    await browser.get("/account")
    out = await browser.send("/sign-out")
    assert location_of(out) == "/sign-in/external/out"
    page = await browser.get("/sign-in/external/out")
    found = re.search(r'href="(http://127[^"]+)"', page.text)
    assert found, page.text
    async with httpx.AsyncClient(timeout=60) as client:
        asked = await client.get(html.unescape(found[1]))
    assert asked.headers["location"].startswith(f"{ORIGIN}/sign-in")
    assert (await browser.get(back)).status_code == 401, "replayed"


async def test_an_access_token_of_a_keycloak_opens_what_the_account_may_see(
    keycloak: str, pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    # A realm without levels of its own calls every sign-in 1, and asks this person for a code.
    settings = msgspec.structs.replace(_settings(keycloak, tmp_path), second_factors="1")
    clinic = Clinic(pool, tmp_path, ORIGIN, settings)
    await clinic.fill()
    await clinic.add(_CLERK)
    external = clinic.sign_in.external
    assert external is not None
    server = open_server(pool, clinic.actors)
    await server.clients.add(
        Client(
            code="desktop",
            name="Desktop",
            grants=frozenset({"authorization_code"}),
            scopes="user/*.rs",
            redirects=("https://app.example/back",),
        )
    )
    api = caller(
        build_door(
            clinic.guard,
            clinic.actors,
            LIMITS,
            link_key=b"k" * 32,
            zone=ZoneInfo("Asia/Shanghai"),
            authorization=server,
            external=external,
        )
    )
    form = {
        "grant_type": "password",
        "client_id": "desktop",
        "username": "nurse",
        "password": _PASSWORD,
        "scope": "openid user/Patient.rs",
    }
    code = pyotp.TOTP(base64.b32encode(_CODE_KEY.encode()).decode()).now()
    async with httpx.AsyncClient(timeout=60) as client:
        tokens = f"{keycloak}/protocol/openid-connect/token"
        assert (await client.post(tokens, data=form)).status_code == 401, "without a code"
        given = await client.post(tokens, data={**form, "totp": code})
    assert given.status_code == 200, given.text
    told = given.json()
    mine = bearing(told["access_token"])
    assert (await api.get("/fhir/Patient", headers=mine)).status_code == 401, "nobody's yet"
    claims = await external.prove(told["access_token"], _RECORDS, ("JWT",))
    await external.link(claims["sub"], "clerk")
    assert claims["acr"] == "1"
    found = await api.get("/fhir/Patient", headers=mine)
    assert found.status_code == 200, found.text
    assert len(found.json()["entry"]) > 1
    assert (await api.get("/fhir/Observation", headers=mine)).status_code == 403
    refused = await api.get("/fhir/Patient", headers=bearing(told["id_token"]))
    assert refused.status_code == 401, "an id token is for signing in"
