"""Whatever is sent, the door answers with an OperationOutcome or a resource and never fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import bundle, observation, open_context, open_guard, patient

from quanmin.api import DoorLimits, build
from quanmin.base.postgres import open_pool
from quanmin.fhir.table import load_table
from quanmin.trust import Actor, Actors

JSON = {"Content-Type": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TYPES = ("Patient", "Observation", "Encounter", "MedicationRequest", "Claim", "ValueSet")
# Texts that have opened other servers, and the characters that mean something to a search.
NASTY = (
    "' or 1=1 --",
    "'; drop table records.record; --",
    "$1",
    "%",
    "\\",
    "\\,",
    "|",
    "||",
    "a|",
    "|b",
    "$",
    ",",
    "ge",
    "ge2020-13",
    "2020-02-30",
    "9999-12-31T23:59:60+14:00",
    "0000",
    "-1",
    "1e999999999",
    "99999999999999999999999999",
    "NaN",
    "Patient/1/_history/2",
    "http://",
    "urn:uuid:",
    "*",
    "\u2028",
    "欧阳",
    "𠮷",
    "\ufeff",
    "\uffff",
    "a" * 300,
)


class Asker:
    """Asks a door over a real store, one request at a time, from tests that are not async."""

    def __init__(self, runner: asyncio.Runner, database: str, folder: Path) -> None:
        self._runner = runner
        self._client = runner.run(self._open(database, folder))

    async def _open(self, database: str, folder: Path) -> httpx.AsyncClient:
        self._pool = await open_pool(database, name="test", connections_max=4)
        actors = Actors(self._pool)
        token = await actors.enrol(Actor("center", "operator", "Centre", "center"))
        guard = open_guard(self._pool, open_context(folder))
        door = build(
            guard, actors, DoorLimits(), link_key=b"k" * 32, zone=ZoneInfo("Asia/Shanghai")
        )
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(door),
            base_url="http://node.test/fhir",
            headers={"Authorization": f"Bearer {token}"},
        )

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer; it fails when that is a defect or no FHIR."""
        url = httpx.URL("http://node.test").copy_with(raw_path=f"/fhir{path}".encode("ascii"))
        answer = self._runner.run(self._client.request(method, url, **more))
        assert answer.status_code < 500, f"{method} {path} {more}: {answer.text}"
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json()["resourceType"] == "OperationOutcome"
            assert answer.json()["issue"][0]["diagnostics"]
        return answer

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self._pool.close())


@pytest.fixture
def asker(database: str, tmp_path: Path) -> Iterator[Asker]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = Asker(runner, database, tmp_path)
        made = opened.ask("POST", "/Patient", content=patient("580101199003078515"), headers=JSON)
        reference = f"Patient/{made.json()['id']}"
        opened.ask("POST", "/Observation", content=observation(reference), headers=JSON)
        yield opened
        opened.close()


quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=30))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "meta", "status", "code", "value", "text", "extension", "x", "_id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def names_of(type_: str) -> list[str]:
    return [*load_table().types[type_].params, "_sort", "_include", "_count", "_elements", "_has"]


def test_a_nasty_value_in_every_parameter_is_answered(asker: Asker) -> None:
    asked = 0
    for number, name in enumerate(
        (type_, name) for type_ in TYPES for name in load_table().types[type_].params
    ):
        for value in NASTY[number % 3 :: 3]:
            text = quote(value.encode("utf-8", "surrogatepass"))
            asker.ask("GET", f"/{name[0]}?{quote(name[1])}={text}")
            asked += 1
    assert asked > 1000
    assert asker.ask("GET", "/Observation?_total=accurate").json()["total"] == 1


@quick
@given(st.data())
def test_any_search_is_answered(asker: Asker, data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(TYPES))
    suffix = st.sampled_from(
        ["", "", "", ":exact", ":contains", ":not", ":missing", ":identifier", ":Patient", ":in"]
    )
    name = st.one_of(st.sampled_from(names_of(type_)), st.text(max_size=8))
    pairs = data.draw(st.lists(st.tuples(name, suffix, texts), max_size=4))
    query = "&".join(f"{quote(n + s)}={quote(v)}" for n, s, v in pairs)
    method = data.draw(st.sampled_from(["GET", "GET", "POST"]))
    if method == "GET":
        answer = asker.ask("GET", f"/{type_}?{query}")
    else:
        answer = asker.ask("POST", f"/{type_}/_search", content=query, headers=FORM)
    assert answer.status_code in {200, 400, 413}


