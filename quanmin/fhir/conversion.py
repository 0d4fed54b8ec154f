"""What a search parameter makes of an element: FHIR types as typed values (R4 search.html).

Each converter takes a decoded element and adds its values to a list. An element that has nothing to
search by (a code with text only) adds none. Converters never raise, whatever they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from decimal import Decimal

from quanmin.fhir.addresses import RELATIVE
from quanmin.fhir.dates import interval
from quanmin.fhir.json import Json
from quanmin.fhir.values import (
    Kind,
    Link,
    Number,
    Quantity,
    Said,
    Spot,
    Text,
    Token,
    Typed,
    Uri,
    Value,
    When,
)

Converter = Callable[[Json, list[Value], tzinfo], None]

CURRENCIES = "urn:iso:std:iso:4217"
# Beyond this many digits before or after the point a number is not one of nature or of money, and
# an index entry of it would cost more than its record.
_EXPONENT_MAX = 300
_LATITUDE_MAX, _LONGITUDE_MAX = 90, 180

_ABSOLUTE = re.compile(
    r"https?://.*/([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/[\w.-]{1,64})?\Z"
)
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def _code(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is str:
        out.append(Token(None, element, alone=True))


def _boolean(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is bool:
        out.append(Token(None, "true" if element else "false", alone=True))


def _coding(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is dict:
        _add_token(element.get("system"), element.get("code"), out)
        _add_texts([element.get("display")], out)


def _concept(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is not dict:
        return
    codings = element.get("coding")
    texts = [element.get("text")]
    if type(codings) is list:
        for coding in codings:
            if type(coding) is dict:
                _add_token(coding.get("system"), coding.get("code"), out)
                texts.append(coding.get("display"))
    _add_texts(texts, out)


def _identifier(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is not dict:
        return
    value, kind = element.get("value"), element.get("type")
    _add_token(element.get("system"), value, out)
    if type(kind) is not dict:
        return
    _add_texts([kind.get("text")], out)
    codings = kind.get("coding")
    if type(codings) is list and type(value) is str:
        for coding in codings:
            if type(coding) is dict:
                system, code = coding.get("system"), coding.get("code")
                stated = system if type(system) is str else None
                out.append(Typed(stated, code if type(code) is str else None, value))


def _contact(element: Json, out: list[Value], zone: tzinfo) -> None:
    if type(element) is dict:
        _code(element.get("value"), out, zone)


def _add_token(system: Json, code: Json, out: list[Value]) -> None:
    system = system if type(system) is str else None
    code = code if type(code) is str else None
    if system is not None or code is not None:
        out.append(Token(system, code))


def _add_texts(texts: list[Json], out: list[Value]) -> None:
    said = tuple(dict.fromkeys([text for text in texts if type(text) is str and text]))
    if said:
        out.append(Said(said))


def _position(element: Json, out: list[Value], _: tzinfo) -> None:
    """A Location's position; none where its numbers are no place on the earth."""
    if type(element) is not dict:
        return
    latitude, longitude = _decimal(element.get("latitude")), _decimal(element.get("longitude"))
    if latitude is None or longitude is None:
        return
    if abs(latitude) <= _LATITUDE_MAX and abs(longitude) <= _LONGITUDE_MAX:
        out.append(Spot(float(latitude), float(longitude)))


