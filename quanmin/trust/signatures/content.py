"""What of a record is signed: one sequence of bytes for one content, however it is laid out.

A signature names its form. Without a name it is over the exact bytes, which suits files of any
kind; the forms of FHIR suit records, whose layout changes on the way from one program to the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

EXACT: Final = ""
WHOLE: Final = "http://hl7.org/fhir/canonicalization/json"
DATA: Final = f"{WHOLE}#data"
STATIC: Final = f"{WHOLE}#static"
# All but `meta`: labels and tags are whoever's who holds the record, and may change while its
# version stays (R4 $meta-add); all that its author wrote, the narrative included, is signed.
CONTENT: Final = "https://quanmin.example/fhir/canonicalization/json-content"

_LEFT_OUT: Final = {
    WHOLE: frozenset[str](),
    DATA: frozenset({"text"}),
    STATIC: frozenset({"text", "meta"}),
    CONTENT: frozenset({"meta"}),
}
FORMS: Final = frozenset({EXACT, *_LEFT_OUT})


class Ambiguous(Exception):  # noqa: N818 - names the finding
    """The bytes are no JSON object, or one that can be read in two ways."""


class _Digits(str):
    """A number as it is written: 1.0 and 1.00 are different measurements."""

    __slots__ = ()


def canonical(content: bytes, form: str) -> bytes:
    """The bytes that a signature of this form is over (R4 json.html#canonical): members in order of
    their names, no white space between, numbers as they were written.

    Raises KeyError for an unknown form, Ambiguous for what is no JSON object or has a member twice.
    """
    if form == EXACT:
        return content
    left_out = _LEFT_OUT[form]
    try:
        value = json.loads(
            content,
            object_pairs_hook=_once,
            parse_int=_Digits,
            parse_float=_Digits,
            parse_constant=_refuse,
        )
        if not isinstance(value, dict):
            raise Ambiguous
        kept = {name: part for name, part in value.items() if name not in left_out}
        parts: list[str] = []
        _write(kept, parts.append)
        return "".join(parts).encode()
    except (ValueError, RecursionError) as error:
        raise Ambiguous from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Ambiguous
    return found


def _refuse(constant: str) -> None:
    raise Ambiguous(constant)


def _write(value: Any, put: Callable[[str], None]) -> None:
    if isinstance(value, dict):
        put("{")
        for place, name in enumerate(sorted(value)):
            put("," * bool(place) + json.dumps(name, ensure_ascii=False) + ":")
            _write(value[name], put)
        put("}")
    elif isinstance(value, list):
        put("[")
        for place, item in enumerate(value):
            put("," * bool(place))
            _write(item, put)
        put("]")
    elif isinstance(value, _Digits):
        put(value)
    else:
        put(json.dumps(value, ensure_ascii=False))
