"""Fills a node with what pages are asked of, and goes on where it was interrupted.

    PYTHONPATH=benchmarks python -m pages.fill --folder FOLDER --size 100k|1m|10m

First the records of `search.fill`, so that a folder of searches can be taken; then the invented
province of the demonstration with its institutions, staff and accounts; then the county's persons
until there are so many. Beside the node stands how many blocks of persons were begun.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import AsyncExitStack
from datetime import date, datetime
from multiprocessing import get_context
from pathlib import Path

import asyncpg
import msgspec
import uvloop
from node_under_test import NodeUnderTest
from search import fill as records

from pages import county
from quanmin.base.lifetime import end_with
from quanmin.fhir.table import load_table
from quanmin.node.first_actors import keep
from quanmin.node.loading import Writer
from quanmin.node.memory import settle
from quanmin.node.pieces import Piece
from quanmin.node.places import Enrolled
from quanmin.node.reach import reached_database
from quanmin.node.server import Node, open_node
from quanmin.node.settings import Settings, pack, unpack
from quanmin.trust import Actor

PERSONS = {"100k": 10_000, "1m": 100_000, "10m": 1_000_000}
_PEOPLE = {"100k": 200, "1m": 1_000, "10m": 2_000}
_SEED = 1
_WRITERS = 2
_OUTSTANDING = 8
_COUNT = "select count(distinct person) from people.link"


class Filled(msgspec.Struct):
    """How far the county is, and what it took: seconds by the clock, processor seconds."""

    begun: int = 0
    today: str = ""
    resources: int = 0
    seconds: float = 0
    has_province: bool = False

    @classmethod
    def of(cls, node: NodeUnderTest) -> Filled:
        """What is written beside the node."""
        path = _path(node)
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def keep(self, node: NodeUnderTest) -> None:
        """Write it beside the node."""
        _path(node).write_bytes(msgspec.json.encode(self))


def fill(node: NodeUnderTest, size: str) -> None:
    """Make the node, which runs, as large as a size is."""
    records.fill(node, records.SIZES[size])
    filled = Filled.of(node)
    if not filled.has_province:
        print(f"the invented province of {_PEOPLE[size]:,} people", flush=True)
        node.run("demo", "--people", str(_PEOPLE[size]))
        filled.has_province = True
        filled.today = datetime.now(node.settings.zone).date().isoformat()
        filled.keep(node)
    while (there := persons(node)) < PERSONS[size]:
        print(f"{there:,} of {PERSONS[size]:,} persons", flush=True)
        # A second registration in twenty is of somebody who is counted already.
        _load(node, filled, -(-(PERSONS[size] - there) // county.PERSONS_A_BLOCK))
    print(f"{there:,} persons, {node.resources():,} resources", flush=True)


def persons(node: NodeUnderTest) -> int:
    """How many persons there are, however often they are registered."""

    async def counted(connection: asyncpg.Connection[asyncpg.Record]) -> int:
        return int(await connection.fetchval(_COUNT))

    return node.ask(counted)


def _load(node: NodeUnderTest, filled: Filled, blocks: int) -> None:
    settings = node.settings
    load_table()
    with reached_database(settings) as dsn:
        asyncio.run(_enrol(settings, dsn, node))
        with ProcessPoolExecutor(
            _WRITERS,
            mp_context=get_context("fork"),
            initializer=_open,
            initargs=(os.getpid(), pack(settings), dsn),
        ) as pool:
            for number in range(filled.begun, filled.begun + blocks):
                filled.begun = number + 1
                filled.keep(node)
                began = time.perf_counter()
                filled.resources += _write_block(pool, number, date.fromisoformat(filled.today))
                filled.seconds += time.perf_counter() - began
                filled.keep(node)
                if number % 10 == 0:
                    print(f"  block {number}, {filled.resources:,} resources", flush=True)


def _write_block(pool: ProcessPoolExecutor, number: int, today: date) -> int:
    actor, under_way = county.institution_of(number), set[Future[int]]()
    written = 0
    for bundle in county.block(_SEED, number, today):
        under_way.add(pool.submit(_write, actor, bundle.body))
        if len(under_way) >= _OUTSTANDING:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            written += sum(one.result() for one in done)
    return written + sum(one.result() for one in under_way)


async def _enrol(settings: Settings, dsn: str, node: NodeUnderTest) -> None:
    """The institutions that the node does not know yet, as systems that send."""
    async with open_node(settings, dsn, connections_max=2) as opened:
        for actor in list(_missing(node)):
            token = await opened.actors.enrol(actor)
            keep(node.places, (Enrolled(actor.code, actor.role, actor.name, token),))


def _missing(node: NodeUnderTest) -> Iterator[Actor]:
    known = {each.code for each in node.places.tokens()}
    return (actor for actor in county.INSTITUTIONS if actor.code not in known)


class _Process:
    """What one writing process keeps between bundles."""

    runner: asyncio.Runner
    stack: AsyncExitStack
    node: Node
    writers: dict[str, Writer]


def _open(parent: int, settings: bytes, dsn: str) -> None:
    end_with(parent)
    process = _Process
    process.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    process.stack, process.writers = AsyncExitStack(), {}
    opened = open_node(unpack(settings), dsn, connections_max=3)
    process.node = process.runner.run(process.stack.enter_async_context(opened))
    settle()


def _write(actor: Actor, body: bytes) -> int:
    """Write a bundle as an institution; how many records were stored. Ends at what is refused."""
    if actor.code not in _Process.writers:
        _Process.writers[actor.code] = Writer(_Process.node, actor)
    written = _Process.runner.run(
        _Process.writers[actor.code].write(Piece("county", "requests", (body,), (0,)))
    )
    if written.refusals:
        raise SystemExit(f"refused: {written.refusals[0]}")
    return sum(written.counts.values())


def _path(node: NodeUnderTest) -> Path:
    return node.folder / "county.json"


def main() -> None:
    """Start the node, fill it, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", choices=PERSONS, required=True)
    asked = parser.parse_args()
    node = records.open_folder(asked.folder)
    if node.places.running() is None:
        node.start()
    try:
        fill(node, asked.size)
    finally:
        node.stop()


if __name__ == "__main__":
    main()
