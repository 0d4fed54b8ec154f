"""Backend services: a system proves itself by a signed assertion and gets a token of minutes
(SMART App Launch 2.2, backend-services and client-confidential-asymmetric).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients import Backend, bare, bearing, caller, open_server, token_of
from joserfc import jws
from joserfc.jwk import ECKey
from outlet import ASYNC, ended, exports_in, working
from stores import observation, patient

from quanmin.api import DoorLimits
from quanmin.base.epoch import Epoch
from quanmin.base.problems import Invalid

LIMITS = DoorLimits(stranger_burst_requests=1e6, polls_per_second=10_000, polls_burst=10_000)


class Workers:
    """Two workers of one node: two doors that share the database and what was taken back."""

    def __init__(self, house: Any, folder: Path, **limits: Any) -> None:
        self.house = house
        self.servers = [
            open_server(house.pool, house.actors, Epoch(folder / "revoked"), **limits)
            for _ in range(2)
        ]
        self.exports = exports_in(folder)
        self.first, self.second = (
            caller(house.door(LIMITS, authorization=server, exports=self.exports))
            for server in self.servers
        )

    async def register(self, backend: Backend, **more: Any) -> Backend:
        await backend.register(self.servers[0], **more)
        return backend


@pytest.fixture
def workers(house: Any, tmp_path: Path) -> Workers:
    return Workers(house, tmp_path)


def refused(answer: httpx.Response, error: str) -> bool:
    """Whether it is refused as RFC 6749 section 5.2 wants it."""
    is_known = answer.json().keys() == {"error", "error_description"}
    status = 401 if error == "invalid_client" else 400
    is_hidden = answer.headers["cache-control"] == "no-store"
    return (
        is_known
        and is_hidden
        and (answer.status_code, answer.json()["error"])
        == (
            status,
            error,
        )
    )


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_smart_backend_services_a_signed_assertion_gives_a_token_of_five_minutes(
    workers: Workers, algorithm: str
) -> None:
    backend = await workers.register(Backend(algorithm=algorithm))
    answer = await workers.first.post("/oauth/token", data=backend.form("system/*.rs"))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {**told, "access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "system/*.rs",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


async def test_smart_backend_services_from_registration_to_export_and_revocation_at_once(
    workers: Workers,
) -> None:
    house = workers.house
    own = house.client("hospital-a")
    made = await own.post("/Patient", content=patient())
    assert made.status_code == 201
    others = await house.client("hospital-b").post("/Patient", content=patient())
    backend = await workers.register(Backend())
    token = await token_of(workers.first, backend, "system/Patient.rs")
    mine = bearing(token)
    for asking in (workers.first, workers.second):
        read = await asking.get(f"/fhir/Patient/{made.json()['id']}", headers=mine)
        assert read.status_code == 200
    hidden = await workers.first.get(f"/fhir/Patient/{others.json()['id']}", headers=mine)
    assert hidden.status_code == 404

    begun = await workers.first.get("/fhir/$export", headers={**mine, **ASYNC})
    assert begun.status_code == 202, begun.text
    address = begun.headers["content-location"]
    async with working(house.pool, house.guard, house.actors, workers.exports):
        workers.second.headers.update(mine)
        status = await ended(workers.second, address)
    output = status.json()["output"]
    assert {one["type"] for one in output} == {"Patient"}, "no other type is in its scopes"
    file = await workers.first.get(output[0]["url"], headers=mine)
    assert [json.loads(line)["id"] for line in file.text.splitlines()] == [made.json()["id"]]

    revoked = await workers.first.post("/oauth/revoke", data={**backend.form(), "token": token})
    assert revoked.status_code == 200
    for asking in (workers.second, workers.first):
        answer = await asking.get(f"/fhir/Patient/{made.json()['id']}", headers=mine)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_an_assertion_works_once_whichever_worker_it_is_shown_to(workers: Workers) -> None:
    backend = await workers.register(Backend())
    assertion = backend.assertion()
    form = backend.form(assertion=assertion)
    answers = await asyncio.gather(
        *(asking.post("/oauth/token", data=form) for asking in (workers.first, workers.second) * 5)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    elsewhere = await workers.second.post("/oauth/introspect", data={**form, "token": "any"})
    assert refused(elsewhere, "invalid_client"), "nor at another address"


async def test_a_jti_that_another_client_used_is_free(workers: Workers) -> None:
    one, other = Backend("one"), Backend("other")
    for backend in (one, other):
        await workers.register(backend)
        form = backend.form(assertion=backend.assertion(jti="the same"))
        assert (await workers.first.post("/oauth/token", data=form)).status_code == 200


# Numbers that are added to the time at which a claim is made.
AHEAD = ("exp", "nbf", "iat")
CLAIMS: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://elsewhere.example/oauth/token"},
    "the records as audience": {"aud": "http://node.test/fhir"},
    "no audience": {"aud": None},
    "ended": {"exp": -60},
    "of a second more than five minutes": {"exp": 302},
    "of a second more by its own clock": {"exp": 307, "iat": 5},
    "without an end": {"exp": None},
    "of no number": {"exp": "soon"},
    "endless": {"exp": 1e400},
    "another subject": {"sub": "another"},
    "another issuer": {"iss": "another"},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "a long jti": {"jti": "j" * 300},
    "of the future": {"nbf": 120},
    "issued in the future": {"iat": 120},
}


@pytest.mark.parametrize("case", CLAIMS)
async def test_smart_client_authentication_an_assertion_with_wrong_claims_is_refused(
    workers: Workers, case: str
) -> None:
    backend, now = await workers.register(Backend()), int(time.time())
    claims: dict[str, Any] = {
        name: now + said if name in AHEAD and isinstance(said, int) else said
        for name, said in CLAIMS[case].items()
    }
    form = backend.form(assertion=backend.assertion(**claims))
    assert refused(await workers.first.post("/oauth/token", data=form), "invalid_client")


@pytest.mark.parametrize(("seconds", "off"), [(-8, None), (305, 6), (300, -60)])
async def test_a_clock_that_is_seconds_off_is_borne(
    workers: Workers, seconds: int, off: int | None
) -> None:
    backend, now = await workers.register(Backend()), int(time.time())
    iat = None if off is None else now + off
    form = backend.form(assertion=backend.assertion(exp=now + seconds, iat=iat))
    assert (await workers.first.post("/oauth/token", data=form)).status_code == 200


async def test_an_assertion_is_believed_by_the_key_and_algorithm_registered_alone(
    workers: Workers,
) -> None:
    backend = await workers.register(Backend())
    claims = backend.claims()
    stranger = Backend()
    public = backend.key.as_pem(private=False)
    header = {"alg": "HS256", "kid": "one", "typ": "JWT"}
    unsigned = bare(header, claims).rpartition(".")[0]
    code = hmac.digest(public, unsigned.encode(), "sha256")
    by_public_key = bare(header, claims, code)
    p256 = ECKey.generate_key("P-256")
    embedded = stranger.assertion({"jwk": stranger.key.as_dict(private=False)})
    forged = [
        bare({"alg": "none", "kid": "one"}, claims),
        bare({"alg": "None", "kid": "one"}, claims),
        by_public_key,
        jws.serialize_compact(
            {**header, "alg": "ES256"}, json.dumps(claims).encode(), p256, algorithms=["ES256"]
        ),
        stranger.assertion(),
        embedded,
        stranger.assertion({"jku": "https://attacker.example/keys"}),
        Backend(kid="two").assertion(),
        backend.assertion({"kid": "two"}),
        backend.assertion({"crit": ["b64"], "b64": False}),
        backend.assertion()[:-8] + "AAAAAAAA",
        bare({"alg": "ES384", "kid": "one"}, claims, b"\0" * 96),
        "a.b.c",
        "....",
        "",
        "é.é.é",
        "A" * 20_000,
        bare({"alg": "ES384", "kid": "one"}, {"iss": [[[[]]]] * 1000}),
    ]
    for assertion in forged:
        form = {**backend.form(), "client_assertion": assertion}
        answer = await workers.first.post("/oauth/token", data=form)
        assert refused(answer, "invalid_client"), assertion[:80]


async def test_a_client_that_is_not_known_and_one_that_is_are_refused_alike(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workers.register(Backend())
    told: set[str] = set()
    tried: list[int] = []
    verify = jws.deserialize_compact

    def counted(*given: Any, **more: Any) -> Any:
        tried.append(1)
        return verify(*given, **more)

    monkeypatch.setattr(jws, "deserialize_compact", counted)
    for code in ("bulk", "nobody"):
        stranger = Backend(code)
        for header in ({}, {"kid": "two"}, {"jku": "https://attacker.example/keys"}):
            form = stranger.form(assertion=stranger.assertion(header))
            told.add((await workers.first.post("/oauth/token", data=form)).text)
            assert len(tried) == 1, "one signature is verified, so that time tells nothing either"
            tried.clear()
    assert len(told) == 1, told


async def test_an_assertion_sent_to_a_forged_host_is_refused(workers: Workers) -> None:
    backend = await workers.register(Backend())
    form = backend.form(assertion=backend.assertion(aud="http://other.example/oauth/token"))
    answer = await workers.first.post("/oauth/token", data=form, headers={"Host": "other.example"})
    assert refused(answer, "invalid_client")


async def test_scopes_are_granted_as_asked_and_registered_and_no_further(workers: Workers) -> None:
    backend = await workers.register(
        Backend(), scopes="system/Patient.rs system/Observation.crs?status=final"
    )

    async def granted(scope: str) -> set[str] | str:
        answer = await workers.first.post("/oauth/token", data=backend.form(scope))
        told = answer.json()
        return set(told["scope"].split()) if answer.status_code == 200 else str(told["error"])

    assert await granted("system/Patient.cruds") == {"system/Patient.rs"}
    assert await granted("system/*.read") == {
        "system/Patient.rs",
        "system/Observation.rs?status=final",
    }
    assert await granted("system/Observation.rs?category=laboratory") == {
        "system/Observation.rs?category=laboratory&status=final"
    }
    assert await granted("system/Patient.read openid") == {"system/Patient.read"}
    for beyond in (
        "system/Condition.rs",
        "system/Patient.d",
        "user/Patient.rs",
        "patient/Patient.rs",
        "openid offline_access",
        "",
        "system/Patient.sr",
        "system/Nothing.rs",
        "system/Patient.rs?name=Zhang",
        "system/Observation.rs?code:in=http://set",
        "system/Observation.rs?_id=1",
        "system/*.rs?status=final",
        "system/Patient.rs?birthdate=1980",
        'system/Patient.rs"',
    ):
        assert await granted(beyond) == "invalid_scope", beyond


async def test_a_token_does_what_its_scopes_say_and_nothing_else(workers: Workers) -> None:
    own = workers.house.client("hospital-a")
    one = (await own.post("/Patient", content=patient())).json()["id"]
    seen = (await own.post("/Observation", content=observation(f"Patient/{one}"))).json()["id"]
    backend = await workers.register(Backend())

    async def statuses(scope: str) -> dict[str, int]:
        token = await token_of(workers.first, backend, scope)
        about = {**bearing(token), "Content-Type": "application/fhir+json"}
        body = observation(f"Patient/{one}")
        update = json.dumps({**json.loads(body), "id": seen})
        asked = {
            "read": workers.first.get(f"/fhir/Observation/{seen}", headers=about),
            "version": workers.first.get(f"/fhir/Observation/{seen}/_history/1", headers=about),
            "search": workers.first.get("/fhir/Observation?status=final", headers=about),
            "history": workers.first.get("/fhir/Observation/_history", headers=about),
            "create": workers.first.post("/fhir/Observation", content=body, headers=about),
            "update": workers.first.put(f"/fhir/Observation/{seen}", content=update, headers=about),
            "other": workers.first.get(f"/fhir/Patient/{one}", headers=about),
            "everything": workers.first.get(f"/fhir/Patient/{one}/$everything", headers=about),
            "delete": workers.first.delete("/fhir/Observation/nothing", headers=about),
        }
        found = {}
        for name, question in asked.items():
            answer = await question
            found[name] = answer.status_code
            if answer.status_code == 403:
                assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        return found

    names = "read version search history create update other everything delete"
    none = dict.fromkeys(names.split(), 403)
    assert await statuses("system/Observation.r") == {**none, "read": 200, "version": 200}
    assert await statuses("system/Observation.s") == {**none, "search": 200, "history": 200}
    assert await statuses("system/Observation.c") == {**none, "create": 201}
    assert await statuses("system/Observation.u") == {**none, "update": 200}
    assert await statuses("system/Observation.d") == {**none, "delete": 204}
    assert await statuses("system/Patient.r") == {**none, "other": 200}


async def test_a_retired_client_and_all_it_holds_stop_at_once(workers: Workers) -> None:
    backend = await workers.register(Backend())
    mine = bearing(await token_of(workers.first, backend))
    assert (await workers.second.get("/fhir/Patient", headers=mine)).status_code == 200
    await workers.servers[0].clients.retire("bulk")
    assert (await workers.second.get("/fhir/Patient", headers=mine)).status_code == 401
    answer = await workers.first.post("/oauth/token", data=backend.form())
    assert refused(answer, "invalid_client")


async def test_an_application_has_its_own_jobs_alone_and_with_the_scopes_it_began_them(
    workers: Workers,
) -> None:
    backend = await workers.register(Backend())
    wide = bearing(await token_of(workers.first, backend, "system/*.rs"))
    narrow = bearing(await token_of(workers.first, backend, "system/Patient.r"))
    begun = await workers.first.get("/fhir/$export", headers={**wide, **ASYNC})
    address = begun.headers["content-location"]
    assert (await workers.first.get(address, headers=wide)).status_code == 202
    assert (await workers.first.get(address, headers=narrow)).status_code == 404


async def test_rfc_6749_5_2_what_is_wrong_with_a_request_is_told_by_its_code(
    workers: Workers,
) -> None:
    backend = await workers.register(Backend())
    post = workers.first.post
    missing = {name: value for name, value in backend.form().items() if name != "grant_type"}
    assert refused(await post("/oauth/token", data=missing), "invalid_request")
    other = {**backend.form(), "grant_type": "password"}
    assert refused(await post("/oauth/token", data=other), "unsupported_grant_type")
    other = {**backend.form(), "grant_type": "refresh_token", "refresh_token": "x"}
    assert refused(await post("/oauth/token", data=other), "unauthorized_client")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = "grant_type=client_credentials&grant_type=client_credentials"
    assert refused(await post("/oauth/token", content=twice, headers=form), "invalid_request")
    assert refused(await post("/oauth/token", json=backend.form()), "invalid_request")
    wrong = {**backend.form(), "client_assertion_type": "urn:other"}
    assert refused(await post("/oauth/token", data=wrong), "invalid_client")
    assert refused(await post("/oauth/token", data={"grant_type": "x"}), "invalid_client")
    assert (await workers.first.get("/oauth/token")).status_code == 405
    for code in ("a\0b", "\ud800", "客"):
        stranger = Backend(code)
        assert refused(await post("/oauth/token", data=stranger.form()), "invalid_client")
        pair = base64.b64encode(f"{code}:x".encode("utf-8", "surrogatepass")).decode()
        basic = {"Authorization": f"Basic {pair}"}
        answer = await post("/oauth/token", data={"grant_type": "x"}, headers=basic)
        assert refused(answer, "invalid_client")


class Shelf(BaseHTTPRequestHandler):
    """Serves one key set, and counts; sends elsewhere from /elsewhere."""

    keys = b""
    asked = 0
    cached = ""

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/keys")
            self.end_headers()
            return
        body = b"{" * 100_000 if self.path == "/huge" else type(self).keys
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if type(self).cached:
            self.send_header("Cache-Control", type(self).cached)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def shelf() -> Iterator[tuple[type[Shelf], str]]:
    class Mine(Shelf):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Mine, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_smart_client_authentication_keys_are_kept_no_longer_than_their_answer_says(
    house: Any, tmp_path: Path, shelf: tuple[type[Shelf], str]
) -> None:
    kept, origin = shelf
    backend = Backend()
    kept.keys = backend.jwks.encode()
    workers = Workers(house, tmp_path, key_origins=origin)
    await workers.register(backend, jwks=None, jwks_url=f"{origin}/keys")
    for said, asked in (("no-store", 2), ("public, max-age=0", 4), ("max-age=60", 5)):
        kept.cached = said
        for _ in range(2):
            form = backend.form()
            assert (await workers.first.post("/oauth/token", data=form)).status_code == 200
        assert kept.asked == asked, said


async def test_keys_are_fetched_from_the_registered_address_where_the_operator_allows_it(
    house: Any, tmp_path: Path, shelf: tuple[type[Shelf], str]
) -> None:
    kept, origin = shelf
    backend = Backend()
    kept.keys = backend.jwks.encode()
    allowed = Workers(house, tmp_path, key_origins=origin)
    await allowed.register(backend, jwks=None, jwks_url=f"{origin}/keys")
    for _ in range(3):
        assert (await allowed.first.post("/oauth/token", data=backend.form())).status_code == 200
    assert kept.asked == 1, "they are kept for a while"
    named = backend.assertion({"jku": f"{origin}/keys"})
    form = backend.form(assertion=named)
    assert (await allowed.first.post("/oauth/token", data=form)).status_code == 200

    forbidden = Workers(house, tmp_path, key_origins="https://other.example")
    answer = await forbidden.first.post("/oauth/token", data=backend.form())
    assert refused(answer, "invalid_client")
    assert kept.asked == 1, "nothing is asked where the operator has not allowed it"


@pytest.mark.parametrize("path", ["/elsewhere", "/huge", "@169.254.169.254/", ":1/", "/../keys?"])
async def test_a_hostile_address_of_keys_leads_nowhere(
    house: Any, tmp_path: Path, shelf: tuple[type[Shelf], str], path: str
) -> None:
    kept, origin = shelf
    kept.keys = Backend("another").jwks.encode()
    workers = Workers(house, tmp_path, key_origins=origin)
    backend = await workers.register(Backend(), jwks=None, jwks_url=f"{origin}{path}")
    answer = await workers.first.post("/oauth/token", data=backend.form())
    assert refused(answer, "invalid_client")
    assert origin not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"jwks": "no json"},
        {"jwks": '{"keys": []}'},
        {"jwks": '{"keys": [{"kty": "oct", "k": "AAAA", "kid": "one"}]}'},
        {"jwks": json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]})},
        {"jwks": None},
        {"jwks": None, "secret": b"x"},
        {"grants": frozenset({"password"})},
        {"grants": frozenset({"refresh_token"})},
        {"grants": frozenset({"authorization_code"}), "redirects": ("http://app.example/",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("https://a.example/#x",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("javascript:alert(1)",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("https://b@a.example/",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("http://localhost.evil/",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("http://localhost:1@evil/",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("https://*.example/",)},
        {"grants": frozenset({"authorization_code"}), "redirects": ("https://a.example/",)},
        {"code": "a b"},
    ],
    ids="-".join,
)
async def test_a_client_that_would_not_be_safe_is_not_registered(
    workers: Workers, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        await workers.servers[0].clients.add(Backend().registered(**wrong))
