from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from quanmin.api.moments import http_date, instant
from quanmin.api.negotiation import (
    FHIR_JSON,
    PLAIN_JSON,
    Preference,
    accept,
    accepts_gzip,
    check_content_type,
    format_of,
    is_known,
    is_unmodified,
    only_if_absent,
    prefer,
    version_matched,
)
from quanmin.base.problems import Malformed, NotAcceptable, NotSupported, UnsupportedMedia


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", FHIR_JSON),
        ("*/*", FHIR_JSON),
        ("application/fhir+json;fhirVersion=4.0", FHIR_JSON),
        ("text/html, application/json;q=0.9, */*;q=0.1", PLAIN_JSON),
        ("application/json;q=0.1, application/fhir+json", FHIR_JSON),
        ("application/fhir+xml, application/fhir+json;q=0.2", FHIR_JSON),
    ],
)
def test_the_answer_is_of_the_kind_the_client_likes_best(header: str, kind: bytes) -> None:
    assert accept(header) == kind


@pytest.mark.parametrize(
    "header",
    ["application/fhir+xml", "text/turtle", "application/fhir+json;fhirVersion=3.0", "*/*;q=0"],
)
def test_what_this_node_cannot_write_is_refused_with_what_it_can(header: str) -> None:
    with pytest.raises(NotAcceptable, match="application/fhir\\+json"):
        accept(header)


def test_an_answer_is_packed_only_for_who_can_unpack_it() -> None:
    assert accepts_gzip(b"br, gzip;q=0.5")
    assert accepts_gzip(b"*")
    for header in (b"", b"identity", b"gzip;q=0, *", b"br"):
        assert not accepts_gzip(header)


def test_a_format_parameter_chooses_and_refuses() -> None:
    assert format_of("json") == format_of("application/fhir json") == FHIR_JSON
    assert format_of("application/json") == PLAIN_JSON
    with pytest.raises(NotAcceptable):
        format_of("xml")


def test_a_form_and_a_resource_are_not_taken_for_each_other() -> None:
    form = "application/x-www-form-urlencoded"
    check_content_type(form, is_form=True)
    for kind in ("application/fhir+json; charset=UTF-8", "application/json"):
        check_content_type(kind, is_form=False)
        with pytest.raises(UnsupportedMedia):
            check_content_type(kind, is_form=True)
    with pytest.raises(UnsupportedMedia):
        check_content_type(form, is_form=False)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "application/fhir+xml",
        "text/plain",
        "application/fhir+json; charset=gbk",
        "application/fhir+json; fhirVersion=3.0",
        "multipart/form-data",
    ],
)
def test_other_bodies_are_refused_before_they_are_read(header: str) -> None:
    with pytest.raises(UnsupportedMedia):
        check_content_type(header, is_form=False)


def test_preferences_are_read_and_unknown_ones_ignored() -> None:
    assert prefer("return=minimal; handling=strict") == Preference("minimal", is_strict=True)
    assert prefer("respond-async, return=OperationOutcome").returns == "OperationOutcome"
    assert prefer("return=everything") == Preference()


def test_versions_are_named_by_tags() -> None:
    assert version_matched('W/"3"') == version_matched('"3"') == 3
    assert version_matched(" *") == "*"
    for bad in ("", "**", "3", 'W/"a"', 'W/"1", W/"2"'):
        with pytest.raises(Malformed):
            version_matched(bad)
    assert is_known('W/"1", W/"3"', 3)
    assert is_known("*", 3)
    assert not is_known('W/"1"', 3)


def test_a_write_may_only_ask_to_be_the_first() -> None:
    assert only_if_absent(" * ")
    with pytest.raises(NotSupported):
        only_if_absent('W/"1"')


def test_a_date_tells_whether_something_is_newer() -> None:
    moment = 1_790_000_000_500_000
    assert is_unmodified(http_date(moment).decode(), moment)
    assert not is_unmodified(http_date(moment - 1_000_000).decode(), moment)
    assert not is_unmodified("yesterday", moment)


def test_moments_are_written_in_the_zone_of_the_node() -> None:
    assert instant(0, ZoneInfo("Asia/Shanghai")) == "1970-01-01T08:00:00.000+08:00"
    assert http_date(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"
