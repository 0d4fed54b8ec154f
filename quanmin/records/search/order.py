"""The order of hits and the place in it where a slice ends.

Slices are continued by the keys of their last record, never by counting from the beginning: the
thousandth costs what the first did, and a record written in between shifts nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal, TypeVar

import msgspec

from quanmin.base.problems import Malformed
from quanmin.fhir.query import Clause, SortKey
from quanmin.fhir.table import TypeDefinition
from quanmin.records.search.term import Scope, mask_of
from quanmin.records.search.timed import may_repeat
from quanmin.records.visibility_sql import Bind

Column = Literal["updated", "low", "rid"]
_Position = TypeVar("_Position", bound=msgspec.Struct)


class Key(msgspec.Struct, frozen=True):
    """One column of an order. Rows without this bit in `present` have no value of it (0: all have):
    `low` may be that of another date than the one asked for. Those with several values have them in
    `records.dated` under the key `several` (0: the column says what counts).
    """

    column: Column
    descending: bool
    mask: int = 0
    several: int = 0


Order = tuple[Key, ...]

NEWEST_FIRST: Order = (Key("updated", descending=True), Key("rid", descending=True))
# The direction of the tie-breaker is that of the index (low desc, rid).
LATEST_FIRST: Order = (Key("low", descending=True), Key("rid", descending=False))


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a slice ended.

    `phase` 1 is among the records without a time, which come last; `values` are the keys of the
    last record seen; `order` tells this order from others.
    """

    order: str
    phase: int
    values: tuple[int, ...]


class Phase(msgspec.Struct, frozen=True):
    """A part of an order that one index walk serves.

    Records without a main date have no place in an index range together with the others: they are
    a phase of their own, after the rest in either direction.
    """

    number: int
    order: Order
    timed: bool | None
    mask: int = 0
    several: int = 0


def in_columns(scope: Scope, sort: tuple[SortKey, ...]) -> int:
    """How many of the keys, from the first, are columns that an index keeps in order."""
    for place, each in enumerate(sort):
        column = _column(scope, each.param.name)
        if column == "rid":
            return len(sort)  # nothing is equal in it
        if column is None:
            return place
        if column == "low" and place and (_mask(scope) or _several(scope, each)):
            return place
    return len(sort)


def order_of(scope: Scope, sort: tuple[SortKey, ...], clauses: tuple[Clause, ...] = ()) -> Order:
    """The order in columns of keys that are all in columns; of none, that of the index by which
    `clauses` are answered.
    """
    keys: list[Key] = []
    for each in sort:
        column = _column(scope, each.param.name) or "rid"
        if column == "low":
            keys.append(Key(column, each.descending, _mask(scope), _several(scope, each)))
        elif column not in {key.column for key in keys}:
            keys.append(Key(column, each.descending))
        if column == "rid":
            break
    if not keys:
        return _unasked(scope, clauses)
    if keys[-1].column != "rid":
        last = keys[-1]
        against = last.column == "low"
        keys.append(Key("rid", descending=last.descending is not against))
    return tuple(keys)


def _unasked(scope: Scope, clauses: tuple[Clause, ...]) -> Order:
    """Records with a code lie by time in the index on codes: in the order of their writing
    thousands would be fetched for one slice.
    """
    if len(scope.definitions) > 1 or not scope.definitions[0].time_params:
        return NEWEST_FIRST
    keyed = set(scope.definitions[0].keyed_params)
    is_by_code = any(one.param.name in keyed and one.modifier is None for one in clauses)
    return LATEST_FIRST if is_by_code else NEWEST_FIRST


def can_walk(order: Order | None) -> bool:
    """Whether an order is that of the index on codes, in either direction."""
    if order is None or len(order) != len(LATEST_FIRST) or order[0].several:
        return False
    columns = tuple(key.column for key in order)
    return columns == ("low", "rid") and order[0].descending is not order[1].descending


def _column(scope: Scope, name: str) -> Column | None:
    if name == "_lastUpdated":
        return "updated"
    if name == "_id":
        return "rid"
    definitions: tuple[TypeDefinition, ...] = scope.definitions
    if len(definitions) == 1 and definitions[0].time_params[:1] == (name,):
        return "low"
    return None


def _mask(scope: Scope) -> int:
    (definition,) = scope.definitions
    main = definition.params[definition.time_params[0]]
    return mask_of(main.bit) if len(definition.time_params) > 1 else 0


