"""Requests that are answered later: begun, asked about, ended (R4 async.html, Bulk Data export).

An operation that takes long puts a job in and answers 202 at once. The address in
`Content-Location` then tells how far it has come, and at last what came of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.api.moments import http_date
from quanmin.api.negotiation import PLAIN_JSON
from quanmin.api.reply import Headers, Reply
from quanmin.base.problems import Issue, Malformed, NotFound
from quanmin.fhir.outcome import operation_outcome
from quanmin.trust import Mandate

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.base.jobs import Listed
    from quanmin.trust import Errand, Prepare

_NUMBER: Final = re.compile(r"[1-9]\d{0,17}")
_PROGRESS_LENGTH_MAX: Final = 100
# What would be read as an answer about the asking, not about the job.
_ABOUT_THE_ASKING: Final = frozenset({401, 404, 405, 406, 410, 429})


class Answer(msgspec.Struct, frozen=True):
    """What came of a job: the body of the 200, and the moment (microseconds) until which what it
    names is kept.
    """

    body: bytes
    expires: int | None = None


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs of one kind that requests begin are told of.

    `answer` is asked when the job is done; a Problem it raises is the answer instead. `file` gives
    one of the files that the answer names. `discard` removes what the job has left, when its actor
    ends it or wants no more of it.
    """

    kind: str
    answer: Callable[[Call, Errand], Awaitable[Answer]]
    discard: Callable[[Call, Errand], Awaitable[None]] | None = None
    file: Callable[[Call, Errand], Awaitable[Reply]] | None = None


async def begin(call: Call, kind: str, asked: Any, *, prepare: Prepare | None = None) -> Reply:
    """Put in the job that does what was `asked` (JSON), and say where it can be asked about.

    Raises Malformed for a request that does not say that it will wait (R4 async.html), TooMany.
    """
    refuse_unless_waiting(call)
    mandate = Mandate(_address(call), asked)
    open_max = call.desk.limits.jobs_open_max
    number = await call.records.errands.begin(kind, mandate, open_max=open_max, prepare=prepare)
    text = "begun: ask the address in Content-Location how far it has come"
    where = f"{call.base}/_job/{number}".encode("latin-1")
    return Reply(202, _told(text), ((b"content-location", where),))


def refuse_unless_waiting(call: Call) -> None:
    """Raises Malformed for a request that does not say that it will wait (R4 async.html)."""
    if not call.preference.is_async:
        raise Malformed(
            "this takes longer than an answer may: send Prefer: respond-async, and then ask the "
            "address in Content-Location"
        )


async def tell(call: Call) -> Reply:
    """How far a job has come: 202 while it goes on, its answer when it is done, and what stopped it
    when it failed.
    """
    later, errand = await _find(call)
    job = errand.job
    call.desk.polls.spend(f"job {job.number}")
    if job.state == "done":
        answer = await later.answer(call, errand)
        headers: Headers = ()
        if answer.expires is not None:
            headers = ((b"expires", http_date(answer.expires)),)
        return Reply(200, answer.body, headers, PLAIN_JSON)
    if job.state == "dead":
        return _failure(job)
    seconds = max(1, round(1 / call.desk.limits.polls_per_second))
    return Reply(
        202,
        b"",
        (
            (b"x-progress", progress(job, time.time_ns() // 1000).encode("ascii", "replace")),
            (b"retry-after", b"%d" % seconds),
        ),
    )


async def give(call: Call) -> Reply:
    """One of the files that the answer of a job names."""
    later, errand = await _find(call)
    if later.file is None or errand.job.state != "done":
        raise NotFound("the job has no such file: its address says how far it has come")
    return await later.file(call, errand)


async def end(call: Call) -> Reply:
    """End a job, or throw away what it has left; its address is not found any more."""
    later, errand = await _find(call)
    await call.records.errands.dismiss(errand.job.number)
    if later.discard is not None:
        await later.discard(call, errand)
    return Reply(202, _told("ended: nothing of it is kept"))


async def _find(call: Call) -> tuple[Later, Errand]:
    number = call.parts[1]
    if not _NUMBER.fullmatch(number):
        raise NotFound("the address of a job ends with its number")
    errand = await call.records.errands.find(int(number))
    later = call.desk.later.get(errand.job.kind)
    if later is None:
        raise NotFound("this node does not do such jobs any more")
    return later, errand


def progress(job: Listed, now: int) -> str:
    """How far a job that has not ended has come, in at most a hundred characters."""
    counted = f"{job.done:,} of {job.total:,}" if job.total else f"{job.done:,}"
    parts = [_going(job, now), *([f"{counted} done"] if job.done or job.total else [])]
    if job.message:
        parts.append(job.message)
    return ", ".join(parts)[:_PROGRESS_LENGTH_MAX]


def _going(job: Listed, now: int) -> str:
    """Whether anybody is at it. A process that was killed says nothing: its lease runs out."""
    if job.state == "running" and (job.leased_until or 0) >= now:
        return "running"
    if job.attempts:
        return f"waiting to go on after {job.attempts} failures"
    return "interrupted" if job.state == "running" else "waiting"


def _failure(job: Listed) -> Reply:
    reason = job.reasons[-1] if job.reasons else None
    status = 500 if reason is None else reason.status
    if status in _ABOUT_THE_ASKING:
        status = 422
    text = "the job failed" if reason is None else reason.text
    return Reply(status, operation_outcome((Issue("error", "processing", text),)))


def _told(text: str) -> bytes:
    return operation_outcome((Issue("information", "informational", text),))


def _address(call: Call) -> str:
    """The address of the request as it was; parameters in a body are not part of it."""
    request = call.request
    parts = "/".join(call.parts)
    query = request.query.decode("latin-1")
    return f"{call.base}/{parts}?{query}" if query else f"{call.base}/{parts}"