def _text(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is str:
        out.append(Text(element))


def _name(element: Json, out: list[Value], _: tzinfo) -> None:
    """Each part of a HumanName, and the whole as it is said when no text gives it."""
    if type(element) is not dict:
        return
    family = _texts(element.get("family"))
    given = _texts(element.get("given"))
    whole = _texts(element.get("text"))
    if not whole and family and given:
        together = "".join(family + given)
        whole = [together] if _CJK.search(together) else [" ".join(given + family)]
    parts = family + given + _texts(element.get("prefix")) + _texts(element.get("suffix")) + whole
    out.extend(Text(part) for part in dict.fromkeys(parts))


def _address(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is not dict:
        return
    for name in ("text", "line", "city", "district", "state", "postalCode", "country"):
        out.extend(Text(part) for part in _texts(element.get(name)))


def _texts(value: Json) -> list[str]:
    if type(value) is str:
        return [value]
    if type(value) is list:
        return [item for item in value if type(item) is str]
    return []


def _date(element: Json, out: list[Value], zone: tzinfo) -> None:
    if type(element) is str:
        found = interval(element, zone)
        if found:
            out.append(When(*found))


def _period(element: Json, out: list[Value], zone: tzinfo) -> None:
    if type(element) is not dict:
        return
    start, end = element.get("start"), element.get("end")
    first = interval(start, zone) if type(start) is str else None
    last = interval(end, zone) if type(end) is str else None
    if first or last:
        out.append(When(first[0] if first else None, last[1] if last else None))


def _timing(element: Json, out: list[Value], zone: tzinfo) -> None:
    """The extent of the outer bounds: all events, and the bounding period of the repetition."""
    if type(element) is not dict:
        return
    spans: list[Value] = []
    events = element.get("event")
    for event in events if type(events) is list else ():
        _date(event, spans, zone)
    repeat = element.get("repeat")
    if type(repeat) is dict:
        _period(repeat.get("boundsPeriod"), spans, zone)
    whens = [span for span in spans if isinstance(span, When)]
    if whens:
        lows = [when.low for when in whens if when.low is not None]
        highs = [when.high for when in whens if when.high is not None]
        out.append(
            When(
                min(lows) if len(lows) == len(whens) else None,
                max(highs) if len(highs) == len(whens) else None,
            )
        )


def _decimal(value: Json) -> Decimal | None:
    if type(value) is int:
        return Decimal(value) if -(10**_EXPONENT_MAX) < value < 10**_EXPONENT_MAX else None
    if type(value) is Decimal and value.is_finite():
        exponent = value.as_tuple().exponent
        is_small = isinstance(exponent, int) and exponent > -_EXPONENT_MAX
        return value if is_small and value.adjusted() < _EXPONENT_MAX else None
    return None


def _number(element: Json, out: list[Value], _: tzinfo) -> None:
    value = _decimal(element)
    if value is not None:
        out.append(Number(value, value))


def _number_range(element: Json, out: list[Value], _: tzinfo) -> None:
    low, high = _ends(element)
    if low is not None or high is not None:
        out.append(Number(low, high))


def _quantity(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is not dict:
        return
    value = _decimal(element.get("value"))
    if value is None:
        return
    comparator = element.get("comparator")
    low = None if comparator in {"<", "<="} else value
    high = None if comparator in {">", ">="} else value
    out.append(Quantity(low, high, *_unit(element)))


def _money(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is not dict:
        return
    value, currency = _decimal(element.get("value")), element.get("currency")
    if value is not None:
        code = currency if type(currency) is str else None
        out.append(Quantity(value, value, CURRENCIES if code else None, code, None))


def _quantity_range(element: Json, out: list[Value], _: tzinfo) -> None:
    low, high = _ends(element)
    if low is None and high is None:
        return
    stated = element.get("low") if low is not None else element.get("high")
    out.append(Quantity(low, high, *_unit(stated)))


def _sampled(element: Json, out: list[Value], _: tzinfo) -> None:
    """The extent of sampled data where its limits say it: origin + factor x limit."""
    if type(element) is not dict or type(element.get("origin")) is not dict:
        return
    origin = element["origin"]
    parts = (
        _decimal(origin.get("value")),
        _decimal(element.get("factor", 1)),
        _decimal(element.get("lowerLimit")),
        _decimal(element.get("upperLimit")),
    )
    zero, factor, lower, upper = parts
    if zero is not None and factor is not None and lower is not None and upper is not None:
        ends = sorted((zero + factor * lower, zero + factor * upper))
        out.append(Quantity(ends[0], ends[1], *_unit(origin)))


def _ends(element: Json) -> tuple[Decimal | None, Decimal | None]:
    if type(element) is not dict:
        return None, None
    low, high = element.get("low"), element.get("high")
    return (
        _decimal(low.get("value")) if type(low) is dict else None,
        _decimal(high.get("value")) if type(high) is dict else None,
    )


def _unit(quantity: dict[str, Json]) -> tuple[str | None, str | None, str | None]:
    system, code, unit = quantity.get("system"), quantity.get("code"), quantity.get("unit")
    return (
        system if type(system) is str else None,
        code if type(code) is str else None,
        unit if type(unit) is str else None,
    )


def _reference(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is not dict:
        return
    stated, target = element.get("type"), element.get("identifier")
    kind = stated if type(stated) is str else None
    token = None
    if type(target) is dict:
        tokens: list[Value] = []
        _add_token(target.get("system"), target.get("value"), tokens)
        token = tokens[0] if tokens and isinstance(tokens[0], Token) else None
    link = _link(element.get("reference"), kind, token)
    if link is not None:
        out.append(link)


def _link(text: Json, kind: str | None, token: Token | None) -> Link | None:
    if type(text) is str and text and text[0] != "#":
        local = RELATIVE.match(text)
        if local:
            return Link(local[1], local[2], None, token)
        absolute = _ABSOLUTE.match(text)
        return Link(absolute[1] if absolute else kind, None, text, token)
    return None if token is None else Link(kind, None, None, token)


def _canonical(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is str and element and element[0] != "#":
        local = RELATIVE.match(element)
        if local:
            out.append(Link(local[1], local[2]))
            return
        out.append(Link(None, None, element))
        # A search by url alone finds every version of what is named (R4 search 3.1.1.4.14).
        unversioned, bar, _version = element.partition("|")
        if bar and unversioned:
            out.append(Link(None, None, unversioned))


def _resource(element: Json, out: list[Value], _: tzinfo) -> None:
    """A resource inside a Bundle, found by its own type and id."""
    if type(element) is dict:
        kind, id_ = element.get("resourceType"), element.get("id")
        if type(kind) is str and type(id_) is str:
            out.append(Link(kind, id_))


def _uri(element: Json, out: list[Value], _: tzinfo) -> None:
    if type(element) is str:
        out.append(Uri(element))


def _nothing(_element: Json, _out: list[Value], _zone: tzinfo) -> None:
    """An element that says something, but nothing this kind of parameter can compare."""


_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration")
CONVERTERS: dict[tuple[Kind, str], Converter] = {
    **{("token", name): _code for name in ("code", "id", "string", "uri", "markdown", "canonical")},
    ("token", "boolean"): _boolean,
    ("token", "Coding"): _coding,
    ("token", "CodeableConcept"): _concept,
    ("token", "Identifier"): _identifier,
    ("token", "ContactPoint"): _contact,
    **{("string", name): _text for name in ("string", "markdown")},
    ("string", "HumanName"): _name,
    ("string", "Address"): _address,
    **{("date", name): _date for name in ("date", "dateTime", "instant")},
    ("date", "Period"): _period,
    ("date", "Timing"): _timing,
    **{("number", name): _number for name in ("decimal", "integer", "positiveInt", "unsignedInt")},
    ("number", "Range"): _number_range,
    **{("quantity", name): _quantity for name in _QUANTITIES},
    ("quantity", "Money"): _money,
    ("quantity", "Range"): _quantity_range,
    ("quantity", "SampledData"): _sampled,
    ("reference", "Reference"): _reference,
    **{("reference", name): _canonical for name in ("canonical", "uri")},
    ("reference", "Resource"): _resource,
    ("special", "Location.position"): _position,
    **{("uri", name): _uri for name in ("uri", "url", "canonical", "oid", "uuid")},
    # Dates said in words or as an age ("in childhood"), and documents attached instead of linked.
    **{("date", name): _nothing for name in ("string", "Age", "Range")},
    ("reference", "Attachment"): _nothing,
}
