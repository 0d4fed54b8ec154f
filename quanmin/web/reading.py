"""Turns any FHIR resource into something a person can read: labelled fields, told in one language.

Data types are recognised by their shape, so that one reader serves every resource type, extensions
and contained resources included. Nothing is left out but what the page shows elsewhere (type, id,
meta) and the narrative, whose HTML comes from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from quanmin.fhir.translations import translations
from quanmin.web.dates import tell_fhir
from quanmin.web.labels import Label, before_choice, print_unit, tell_code, tell_element, tell_type
from quanmin.web.text import Language, other_language
from quanmin.workflow.states import Words

_HIDDEN = frozenset({"resourceType", "id", "meta", "implicitRules", "div"})
# What a question is told by: its words, and what was answered.
_OF_QUESTION = frozenset({"linkId", "text", "answer"})
_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]+)?")
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d.*)?)?)?")
_DATE_NAMES = ("date", "Date", "Time", "On", "start", "end", "issued", "started", "lastUpdated")
_DATE_BASES = frozenset(
    [
        "effective",
        "onset",
        "abatement",
        "performed",
        "occurrence",
        "authored",
        "recorded",
        "deceased",
        "serviced",
        "created",
        "received",
        "value",
        "sent",
    ]
)
# Deeper than any real record nests; a hostile one must not exhaust the stack of the page.
_DEPTH_MAX = 16
# The content of a file, which no page shows as text; of signals (SampledData) there are blanks.
_FILE = re.compile(r"[A-Za-z0-9+/]{400}")
_FILE_WITHIN = re.compile(rb'("data":\s*"[A-Za-z0-9+/]{40})[A-Za-z0-9+/]{360,}={0,2}"')


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One value: its words, what stands beside them in small, where it leads, or the fields within.

    `language` is the language of the words when they are the page's own, None when they come from
    the record.
    """

    text: str = ""
    detail: str = ""
    language: Language | None = None
    reference: tuple[str, str] | None = None
    fields: tuple[Field, ...] = ()


class Field(msgspec.Struct, frozen=True):
    """An element: its name in the resource, its label, and its values."""

    name: str
    label: Label
    values: tuple[Value, ...]


Shape = Literal["concept", "coding", "quantity", "money", "period", "range", "ratio", "name",
                "address", "contact", "identifier", "reference", "group"]  # fmt: skip


