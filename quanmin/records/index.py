"""What is written down about a record so that it can be found: keys, extents and a mask of what is
present.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

import msgspec

from quanmin.fhir.table import TypeDefinition, load_table
from quanmin.fhir.values import (
    Link,
    Number,
    Quantity,
    SearchParameter,
    Text,
    Token,
    Uri,
    Value,
    When,
)
from quanmin.records.keying import Keying
from quanmin.records.words import index_words

OPEN_LOW = -(2**63)
OPEN_HIGH = 2**63 - 1

RidOf = Callable[[str, str], "int | None"]


class Unit(msgspec.Struct, frozen=True):
    """A unit in use for a parameter of a type, as written."""

    param: str
    system: str
    code: str
    key: int


class IndexEntry(msgspec.Struct):
    """Everything the index holds for one version. `low`/`high` are the extent of the type's main
    date, None without.

    They answer a search by the first of the type's time parameters when that parameter is present
    and not `several` (it has more than one extent; then the extents stand in `dated` and
    `low`/`high` only order the record). `keyed` are (key, system), `dated` (key, low, high),
    `ranged` (key, low, high or None for a point).
    """

    present: int = 0
    several: bool = False
    low: int | None = None
    high: int | None = None
    tokens: set[int] = msgspec.field(default_factory=set)
    refs: set[int] = msgspec.field(default_factory=set)
    words: set[int] = msgspec.field(default_factory=set)
    labels: set[int] = msgspec.field(default_factory=set)
    keyed: set[tuple[int, int]] = msgspec.field(default_factory=set)
    dated: set[tuple[int, int, int]] = msgspec.field(default_factory=set)
    ranged: set[tuple[int, Decimal, Decimal | None]] = msgspec.field(default_factory=set)
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
    whole = params[name].expression.removesuffix(_PATIENTS_ONLY)
    wider = (one.name for one in params.values() if one.expression == whole)
    return next(wider, name)


class Indexer:
    """Builds index entries for one node: its keys, its ids."""

    def __init__(self, keying: Keying, rid_of: RidOf) -> None:
        """`rid_of` gives the record key of a type and id, None when there can be no such record."""
        self._keying = keying
        self._rid_of = rid_of

    def entry(
        self, definition: TypeDefinition, values: list[tuple[SearchParameter, list[Value]]]
    ) -> IndexEntry:
        """The index entry of a record of this type whose parameters have these values."""
        entry = IndexEntry()
        extents: dict[str, tuple[int, int]] = {}
        for param, found in values:
            if param.name in {"_id", "_lastUpdated"}:
                continue
            entry.present |= 1 << param.bit
            if parts_of(definition, param.name) != (param.name,):
                continue
            match param.kind:
                case "token":
                    self._add_tokens(entry, definition, param, found)
                case "reference":
                    self._add_references(entry, definition.name, param.name, found)
                case "string":
                    texts = [value.value for value in found if isinstance(value, Text)]
                    entry.words.update(
                        index_words(self._keying, definition.name, param.name, texts)
                    )
                case "date":
                    self._add_dates(entry, definition, param, found, extents)
                case "number" | "quantity":
                    self._add_numbers(entry, definition.name, param.name, found)
                case "uri":
                    uris = [value.value for value in found if isinstance(value, Uri)]
                    entry.tokens.update(
                        self._keying.uri(definition.name, param.name, uri) for uri in uris
                    )
                case _:
                    pass
        main = next((name for name in definition.time_params if name in extents), None)
        if main is not None:
            entry.low, entry.high = extents[main]
        return entry

    def _add_tokens(
        self,
        entry: IndexEntry,
        definition: TypeDefinition,
        param: SearchParameter,
        found: list[Value],
    ) -> None:
        keying, type_, name = self._keying, definition.name, param.name
        keyed = is_keyed(definition, param)
        for value in found:
            if not isinstance(value, Token):
                continue
            if value.code is not None:
                code = keying.code(type_, name, value.code)
                if keyed:
                    entry.keyed.add((code, keying.narrow(value.system or "")))
                else:
                    entry.tokens.add(code)
                    if not value.alone:
                        entry.tokens.add(keying.coded(type_, name, value.system or "", value.code))
            if value.system and not value.alone:
                entry.tokens.add(keying.system(type_, name, value.system))
            if name == "_security" and value.code is not None:
                entry.labels.add(keying.label(value.system or "", value.code))

    def _add_references(self, entry: IndexEntry, type_: str, name: str, found: list[Value]) -> None:
        for value in found:
            if not isinstance(value, Link):
                continue
            if value.type is not None and value.id is not None:
                rid = self._rid_of(value.type, value.id)
                if rid is not None:
                    entry.refs.add(self._keying.reference(type_, link_name(type_, name), rid))
            elif value.url is not None:
                entry.tokens.add(self._keying.uri(type_, name, value.url))
            if value.identifier is not None and value.identifier.code is not None:
                identifier = value.identifier
                for system in {identifier.system or "", "*"}:
                    entry.tokens.add(
                        self._keying.identified(type_, name, system, identifier.code or "")
                    )

    def _add_dates(
        self,
        entry: IndexEntry,
        definition: TypeDefinition,
        param: SearchParameter,
        found: list[Value],
        extents: dict[str, tuple[int, int]],
    ) -> None:
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
        if param.name in definition.time_params:
            extents[param.name] = (min(low for low, _ in spans), max(high for _, high in spans))
        if is_main_date(definition, param):
            if len(spans) == 1:
                return
            entry.several = True
        key = self._keying.dated(definition.name, param.name)
        entry.dated.update((key, low, high) for low, high in spans)

    def _add_numbers(self, entry: IndexEntry, type_: str, name: str, found: list[Value]) -> None:
        for value in found:
            if isinstance(value, Quantity):
                system, code = value.system or "", value.code or value.unit or ""
            elif isinstance(value, Number):
                system, code = "", ""
            else:
                continue
            key = self._keying.ranged(type_, name, system, code)
            entry.units.add(Unit(name, system, code, key))
            low = _LOWEST if value.low is None else value.low
            high = _HIGHEST if value.high is None else value.high
            entry.ranged.add((key, low, None if low == high else high))


_LOWEST = Decimal("-Infinity")
_HIGHEST = Decimal("Infinity")


def is_main_date(definition: TypeDefinition, param: SearchParameter) -> bool:
    """Whether the record's own `low` and `high` answer for this date (see IndexEntry)."""
    return bool(definition.time_params) and param.name == definition.time_params[0]
