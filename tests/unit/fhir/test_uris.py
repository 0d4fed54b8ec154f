"""What stands above and below an address."""

from __future__ import annotations

import pytest

from quanmin.fhir.uris import addresses_above, is_below, is_url, is_version_of


def test_everything_above_an_address_is_named_part_by_part() -> None:
    assert addresses_above("http://a.org/fhir/X|1.2#part") == [
        "http://a.org",
        "http://a.org/fhir",
        "http://a.org/fhir/X",
        "http://a.org/fhir/X|1",
        "http://a.org/fhir/X|1.2",
    ]
    assert addresses_above("http://a.org") == []
    assert addresses_above("urn:oid:1.2/3") == []


def test_only_what_has_a_path_is_a_url() -> None:
    assert is_url("http://a.org")
    assert not is_url("urn:uuid:6f0d")
    assert not is_url("ValueSet/1")


@pytest.mark.parametrize(
    ("url", "top", "expected"),
    [
        ("http://a.org/x", "http://a.org/x", True),
        ("http://a.org/x/y", "http://a.org/x", True),
        ("http://a.org/x/y", "http://a.org/x/", True),
        ("http://a.org/x", "http://a.org/x/", False),
        ("http://a.org/xy", "http://a.org/x", False),
        ("http://a.org/X", "http://a.org/x", False),
    ],
)
def test_below_is_told_by_parts_of_the_path(url: str, top: str, *, expected: bool) -> None:
    assert is_below(url, top) is expected


def test_a_part_of_a_version_stands_for_what_begins_with_it() -> None:
    assert is_version_of("u|1.2.3", "u")
    assert is_version_of("u|1.2.3", "u|1.2")
    assert not is_version_of("u|1.20", "u|1.2")
    assert not is_version_of("u", "u|1")
    assert not is_version_of("u/x|1", "u|1")