class Reader:
    """Reads resources in one language and one zone. `codes` are the words of codes, by system and
    code, that definitions of their own have.
    """

    def __init__(
        self,
        language: Language,
        zone: ZoneInfo,
        codes: Mapping[tuple[str, str], Words] = MappingProxyType({}),
    ) -> None:
        self.language = language
        self.zone = zone
        self._codes = codes

    def fields(self, resource: dict[str, Any], depth: int = 0) -> tuple[Field, ...]:
        """The elements of a resource or of a part of one, in the order they were sent."""
        if depth > _DEPTH_MAX:
            return ()
        return tuple(
            field
            for name, value in resource.items()
            if name not in _HIDDEN and not name.startswith("_")
            for said in [self._said(resource, name, value)]
            for field in self._told(name, said, depth)
            if field.values
        )

    def concept(self, concept: Any) -> Value:
        """A CodeableConcept or Coding.

        Its own words, then a known word for its code, then the code.
        """
        if not isinstance(concept, dict):
            return Value(text=str(concept or ""))
        codings = _codings(concept)
        text = str(concept.get("text") or "")
        told = next((known for known in map(self._known, codings) if known), None)
        if told is not None:
            return Value(text=told.text, language=told.language, detail=_codes(codings))
        shown = (self._said(one, "display", one.get("display")) for one in codings)
        text = text or next((str(one) for one in shown if one), "")
        if not text:
            return Value(text=_codes(codings))
        return Value(text=text, detail=_codes(codings))

    def code(self, concept: Any) -> str:
        """The first code of a CodeableConcept; empty when it has none."""
        codings = _codings(concept) if isinstance(concept, dict) else []
        return str(codings[0].get("code") or "") if codings else ""

    def quantity(self, quantity: dict[str, Any]) -> str:
        """`132 mmHg`, with the comparator and every digit as sent."""
        number = _number(quantity.get("value"))
        unit = print_unit(str(quantity.get("unit") or quantity.get("code") or ""), self.language)
        return f"{quantity.get('comparator', '')}{number} {unit}".strip()

    def money(self, money: dict[str, Any]) -> str:
        """`32.20 CNY`, with every digit as sent."""
        currency = print_unit(str(money.get("currency") or ""), self.language)
        return f"{_number(money.get('value'))} {currency}".strip()

    def date(self, text: str) -> str:
        """A FHIR date or time in words."""
        return tell_fhir(text, self.language, self.zone)

    def period(self, period: dict[str, Any]) -> str:
        """From when to when; an open end stays open."""
        start, end = (str(period.get(side) or "") for side in ("start", "end"))
        if start and start == end:
            return self.date(start)
        return f"{self.date(start) if start else '…'} – {self.date(end) if end else '…'}"

    def _said(self, element: dict[str, Any], name: str, value: Any) -> Any:
        """A value, or what it is in the language of the page where it says that as well."""
        if isinstance(value, str) and f"_{name}" in element:
            return translations(element, name).get(self.language, value)
        return value

    def _told(self, name: str, value: Any, depth: int) -> Iterator[Field]:
        if name == "item" and isinstance(value, list) and all(map(_is_answered, value)):
            yield from (self._answered(one, depth) for one in value)
        else:
            yield self._field(name, value, depth)

    def _answered(self, item: dict[str, Any], depth: int) -> Field:
        """A question of a form (QuestionnaireResponse.item) under its own words, or its link id."""
        words = str(self._said(item, "text", item.get("text")) or item["linkId"])
        label = Label(words, other_language(words, self.language) or self.language)
        given = item.get("answer")
        values: list[Value] = []
        for answer in given if isinstance(given, list) else ():
            told = self.fields(answer, depth + 1) if isinstance(answer, dict) else ()
            is_value = len(told) == 1 and told[0].name.startswith("value")
            values += told[0].values if is_value else [Value(fields=told)]
        rest = {name: part for name, part in item.items() if name not in _OF_QUESTION}
        within = self.fields(rest, depth + 1)
        return Field("item", label, (*values, *([Value(fields=within)] if within else ())))

    def _field(self, name: str, value: Any, depth: int) -> Field:
        values = value if isinstance(value, list) else [value]
        told = tuple(self._value(name, one, depth) for one in values if one not in (None, "", {}))
        return Field(name, tell_element(name, self.language), told)

    def _value(self, name: str, value: Any, depth: int) -> Value:
        if isinstance(value, dict):
            return self._structure(name, value, depth)
        if isinstance(value, bool):
            yes, no = ("是", "否") if self.language == "zh" else ("Yes", "No")
            return Value(text=yes if value else no, language=self.language)
        if isinstance(value, int | Decimal):
            return Value(text=_number(value))
        text = str(value)
        if name == "data" and _FILE.match(text):
            return Value(text=f"{max(len(text) * 3 // 4, 1000) / 1_000_000:.2g} MB")
        known = tell_code(name, text, self.language) or tell_code("status", text, self.language)
        if known is not None and name in _CODED:
            return Value(text=known.text, language=known.language)
        if _DATE.fullmatch(text) and ("T" in text or _holds_date(name)):
            return Value(text=self.date(text), language=self.language)
        return Value(text=text)

    def _structure(self, name: str, value: dict[str, Any], depth: int) -> Value:
        shape = _shape(value)
        if shape in {"concept", "coding"}:
            return self.concept(value)
        if shape == "reference":
            return self._reference(value)
        if shape == "group":
            return self._group(name, value, depth)
        if shape == "period":
            return Value(text=self.period(value), language=self.language)
        return Value(text=self._plain(shape, value), detail=self._beside(shape, value))

    def _plain(self, shape: Shape, value: dict[str, Any]) -> str:
        match shape:
            case "quantity":
                return self.quantity(value)
            case "money":
                return self.money(value)
            case "range":
                return " – ".join(self.quantity(value.get(side) or {}) for side in ("low", "high"))
            case "ratio":
                sides = ("numerator", "denominator")
                return " / ".join(self.quantity(value.get(side) or {}) for side in sides)
            case "name":
                return tell_name(value)
            case "address":
                return tell_address(value)
            case _:
                return str(value.get("value", ""))

    def _beside(self, shape: Shape, value: dict[str, Any]) -> str:
        if shape == "contact":
            return self._kind_of_contact(value)
        if shape == "identifier":
            return self._kind_of_identifier(value)
        return self._use(value) if shape in {"name", "address"} else ""

    def _group(self, name: str, value: dict[str, Any], depth: int) -> Value:
        if name in {"extension", "modifierExtension"}:
            return self._extension(value, depth)
        title = ""
        if isinstance(value.get("resourceType"), str):
            title = tell_type(value["resourceType"], self.language).text
        return Value(text=title, fields=self.fields(value, depth + 1))

    def _extension(self, value: dict[str, Any], depth: int) -> Value:
        address = str(value.get("url", "")).rpartition("/")[2]
        known = tell_code("extension", address, self.language)
        title = known.text if known else address
        words = self._codes.get((str(value.get("url")), str(value.get("valueCode"))))
        if words is not None:
            return Value(text=words.told(self.language), language=self.language, detail=title)
        parts = {name: part for name, part in value.items() if name != "url"}
        told = self.fields(parts, depth + 1)
        if len(told) == 1 and len(told[0].values) == 1 and not told[0].values[0].fields:
            only = told[0].values[0]
            beside = " · ".join(part for part in (title, only.detail) if part)
            return msgspec.structs.replace(only, detail=beside)
        return Value(text=title, fields=told)

    def _reference(self, value: dict[str, Any]) -> Value:
        target = str(value.get("reference") or "")
        shown = str(value.get("display") or "")
        identifier = value.get("identifier")
        if not shown and isinstance(identifier, dict):
            shown = str(identifier.get("value", ""))
        found = _LOCAL.fullmatch(target)
        if found is None:
            return Value(text=shown or target, detail=target if shown else "")
        own_words = self.language if not shown else None
        shown = shown or tell_type(found[1], self.language).text
        return Value(text=shown, language=own_words, reference=(found[1], found[2]))

    def _known(self, coding: dict[str, Any]) -> Label | None:
        system, code = str(coding.get("system") or ""), str(coding.get("code") or "")
        words = self._codes.get((system, code))
        if words is not None:
            return Label(words.told(self.language), self.language)
        return tell_code(system.rpartition("/")[2], code, self.language)

    def _use(self, value: dict[str, Any]) -> str:
        told = tell_code("use", str(value.get("use") or ""), self.language)
        return told.text if told else ""

    def _kind_of_contact(self, value: dict[str, Any]) -> str:
        kind = tell_code("system", str(value.get("system") or ""), self.language)
        return " · ".join(part for part in (kind.text if kind else "", self._use(value)) if part)

    def _kind_of_identifier(self, value: dict[str, Any]) -> str:
        kind = self.concept(value["type"]).text if isinstance(value.get("type"), dict) else ""
        system = str(value.get("system") or "")
        known = tell_code("sid", system.rpartition("/")[2], self.language)
        return kind or (known.text if known else system)


