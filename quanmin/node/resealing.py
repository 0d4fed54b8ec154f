"""Seals anew, under the newest root of the node's keys, what stands in the database and the ledger
under an older one, beside the requests.

A walk takes some pages of a table at a time, passes over rows that somebody holds, and goes round
again until none is left. Each step commits what it did and where it stands. What opens under no
root, because somebody has changed it, stays as it is and is counted.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from quanmin.base.chained_file import ChainedFile
from quanmin.base.crypto import SUITES, Tampered
from quanmin.base.database import Connection, Database
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.node_keys import NodeKeys, SealedColumn
from quanmin.base.rooted import split_mark
from quanmin.node.key_settings import KeySettings
from quanmin.records.context import Context
from quanmin.trust import drafts, errands, imports
from quanmin.trust.deciding import glass
from quanmin.trust.lifecycle import incidents
from quanmin.trust.notices import sealing
from quanmin.trust.sign_in import id_tokens, totp

log = logging.getLogger("quanmin.keys")

RESEAL: Final = "reseal"
SEALED: Final[tuple[SealedColumn, ...]] = (
    *errands.SEALED,
    *sealing.SEALED,
    *glass.SEALED,
    *imports.SEALED,
    *drafts.SEALED,
    *incidents.SEALED,
    *totp.SEALED,
    *id_tokens.SEALED,
)
_ROWS_A_LOOK: Final = 200
_PAUSE_SECONDS: Final = 0.2
# Whoever has sealed puts it into the database next.
_LINGER_SECONDS: Final = 2.0
_REST_SECONDS_MAX: Final = 5.0
_UNDER_WAY: Final = """
    select array(select virtualtransaction from pg_locks
        where locktype = 'virtualxid' and granted and pid <> pg_backend_pid())
"""
_PAGES: Final = """
    select pg_relation_size($1::text::regclass) / current_setting('block_size')::int
"""
_LISTED: Final = """
    select ctid::text as at from {table} where ctid >= $1::text::tid and ctid < $2::text::tid
        and {present} and node.root_of({sealed}) < $3
"""
_HELD: Final = """
    select ctid::text as held, {sealed} as closed{by} from {table}
    where ctid = any($1::text[]::tid[]) and {present} and node.root_of({sealed}) < $2
    for update skip locked
