"""What the guard adds to a search: the same searches of the same records, bare and through it.

    PYTHONPATH=benchmarks python benchmarks/guard_overhead.py --folder FOLDER [--requests 60]
        [--only SHAPE ...]

The folder is one that `make bench-search` has filled. Bare is the store's own search with nothing
hidden and nothing logged. Through the guard ask the node's own account, and a doctor whom every
person has permitted, while refusals and sensitive kinds are looked for: registers asked, rules
compiled, their condition in the statement, and an entry of the access log for each search. That
entry is told apart: a fourth hand searches bare and writes it. They take turns on the same
questions, each in blocks, four at once, as a worker is asked. What is told is processor time, of
this process and of the database, for one search.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
from node_under_test import NodeUnderTest
from rich.console import Console
from rich.table import Table
from search import fill
from search.facts import drawn_from
from search.shapes import SHAPES, Asked

from quanmin.base.problems import Problem
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.query import Query
from quanmin.node.reach import reached_database
from quanmin.node.server import Node, open_node
from quanmin.trust import Actor
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.log import Notes
from quanmin.trust.showing import search_seen

DOCTOR = Actor("bench-doctor", "doctor", "Doctor", "bench")
OPERATOR = Actor("operator", "operator", "Node", "")
_BLOCK, _AT_ONCE = 16, 4
_PERMITTED = """
    insert into records.granted (bucket, patient, grantee, about, source)
    select bucket, rid, $1, rid, rid from records.record where type = $2 and flags & 1 = 0
    on conflict do nothing
"""
_REFUSED = """
    insert into records.granted (bucket, patient, grantee, about, source)
    values (0, -1, $1, -1, -1) on conflict do nothing
"""

Ask = Callable[[Query], Awaitable[Any]]


def main() -> None:
    """Measure, and print a row for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    # The doctor is in no register.
    os.environ["QUANMIN_REGISTERS_POSTS_REQUIRED"] = "false"
    node = fill.open_folder(options.folder)
    node.start()
    try:
        facts = drawn_from(node)
        names = options.only or list(SHAPES)
        asked = {name: [SHAPES[name](facts) for _ in range(options.requests)] for name in names}
        with reached_database(node.settings) as dsn:
            asyncio.run(_measure(node, dsn, asked))
    finally:
        node.stop()


async def _measure(node: NodeUnderTest, dsn: str, asked: dict[str, list[Asked]]) -> None:
    console = Console(width=150)
    table = Table(
        *("shape", "bare us", "entry of the log", "node's account", "doctor"),
        *("doctor, guard alone", "process", "database"),
    )
    async with open_node(node.settings, dsn, connections_max=_AT_ONCE) as opened:
        await _permit(opened)
        hands = await _hands(opened)
        sums = dict.fromkeys(hands, 0.0)
        for name, several in asked.items():
            spent = await _take_turns(node, opened, hands, several)
            if spent is None:
                continue
            whole = {hand: sum(spent[hand]) for hand in hands}
            for hand in hands:
                sums[hand] += whole[hand]
            table.add_row(
                name,
                *_shares(whole),
                *(
                    f"{after - before:+.0f} us"
                    for before, after in zip(spent["logged"], spent["doctor"], strict=True)
                ),
            )
        table.add_row("all together", *_shares(sums))
    console.print(table)


def _shares(spent: dict[str, float]) -> list[str]:
    """The bare microseconds, and what comes to them as a share of them."""
    bare = spent["bare"]
    more = [spent[hand] - bare for hand in ("logged", "own", "doctor")]
    more.append(spent["doctor"] - spent["logged"])
    return [f"{bare:.0f}", *(f"{one / bare:+.0%}" for one in more)]


async def _permit(opened: Node) -> None:
    """Everybody permits the doctor's institution; one who is nobody refuses all."""
    store = opened.guard.store
    sender = await store.sender(DOCTOR.sender)
    mine = Grantees(store.context.keying)
    patients = store.context.definition("Patient").number
    async with opened.pool.acquire() as connection:
        await connection.execute(_PERMITTED, mine.named("permit", sender, "TREAT"), patients)
        await connection.execute(_REFUSED, mine.named("refuse", "*", "*"))
        await connection.execute("analyze")  # a node that runs for a while has done it itself


async def _hands(opened: Node) -> dict[str, Ask]:
    guard = opened.guard
    _, rights = await guard.own_rights(OPERATOR, "TREAT")

    async def bare(query: Query) -> None:
        async with guard.store.reading() as connection:
            await search_seen(connection, guard.store.context, rights, query)

    async def logged(query: Query) -> None:
        async with guard.store.reading() as connection:
            hits = await search_seen(connection, guard.store.context, rights, query)
        notes = Notes(guard.log, guard.now, OPERATOR, "TREAT", "bench")
        await notes.note("search", query.type, "ok", (*hits.matches, *hits.included))

    async def own(query: Query) -> None:
        await guard.records(OPERATOR, purpose="TREAT", request_id="bench").search(query)

    async def doctor(query: Query) -> None:
        await guard.records(DOCTOR, purpose="TREAT", request_id="bench").search(query)

    return {"bare": bare, "logged": logged, "own": own, "doctor": doctor}


async def _take_turns(
    node: NodeUnderTest, opened: Node, hands: dict[str, Ask], several: list[Asked]
) -> dict[str, tuple[float, float]] | None:
    """Microseconds of processor of each hand: in this process, and in the database."""
    context = opened.guard.store.context
    queries = [
        parse_query(type_, pairs, strict=True, zone=context.zone, limits=context.query_limits)
        for type_, pairs in several
    ]
    spent = {hand: [0.0, 0.0] for hand in hands}
    try:
        for hand in hands.values():
            await _ask(hand, queries[:_BLOCK])
    except (Problem, asyncpg.PostgresError) as problem:
        Console(stderr=True).print(f"{several[0]}: {problem}"[:200])
        return None
    order = list(hands)
    for at in range(0, len(queries), _BLOCK):
        order.append(order.pop(0))
        for hand in order:
            before = node.used().postgres, time.process_time()
            await _ask(hands[hand], queries[at : at + _BLOCK])
            after = node.used().postgres, time.process_time()
            spent[hand][0] += after[1] - before[1]
            spent[hand][1] += after[0] - before[0]
    each = 1e6 / len(queries)
    return {hand: (python * each, postgres * each) for hand, (python, postgres) in spent.items()}


async def _ask(hand: Ask, queries: list[Query]) -> None:
    waiting = list(reversed(queries))

    async def one() -> None:
        while waiting:
            await hand(waiting.pop())

    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    main()