# Elements of type `code` in plain text form; any other string is shown as it was written.
_CODED = frozenset(
    [
        "gender",
        "status",
        "intent",
        "priority",
        "use",
        "system",
        "criticality",
        "category",
        "severity",
        "mode",
        "docStatus",
    ]
)


def without_files(body: bytes) -> bytes:
    """A record as it is stored, the content of its files cut off after their beginning."""
    return _FILE_WITHIN.sub(rb'\1..."', body)


def tell_name(name: dict[str, Any]) -> str:
    """A HumanName as one says it.

    Its text; else family and given name, closed up when they are Chinese.
    """
    if name.get("text"):
        return str(name["text"])
    given = name.get("given")
    given = [str(part) for part in given] if isinstance(given, list) else []
    family = str(name.get("family") or "")
    if any(ord(character) > 0x2E7F for character in family):
        return family + "".join(given)
    return " ".join([*given, family]).strip()


def tell_address(address: dict[str, Any]) -> str:
    """An Address in one line, from the province down, in the Chinese order."""
    if address.get("text"):
        return str(address["text"])
    lines = address.get("line")
    parts = [str(address.get(part) or "") for part in ("state", "city", "district")]
    return "".join([*parts, *(map(str, lines) if isinstance(lines, list) else [])])


def _shape(value: dict[str, Any]) -> Shape:
    keys = {name for name in value if not name.startswith("_")} - {"id", "extension"}
    if "coding" in keys or keys == {"text"}:
        return "concept"
    if "reference" in keys and keys <= {"reference", "display", "type", "identifier"}:
        return "reference"
    if keys and keys <= {"start", "end"}:
        return "period"
    if "value" in keys and "currency" in keys:
        return "money"
    if "value" in keys and keys <= {"value", "unit", "system", "code", "comparator"}:
        return "quantity" if isinstance(value["value"], int | Decimal) else _told_as(value)
    if "code" in keys and keys <= {"system", "version", "code", "display", "userSelected"}:
        return "coding"
    if "value" in keys and keys <= _CONTACT | _IDENTIFIER:
        return _told_as(value)
    for shape, needed, allowed in _SHAPES:
        if keys & needed and keys <= allowed:
            return shape
    return "group"