def _several(scope: Scope, key: SortKey) -> int:
    """`low` is the least of a record's dates; descending the greatest counts."""
    (definition,) = scope.definitions
    if not key.descending or not may_repeat(definition, key.param):
        return 0
    return scope.context.keying.dated(definition.name, key.param.name)


def phases(order: Order) -> tuple[Phase, ...]:
    """The walks that serve an order, one after the other."""
    if order[0].column != "low":
        return (Phase(0, order, None),)
    rest = order[1:] or (Key("rid", descending=False),)
    mask, several = order[0].mask, order[0].several
    return (
        Phase(0, order, timed=True, mask=mask, several=several),
        Phase(1, rest, timed=False, mask=mask),
    )


def order_by(phase: Phase, columns: dict[Column, str]) -> str:
    """The ORDER BY list; nulls stand where the indexes have them, though no phase has any in
    front.
    """
    return ", ".join(_ordered(place, key, columns) for place, key in enumerate(phase.order))


def _ordered(place: int, key: Key, columns: dict[Column, str]) -> str:
    name = _expression(place, key, columns)
    if key.column == "low" and place == 0:
        return f"{name} desc nulls last" if key.descending else f"{name} asc nulls first"
    return f"{name} desc" if key.descending else name


def _expression(place: int, key: Key, columns: dict[Column, str]) -> str:
    if key.column != "low" or place == 0:
        return columns[key.column]
    return f"coalesce({columns['low']}, '{_missing(key)}'::bigint)"


def part_condition(phase: Phase, columns: dict[Column, str]) -> list[str]:
    """What makes a row belong to the phase."""
    if phase.timed is None:
        return []
    low, mask = columns["low"], phase.mask
    if not mask:
        return [f"{low} is {'not ' if phase.timed else ''}null"]
    if phase.timed:
        return [f"{low} is not null", f"r.present & '{mask}'::bigint <> 0"]
    return [f"({low} is null or r.present & '{mask}'::bigint = 0)"]


def after(phase: Phase, position: Position, columns: dict[Column, str], bind: Bind) -> list[str]:
    """The row comes after the position. Stated so that an index walk can begin there."""
    names = [_expression(place, key, columns) for place, key in enumerate(phase.order)]
    values = [f"{bind(value)}::bigint" for value in position.values]
    if len({key.descending for key in phase.order}) == 1:
        sign = "<" if phase.order[0].descending else ">"
        return [f"({', '.join(names)}) {sign} ({', '.join(values)})"]
    signs = ["<" if key.descending else ">" for key in phase.order]
    condition = f"{names[-1]} {signs[-1]} {values[-1]}"
    for name, sign, value in reversed(list(zip(names, signs, values, strict=True))[:-1]):
        condition = f"({name} {sign} {value} or ({name} = {value} and {condition}))"
    return [f"{names[0]} {signs[0]}= {values[0]}", condition]


def position_after(phase: Phase, whole: Order, updated: int, low: int | None, rid: int) -> Position:
    """The position of a record that was just read in this phase."""
    values = {"updated": updated, "low": low, "rid": rid}
    keys = ((key, values[key.column]) for key in phase.order)
    return Position(
        name_of(whole),
        phase.number,
        tuple(_missing(key) if value is None else value for key, value in keys),
    )


def _missing(key: Key) -> int:
    """Stands for no time, so that it comes last."""
    return -(2**63) if key.descending else 2**63 - 1


def name_of(order: Order) -> str:
    """Tells an order from others."""
    return "".join(f"{'-' if key.descending else '+'}{key.column[0]}" for key in order)


def sorting_key(phase: Phase, row: Any) -> tuple[int, ...]:
    """Sorts rows of several walks of a phase into its order."""
    values = (
        (key, _missing(key) if row[key.column] is None else row[key.column]) for key in phase.order
    )
    return tuple(-value if key.descending else value for key, value in values)


def write_cursor(position: msgspec.Struct) -> str:
    """A position as text; it names a record's keys, so the door encrypts it."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode()


def read_cursor(cursor: str, order: Order) -> Position:
    """The position a cursor stands for. Raises Malformed when it is of another order, or none of
    ours.
    """
    position = decode_cursor(cursor, Position)
    known = {phase.number: len(phase.order) for phase in phases(order)}
    if position.order != name_of(order) or known.get(position.phase) != len(position.values):
        raise Malformed("the cursor belongs to another search: start again without it")
    return position


def decode_cursor(cursor: str, kind: type[_Position]) -> _Position:
    """A cursor of this kind. Raises Malformed when it is none of ours."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Malformed("the cursor is not one this node gave: start again without it") from error
