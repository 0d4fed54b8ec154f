from __future__ import annotations

import pytest

from quanmin.api.address import base_of, parse_pairs, parse_path, write_pairs
from quanmin.base.problems import Malformed


def test_a_query_is_read_in_order_with_repetitions() -> None:
    raw = b"name=%E7%8E%8B+a&code=x%7Cy&&name=b&flag"
    assert parse_pairs(raw) == [("name", "王 a"), ("code", "x|y"), ("name", "b"), ("flag", "")]


@pytest.mark.parametrize(
    "raw", [b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"a=%C3%28", b"%00=1", b"a=%07"]
)
def test_a_query_that_means_nothing_certain_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed, match="the query"):
        parse_pairs(raw)


def test_a_path_is_read_in_parts_whatever_slashes_stand_around_it() -> None:
    assert parse_path(b"/Patient/a%2Eb/") == ["Patient", "a.b"]
    assert parse_path(b"") == parse_path(b"/") == []
    assert parse_path(b"/Patient/a%2Fb") == ["Patient", "a/b"]


def test_an_empty_part_of_a_path_stays_one() -> None:
    assert parse_path(b"/Patient//1") == ["Patient", "", "1"]


def test_written_pairs_read_back_the_same() -> None:
    pairs = [("name:exact", "王 a&b=c"), ("code", "http://loinc.org|2339-0,x")]
    text = write_pairs(pairs)
    assert parse_pairs(text.encode()) == pairs
    assert "http://loinc.org|2339-0,x" in text.replace("%3A", ":")


def test_the_base_address_is_the_one_the_client_used() -> None:
    assert base_of({b"host": b"node:8080"}, "http", "/fhir") == "http://node:8080/fhir"
    assert base_of({b"host": b"[::1]:8080"}, "https", "/fhir") == "https://[::1]:8080/fhir"


@pytest.mark.parametrize("host", [b'a"b', b"a/b", b"a b", b"", b"a:b", b"a\r\nb"])
def test_a_host_that_is_none_never_comes_back_in_a_link(host: bytes) -> None:
    with pytest.raises(Malformed):
        base_of({b"host": host}, "http", "/fhir")
