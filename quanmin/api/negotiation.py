"""What the client reads, what it sends, and what it would rather get back (R4 http.html)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal

import msgspec

from quanmin.base.problems import (
    Malformed,
    NotAcceptable,
    NotSupported,
    UnsupportedMedia,
)
from quanmin.fhir.patch import check_patch_kind

FHIR_JSON = b"application/fhir+json; charset=utf-8"
PLAIN_JSON = b"application/json; charset=utf-8"
FHIR_NDJSON = b"application/fhir+ndjson"
_NDJSON_KINDS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})

# The kinds of JSON that R4 and its predecessors named, and the wildcards that cover them.
_FHIR_KINDS = frozenset({"application/fhir+json", "application/json+fhir", "application/*", "*/*"})
_PLAIN_KINDS = frozenset({"application/json", "text/json"})
_FORMATS = {
    "json": FHIR_JSON,
    "application/fhir+json": FHIR_JSON,
    "application/fhir json": FHIR_JSON,  # a plus sign in a query is read as a space
    "application/json+fhir": FHIR_JSON,
    "application/json fhir": FHIR_JSON,
    "application/json": PLAIN_JSON,
    "text/json": PLAIN_JSON,
}
_ONLY_JSON = "this node speaks FHIR JSON only; ask for application/fhir+json"
_VERSIONS = frozenset({"4.0", "4.0.1"})
_TAG = re.compile(r'(?:W/)?"(\d{1,9})"')

Return = Literal["minimal", "representation", "OperationOutcome"]
_RETURNS: dict[str, Return] = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}


class Preference(msgspec.Struct, frozen=True):
    """What `Prefer` asked for; what is not known is ignored, as RFC 7240 wants it."""

    returns: Return | None = None
    is_strict: bool = False
    is_lenient: bool = False
    is_async: bool = False


def _parameters(text: str) -> tuple[str, dict[str, str]]:
    kind, *rest = text.split(";")
    found = {}
    for piece in rest:
        name, _, value = piece.partition("=")
        found[name.strip().lower()] = value.strip().strip('"')
    return kind.strip().lower(), found


def _weight(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 1.0


@lru_cache(maxsize=256)
def accept(header: str) -> bytes:
    """The content type to answer with, for an `Accept` header; "" accepts all.

    Raises NotAcceptable when it names nothing that this node can write.
    """
    best, best_weight = b"", 0.0
    for wanted in header.split(",") if header.strip() else ("*/*",):
        kind, parameters = _parameters(wanted)
        known = FHIR_JSON if kind in _FHIR_KINDS else PLAIN_JSON if kind in _PLAIN_KINDS else b""
        if parameters.get("fhirversion", "4.0") not in _VERSIONS:
            known = b""
        weight = _weight(parameters)
        if known and weight > best_weight:
            best, best_weight = known, weight
    if not best:
        raise NotAcceptable(_ONLY_JSON + " (fhirVersion 4.0)")
    return best


@lru_cache(maxsize=256)
def accepts_gzip(header: bytes) -> bool:
    """Whether an `Accept-Encoding` header allows an answer packed with gzip."""
    for wanted in header.decode("latin-1").split(","):
        kind, parameters = _parameters(wanted)
        if kind in {"gzip", "x-gzip", "*"}:
            return _weight(parameters) > 0
    return False


def format_of(value: str) -> bytes:
    """The content type for `_format`, which overrides `Accept`."""
    kind, parameters = _parameters(value)
    if kind not in _FORMATS or parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise NotAcceptable(f"_format: {_ONLY_JSON}, or _format=json")
    return _FORMATS[kind]


@lru_cache(maxsize=256)
def check_content_type(header: str, *, is_form: bool) -> None:
    """Hold when the body is of a kind that this address reads; UnsupportedMedia says which is."""
    kind, parameters = _parameters(header)
    wanted = "application/x-www-form-urlencoded" if is_form else "application/fhir+json"
    known = (
        {wanted} if is_form else {wanted, "application/json", "application/json+fhir", "text/json"}
    )
    if kind not in known:
        text = f"send {wanted}" if kind else f"Content-Type is missing; send {wanted}"
        raise UnsupportedMedia(text)
    if parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMedia("send UTF-8, the only character set of FHIR JSON")
    if parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise UnsupportedMedia("this node reads FHIR R4 (fhirVersion 4.0)")


def is_ndjson(header: str) -> bool:
    """Whether a content type, or the format of an import or export, is newline-delimited JSON."""
    return _parameters(header)[0] in _NDJSON_KINDS


@lru_cache(maxsize=256)
def check_patch_type(header: str) -> None:
    """Hold when the body is a patch of a kind that this node reads, in UTF-8."""
    kind, parameters = _parameters(header)
    check_patch_kind(kind)
    if parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMedia("send UTF-8, the only character set of JSON")
    if parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise UnsupportedMedia("this node reads FHIR R4 (fhirVersion 4.0)")


@lru_cache(maxsize=256)
def prefer(header: str) -> Preference:
    """What a `Prefer` header asks for."""
    returns: Return | None = None
    handling, is_async = "", False
    for piece in header.replace(";", ",").split(","):
        name, _, value = piece.partition("=")
        name, value = name.strip().lower(), value.strip().strip('"').lower()
        if name == "return":
            returns = _RETURNS.get(value, returns)
        elif name == "handling":
            handling = value
        elif name == "respond-async":
            is_async = True
    return Preference(returns, handling == "strict", handling == "lenient", is_async)


def version_matched(header: str) -> int | Literal["*"]:
    """The version that `If-Match` names; "*" asks that there be any (RFC 9110 13.1.1)."""
    if header.strip() == "*":
        return "*"
    found = _TAG.fullmatch(header.strip())
    if not found:
        raise Malformed('If-Match must name one version, as in W/"3", or be *')
    return int(found[1])


def only_if_absent(header: str) -> bool:
    """Whether a write may only create; the one form of `If-None-Match` that a write can have."""
    if header.strip() != "*":
        raise NotSupported("If-None-Match on a write can only be *; use If-Match to name a version")
    return True


def is_known(header: str, version: int) -> bool:
    """Whether the client has this version already (`If-None-Match` on a read)."""
    if header.strip() == "*":
        return True
    return any(int(found) == version for found in _TAG.findall(header))


def is_unmodified(header: str, updated: int) -> bool:
    """Whether nothing is newer than `If-Modified-Since`; a broken date is ignored."""
    try:
        since = parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return False
    return updated // 1_000_000 <= since