@quick
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
    st.lists(
        st.one_of(
            st.sampled_from([*TYPES, "_history", "_search", "_page", "1", "*", "$x"]),
            st.binary(max_size=6).map(quote_from_bytes),
        ),
        max_size=6,
    ),
    st.binary(max_size=20).map(lambda raw: quote_from_bytes(raw, safe="%&=?+")),
)
def test_any_address_is_answered(asker: Asker, method: str, parts: list[str], query: str) -> None:
    path = "/" + "/".join(part.replace("/", "%2F") for part in parts)
    answer = asker.ask(method, f"{path}?{query}", headers=JSON)
    assert 200 <= answer.status_code < 500


@quick
@given(st.sampled_from(TYPES), json_values, st.sampled_from(["POST", "PUT", "WHERE"]))
def test_any_json_is_answered(asker: Asker, type_: str, value: Any, way: str) -> None:
    if isinstance(value, dict):
        value = {"resourceType": type_, **value}
    if way == "POST":
        answer = asker.ask("POST", f"/{type_}", content=json.dumps(value), headers=JSON)
    elif way == "PUT":
        answer = asker.ask("PUT", f"/{type_}/a", content=json.dumps(value), headers=JSON)
    else:
        answer = asker.ask("PUT", f"/{type_}?_id=zz", content=json.dumps(value), headers=JSON)
    assert answer.status_code in {200, 201, 400, 409, 412, 422}


@quick
@given(
    st.sampled_from(["transaction", "batch"]),
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "fullUrl": texts,
                "resource": json_values,
                "request": st.one_of(
                    json_values,
                    st.fixed_dictionaries(
                        {
                            "method": st.sampled_from(
                                ["GET", "POST", "PUT", "DELETE", "HEAD", "X"]
                            ),
                            "url": st.one_of(
                                texts,
                                st.sampled_from(
                                    [
                                        "Patient",
                                        "Patient/1",
                                        "Observation?status=final",
                                        "_history",
                                        "Patient/1/_history/99999999999",
                                        "Patient?name=%ff",
                                        "?_id=1",
                                        "Patient?_count=1",
                                        "Patient/1/_history?_count=x",
                                        "/",
                                        "http://x/y",
                                    ]
                                ),
                            ),
                        }
                    ),
                ),
            },
        ),
        max_size=3,
    ),
)
def test_any_bundle_is_answered(asker: Asker, kind: str, entries: list[dict[str, Any]]) -> None:
    answer = asker.ask("POST", "/", content=bundle(kind, *entries), headers=JSON)
    assert answer.status_code in {200, 400, 404, 409, 412, 413, 422}


@quick
@given(st.binary(max_size=200), st.sampled_from(["/Patient", "/", "/Patient/_search"]))
def test_any_bytes_are_answered(asker: Asker, body: bytes, path: str) -> None:
    headers = FORM if path.endswith("_search") else JSON
    assert asker.ask("POST", path, content=body, headers=headers).status_code < 500


HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Exist",
    "If-None-Match",
    "Prefer",
    "X-Purpose-Of-Use",
    "X-Request-Id",
)
SANE = ('W/"1"', "*", "application/json", "gzip", "identifier=1", "return=minimal")
latin = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
)


@quick
@given(
    st.dictionaries(
        st.sampled_from(HEADERS), st.sampled_from(SANE) | latin.map(str.strip), max_size=5
    ),
    st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
)
def test_any_headers_are_answered(asker: Asker, headers: dict[str, str], method: str) -> None:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in (JSON | headers).items()]
    path = "/Observation" if method == "POST" else "/Observation/a"
    body = observation(id="a") if method in {"PUT", "POST"} else None
    asker.ask(method, path, headers=httpx.Headers(sent), content=body)
