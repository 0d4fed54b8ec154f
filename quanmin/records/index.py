"""What is written down about a record so that it can be found: keys, extents and a mask of what is
present.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache

import msgspec

from quanmin.fhir.earth import cells_of
from quanmin.fhir.kinds import modifiers_of
from quanmin.fhir.table import TypeDefinition, load_table
from quanmin.fhir.uris import addresses_above
from quanmin.fhir.values import (
    Link,
    Number,
    Quantity,
    Said,
    SearchParameter,
    Spot,
    Text,
    Token,
    Uri,
    Value,
    When,
    is_mime_type,
    mime_base,
)
from quanmin.records.keying import Keying
from quanmin.records.words import index_words

OPEN_LOW = -(2**63)
OPEN_HIGH = 2**63 - 1

# What the row itself says of a record: no key, and no bit of presence.
IN_COLUMNS = frozenset({"_id", "_lastUpdated"})

RidOf = Callable[[str, str], "int | None"]


class Unit(msgspec.Struct, frozen=True):
    """A unit in use for a parameter of a type, as written, in records whose codes are of these
    kinds; none where they may be of any.
    """

    param: str
    system: str
    code: str
    kinds: tuple[int, ...]
    key: int


Wording = tuple[int, tuple[int, ...]]
"""A key among the tokens, and by which keys it is found: those of a text's pieces, or of what lies
above an address.
"""

# A quantity means nothing without the record's code, and many codes share a unit: quantities are
# kept apart by kinds of code, which costs no byte. More kinds would keep codes better apart, but a
# question without a code must ask for each that is in use.
_KINDS = 256
# Records with codes of more kinds stand together: there would be no end of combinations.
_KINDS_MAX = 2


def kinds_param(definition: TypeDefinition) -> str | None:
    """The parameter by whose codes quantities of a type are kept apart."""
    return "code" if "code" in definition.keyed_params else None


def kind_of(key: int) -> int:
    """One of few kinds that a code is of, by its key."""
    return key % _KINDS


def ranges_key(key: int) -> int:
    """The key under which ranges stand, given that of points.

    Apart from them, so that points are found by the index alone, which does not hold `high`.
    """
    return ~key


@lru_cache(maxsize=1024)
def value_param(type_: str) -> str | None:
    """The quantity that stands beside each code of a record: the one that a composite of R4 pairs
    with the code of the whole record (3.1.1.5.8, `code-value-quantity`).
    """
    params = load_table().types[type_].params
    for param in params.values():
        if param.kind == "composite" and param.expression == type_:
            names = [name for name, _ in param.components]
            if names[0] == "code" and params[names[-1]].kind == "quantity":
                return names[-1]
    return None


UNTOLD = math.nan
"""Beside a code: there is a value, or several, but not one number that says enough."""

VALUELESS = -math.inf
"""Beside a code: there is none. In a row with a null, and in its entry, eight bytes more would say
which column is null; rows from before it have one.
"""

_COARSE_MIN, _COARSE_MAX = Decimal("1e-30"), Decimal("1e30")


def _coarse(value: Decimal) -> float:
    """A value as it stands beside a code, in four bytes. Rounding keeps the order of numbers, so
    that what lies beyond a bound does so, or is equal to it, when both are rounded.
    """
    if value and not _COARSE_MIN <= abs(value) <= _COARSE_MAX:
        return UNTOLD
    return float(value)


_Ranged = tuple[int, Decimal, Decimal | None]


class IndexEntry(msgspec.Struct):
    """Everything the index holds for one version. `low`/`high` are the extent of the type's main
    date, None without.

    They answer a search by the first of the type's time parameters when that parameter is present
    and not `several` (it has more than one extent; then the extents stand in `dated` and
    `low`/`high` only order the record). `keyed` are (key, system), `dated` (key, low, high),
    `ranged` (key, low, high or None for a point). `value` is what stands beside each code: the
    number of the type's `value_param`, UNTOLD where it has not just one, VALUELESS without any.
    """

    present: int = 0
    several: bool = False
    low: int | None = None
    high: int | None = None
    value: float = VALUELESS
    tokens: set[int] = msgspec.field(default_factory=set)
    refs: set[int] = msgspec.field(default_factory=set)
    words: set[int] = msgspec.field(default_factory=set)
    labels: set[int] = msgspec.field(default_factory=set)
    keyed: set[tuple[int, int]] = msgspec.field(default_factory=set)
    dated: set[tuple[int, int, int]] = msgspec.field(default_factory=set)
    ranged: set[_Ranged] = msgspec.field(default_factory=set)
    wordings: set[Wording] = msgspec.field(default_factory=set)
    units: set[Unit] = msgspec.field(default_factory=set)


def is_keyed(definition: TypeDefinition, param: SearchParameter) -> bool:
    """Whether codes of this parameter stand in `records.keyed` (and only their systems among the
    tokens).
    """
    return param.name == "identifier" or param.name in definition.keyed_params


def parts_of(definition: TypeDefinition, name: str) -> tuple[str, ...]:
    """The parameters whose keys answer for this one: itself, or the two it looks at together.

    `combo-code` is `code` and `component-code`: keys of its own would cost 150 bytes a result.
    """
    whole = name.removeprefix("combo-")
    parts = (whole, f"component-{whole}")
    return parts if name != whole and set(parts) <= definition.params.keys() else (name,)


_PATIENTS_ONLY = ".where(resolve() is Patient)"


@lru_cache(maxsize=8192)
def link_name(type_: str, name: str) -> str:
    """The parameter under whose name references to records of this node are keyed.

    `patient` mostly looks at the Patients among what `subject` points at. The key of a reference
    holds what it points at, so one key serves both: 25 bytes less for every result.
    """
    params = load_table().types[type_].params
    if name not in params:
        return name
    whole = params[name].expression.removesuffix(_PATIENTS_ONLY)
    wider = (one.name for one in params.values() if one.expression == whole)
    return next(wider, name)


class _Seen(msgspec.Struct):
    """What adding the keys of one parameter needs of the others: their values, and the extents of
    the time parameters that came before.
    """

    values: list[tuple[SearchParameter, list[Value]]]
    extents: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)


# Adds to an entry what the values of one parameter are found by.
_Add = Callable[[IndexEntry, "list[Value]", _Seen], None]


class Indexer:
    """Builds index entries for one node: its keys, its ids."""

    def __init__(self, keying: Keying, rid_of: RidOf) -> None:
        """`rid_of` gives the record key of a type and id, None when there can be no such record."""
        self._keying = keying
        self._by_type: dict[str, tuple[tuple[int, _Add | None], ...]] = {}
        # The name of a custom parameter never means another thing, so these need not be forgotten.
        self._custom: dict[tuple[str, str], _Add] = {}

        # A bundle refers to one patient and one visit from all its records.
        @lru_cache(maxsize=65536)
        def reference(type_: str, name: str, target: str, id_: str) -> int | None:
            rid = rid_of(target, id_)
            return None if rid is None else keying.reference(type_, link_name(type_, name), rid)

        # Texts repeat like the codes they belong to; to cut one into pieces costs ten times what
        # looking it up does.
        @lru_cache(maxsize=65536)
        def said(type_: str, name: str, texts: tuple[str, ...]) -> Wording:
            words = index_words(keying, type_, name, texts)
            return keying.said(type_, name, texts), tuple(sorted(words))

        @lru_cache(maxsize=65536)
        def address(type_: str, name: str, uri: str) -> Wording:
            above = {keying.above(type_, name, one) for one in addresses_above(uri)}
            return keying.uri(type_, name, uri), tuple(sorted(above))

        self._reference = reference
        self._said = said
        self._address = address

    def entry(
        self,
        definition: TypeDefinition,
        values: list[tuple[SearchParameter, list[Value]]],
        beside: Sequence[tuple[SearchParameter, list[Value]]] = (),
    ) -> IndexEntry:
        """The index entry of a record of this type whose parameters, but those of IN_COLUMNS, have
        these values. What it has `beside` is known, and gets no keys.
        """
        entry = IndexEntry()
        seen = _Seen([*values, *beside] if beside else values)
        by_bit = self._by_type.get(definition.name) or self._prepare(definition)
        for param, found in values:
            if param.is_custom:
                key = definition.name, param.name
                of_custom = self._custom.get(key) or self._prepare_custom(definition, param)
                of_custom(entry, found, seen)
                continue
            present, add = by_bit[param.bit]
            entry.present |= present
            if add is not None:
                add(entry, found, seen)
        if seen.extents:
            main = next(name for name in definition.time_params if name in seen.extents)
            entry.low, entry.high = seen.extents[main]
        return entry

    def _prepare(self, definition: TypeDefinition) -> tuple[tuple[int, _Add | None], ...]:
        """For each parameter of a type, by its bit: its bit of presence, and what adds its keys.

        What does not depend on the record is decided here, once.
        """
        prepared = tuple(
            (1 << param.bit, self._add_of(definition, param))
            for param in definition.params.values()
            if not param.is_custom
        )
        self._by_type[definition.name] = prepared
        return prepared

    def _prepare_custom(self, definition: TypeDefinition, param: SearchParameter) -> _Add:
        """What adds the keys of a parameter that is not of R4, and one for its being there: the
        mask has no place for it. The parts of a composite are there when the composite is.
        """
        present = self._keying.present(definition.name, param.name)
        is_whole = param.custom is not None
        add_keys = self._add_of(definition, param)

        def add(entry: IndexEntry, found: list[Value], seen: _Seen) -> None:
            if is_whole:
                entry.tokens.add(present)
            if add_keys is not None:
                add_keys(entry, found, seen)

        self._custom[definition.name, param.name] = add
        return add

    def _add_of(self, definition: TypeDefinition, param: SearchParameter) -> _Add | None:
        if parts_of(definition, param.name) != (param.name,):
            return None
        match param.kind:
            case "token" if param.name == "_security":
                return self._with_texts(definition.name, param, self._labels(definition.name))
            case "token":
                is_kept = is_keyed(definition, param)
                adding = (self._keyed if is_kept else self._tokens)(definition.name, param.name)
                return self._with_texts(definition.name, param, adding)
            case "reference":
                return self._references(definition.name, param.name)
            case "string":
                return self._words(definition.name, param.name)
            case "date":
                return self._dates(definition, param)
            case "number" | "quantity":
                return self._numbers(definition, param.name)
            case "uri":
                return self._uris(definition.name, param.name)
            case "special":
                return self._spots(definition.name, param.name)
            case _:
                return None

    def _tokens(self, type_: str, name: str) -> _Add:
        code, coding = self._keying.code, self._keying.coding

        def add(entry: IndexEntry, found: list[Value], _: _Seen) -> None:
            for value in found:
                if not isinstance(value, Token):
                    continue
                if not value.alone:
                    entry.tokens.update(coding(type_, name, value.system, value.code))
                elif value.code is not None:
                    entry.tokens.add(code(type_, name, value.code))

        return add

    def _keyed(self, type_: str, name: str) -> _Add:
        keying = self._keying

        def add(entry: IndexEntry, found: list[Value], _: _Seen) -> None:
            for value in found:
                if not isinstance(value, Token):
                    continue
                if value.code is not None:
                    code = keying.code(type_, name, value.code)
                    entry.keyed.add((code, keying.narrow(value.system or "")))
                if value.system and not value.alone:
                    entry.tokens.add(keying.system(type_, name, value.system))

        return add

    def _labels(self, type_: str) -> _Add:
        add_tokens = self._tokens(type_, "_security")

        def add(entry: IndexEntry, found: list[Value], seen: _Seen) -> None:
            add_tokens(entry, found, seen)
            for value in found:
                if isinstance(value, Token) and value.code is not None:
                    entry.labels.add(self._keying.label(value.system or "", value.code))

        return add

    def _references(self, type_: str, name: str) -> _Add:
        keying, reference = self._keying, self._reference

        def add(entry: IndexEntry, found: list[Value], _: _Seen) -> None:
            for value in found:
                if not isinstance(value, Link):
                    continue
                if value.type is not None and value.id is not None:
                    key = reference(type_, name, value.type, value.id)
                    if key is not None:
                        entry.refs.add(key)
                elif value.url is not None:
                    entry.tokens.add(keying.uri(type_, name, value.url))
                identifier = value.identifier
                if identifier is not None and identifier.code is not None:
                    for system in {identifier.system or "", "*"}:
                        entry.tokens.add(keying.identified(type_, name, system, identifier.code))

        return add

    def _words(self, type_: str, name: str) -> _Add:
        def add(entry: IndexEntry, found: list[Value], _: _Seen) -> None:
            texts = [value.value for value in found if isinstance(value, Text)]
            entry.words.update(index_words(self._keying, type_, name, texts))

        return add

    def _with_texts(self, type_: str, param: SearchParameter, adding: _Add) -> _Add:
        """What is said along with the codes of one element has one key, whatever the number of its
        codes and displays: every key costs each record ten bytes.
        """
        name, said = param.name, self._said
        if is_mime_type(param):
            return self._with_bases(type_, name, adding)
        if "text" not in modifiers_of(param):
            return adding

        def add(entry: IndexEntry, found: list[Value], seen: _Seen) -> None:
            adding(entry, found, seen)
            for value in found:
                if isinstance(value, Said):
                    wording = said(type_, name, value.texts)
                    entry.tokens.add(wording[0])
                    entry.wordings.add(wording)

        return add

    def _with_bases(self, type_: str, name: str, adding: _Add) -> _Add:
        keying = self._keying

        def add(entry: IndexEntry, found: list[Value], seen: _Seen) -> None:
            adding(entry, found, seen)
            for value in found:
                if isinstance(value, Token) and value.code is not None:
                    base = keying.above(type_, name, mime_base(value.code))
                    entry.wordings.add((keying.code(type_, name, value.code), (base,)))

        return add

    def _uris(self, type_: str, name: str) -> _Add:
        address = self._address

        def add(entry: IndexEntry, found: list[Value], _: _Seen) -> None:
            for value in found:
                if isinstance(value, Uri):
                    wording = address(type_, name, value.value)
                    entry.tokens.add(wording[0])
                    if wording[1]:
                        entry.wordings.add(wording)

        return add

    def _spots(self, type_: str, name: str) -> _Add:
        def add(entry: IndexEntry, found: list[Value], _: _Seen) -> None:
            spots = (value for value in found if isinstance(value, Spot))
            cells = (cell for spot in spots for cell in cells_of(spot))
            entry.tokens.update(self._keying.spot(type_, name, cell) for cell in cells)

        return add

    def _dates(self, definition: TypeDefinition, param: SearchParameter) -> _Add:
        key = self._keying.dated(definition.name, param.name)
        is_main = is_main_date(definition, param)
        is_time = param.name in definition.time_params

        def add(entry: IndexEntry, found: list[Value], seen: _Seen) -> None:
            spans = [
                (
                    OPEN_LOW if value.low is None else value.low,
                    OPEN_HIGH if value.high is None else value.high,
                )
                for value in found
                if isinstance(value, When)
            ]
            if not spans:
                return
            if is_time:
                ends = (min(low for low, _ in spans), max(high for _, high in spans))
                seen.extents[param.name] = ends
            if is_main:
                if len(spans) == 1:
                    return
                entry.several = True
            entry.dated.update((key, low, high) for low, high in spans)

        return add

    def _numbers(self, definition: TypeDefinition, name: str) -> _Add:
        type_, codes = definition.name, kinds_param(definition)
        is_beside = name == value_param(type_)

        @lru_cache(maxsize=4096)
        def unit(system: str, code: str, kinds: tuple[int, ...]) -> Unit:
            key = self._keying.ranged(type_, name, system, code, kinds)
            return Unit(name, system, code, kinds, key)

        def add(entry: IndexEntry, found: list[Value], seen: _Seen) -> None:
            kinds = self._kinds(type_, codes, seen.values) if codes else ()
            spans: set[_Ranged] = set()
            for value in found:
                if isinstance(value, Quantity):
                    of = unit(value.system or "", value.code or value.unit or "", kinds)
                elif isinstance(value, Number):
                    of = unit("", "", ())
                else:
                    continue
                entry.units.add(of)
                low = _LOWEST if value.low is None else value.low
                high = _HIGHEST if value.high is None else value.high
                spans.add((of.key, low, None) if low == high else (ranges_key(of.key), low, high))
            entry.ranged |= spans
            if is_beside and spans:
                _, low, over = next(iter(spans))
                is_told = len(spans) == 1 and over is None
                entry.value = _coarse(low) if is_told else UNTOLD

        return add

    def _kinds(
        self, type_: str, name: str, values: list[tuple[SearchParameter, list[Value]]]
    ) -> tuple[int, ...]:
        """The kinds of a record's codes; none when it has none, or too many to be kept apart."""
        codes = next((found for param, found in values if param.name == name), [])
        kinds = {
            kind_of(self._keying.code(type_, name, value.code))
            for value in codes
            if isinstance(value, Token) and value.code is not None
        }
        return tuple(sorted(kinds)) if len(kinds) <= _KINDS_MAX else ()


_LOWEST = Decimal("-Infinity")
_HIGHEST = Decimal("Infinity")


def is_main_date(definition: TypeDefinition, param: SearchParameter) -> bool:
    """Whether the record's own `low` and `high` answer for this date (see IndexEntry)."""
    return bool(definition.time_params) and param.name == definition.time_params[0]
