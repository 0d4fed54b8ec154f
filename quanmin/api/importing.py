"""`$import`: taking in many records from files, and telling what became of them.

The files are named in a Parameters resource, or the lines are sent as the body itself. Either way
the answer comes later (`quanmin/api/later.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.api.later import Answer, Later, begin, refuse_unless_waiting
from quanmin.api.moments import instant
from quanmin.api.negotiation import FHIR_NDJSON, check_content_type, is_ndjson
from quanmin.api.parameters import Parameters, missing
from quanmin.api.reply import Reply
from quanmin.base.fetching import FetchPlaces
from quanmin.base.problems import Issue, Malformed, NotSupported, Overloaded, TooLarge
from quanmin.base.spool import Spool
from quanmin.base.unpacking import Gunzip
from quanmin.fhir.table import load_table
from quanmin.trust.imports import KIND, Filling, ImportLimits, Source, Wanted, put_inputs

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.base.database import Connection
    from quanmin.trust import Errand

_PARAMETERS: Final = frozenset({"inputFormat", "inputSource", "storageDetail", "input"})
_STORAGES: Final = frozenset({"https", "file"})
_RETRY_SECONDS: Final = 60


class Arrivals:
    """What a worker takes files in with: the spool, where files may come from, and the limits."""

    def __init__(self, spool: Spool, places: FetchPlaces, limits: ImportLimits) -> None:
        self.spool = spool
        self.places = places
        self.limits = limits
        self._arriving = 0

    def __enter__(self) -> None:
        if self._arriving >= self.limits.uploads_max:
            raise Overloaded(
                "other files are arriving: send yours again in a minute",
                retry_after_seconds=_RETRY_SECONDS,
            )
        self._arriving += 1

    def __exit__(self, *_: object) -> None:
        self._arriving -= 1


async def begin_import(call: Call) -> Reply:
    """202 when the import is durable: everything that it needs is on disk or named."""
    arrivals = call.desk.arrivals
    if arrivals is None:
        raise NotSupported("this node takes no imports")
    refuse_unless_waiting(call)
    await call.records.refuse_unless_writing()
    kind = call.request.header(b"content-type") or ""
    if is_ndjson(kind):
        if call.pairs:
            raise Malformed("the lines are the body: leave the parameters of the address out")
        source = await _receive(call, arrivals)
        try:
            return await _begin(call, (source,))
        except BaseException:
            arrivals.spool.remove(source.spool)
            raise
    check_content_type(kind, is_form=False)
    bytes_max = call.desk.limits.form_bytes_max
    body = b"".join([part async for part in _unpacked(call, bytes_max)])
    return await _begin(call, _sources(msgspec.structs.replace(call, body=body), arrivals))


async def _begin(call: Call, sources: tuple[Source, ...]) -> Reply:
    async def prepare(connection: Connection, job: int) -> None:
        await put_inputs(connection, job, sources)

    return await begin(call, KIND, Wanted(sources), prepare=prepare)


# ---- the lines themselves ------------------------------------------------------------------------


async def _receive(call: Call, arrivals: Arrivals) -> Source:
    limits = arrivals.limits
    with arrivals, arrivals.spool.create() as file:
        filling = Filling(file, limits)
        async for chunk in _unpacked(call, limits.file_bytes_max):
            filling.add(chunk)
        lines = await asyncio.to_thread(filling.finish)
    if not lines:
        arrivals.spool.remove(file.name)
        raise Malformed("the body has no lines: send one resource a line")
    return Source(spool=file.name, lines=lines)


async def _unpacked(call: Call, bytes_max: int) -> AsyncIterator[bytes]:
    """The body in chunks, unpacked. Raises TooLarge, Malformed."""
    request = call.request
    is_packed = (request.header(b"content-encoding") or "identity").strip().lower() != "identity"
    unpack = Gunzip() if is_packed else None
    total = 0
    async for chunk in request.stream(bytes_max):
        request.received_bytes += len(chunk)
        for plain in unpack.feed(chunk) if unpack else (chunk,):
            total += len(plain)
            if total > bytes_max:
                raise TooLarge(f"the body is larger than {bytes_max} bytes: send it in parts")
            yield plain
    if unpack:
        unpack.finish()


# ---- files that are named ------------------------------------------------------------------------


def _sources(call: Call, arrivals: Arrivals) -> tuple[Source, ...]:
    said = Parameters(call, _PARAMETERS)
    if not is_ndjson(said.need("inputFormat")):
        raise NotSupported("inputFormat: this node reads application/fhir+ndjson")
    said.text("inputSource")  # where the files come from at first: for people to read
    detail = said.parts("storageDetail")
    storage = detail[0].get("type", "https") if detail else "https"
    if not isinstance(storage, str) or storage not in _STORAGES:
        raise NotSupported(
            f"storageDetail: this node reads files by {' and '.join(sorted(_STORAGES))}, it has no"
            " access to stores of other kinds"
        )
    inputs = said.parts("input")
    if not inputs:
        raise missing("name at least one input with its url")
    if len(inputs) > arrivals.limits.inputs_max:
        raise TooLarge(
            f"{len(inputs)} files are named, more than `imports.inputs_max`"
            f" ({arrivals.limits.inputs_max}): import them in several requests"
        )
    owner = "" if call.records.actor.role == "operator" else call.actor
    return tuple(_source(number, each, arrivals, owner) for number, each in enumerate(inputs))


def _source(number: int, given: dict[str, Any], arrivals: Arrivals, owner: str) -> Source:
    url, type_ = given.get("url"), given.get("type") or ""
    where = f"Parameters.parameter.where(name = 'input')[{number}]"
    if not isinstance(url, str):
        text = "an input needs its url"
        raise Malformed(text, issues=(Issue("error", "required", text, where),))
    if type_ and (not isinstance(type_, str) or type_ not in load_table().types):
        text = f"{str(type_)[:64]!r} is not a resource type of FHIR R4"
        raise Malformed(text, issues=(Issue("error", "value", text, where),))
    arrivals.places.check(url, owner)
    return Source(url=url, type=type_)


# ---- what became of it ---------------------------------------------------------------------------


async def _answer(call: Call, errand: Errand) -> Answer:
    """What was written of each file and type, and where to read what was refused."""
    number = errand.job.number
    sources = msgspec.convert(errand.mandate.asked, Wanted).sources
    output: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    files = await call.records.imports.refused_files(number)
    for one in await call.records.imports.inputs(number):
        named = {"inputUrl": sources[one.input].url} if sources[one.input].url else {}
        output += [{"type": t, "count": n, **named} for t, n in sorted(one.counts.items())]
        kept = [file for file in files if file.input == one.input]
        errors += [
            {
                "type": "OperationOutcome",
                "count": file.outcomes,
                "url": f"{call.base}/_job/{number}/{file.name}",
                **named,
            }
            for file in kept
        ]
        more = one.refused - sum(file.outcomes for file in kept)
        if more:
            errors.append({"type": "OperationOutcome", "count": more, **named})
    body = {
        "transactionTime": instant(errand.job.created_at, call.desk.zone),
        "request": errand.mandate.address,
        "requiresAccessToken": True,
        "output": output,
        "error": errors,
    }
    return Answer(msgspec.json.encode(body))


async def _give(call: Call, errand: Errand) -> Reply:
    """One file of OperationOutcomes, each a line that names the line it is about."""
    body = await call.records.imports.refused_file(errand.job.number, call.parts[2])
    return Reply(200, body, content_type=FHIR_NDJSON)


async def _discard(call: Call, errand: Errand) -> None:
    arrivals = call.desk.arrivals
    for name in await call.records.imports.forget(errand.job.number):
        if arrivals is not None:
            arrivals.spool.remove(name)


IMPORT: Final = Later(kind=KIND, answer=_answer, discard=_discard, file=_give)
