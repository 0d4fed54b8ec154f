"""The forms a Reference may have, and the types it may point at."""

from __future__ import annotations

import re
from functools import lru_cache

from quanmin.base.problems import Sentence
from quanmin.fhir.table import load_table
from quanmin.fhir.validation.fields import members_of
from quanmin.fhir.validation.primitives import ID

_VERSION = rf"(?:/_history/{ID})?"
_RELATIVE = re.compile(rf"([A-Za-z]+)/{ID}{_VERSION}\Z")
_ABSOLUTE = re.compile(rf"(?:https?)://\S+?/([A-Za-z]+)/{ID}{_VERSION}\Z", re.ASCII)
_SEARCH = re.compile(r"([A-Za-z]+)\?\S+\Z", re.ASCII)
_OTHER = re.compile(r"(?:#|[A-Za-z][A-Za-z0-9+.-]*:)\S*\Z", re.ASCII)


@lru_cache(maxsize=1024)
def plain_pattern(targets: tuple[str, ...]) -> str:
    """A pattern for the usual forms of a reference to one of `targets`; others are rare."""
    names = "|".join(targets or load_table().types)
    return (
        rf"(?a)\A(?:(?:https?://\S+/)?(?:{names})/{ID}{_VERSION}"
        r"|#[A-Za-z0-9.-]*|urn:(?:uuid|oid):\S+)\Z"
    )


def reference_fault(text: str, targets: tuple[str, ...], *, may_search: bool) -> str | None:
    """What is wrong with a literal reference, and how to mend it, or None.

    `targets` empty allows any type. `may_search` allows `Type?...`, as transactions do.
    """
    types = load_table().types
    found = _RELATIVE.match(text) or (_SEARCH.match(text) if may_search else None)
    if found:
        if found[1] not in types:
            return Sentence("points at %(found)s, which is no resource type", found=found[1][:64])
        return _target_fault(found[1], targets)
    absolute = _ABSOLUTE.match(text)
    if absolute and absolute[1] in types:
        return _target_fault(absolute[1], targets)
    if _OTHER.match(text):
        return None
    if _SEARCH.match(text):
        return Sentence("is a search: conditional references are allowed in transactions only")
    return Sentence(
        "must be Type/id, an absolute URL, urn:uuid:..., urn:oid:... or #id of a contained one"
    )


def is_consistent(stated: object, text: str) -> bool:
    """Whether Reference.type says the type that the literal names, where both tell one (R4
    references.html#Reference).
    """
    if stated not in load_table().types:
        return True
    found = _RELATIVE.match(text) or _SEARCH.match(text) or _ABSOLUTE.match(text)
    return found is None or found[1] == stated or found[1] not in load_table().types


@lru_cache(maxsize=1024)
def targets_by_name(type_name: str) -> dict[str, frozenset[str] | None]:
    """The types that all references of one JSON name, anywhere in a resource of this type, may
    point at; None for any.
    """
    shapes = load_table().shapes
    found: dict[str, frozenset[str] | None] = {}
    seen, waiting = {type_name}, [type_name]
    while waiting:
        for name, member in members_of(waiting.pop()).items():
            code = member.type.code
            if code == "Reference" and member.type.targets:
                before = found.get(name)
                targets = frozenset(member.type.targets)
                found[name] = targets if before is None else before & targets
            elif code == "Reference":
                found.setdefault(name, None)
            if code in shapes and code != "Resource" and code not in seen:
                seen.add(code)
                waiting.append(code)
    return found


def _target_fault(name: str, targets: tuple[str, ...]) -> str | None:
    if not targets or name in targets:
        return None
    return Sentence(
        "points at %(name)s, but may point only at %(known)s", name=name, known=", ".join(targets)
    )
