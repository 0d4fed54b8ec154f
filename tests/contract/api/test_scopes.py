"""What a token may do among records: scopes narrowed by codes, and bound to one patient (SMART App
Launch 2.2, scopes-and-launch-context).
"""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from clients import ADDRESS, bearing, caller, open_server
from stores import observation, patient, post

from quanmin.api import DoorLimits
from quanmin.trust.scopes import parse_scopes
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.secrets import new_family
from quanmin.trust.sign_in.tokens import Grant

LIMITS = DoorLimits(stranger_burst_requests=1e6)
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
LOINC = "http://loinc.org"
ALL = {"one laboratory", "two laboratory", "one vital-signs"}


class Ward:
    """Two patients of hospital A with results, and tokens of any scopes for its desk."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.server = open_server(house.pool, house.actors)
        self.api = caller(house.door(LIMITS, authorization=self.server))
        self.own: httpx.AsyncClient = house.client("hospital-a")
        self.ids: dict[str, str] = {}

    async def fill(self) -> None:
        await self.server.clients.add(
            Client(
                code="app",
                name="App",
                grants=frozenset({"authorization_code"}),
                scopes="patient/*.cruds user/*.cruds",
                redirects=("https://app.example/",),
            )
        )
        for name in ("one", "two"):
            self.ids[name] = await self.put("Patient", patient())
        for who, code, category in (
            ("one", "2339-0", "laboratory"),
            ("one", "8867-4", "vital-signs"),
            ("two", "2339-0", "laboratory"),
        ):
            key = f"{who} {category}"
            self.ids[key] = await self.put("Observation", self.result(who, code, category))

    def result(self, who: str, code: str, category: str, **more: Any) -> bytes:
        return observation(
            f"Patient/{self.ids[who]}",
            category=[{"coding": [{"system": CATEGORIES, "code": category}]}],
            code={"coding": [{"system": LOINC, "code": code}]},
            **more,
        )

    async def put(self, type_: str, body: bytes) -> str:
        answer = await self.own.post(f"/{type_}", content=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def token(self, scopes: str, who: str | None = None) -> dict[str, str]:
        id_ = self.ids[who] if who else None
        rid = self.house.guard.store.context.rid_of("Patient", id_) if id_ else None
        grant = Grant(
            client="app",
            actor="hospital-a",
            scopes=parse_scopes(scopes),
            family=new_family(),
            patient=rid,
            patient_id=id_,
        )
        async with self.house.pool.acquire() as connection:
            issued = await self.server.tokens.give(connection, grant)
        return {**bearing(issued.access), "Content-Type": "application/fhir+json"}

    async def found(self, headers: dict[str, str], query: str = "Observation") -> set[str]:
        answer = await self.api.get(f"/fhir/{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        names = {id_: name for name, id_ in self.ids.items()}
        return {names[one["resource"]["id"]] for one in answer.json().get("entry", [])}


@pytest.fixture
async def ward(house: Any) -> Ward:
    opened = Ward(house)
    await opened.fill()
    return opened


@pytest.mark.parametrize(
    ("params", "seen"),
    [
        (f"category={CATEGORIES}|laboratory", {"one laboratory", "two laboratory"}),
        ("category=vital-signs", {"one vital-signs"}),
        (
            "category=vital-signs,laboratory",
            {"one laboratory", "two laboratory", "one vital-signs"},
        ),
        (f"code={LOINC}|8867-4", {"one vital-signs"}),
        ("code=urn:other|8867-4", set()),
        ("code=2339-0", {"one laboratory", "two laboratory"}),
        ("combo-code=8867-4", {"one vital-signs"}),
        ("status=final&code=8867-4", {"one vital-signs"}),
        ("status=final&category=survey", set()),
    ],
)
async def test_smart_scopes_with_parameters_reach_what_a_search_by_them_finds(
    ward: Ward, params: str, seen: set[str]
) -> None:
    mine = await ward.token(f"user/Observation.rs?{params}")
    assert await ward.found(mine) == seen
    assert await ward.found(mine, f"Observation?{params.partition('&')[0]}") == seen
    for name in ("one laboratory", "one vital-signs", "two laboratory"):
        address = f"/fhir/Observation/{ward.ids[name]}"
        expected = 200 if name in seen else 404
        assert (await ward.api.get(address, headers=mine)).status_code == expected
    counted = await ward.api.get("/fhir/Observation?_summary=count", headers=mine)
    assert counted.json()["total"] == len(seen)


async def test_several_scopes_reach_what_each_of_them_does(ward: Ward) -> None:
    mine = await ward.token(
        "user/Observation.rs?category=vital-signs user/Observation.r?code=2339-0 user/Patient.s"
    )
    assert await ward.found(mine) == {"one vital-signs"}, "the second lets nobody search"
    address = f"/fhir/Observation/{ward.ids['two laboratory']}"
    assert (await ward.api.get(address, headers=mine)).status_code == 200
    assert await ward.found(mine, "Patient") == {"one", "two"}
    address = f"/fhir/Patient/{ward.ids['one']}"
    assert (await ward.api.get(address, headers=mine)).status_code == 403


async def test_smart_patient_scopes_reach_the_launch_patient_alone(ward: Ward) -> None:
    mine = await ward.token("patient/*.rs", "one")
    assert await ward.found(mine) == {"one laboratory", "one vital-signs"}
    assert await ward.found(mine, "Patient") == {"one"}
    assert await ward.found(mine, f"Observation?patient={ward.ids['two']}") == set()
    assert await ward.found(mine, "Patient?_revinclude=Observation:patient") == {
        "one",
        "one laboratory",
        "one vital-signs",
    }
    hidden = await ward.api.get(f"/fhir/Patient/{ward.ids['two']}", headers=mine)
    absent = await ward.api.get("/fhir/Patient/nobody", headers=mine)
    assert (hidden.status_code, hidden.json()) == (absent.status_code, absent.json())
    everything = f"/fhir/Patient/{ward.ids['two']}/$everything"
    assert (await ward.api.get(everything, headers=mine)).status_code == 404


async def test_what_is_written_lies_within_the_scopes_before_and_after(ward: Ward) -> None:
    mine = await ward.token("patient/Observation.cud?category=laboratory", "one")
    api, ids = ward.api, ward.ids

    async def create(who: str, category: str) -> int:
        body = ward.result(who, "1-1", category)
        answer = await api.post("/fhir/Observation", content=body, headers=mine)
        return answer.status_code

    assert await create("one", "laboratory") == 201
    assert await create("one", "vital-signs") == 403, "another category"
    assert await create("two", "laboratory") == 403, "another patient"

    async def update(name: str, who: str, category: str) -> httpx.Response:
        body = ward.result(who, "2339-0", category, id=ids[name])
        address = f"/fhir/Observation/{ids[name]}"
        return await api.put(address, content=body, headers=mine)

    assert (await update("one laboratory", "one", "vital-signs")).status_code == 403, "out of it"
    assert (await update("one vital-signs", "one", "laboratory")).status_code in {403, 422}, "in"
    assert (await update("two laboratory", "one", "laboratory")).status_code in {403, 422}
    assert (await update("one laboratory", "two", "laboratory")).status_code == 403
    for name in ("one vital-signs", "two laboratory"):
        gone = await api.delete(f"/fhir/Observation/{ids[name]}", headers=mine)
        nothing = await api.delete("/fhir/Observation/q0000000000000", headers=mine)
        assert gone.status_code == nothing.status_code
        there = await ward.own.get(f"/Observation/{ids[name]}")
        assert there.status_code == 200, "it is deleted for nobody"
        assert there.json()["meta"]["versionId"] == "1", "nor changed"
    done = await api.delete(f"/fhir/Observation/{ids['one laboratory']}", headers=mine)
    assert done.status_code == 204


async def test_conditions_look_within_the_scopes_alone(ward: Ward) -> None:
    mine = await ward.token("patient/Observation.cruds", "one")
    body = ward.result("one", "2339-0", "laboratory")
    criteria = {**mine, "If-None-Exist": f"patient={ward.ids['two']}"}
    answer = await ward.api.post("/fhir/Observation", content=body, headers=criteria)
    assert answer.status_code == 201, "that the other patient has one is not told"
    writing = await ward.token("patient/Observation.c", "one")
    asked = {**writing, "If-None-Exist": f"patient={ward.ids['one']}"}
    refused = await ward.api.post("/fhir/Observation", content=body, headers=asked)
    assert refused.status_code == 403, "nor anything to one that may not search"


async def test_bundles_are_held_to_the_scopes_entry_by_entry(ward: Ward) -> None:
    mine = await ward.token("patient/Observation.crs", "one")

    def asks(url: str) -> dict[str, Any]:
        return {"request": {"method": "GET", "url": url}}

    entries = [
        asks(f"Observation/{ward.ids['one laboratory']}"),
        asks(f"Observation/{ward.ids['two laboratory']}"),
        asks(f"Patient/{ward.ids['one']}"),
        post(ward.result("two", "2339-0", "laboratory")),
        post(ward.result("one", "2339-0", "laboratory")),
    ]

    async def send(kind: str, *chosen: dict[str, Any]) -> httpx.Response:
        content = json.dumps({"resourceType": "Bundle", "type": kind, "entry": chosen})
        return await ward.api.post("/fhir", content=content, headers=mine)

    batch = (await send("batch", *entries)).json()
    told = [one["response"]["status"][:3] for one in batch["entry"]]
    assert told == ["200", "404", "403", "403", "201"]
    whole = await send("transaction", entries[4], entries[3])
    assert whole.status_code == 403
    assert (await send("transaction", entries[4], entries[2])).status_code == 403
    assert (await send("transaction", entries[4], entries[0])).status_code == 200


async def test_a_scope_to_change_does_not_show_what_it_changes(ward: Ward) -> None:
    address = f"/fhir/Observation/{ward.ids['one laboratory']}"
    steps = b'[{"op": "replace", "path": "/status", "value": "amended"}]'
    entry = {
        "resource": {
            "resourceType": "Binary",
            "contentType": "application/json-patch+json",
            "data": base64.b64encode(steps).decode(),
        },
        "request": {"method": "PATCH", "url": address.removeprefix("/fhir/")},
    }
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    want = {"Prefer": "return=representation"}
    for scopes, is_shown in (
        ("user/Observation.u", False),
        ("user/Observation.u user/Observation.r?category=vital-signs", False),
        ("user/Observation.ru", True),
    ):
        mine = await ward.token(scopes) | want
        kind = {"Content-Type": "application/json-patch+json"}
        one = await ward.api.patch(address, content=steps, headers=mine | kind)
        assert (one.status_code, bool(one.content)) == (200, is_shown), scopes
        several = await ward.api.post("/fhir", json=batch, headers=mine)
        told = several.json()["entry"][0]
        assert told["response"]["status"].startswith("200"), told
        assert ("resource" in told) == is_shown, scopes


async def test_old_versions_are_shown_by_scopes_without_parameters(ward: Ward) -> None:
    id_ = ward.ids["one laboratory"]
    body = ward.result("one", "2339-0", "laboratory", id=id_, note=[{"text": "again"}])
    assert (await ward.own.put(f"/Observation/{id_}", content=body)).status_code == 200
    narrow = await ward.token("user/Observation.rs?category=laboratory")
    wide = await ward.token("user/Observation.rs")
    for headers, first, versions in ((narrow, 404, 1), (wide, 200, 2)):
        old = await ward.api.get(f"/fhir/Observation/{id_}/_history/1", headers=headers)
        assert old.status_code == first
        history = await ward.api.get(f"/fhir/Observation/{id_}/_history", headers=headers)
        assert len(history.json()["entry"]) == versions


async def test_an_application_reads_the_access_log_only_by_a_scope_for_all_of_it(
    ward: Ward,
) -> None:
    narrow = await ward.token("patient/*.rs", "one")
    assert (await ward.api.get("/fhir/AuditEvent", headers=narrow)).status_code == 403


async def test_smart_conformance_the_node_tells_where_its_authorization_server_is(
    ward: Ward,
) -> None:
    told = await ward.api.get(
        "/fhir/.well-known/smart-configuration", headers={"Accept": "application/xml"}
    )
    assert told.headers["content-type"].startswith("application/json"), "whatever was asked for"
    config = told.json()
    for name, value in config.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(f"{ADDRESS}/"), name
    assert config["management_endpoint"] == f"{ADDRESS}/account/applications"
    assert config["token_endpoint"] == f"{ADDRESS}/oauth/token"
    assert config["authorization_endpoint"] == f"{ADDRESS}/oauth/authorize"
    assert config["code_challenge_methods_supported"] == ["S256"]
    assert config["issuer"] == ADDRESS
    assert config["jwks_uri"] == f"{ADDRESS}/oauth/keys"
    assert config["introspection_endpoint"] == f"{ADDRESS}/oauth/introspect"
    assert config["revocation_endpoint"] == f"{ADDRESS}/oauth/revoke"
    assert set(config["grant_types_supported"]) == {
        "authorization_code",
        "client_credentials",
        "refresh_token",
    }
    assert config["response_types_supported"] == ["code"]
    assert {"openid", "launch/patient", "patient/*.rs", "system/*.rs"} <= set(
        config["scopes_supported"]
    )
    # RFC 8414 section 2: "MUST be present" beside private_key_jwt, at each of the three.
    for name in ("token", "introspection", "revocation"):
        methods = config[f"{name}_endpoint_auth_methods_supported"]
        assert "private_key_jwt" in methods
        assert ("none" in methods) == (name != "introspection")
        algorithms = config[f"{name}_endpoint_auth_signing_alg_values_supported"]
        assert set(algorithms) == {"RS384", "ES384"}
    assert set(config["capabilities"]) == {
        *("launch-ehr", "launch-standalone", "sso-openid-connect", "context-banner"),
        *("client-public", "client-confidential-symmetric", "client-confidential-asymmetric"),
        *("context-ehr-patient", "context-ehr-encounter"),
        *("context-standalone-patient", "context-standalone-encounter"),
        *("permission-offline", "permission-online", "permission-patient", "permission-user"),
        *("permission-v1", "permission-v2", "authorize-post"),
    }
    told = (await ward.api.get("/.well-known/openid-configuration")).json()
    assert told["id_token_signing_alg_values_supported"] == ["RS256"]
    assert told["subject_types_supported"] == ["public"]
    assert told["request_uri_parameter_supported"] is False, "left out, it would mean true"
    for path in ("smart-configuration", "openid-configuration", "oauth-authorization-server"):
        answer = await ward.api.get(f"/.well-known/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.json()["issuer"] == ADDRESS
    keys = (await ward.api.get("/oauth/keys")).json()["keys"]
    assert [key["alg"] for key in keys] == ["RS256"]
    assert "d" not in keys[0]
    metadata = (await ward.api.get("/fhir/metadata")).json()["rest"][0]["security"]
    uris = {one["url"]: one["valueUri"] for one in metadata["extension"][0]["extension"]}
    assert uris["token"] == f"{ADDRESS}/oauth/token"
    assert metadata["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
