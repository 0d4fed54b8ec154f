"""Profiles, tags and security labels of a record: what of its meta the sender owns, and changes of
these alone (R4 resource-operation-meta-add, resource-operation-meta-delete).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from quanmin.base.problems import Malformed
from quanmin.fhir.json import malformed

PARTS = ("profile", "security", "tag")
# On a record of which some elements were left out, so that nobody stores it as whole: a tag of R4's
# page on resources, "simple tags".
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}

Items = dict[str, list[msgspec.Raw]]


def meta_of_a_part(members: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """The meta for a part of the record that has these members: tagged SUBSETTED, once."""
    meta: dict[str, Any] = msgspec.json.decode(members["meta"]) if "meta" in members else {}
    tags = [tag for tag in meta.get("tag", ()) if tag != SUBSETTED]
    return meta | {"tag": [*tags, SUBSETTED]}


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_CODING = msgspec.json.Decoder(_Coding)


class MetaChange(msgspec.Struct, frozen=True):
    """Items to be added to a record's meta, or taken out of it."""

    items: Items
    is_addition: bool

    def apply(self, body: bytes, *, bytes_max: int) -> bytes:  # noqa: ARG002 - as of any patch
        """See `Patch`. What is there already is not added, what is not there is not missed."""
        members = _OBJECT.decode(body)
        meta = _OBJECT.decode(members["meta"]) if "meta" in members else {}
        before = items_of(meta)
        after = merged([before, self.items]) if self.is_addition else _without(before, self.items)
        if {name: len(items) for name, items in before.items()} == {
            name: len(items) for name, items in after.items()
        }:
            return body
        kept = {name: value for name, value in meta.items() if name not in PARTS}
        written = kept | {name: msgspec.Raw(msgspec.json.encode(after[name])) for name in after}
        return msgspec.json.encode(members | {"meta": msgspec.Raw(msgspec.json.encode(written))})


def read_meta_change(raw: bytes, *, is_addition: bool) -> MetaChange:
    """The change by a Meta that names what is added or taken out. Raises Malformed when it names
    nothing.

    What the server owns of a meta (version, moment) and its source are not read.
    """
    try:
        items = items_in(raw)
        merged([items])
    except msgspec.ValidationError:
        raise Malformed(
            "meta must be a Meta: profile a list of texts, security and tag lists of codings"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(raw, error) from None
    if not items:
        raise Malformed("meta names no profile, security or tag")
    kept = {name: [each.copy() for each in listed] for name, listed in items.items()}
    return MetaChange(kept, is_addition)


def meta_of(body: bytes) -> bytes:
    """The meta of a record, as it is written there."""
    return bytes(_OBJECT.decode(body).get("meta", b"{}"))


def items_of(meta: dict[str, msgspec.Raw]) -> Items:
    """The profiles, security labels and tags in a meta; without those of which there are none."""
    found = {name: _LIST.decode(meta[name]) for name in PARTS if name in meta}
    return {name: items for name, items in found.items() if items}


def items_in(meta: bytes) -> Items:
    """The same for a meta in bytes."""
    return items_of(_OBJECT.decode(meta))


def merged(several: Iterable[Items]) -> Items:
    """All items, each once, in the order in which they come."""
    found: dict[str, dict[tuple[str, str], msgspec.Raw]] = {}
    for items in several:
        for name, listed in items.items():
            known = found.setdefault(name, {})
            for item in listed:
                known.setdefault(_identity(name, item), item)
    return {name: list(found[name].values()) for name in PARTS if name in found}


def _without(items: Items, others: Items) -> Items:
    gone = {(name, _identity(name, item)) for name, listed in others.items() for item in listed}
    left = {
        name: [item for item in listed if (name, _identity(name, item)) not in gone]
        for name, listed in items.items()
    }
    return {name: listed for name, listed in left.items() if listed}


def _identity(name: str, item: msgspec.Raw) -> tuple[str, str]:
    """What makes two items the same: the address of a profile, system and code of a coding."""
    if name == "profile":
        return _TEXT.decode(item), ""
    coding = _CODING.decode(item)
    return coding.system, coding.code
