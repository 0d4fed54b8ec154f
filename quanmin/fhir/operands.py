"""Reads one value of a search parameter into a typed operand (R4 search.html 3.1.1.4)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import tzinfo
from decimal import Decimal, localcontext
from typing import cast, get_args

from quanmin.base.problems import Malformed, Sentence, either
from quanmin.fhir.dates import interval
from quanmin.fhir.hierarchies import types_with_parts
from quanmin.fhir.query import (
    CompositeOperand,
    DateOperand,
    NearOperand,
    NumberOperand,
    Operand,
    Prefix,
    QuantityOperand,
    ReferenceOperand,
    SimpleOperand,
    StringOperand,
    TokenOperand,
    TypedOperand,
    UriOperand,
    components_of,
)
from quanmin.fhir.table import load_table
from quanmin.fhir.units import convert
from quanmin.fhir.uris import is_url
from quanmin.fhir.values import SearchParameter, Spot

_PREFIXES = frozenset(get_args(Prefix))
_PREFIXED = re.compile(r"([a-z]{2})(?=[0-9.+-])")
_NUMBER = re.compile(r"[+-]?[0-9]{1,100}(\.[0-9]{1,100})?([eE][+-]?[0-9]{1,3})?\Z")
_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,30})?\Z")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}\Z")
_TYPED = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})\Z")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")
_LOST_PLUS = re.compile(r"(T[0-9:.]+) ([0-9]{2}:[0-9]{2})\Z")
_EXPONENT_MAX = 300
_DIGITS_MAX = 1000
# R4 search 3.1.1.4.5: "approximately the same", a tenth of the value or of the gap to now.
_ROUGHLY = Decimal("0.1")


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that no backslash escapes; escapes stay in the parts."""
    if "\\" not in text:
        return text.split(separator)
    parts: list[str] = [""]
    for piece in re.findall(rf"\\.?|{re.escape(separator)}|[^\\{separator}]+", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def unescape(text: str) -> str:
    r"""The text itself: `\,` `\|` `\$` and `\\` mean the second character."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def read_operand(param: SearchParameter, text: str, zone: tzinfo) -> Operand:
    """The operand that `text`, one value without its commas, is for this parameter.

    Raises Malformed, naming the parameter and the form it takes, never the value.
    """
    if param.kind == "composite":
        return _composite(param, text, zone)
    return _READERS[param.kind](param, text, zone)


def _composite(param: SearchParameter, text: str, zone: tzinfo) -> CompositeOperand:
    """A value for each component, between `$` that no backslash escapes."""
    components, parts = components_of(param), split(text, "$")
    if len(parts) != len(components) or not all(parts):
        raise _malformed(param, "$".join(one.code for one in components))
    several = zip(components, parts, strict=True)
    return CompositeOperand(tuple(_READERS[one.kind](one, part, zone) for one, part in several))


def token(param: SearchParameter, text: str, _: tzinfo) -> TokenOperand:
    """`code`, `system|code`, `|code` or `system|`."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1 and parts[0]:
        return TokenOperand(None, parts[0])
    if len(parts) == 2 and any(parts):
        return TokenOperand(parts[0], parts[1] or None)
    raise _malformed(param, Sentence("code, system|code, |code or system|"))


def concept(param: SearchParameter, text: str, modifier: str) -> SimpleOperand:
    """What a modifier of terminology takes: a value set, or a concept with its system."""
    if modifier in {"in", "not-in"}:
        value_set = unescape(text)
        if not _ADDRESS.match(value_set):
            raise _malformed(
                param,
                Sentence(
                    "the canonical address of a value set, with :%(modifier)s", modifier=modifier
                ),
            )
        return UriOperand(value_set)
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 2 or not all(parts):
        raise _malformed(param, Sentence("system|code, with :%(modifier)s", modifier=modifier))
    return TokenOperand(*parts)


def is_id(text: str) -> bool:
    """Whether a record can have this id."""
    return _ID.match(text) is not None


def typed_identifier(param: SearchParameter, text: str) -> TypedOperand:
    """`system|code|value`, all of them there (R4 search 3.1.1.4.10)."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise _malformed(param, Sentence("system|code|value, with :of-type"))
    return TypedOperand(*parts)


def url(param: SearchParameter, text: str) -> UriOperand:
    """An address with a path, above or below which others may lie (R4 search 3.1.1.4.9)."""
    value = unescape(text)
    if not is_url(value):
        raise _malformed(
            param, Sentence("a URL here: nothing lies above or below a URN such as an OID")
        )
    return UriOperand(value)


def hierarchical(param: SearchParameter, text: str, modifier: str) -> ReferenceOperand:
    """A record whose parts are meant, or with `below` a canonical whose versions are (R4 search
    3.1.1.4.13 and 3.1.1.4.14).
    """
    found = reference(param, text)
    if found.url is None:
        types = types_with_parts(param)
        if types and found.type in {None, *types}:
            return found
        raise _malformed(
            param,
            Sentence(
                "a record of %(known)s with :%(modifier)s",
                known=either(types) if types else Sentence("none"),
                modifier=modifier,
            ),
        )
    if modifier == "below" or types_with_parts(param):
        return found
    raise _malformed(param, Sentence("Type/id or id with :above"))


def near(param: SearchParameter, text: str, default_kilometres: float) -> NearOperand:
    """`latitude|longitude|distance|unit`; without a unit kilometres, without a distance so many."""
    parts = split(text, "|")
    if not 2 <= len(parts) <= 4 or not all(_DEGREES.match(part) for part in parts[:2]):
        raise _malformed(
            param, Sentence("latitude|longitude|distance|unit in degrees, such as 30.66|104.06")
        )
    latitude, longitude = Decimal(parts[0]), Decimal(parts[1])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise _malformed(
            param, Sentence("a latitude of -90 to 90 and a longitude of -180 to 180 degrees")
        )
    distance, unit = [*parts[2:], "", ""][:2]
    if not distance:
        return NearOperand(Spot(float(latitude), float(longitude)), default_kilometres * 1000)
    if not _NUMBER.match(distance) or distance.startswith("-"):
        raise _malformed(param, Sentence("a distance from 0, such as 30.66|104.06|5|km"))
    metres = convert(Decimal(distance), unescape(unit) or "km", "m")
    if metres is None:
        raise _malformed(
            param, Sentence("a distance in a UCUM unit of length: km, m, [mi_us] and others")
        )
    return NearOperand(Spot(float(latitude), float(longitude)), float(metres))


def reference(param: SearchParameter, text: str, type_name: str | None = None) -> ReferenceOperand:
    """`Type/id`, a bare id or a URL; `type_name` is what a `:[type]` modifier said."""
    value = unescape(text)
    typed = _TYPED.match(value)
    if typed and typed[1] in load_table().types:
        if type_name not in {None, typed[1]}:
            raise _malformed(
                param,
                Sentence("an id of the %(type_name)s that the modifier names", type_name=type_name),
            )
        return ReferenceOperand(typed[1], typed[2])
    if _ID.match(value):
        only = param.targets[0] if len(param.targets) == 1 else None
        return ReferenceOperand(type_name or only, value)
    if _ADDRESS.match(value):
        return ReferenceOperand(None, None, value)
    raise _malformed(param, Sentence("Type/id, id or an absolute URL"))


def _reference(param: SearchParameter, text: str, _: tzinfo) -> ReferenceOperand:
    return reference(param, text)


def string(param: SearchParameter, text: str) -> StringOperand:
    """A text that is not blank."""
    value = unescape(text)
    if not value.strip():
        raise _malformed(param, Sentence("a text"))
    return StringOperand(value)


def _string(param: SearchParameter, text: str, _: tzinfo) -> StringOperand:
    return string(param, text)


def _uri(_param: SearchParameter, text: str, _: tzinfo) -> UriOperand:
    return UriOperand(unescape(text))


def with_plus(text: str) -> str:
    """A time whose plus sign was not percent-encoded and so arrived as a space, mended."""
    return _LOST_PLUS.sub(r"\1+\2", text)


def _date(param: SearchParameter, text: str, zone: tzinfo) -> DateOperand:
    prefix, rest = _prefix(param, text)
    found = interval(with_plus(rest), zone)
    if found is None:
        raise _malformed(
            param, Sentence("a date such as 2026, 2026-11, 2026-11-22 or 2026-11-22T08:30+08:00")
        )
    low, high = found
    if prefix == "ap":
        gap = abs(time.time_ns() // 1000 - low) // 10
        low, high = low - gap, high + gap
    return DateOperand(prefix, low, high)


def _number(param: SearchParameter, text: str, _: tzinfo) -> NumberOperand:
    prefix, rest = _prefix(param, text)
    return NumberOperand(prefix, *_range(param, prefix, rest))


def _quantity(param: SearchParameter, text: str, _: tzinfo) -> QuantityOperand:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in {1, 3}:
        raise _malformed(param, Sentence("number, number|system|code or number||code"))
    prefix, rest = _prefix(param, parts[0])
    value, low, high = _range(param, prefix, rest)
    if len(parts) == 1:
        return QuantityOperand(prefix, value, low, high, None, None)
    code = parts[2] or None
    system = parts[1] if parts[1] or code else None
    return QuantityOperand(prefix, value, low, high, system, code)


def _prefix(param: SearchParameter, text: str) -> tuple[Prefix, str]:
    found = _PREFIXED.match(text)
    if not found:
        return "eq", text
    if found[1] not in _PREFIXES:
        raise _malformed(
            param, Sentence("one of the prefixes %(known)s", known=", ".join(sorted(_PREFIXES)))
        )
    return cast("Prefix", found[1]), text[2:]


def _range(param: SearchParameter, prefix: Prefix, text: str) -> tuple[Decimal, Decimal, Decimal]:
    """The number, and the range its digits cover: 100 is 99.5 up to 100.5, 1e2 is 95 to 105."""
    if not _NUMBER.match(text):
        raise _malformed(param, Sentence("a number such as 5.4, -3 or 1.2e3"))
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > _EXPONENT_MAX:
        raise _malformed(
            param, Sentence("a number with an exponent of at most %(most)s", most=_EXPONENT_MAX)
        )
    if "e" in text.lower() and "." not in text and value:
        # By the letter of R4: 1e2 is 95 up to 105, as if it were written 1.0e2.
        exponent -= 1
    # The usual 28 digits would round the range of a longer number away.
    with localcontext() as context:
        context.prec = _DIGITS_MAX
        half = Decimal((0, (5,), exponent - 1))
        if prefix == "ap":
            half = max(half, abs(value) * _ROUGHLY)
        return value, value - half, value + half


def _malformed(param: SearchParameter, form: str) -> Malformed:
    return Malformed(Sentence("The value of %(code)s must be %(form)s", code=param.code, form=form))


_READERS: dict[str, Callable[[SearchParameter, str, tzinfo], SimpleOperand]] = {
    "token": token,
    "reference": _reference,
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
}
