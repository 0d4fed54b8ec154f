"""The files that were made for whoever has signed in, or are being made: their states, and they."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from starlette.responses import Response, StreamingResponse

from quanmin.base.growing import Part, Vault, as_plain
from quanmin.base.problems import Gone, NotFound, Overloaded, Unauthenticated
from quanmin.trust import Errand, GuardedRecords
from quanmin.trust.exporting import Taken
from quanmin.trust.lifecycle.handing_out import MAKING
from quanmin.web.forms import Cell, read_number
from quanmin.web.made import ADDRESS, Asked, Made
from quanmin.web.making import Finished, find_made
from quanmin.web.route import SIGNED_IN, Page, page
from quanmin.web.tables import Heading, Table, known, table
from quanmin.web.visit import Visit

_PURPOSE: Final = "HOPERAT"
_LISTED_MAX: Final = 200
_MEGABYTE: Final = 1_000_000

State = Literal["making", "ready", "failed", "gone"]


class _File(msgspec.Struct, frozen=True):
    """A file as its pages tell of it."""

    errand: Errand
    asked: Asked
    made: Made
    state: State
    until: int

    @property
    def number(self) -> int:
        return self.errand.job.number

    @property
    def finished(self) -> Finished:
        return msgspec.convert(self.errand.job.result, Finished)

    @property
    def part(self) -> Part:
        return self.finished.part


@table(ADDRESS, access=SIGNED_IN, name="files")
async def files(visit: Visit) -> Table:
    """The files of whoever asks, the newest first."""
    say = visit.say
    errands = await _records(visit).errands.listed(MAKING, count=_LISTED_MAX)
    found = [one for errand in errands if (one := _known(visit, errand)) and one.state != "gone"]
    headings = [Heading(say("File")), Heading(say("State")), Heading(say("Asked for")),
                Heading(say("Lines")), Heading(say("Kept until"))]  # fmt: skip
    return Table(
        title=say("Files made for you"),
        headings=headings,
        fetch=known([_cells(visit, one) for one in found], headings, ""),
        empty=say("Ask for a file on the page of what it is made of; it is then listed here."),
    )


def _cells(visit: Visit, one: _File) -> list[Cell]:
    words: dict[State, str] = {
        "making": visit.say("being made"),
        "ready": visit.say("ready"),
        "failed": visit.say("could not be made"),
    }
    job, is_ready = one.errand.job, one.state == "ready"
    return [
        Cell(_title(visit, one), f"{ADDRESS}/{one.number}"),
        Cell(words[one.state]),
        Cell(visit.moment(job.created_at)),
        Cell(str(one.part.count if is_ready else job.done), is_number=True),
        Cell(visit.moment(one.until) if is_ready else "–"),
    ]


@page(f"{ADDRESS}/{{number}}", access=SIGNED_IN, methods=("GET", "POST"))
async def status(visit: Visit) -> Response:
    """How far a file has come; by POST: make it no more, or remove it."""
    one = await _asked_for(visit)
    if visit.request.method == "POST":
        await _records(visit).errands.dismiss(one.number)
        if one.state != "making":  # what is being made is removed by who makes it
            await _shelf(visit).remove(one.number)
        return visit.go(ADDRESS)
    is_still = visit.asked("still") == "1"
    seconds = visit.house.settings.pages.made_look_seconds
    looks = one.state == "making" and not is_still
    job = one.errand.job
    lines = one.part.count if one.state == "ready" else job.done
    response = visit.page(
        "kit/made.html",
        title=_title(visit, one),
        state=one.state,
        lines=lines,
        count=visit.pen.number(lines),
        size=f"{one.part.plain_bytes / _MEGABYTE:.1f}" if one.state == "ready" else "",
        until=visit.moment(one.until),
        reason=visit.say(job.reasons[-1].text) if job.reasons else "",
        seconds=seconds if looks else 0,
        address=f"{ADDRESS}/{one.number}",
        back=one.errand.mandate.address,
        files=ADDRESS,
    )
    if looks:
        # By a header and not by the page, which can be asked to stay as it is.
        response.headers["Refresh"] = str(seconds)
    return response


@page(f"{ADDRESS}/{{number}}/file", access=SIGNED_IN)
async def fetch(visit: Visit) -> Response:
    """The file. Raises Gone for one whose time is over, or of which something is not open any more
    to who asked for it; NotFound while it is being made.
    """
    one = await _asked_for(visit)
    if one.state == "gone":
        raise Gone("this file has been removed: ask for a new one")
    if one.state != "ready":
        raise NotFound("this file is not made yet: its page says how far it has come")
    errand, job, part = one.errand, one.errand.job, one.part
    exporting = _records(visit, errand.purpose, one.asked.application).exporting
    await exporting.refuse_withdrawn(Taken(job.owner, errand.request, one.finished.since))
    await exporting.note_download(None, part.count)
    vault = _shelf(visit).vault(job.number, one.asked.key(), one.asked.suite)
    try:
        content = _plain(vault, part, vault.open(part))
    except FileNotFoundError:
        raise Gone("this file has been removed: ask for a new one") from None
    return StreamingResponse(
        content,
        media_type=one.made.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{one.made.file_name}"',
            "Content-Length": str(part.plain_bytes),
        },
    )


def _plain(vault: Vault, part: Part, file: Any) -> Iterator[bytes]:
    with file:
        yield from as_plain(vault.pieces(part, file))


async def _asked_for(visit: Visit) -> _File:
    number = read_number(visit.path("number"))
    errand = None if number is None else await _records(visit).errands.find(number)
    owner = visit.actor.code if visit.actor else ""
    # Operators are told of everybody's errands, but what a file says is its owner's alone.
    if errand is None or (errand.job.kind, errand.job.owner) != (MAKING, owner):
        raise NotFound("there is no such file, or it was removed: ask for it again")
    return _file(visit, errand)


def _file(visit: Visit, errand: Errand) -> _File:
    asked, job = msgspec.convert(errand.mandate.asked, Asked), errand.job
    _, made = find_made(visit.house, asked)
    until = _shelf(visit).kept_until(job)
    state: State = "making"
    if job.state == "dead":
        state = "failed"
    elif job.state == "done":
        state = "ready" if time.time_ns() // 1000 < until else "gone"
    return _File(errand, asked, made, state, until)


def _known(visit: Visit, errand: Errand) -> _File | None:
    """The same; None for one that this node makes no more, as after an update."""
    try:
        return _file(visit, errand)
    except NotFound:
        return None


def _title(visit: Visit, one: _File) -> str:
    words = one.made.title.told(visit.language)
    return f"{words} · {one.asked.about}" if one.asked.about else words


def _shelf(visit: Visit) -> Any:
    shelf = visit.house.settings.made
    if shelf is None:
        raise Overloaded("this node has no place for files", retry_after_seconds=60)
    return shelf


def _records(visit: Visit, purpose: str = _PURPOSE, application: str = "") -> GuardedRecords:
    if visit.actor is None:
        raise Unauthenticated("nobody has signed in")
    guard = visit.house.guard
    records = guard.records(visit.actor, purpose=purpose, request_id=visit.correlation)
    return records.within(application) if application else records


PAGES: Final[tuple[Page, ...]] = (*files, status, fetch)
