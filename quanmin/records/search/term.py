"""A clause of a query, or several on one date, made ready for the database: what to ask of rows and
of side tables.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from quanmin.fhir.query import Clause
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import GENERATION
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search.arm import Arm, Write
from quanmin.records.search.lots import Lot
from quanmin.records.search.reader import Reader
from quanmin.records.visibility_sql import Bind
from quanmin.records.words import Needed


class Scope(msgspec.Struct, frozen=True):
    """The types a search is about; more than one only with parameters that every type has. Of one,
    only what is in the `lot` may be looked for, where there is one.
    """

    context: Context
    definitions: tuple[TypeDefinition, ...]
    lot: Lot | None = None

    @property
    def numbers(self) -> list[int]:
        """The numbers of the types."""
        return [definition.number for definition in self.definitions]


Sharpen = Callable[[Reader], Awaitable[Write]]
"""Measures what the planner cannot know, and gives a condition on rows that it can judge."""


class Judge(Protocol):
    """Decides records, after decryption, by what is asked of others."""

    async def meeting(self, stored: Sequence[Stored]) -> set[int]:
        """Those of the records, by key, that are wanted."""


class Term(msgspec.Struct, frozen=True):
    """Its clauses hold for a row `r` when `row` holds or `found` gives its `r.rid`.

    `found` are subselects of record keys from side tables; `probe` tells for one row what they tell
    for all. When the term is not exact, they hold for every record where the clauses do and for
    some others, and the clauses are decided on the decrypted record. `drives` says that the
    condition on the row picks few records, `is_point` that `found` gives nearly none; `sharpen`
    gives a better form of `row` where that is to lead the plan. `implied` are clauses that hold for
    nearly all that `found` gives; of the rows by which the index on codes answers those, `beside`
    tells which it finds, and hardly any others. `judges` must agree beside, whatever else holds;
    `deciders` stand for the clauses where there are none, and decide what is not asked in SQL. All
    that it finds are records of the patients `owned`, where it names any; of an `id_term` that is
    for one record, `rid` is its key.
    """

    clauses: tuple[Clause, ...]
    row: Write | None = None
    sharpen: Sharpen | None = None
    found: tuple[Arm, ...] = ()
    probe: Write | None = None
    walk: Walk | None = None
    is_exact: bool = True
    drives: bool = False
    is_point: bool = False
    implied: tuple[Clause, ...] = ()
    beside: Write | None = None
    judges: tuple[Judge, ...] = ()
    deciders: tuple[Judge, ...] = ()
    owned: frozenset[int] = frozenset()
    rid: int | None = None

    @property
    def is_negative(self) -> bool:
        """Whether records are wanted for which the operands do not hold."""
        return bool(self.clauses) and self.clauses[0].modifier == "not"


# The key of no record: what is asked of none is asked as of one, lest the plan tell.
NOBODY: Final = frozenset({0})


class Walk(msgspec.Struct, frozen=True):
    """Codes of a keyed parameter, to be walked by time: (key, narrowed system or None for any);
    with `patients` only in their records, with `walls` only in those beside which one of these
    stands, with `value` only where that holds of what stands beside the code.
    """

    pairs: tuple[tuple[int, int | None], ...]
    patients: frozenset[int] = frozenset()
    walls: tuple[int, ...] = ()
    value: Write | None = None


def never(_: Bind) -> str:
    """Holds for no row."""
    return "false"


def always(_: Bind) -> str:
    """Holds for every row."""
    return "true"


def any_key(column: str, keys: set[int]) -> Write:
    """The row's `column`, an array of keys, has one of these."""
    if not keys:
        return never
    return lambda bind: f"r.{column} && {bind(sorted(keys))}::bigint[]"


# So many records by key are few in any table; of more the planner may think that walking an order
# meets enough of them soon, which old ones belie: then it would walk to the end.
_SHORT_MAX: Final = 100


def any_rid(rids: set[int]) -> Write:
    """The row is one of these records."""
    if not rids:
        return never
    ordered = sorted(rids)
    if len(ordered) <= _SHORT_MAX:
        return lambda bind: f"r.rid = any({bind(ordered)}::bigint[])"
    # Behind a subselect the planner does not see how many they are, and looks each up by its key.
    return lambda bind: f"r.rid = any(array(select unnest({bind(ordered)}::bigint[])))"


def among_rids(rids: set[int]) -> Write:
    """The same for very many: the planner sees how many, and may look up in them what it meets."""
    return lambda bind: f"r.rid = any({bind(sorted(rids))}::bigint[])"


def either(*writes: Write) -> Write:
    """At least one holds."""
    if len(writes) == 1:
        return writes[0]
    return lambda bind: "(" + " or ".join(write(bind) for write in writes) + ")"


def both(*writes: Write) -> Write:
    """All hold."""
    return lambda bind: "(" + " and ".join(write(bind) for write in writes) + ")"


def joined(one: Term, other: Term) -> Term:
    """What either term finds."""
    rows = [term.row for term in (one, other) if term.row is not None]
    probes = [term.probe for term in (one, other) if term.probe is not None]
    has_probes = len(probes) == sum(bool(term.found) for term in (one, other))
    return Term(
        one.clauses,
        row=either(*rows) if rows else None,
        found=(*one.found, *other.found),
        probe=either(*probes) if probes and has_probes else None,
        is_exact=one.is_exact and other.is_exact,
    )


def pieces(column: str, needed: Needed) -> Write:
    """The array `column` has of each group at least one alternative."""

    def write(bind: Bind) -> str:
        groups = [
            "(" + " or ".join(f"{column} @> {bind(list(keys))}::bigint[]" for keys in group) + ")"
            for group in needed
        ]
        return "(" + " and ".join(groups) + ")"

    return write


def is_present(scope: Scope, name: str, *, is_missing: bool = False) -> Write:
    """The row has a value for the parameter, or with `is_missing` has none."""
    if GENERATION in name:
        # A custom parameter has a key for being there, and one type that is asked.
        there = any_key("tokens", {scope.context.keying.present(scope.definitions[0].name, name)})
        # A record without any key has no array.
        return (lambda bind: f"{there(bind)} is not true") if is_missing else there
    masks: dict[int, list[int]] = {}
    for definition in scope.definitions:
        masks.setdefault(mask_of(definition.params[name].bit), []).append(definition.number)
    sign = "=" if is_missing else "<>"

    def write(bind: Bind) -> str:
        parts = []
        for mask, numbers in masks.items():
            of_types = f"r.type = any({bind(numbers)}::smallint[])" if len(masks) > 1 else "true"
            parts.append(f"({of_types} and r.present & {bind(mask)}::bigint {sign} 0)")
        return "(" + " or ".join(parts) + ")"

    return write


def mask_of(bit: int) -> int:
    """A parameter's bit in `present`, as a signed number."""
    return 1 << bit if bit < 63 else -(1 << 63)
