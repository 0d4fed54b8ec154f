"""Whether what is in a store was kept between its temperatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from types import MappingProxyType

import msgspec

from quanmin.workflow.states import Words
from quanmin.workflow.stock.products import definition


class Store(Words, frozen=True, kw_only=True):
    """A kind of store and the temperatures (°C) between which it keeps, both included."""

    least: Decimal
    most: Decimal

    def keeps(self, celsius: Decimal) -> bool:
        """Whether a temperature is as it must be."""
        return self.least <= celsius <= self.most


class Excursion(msgspec.Struct, frozen=True, kw_only=True):
    """Readings beyond the limits, one after the other: from the first of them until the next one
    within, None while there is none. `extreme` is the one that is farthest out.
    """

    begins: datetime
    ends: datetime | None
    extreme: Decimal

    def touches(self, since: datetime, judged: datetime | None) -> bool:
        """Whether it concerns what has been in the store since then, beyond what was judged."""
        last = self.ends
        return (last is None or last > since) and (judged is None or last is None or last > judged)


@cache
def stores() -> Mapping[str, Store]:
    """The kinds of store, by code."""
    rows = definition("cold_chain")["store"]
    return MappingProxyType(
        {one["code"]: msgspec.convert(one, Store, strict=False) for one in rows}
    )


@cache
def silence() -> timedelta:
    """For how long nothing may be read before nobody knows."""
    return timedelta(hours=definition("cold_chain")["definition"]["silent_hours"])


def excursions(store: Store, readings: Iterable[tuple[datetime, Decimal]]) -> tuple[Excursion, ...]:
    """The excursions among readings, in their order of time."""
    found: list[Excursion] = []
    begun: datetime | None = None
    extreme = Decimal(0)
    for at, celsius in sorted(readings):
        if store.keeps(celsius):
            if begun is not None:
                found.append(Excursion(begins=begun, ends=at, extreme=extreme))
            begun = None
            continue
        is_first = begun is None
        begun = at if begun is None else begun
        if is_first or _beyond(store, celsius) > _beyond(store, extreme):
            extreme = celsius
    if begun is not None:
        found.append(Excursion(begins=begun, ends=None, extreme=extreme))
    return tuple(found)


def _beyond(store: Store, celsius: Decimal) -> Decimal:
    return max(store.least - celsius, celsius - store.most)
