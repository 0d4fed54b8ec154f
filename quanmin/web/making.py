"""The job that makes the files which applications declare: each step makes some pieces and commits
how far it has come, and the last one tells who asked that there is something to fetch.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from quanmin.base.crypto import SUITES
from quanmin.base.database import Connection
from quanmin.base.growing import Part, Shelf, Vault, as_plain
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.base.problems import NotFound
from quanmin.trust import Actors, GuardedRecords, carry_on
from quanmin.trust.lifecycle.handing_out import MAKING, begin_handing_out
from quanmin.trust.notices import About, tell_account
from quanmin.web.application import Application
from quanmin.web.house import House
from quanmin.web.made import Asked, Made, Making
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit

_NOTICE: Final = "file-made"
_PLACE: Final = b"place"


class Position(msgspec.Struct, frozen=True):
    """How far a file has come that was begun at a moment (microseconds): as much of it as counts,
    and where to go on, sealed, as it may tell of records.
    """

    since: int
    part: Part
    place: str = ""


class Finished(msgspec.Struct, frozen=True):
    """What has come of it: since when it was made, and the file."""

    since: int
    part: Part


def making_kind(actors: Actors, shelf: Shelf, open_house: Callable[[], House]) -> Kind:
    """The kind of job that makes files. The house is opened when the first is asked for."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        house = open_house()
        records, mandate = await carry_on(house.guard, actors, job)
        asked = msgspec.convert(mandate.asked, Asked)
        application, made = find_made(house, asked)
        vault = shelf.vault(job.number, asked.key(), asked.suite)
        if job.position is None:
            await asyncio.to_thread(vault.make)
            at = Position(house.guard.now(), Part(name="whole", type=made.media_type))
        else:
            at = msgspec.convert(job.position, Position)
        await house.guard.registered.refuse(application=application.name)
        await begin_handing_out(connection)
        maker = _Maker(house, application, asked, records, mandate.address)
        end = time.monotonic() + house.settings.pages.made_step_seconds
        with shelf.writing(), vault.alone():
            # Whoever lost the connection lost the job with it, and must not write any more.
            await connection.fetchval("select 1")
            at, is_whole = await maker.go_on(made, vault, at)
            while not is_whole and time.monotonic() < end:
                at, is_whole = await maker.go_on(made, vault, at)
        if not is_whole:
            return Continue(msgspec.to_builtins(at), at.part.count)
        about = About(once=f"made {job.number}")
        await tell_account(connection, asked.account, time.time_ns() // 1000, _NOTICE, about=about)
        return Done(msgspec.to_builtins(Finished(at.since, at.part)))

    async def cancelled(_: Connection, job: Job) -> None:
        await shelf.remove(job.number)

    return Kind(MAKING, step, cancelled)


def find_made(house: House, asked: Asked) -> tuple[Application, Made]:
    """What was asked for, and of which application it is. Raises NotFound when it is no more."""
    for application in house.applications:
        for made in application.makes:
            if (application.name, made.name) == (asked.application, asked.name):
                return application, made
    raise NotFound("this node does not make such files any more")


class _Maker:
    """Makes the pieces of one file in the name of who asked for it."""

    def __init__(
        self,
        house: House,
        application: Application,
        asked: Asked,
        records: GuardedRecords,
        address: str,
    ) -> None:
        kinds = house.notice_kinds_of(application.name)
        self._asked = asked
        self._records = DeclaredRecords(records, application, house.settings.zone, kinds)
        self._visit = Visit(
            request=Request(
                {
                    "type": "http",
                    "method": "GET",
                    "path": address,
                    "path_params": asked.asked,
                    "query_string": urlencode(asked.asked).encode(),
                    "headers": [],
                }
            ),
            house=house,
            language=asked.language,
            is_large=asked.is_large,
            actor=records.actor,
            holder="",
            correlation=records.request_id,
            sent={},
            application=application,
        )

    async def go_on(self, made: Made, vault: Vault, at: Position) -> tuple[Position, bool]:
        """The position after the next piece of this file, and whether that was the last."""

        def written() -> Iterator[bytes]:
            with vault.open(at.part) as file:
                yield from as_plain(vault.pieces(at.part, file))

        place = self._open(at.place) if at.place else None
        piece = await made.make(Making(self._visit, self._records, place, written))
        part = await asyncio.to_thread(vault.append, at.part, piece.content, piece.count)
        if piece.place is None:
            return Position(at.since, part), True
        return Position(at.since, part, self._seal(piece.place)), False

    def _seal(self, place: Any) -> str:
        suite = SUITES[self._asked.suite]
        key = self._asked.key()[: suite.key_bytes]
        return base64.b64encode(suite.seal(key, msgspec.json.encode(place), _PLACE)).decode()

    def _open(self, sealed: str) -> Any:
        suite = SUITES[self._asked.suite]
        key = self._asked.key()[: suite.key_bytes]
        return msgspec.json.decode(suite.open(key, base64.b64decode(sealed), _PLACE))
