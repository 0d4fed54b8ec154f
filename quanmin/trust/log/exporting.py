"""Takes the log out: its AuditEvents one after the other, with the proofs of their entries."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from quanmin.trust.log.audit_event import TYPE
from quanmin.trust.log.entry import Access, Place
from quanmin.trust.log.keeping import NODE
from quanmin.trust.log.proving import Proof, prove
from quanmin.trust.log.reading import events_of
from quanmin.trust.log.searching import parts_of

if TYPE_CHECKING:
    from quanmin.trust.guarding import Guarding

_AT_ONCE: Final = 500
_HEADS: Final = """
    select lane, n from trust.access
    where part_lane is null and (lane, n) > ($1::int, $2::bigint) and at >= $3 and at < $4
    order by lane, n limit $5
"""


async def take_out(
    guard: Guarding, low: int, high: int, *, with_proofs: bool, after: Place | None = None
) -> AsyncIterator[tuple[list[bytes], list[Proof]]]:
    """The events of requests from one moment to before another (microseconds), lane by lane, some
    at a time, each with the proofs of its entries if they are asked for; only those `after` one,
    in this order.

    It is for whoever runs the node; that it was done is an entry, committed before anything is
    given.
    """
    asked = Access(
        at=time.time_ns() // 1000,
        request="",
        actor=NODE,
        role="operator",
        purpose="HSYSADMIN",
        action="export",
        type=TYPE,
        outcome="ok",
        hits=0,
    )
    await guard.log.note([asked])
    last = after or Place(0, 0)
    while True:
        async with guard.store.reading(guard.store.whole_node) as connection:
            rows = await connection.fetch(_HEADS, last.lane, last.number, low, high, _AT_ONCE)
            if not rows:
                return
            heads = [Place(row["lane"], row["n"]) for row in rows]
            events = await events_of(connection, guard, heads)
            proofs: list[Proof] = []
            if with_proofs:
                for parts in await parts_of(connection, heads):
                    for part in parts:
                        node = guard.log.notary.node
                        proofs.append(await prove(connection, node, part.place, is_open=True))
        last = heads[-1]
        yield [event.stored.body or b"" for event in events], proofs
