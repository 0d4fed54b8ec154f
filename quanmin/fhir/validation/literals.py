"""Whether a JSON value is a primitive of a FHIR type: the slow and explaining way."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import lru_cache

from quanmin.base.problems import Sentence
from quanmin.fhir.json import Json
from quanmin.fhir.validation.primitives import (
    INTEGER_MAX,
    PRIMITIVES,
    STRING_LENGTH_MAX,
    Primitive,
    whole,
)
from quanmin.fhir.xhtml import xhtml_fault

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BLANKS = re.compile(r"[ \t\r\n]+")


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern that matches only whole texts."""
    return re.compile(whole(pattern))


def literal_fault(type_name: str, value: Json) -> str | None:
    """What is wrong with a value as a primitive of this type, in words that follow its name."""
    primitive = PRIMITIVES[type_name]
    if primitive.json == "string":
        return _text_fault(type_name, primitive, value)
    is_right = {"boolean": _is_boolean, "decimal": _is_decimal, "integer": _is_integer}
    if is_right[primitive.json](value, primitive):
        return None
    return Sentence("must be %(hint)s", hint=primitive.hint)


def _is_boolean(value: Json, _: Primitive) -> bool:
    return isinstance(value, bool)


def _is_integer(value: Json, primitive: Primitive) -> bool:
    return type(value) is int and primitive.low <= value <= INTEGER_MAX


def _is_decimal(value: Json, _: Primitive) -> bool:
    if type(value) is int:
        return abs(value) < 10**308
    return isinstance(value, Decimal) and math.isfinite(float(value))


def _text_fault(type_name: str, primitive: Primitive, value: Json) -> str | None:
    if not isinstance(value, str):
        return Sentence("must be %(hint)s, in quotes", hint=primitive.hint)
    if not value:
        return Sentence("is empty: give it a value, or leave it out")
    if _CONTROL.search(value):
        return Sentence("holds a control character: only tab, line feed and carriage return may be")
    if type_name == "xhtml":
        return xhtml_fault(value)
    if type_name == "base64Binary":
        value = _BLANKS.sub("", value)
    elif len(value) > STRING_LENGTH_MAX:
        return Sentence(
            "is longer than %(string_length_max)s characters", string_length_max=STRING_LENGTH_MAX
        )
    if primitive.pattern and not compiled(primitive.pattern).search(value):
        return Sentence("must be %(hint)s", hint=primitive.hint)
    return None
