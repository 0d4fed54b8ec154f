"""Conditions on rows by lists of keys, of any length: one question of an index for each key, one
look into a hash for each row.

The planner takes an array of a thousand keys for a condition on a good part of all rows and reads
the table, comparing the row's keys with each of them. What is short stays a plain condition, which
it judges well.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

from quanmin.fhir.query import Clause
from quanmin.records.search.arm import SAMPLED, Arm, Write
from quanmin.records.search.term import Term, any_key, either
from quanmin.records.visibility_sql import Bind, of_patients

# A list is long from here: more keys than this are asked one by one.
_SHORT_MAX: Final = 16
# So many keys are asked a part of first.
_SAMPLED_MIN: Final = 512
# What refers to so few patients is read by patient, without measuring.
FEW_PATIENTS: Final = 8

Column = Literal["tokens", "refs"]


def keys_term(
    number: int,
    clauses: tuple[Clause, ...],
    column: Column,
    keys: set[int],
    *others: Write,
    is_exact: bool = True,
) -> Term:
    """Rows of a type with one of these keys in the array `column`, or for which one of `others`
    holds.
    """
    if len(keys) <= _SHORT_MAX:
        plain = any_key(column, keys) if keys or not others else None
        row = either(*((plain,) if plain else ()), *others)
        return Term(clauses, row=row, is_exact=is_exact)
    return Term(
        clauses,
        row=either(*others) if others else None,
        found=(keys_arm(number, column, keys),),
        probe=has_key(column, keys),
        is_exact=is_exact,
    )


def patients_term(
    number: int, clauses: tuple[Clause, ...], patients: set[int], refers: Write | None
) -> Term:
    """Rows of a type that are of these patients and for which `refers`, if given, holds."""

    def write(bind: Bind) -> str:
        owned = of_patients("r", patients, bind)
        return owned if refers is None else f"({owned} and {refers(bind)})"

    if len(patients) <= FEW_PATIENTS:
        return Term(clauses, row=write, drives=True, owned=frozenset(patients))
    arm = _arm(number, patients, "r.patient = w.key", refers)
    return Term(clauses, found=(arm,), probe=write)


def keys_arm(number: int, column: Column, keys: Collection[int]) -> Arm:
    """Records of a type with one of these keys in an array."""
    return _arm(number, keys, f"r.{column} @> array[w.key]", None)


def _arm(number: int, keys: Collection[int], place: str, condition: Write | None) -> Arm:
    """Records of a type by an index that is asked for one key after the other."""
    ordered = sorted(keys)

    def select(bind: Bind, asked: list[int], limit: int | None) -> str:
        more = "" if condition is None else f" and {condition(bind)}"
        return (
            f"select f.rid from unnest({bind(asked)}::bigint[]) as w (key)"
            f" cross join lateral (select r.rid from records.record r where {place}"
            f" and r.type = {bind(number)}::smallint and r.flags & 1 <> 1{more}"
            f"{' offset 0' if limit is None else f' limit {limit}'}) f"
        )

    return Arm(
        lambda bind: select(bind, ordered, None),
        lambda bind, limit: f"({select(bind, ordered, limit)} limit {limit})",
        (lambda bind, limit: f"({select(bind, ordered[::SAMPLED], limit)})")
        if len(ordered) >= _SAMPLED_MIN
        else None,
    )


def has_key(column: Column, keys: Collection[int]) -> Write:
    """The row has one of these keys in an array.

    By a hash of the keys: an array is compared with an array pair by pair, which for a thousand
    keys costs more than reading the row.
    """
    ordered = sorted(keys)
    return lambda bind: (
        f"(select true from unnest(r.{column}) as k (key)"
        f" where k.key = any({bind(ordered)}::bigint[]) limit 1)"
    )
