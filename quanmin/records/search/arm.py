"""Subselects of record keys from a side table: all of them, or the first few along the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from quanmin.records.visibility_sql import Bind

SAMPLED: Final = 32

Write = Callable[[Bind], str]
"""Writes a piece of SQL, taking its values into the statement it becomes part of."""


class Arm(msgspec.Struct, frozen=True):
    """`whole` gives every record key; `first` at most so many, without reading what lies between;
    `sample`, where it is given, those of every `SAMPLED`th of many keys, of each at most so many.

    The order makes the planner follow the index: for a common key it would otherwise read the
    table from its beginning and trust to meet the key soon, which a bulk load by type belies.
    """

    whole: Write
    first: Callable[[Bind, int], str]
    sample: Callable[[Bind, int], str] | None = None


def side_arm(table: str, keys: Iterable[int], condition: Write, order: str) -> Arm:
    """Rows `s` of a side table under one of `keys` for which the condition holds.

    `order` is that of the index that serves the condition.
    """
    ordered = sorted(set(keys))
    select = f"select s.rid from records.{table} s where"

    def whole(bind: Bind) -> str:
        one = f"s.key = {bind(ordered[0])}::bigint" if len(ordered) == 1 else ""
        return f"{select} {one or f's.key = any({bind(ordered)}::bigint[])'} and {condition(bind)}"

    def first(bind: Bind, limit: int) -> str:
        if len(ordered) == 1:
            return f"({whole(bind)} order by {order} limit {limit})"
        of_key = f"{select} s.key = w.key and {condition(bind)} order by {order} limit {limit}"
        keys_given = f"unnest({bind(ordered)}::bigint[]) as w (key)"
        return f"(select f.rid from {keys_given} cross join lateral ({of_key}) f limit {limit})"

    return Arm(whole, first)


def record_arm(condition: Write) -> Arm:
    """Rows `r` of the records themselves."""

    def whole(bind: Bind) -> str:
        return f"select r.rid from records.record r where r.flags & 1 <> 1 and {condition(bind)}"

    return Arm(whole, lambda bind, limit: f"({whole(bind)} limit {limit})")
