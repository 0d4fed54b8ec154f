from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from quanmin.api.bundles import answer_entry, bundle, found_entry, version_entry, warning_entry
from quanmin.base.problems import Issue
from quanmin.trust import Stored

BASE = "http://node/fhir"
ZONE = ZoneInfo("Asia/Shanghai")


def stored(method: str = "POST", *, version: int = 1, body: bytes | None = b"") -> Stored:
    if body == b"":
        body = b'{"resourceType":"Basic","id":"a.1","extension":[{"url":"u","valueDecimal":1.00}]}'
    facts: Any = None  # they decide who sees a record, which is settled before it is written here
    return Stored("Basic", "a.1", 1, version, 0, method, body, facts)


def test_an_empty_bundle_has_no_empty_lists() -> None:
    assert json.loads(bundle("searchset", (), total=0)) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
    }


def test_a_hit_is_spliced_in_byte_for_byte() -> None:
    found = found_entry(stored(), BASE, "match", None)
    assert (stored().body or b"?") in found
    entry = json.loads(found)
    assert entry["fullUrl"] == f"{BASE}/Basic/a.1"
    assert entry["search"] == {"mode": "match"}


def test_links_and_entries_stand_in_order() -> None:
    links = [("self", 'http://node/fhir/Basic?a="b"'), ("next", "http://node/fhir/_page?c=x")]
    entries = [found_entry(stored(), BASE, mode, None) for mode in ("match", "include")]
    made = json.loads(bundle("searchset", entries, links=links))
    assert made["link"] == [{"relation": a, "url": b} for a, b in links]
    assert [entry["search"]["mode"] for entry in made["entry"]] == ["match", "include"]


def test_a_warning_is_an_entry_of_its_own() -> None:
    entry = json.loads(warning_entry([Issue("warning", "not-supported", "ignored: colour")]))
    assert entry["search"]["mode"] == "outcome"
    assert entry["resource"]["issue"][0]["diagnostics"] == "ignored: colour"


def test_versions_tell_how_they_were_made() -> None:
    made = json.loads(version_entry(stored("POST"), BASE, ZONE, None))
    assert made["request"] == {"method": "POST", "url": "Basic"}
    assert made["response"]["status"] == "201 Created"
    assert made["response"]["lastModified"] == "1970-01-01T08:00:00.000+08:00"
    put = json.loads(version_entry(stored("PUT", version=2), BASE, ZONE, None))
    assert (put["request"]["url"], put["response"]["etag"]) == ("Basic/a.1", 'W/"2"')
    gone = json.loads(version_entry(stored("DELETE", body=None), BASE, ZONE, None))
    assert gone["response"]["status"] == "204 No Content"
    assert "resource" not in gone


def test_an_answer_says_where_and_only_shows_what_was_asked_for() -> None:
    made = json.loads(answer_entry(201, zone=ZONE, stored=stored(), has_location=True))
    assert made["response"]["location"] == "Basic/a.1/_history/1"
    assert "resource" not in made
    failed = json.loads(answer_entry(404, zone=ZONE, issues=(Issue("error", "not-found", "no"),)))
    assert failed["response"]["status"] == "404 Not Found"
    assert failed["response"]["outcome"]["issue"][0]["code"] == "not-found"