def _told_as(value: dict[str, Any]) -> Shape:
    # An Identifier's system is a URI; a ContactPoint's is one of a few plain words.
    return "contact" if str(value.get("system") or ":").isalpha() else "identifier"


_IDENTIFIER = frozenset({"use", "type", "system", "value", "period", "assigner"})
_CONTACT = frozenset({"system", "value", "use", "rank", "period"})
_SHAPES: tuple[tuple[Shape, frozenset[str], frozenset[str]], ...] = (
    ("range", frozenset({"low", "high"}), frozenset({"low", "high"})),
    ("ratio", frozenset({"numerator"}), frozenset({"numerator", "denominator"})),
    ("name", frozenset({"family", "given"}),
     frozenset({"use", "text", "family", "given", "prefix", "suffix", "period"})),
    ("address", frozenset({"line", "city", "district", "state", "country"}),
     frozenset({"use", "type", "text", "line", "city", "district", "state", "postalCode",
                "country", "period"})),
    ("name", frozenset({"text"}), frozenset({"use", "text"})),
)  # fmt: skip


def _codes(codings: list[dict[str, Any]]) -> str:
    return ", ".join(str(coding["code"]) for coding in codings if coding.get("code"))


def _number(value: Any) -> str:
    # `str` of a Decimal may be scientific; `f` keeps every digit as it was sent.
    return f"{value:f}" if isinstance(value, Decimal) else str(value if value is not None else "")


def _holds_date(name: str) -> bool:
    return name.endswith(_DATE_NAMES) or before_choice(name) in _DATE_BASES


def _is_answered(item: Any) -> bool:
    # An item of a Questionnaire has a type as well: there it is the question that is read.
    return isinstance(item, dict) and "linkId" in item and "type" not in item


def _codings(concept: dict[str, Any]) -> list[dict[str, Any]]:
    found = concept.get("coding", concept)
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