"""
_COUNTS: Final = "select node.root_of({sealed}) as root, count(*) as count from {table}"
_Phase = Literal["drain", "walk", "ledger"]


class Place(msgspec.Struct, frozen=True):
    """Where the job goes on: at this page of this column. `earlier` are the transactions that were
    under way when it began, `since` (seconds) when they had ended, `found` what the round has
    sealed or passed over, `unopened` what it could not open; `took` is for how long the last step
    worked.
    """

    phase: _Phase = "drain"
    column: int = 0
    page: int = 0
    done: int = 0
    found: int = 0
    unopened: int = 0
    took: float = 0.0
    since: float = 0.0
    earlier: tuple[str, ...] | None = None


def reseal_kind(context: Context, ledger: ChainedFile, settings: KeySettings) -> Kind:
    """The kind of job that seals anew what is under an older root."""
    return Kind(RESEAL, _Resealing(context, ledger, settings).step)


async def put_resealing(connection: Connection, owner: str) -> int:
    """Put the job in, unless one is open; gives its number."""
    return await put(connection, RESEAL, {}, owner=owner, once=RESEAL)


async def count_under(database: Database) -> dict[int, int]:
    """How much of what stands in the database is under each root. Reads every row."""
    counts: Counter[int] = Counter()
    for column in SEALED:
        statement = _COUNTS.format(table=column.table, sealed=_sealed(column))
        where = f" where {_present(column)} group by 1"
        for row in await database.fetch(statement + where):
            counts[row["root"]] += row["count"]
    return dict(counts)


def _sealed(column: SealedColumn) -> str:
    if not column.encoding:
        return column.column
    return f"decode(payload->>'{column.column}', '{column.encoding}')"


def _present(column: SealedColumn) -> str:
    if not column.encoding:
        return f"{column.column} is not null"
    of_kind = f" and kind = '{column.kind}'" if column.kind else ""
    return f"payload ? '{column.column}'{of_kind}"


class _Resealing:
    def __init__(self, context: Context, ledger: ChainedFile, settings: KeySettings) -> None:
        self._context = context
        self._keys: NodeKeys = context.keys
        self._ledger = ledger
        self._settings = settings

    async def step(self, connection: Connection, job: Job) -> Continue | Done:
        if job.position is None:
            counts, newest = await count_under(connection), self._keys.roots()[-1]
            total = sum(count for root, count in counts.items() if root < newest)
            return Continue(msgspec.to_builtins(Place()), 0, total or None, "begins")
        place = msgspec.convert(job.position, Place)
        share = self._settings.reseal_share
        await asyncio.sleep(min(place.took * (1 / share - 1), _REST_SECONDS_MAX))
        started = time.monotonic()
        match place.phase:
            case "drain":
                place = await self._drain(connection, place)
            case "walk":
                place = await self._walk(connection, place)
            case "ledger":
                done = await asyncio.to_thread(self._ledger.seal_anew)
                place = msgspec.structs.replace(place, done=place.done + done)
                if not await self._is_left(connection, place):
                    return _ended(place)
                place = Place("walk", done=place.done)
        place = msgspec.structs.replace(place, took=time.monotonic() - started)
        said = "waits for what began before" if place.phase == "drain" else ""
        return Continue(msgspec.to_builtins(place), place.done, None, said)

    async def _is_left(self, connection: Connection, place: Place) -> bool:
        """Whether another round would seal something: what cannot be opened it would not."""
        newest = self._keys.roots()[-1]
        counts = await count_under(connection)
        left = sum(count for root, count in counts.items() if root < newest)
        return left > place.unopened

    async def _drain(self, connection: Connection, place: Place) -> Place:
        under_way = await connection.fetchval(_UNDER_WAY)
        if place.earlier is None:
            return msgspec.structs.replace(place, earlier=tuple(under_way))
        if not set(place.earlier).isdisjoint(under_way):
            await asyncio.sleep(_PAUSE_SECONDS)
            return place
        if not place.since:
            return msgspec.structs.replace(place, since=time.time())
        if 0 <= time.time() - place.since < _LINGER_SECONDS:
            await asyncio.sleep(_PAUSE_SECONDS)
            return place
        return Place("walk", done=place.done)

    async def _walk(self, connection: Connection, place: Place) -> Place:
        if place.column == len(SEALED):
            return msgspec.structs.replace(place, phase="ledger")
        column, newest = SEALED[place.column], self._keys.roots()[-1]
        if place.page >= await connection.fetchval(_PAGES, column.table):
            return msgspec.structs.replace(place, column=place.column + 1, page=0)
        after = place.page + self._settings.reseal_pages
        rows = await connection.fetch(
            _LISTED.format(table=column.table, present=_present(column), sealed=_sealed(column)),
            f"({place.page},0)",
            f"({after},0)",
            newest,
        )
        done = unopened = 0
        for start in range(0, len(rows), _ROWS_A_LOOK):
            some = [row["at"] for row in rows[start : start + _ROWS_A_LOOK]]
            count, failed = await self._seal(connection, column, some, newest)
            done, unopened = done + count, unopened + failed
        return msgspec.structs.replace(
            place,
            page=after,
            done=place.done + done,
            found=place.found + len(rows),
            unopened=place.unopened + unopened,
        )

    async def _seal(
        self, connection: Connection, column: SealedColumn, at: Sequence[str], newest: int
    ) -> tuple[int, int]:
        """Seal anew what these rows hold, but those that somebody holds; gives how many were and
        how many could not be opened.
        """
        statement = _HELD.format(
            table=column.table,
            sealed=_sealed(column),
            present=_present(column),
            by="".join(f", {name}" for name in column.by),
        )
        changed: list[tuple[str, Any]] = []
        unopened = 0
        for row in await connection.fetch(statement, list(at), newest):
            try:
                changed.append((row["held"], self._anew(column, row)))
            except Tampered:
                unopened += 1
                where = f"{column.table}.{column.column} {row['held']}"
                log.warning("what is sealed opens under no root", extra={"place": where})
        await connection.executemany(_update(column), changed)
        return len(changed), unopened

    def _anew(self, column: SealedColumn, row: Any) -> Any:
        secrets, place = self._keys.rooted(column.purpose), column.place(row)
        plain = secrets.open(row["closed"], place)
        number, _, _ = split_mark(row["closed"])
        sealed = secrets.seal(SUITES[number], plain, place)
        match column.encoding:
            case "base64":
                return base64.b64encode(sealed).decode()
            case "hex":
                return sealed.hex()
        return sealed


def _update(column: SealedColumn) -> str:
    value = f"{column.column} = $2"
    if column.encoding:
        value = f"payload = jsonb_set(payload, '{{{column.column}}}', to_jsonb($2::text))"
    return f"update {column.table} set {value} where ctid = $1::text::tid"  # noqa: S608 - of SEALED


def _ended(place: Place) -> Done:
    said = ""
    if place.unopened:
        said = f"{place.unopened:,} open under no root: the log says where they stand"
    return Done({"sealed": place.done, "unopened": place.unopened}, said)
