"""Patches: a change to a record said as steps, and the media types that steps are sent in."""

from __future__ import annotations

from typing import Protocol

from quanmin.base.problems import Sentence, UnsupportedMedia
from quanmin.fhir.json_patch import read_json_patch
from quanmin.fhir.path_patch import read_path_patch

JSON_PATCH = "application/json-patch+json"
PATH_PATCH = "application/fhir+json"
PATCH_KINDS = (JSON_PATCH, PATH_PATCH)
_XML_PATCH = "application/xml-patch+xml"
# Whoever sends Parameters may call them by any name of FHIR JSON.
_PATH_KINDS = frozenset({PATH_PATCH, "application/json", "application/json+fhir", "text/json"})


class Patch(Protocol):
    """A change that can be made to whatever version holds when it comes to be made."""

    def apply(self, body: bytes, *, bytes_max: int) -> bytes:
        """The record after the change. Raises Invalid when it cannot be made to this record,
        TooLarge when it would come to more than `bytes_max`.
        """


def read_patch(content_type: str, raw: bytes, *, steps_max: int, items_max: int) -> Patch:
    """The patch that `raw` is, by its media type. UnsupportedMedia names those that are not served.

    See `read_json_patch` and `read_path_patch`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    check_patch_kind(kind)
    if kind == JSON_PATCH:
        return read_json_patch(raw, steps_max=steps_max)
    return read_path_patch(raw, steps_max=steps_max, items_max=items_max)


def check_patch_kind(kind: str) -> None:
    """Hold when this node reads patches of this media type (lower case, without parameters)."""
    if kind == JSON_PATCH or kind in _PATH_KINDS:
        return
    served = Sentence(
        "send %(json)s, or a FHIRPath Patch as %(path)s", json=JSON_PATCH, path=PATH_PATCH
    )
    if kind == _XML_PATCH:
        raise UnsupportedMedia(
            Sentence("XML Patch is not served, nor is XML: %(served)s", served=served)
        )
    raise UnsupportedMedia(Sentence("this is no patch: %(served)s", served=served))
