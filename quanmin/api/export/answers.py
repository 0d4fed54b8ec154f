"""`$export` at the door: begun, its manifest, and its files (Bulk Data Access 2.0.0,
export.html#request-flow).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from quanmin.api.export.asking import Asked, Asking, Language, members_of, pack_keys, patient_ids
from quanmin.api.export.job import KIND, Exports, finished
from quanmin.api.later import Answer, Later, begin
from quanmin.api.moments import instant
from quanmin.api.negotiation import FHIR_NDJSON, accepts_gzip
from quanmin.api.parameters import Parameters
from quanmin.api.reply import Headers, Reply
from quanmin.base.growing import as_gzip, as_plain, gzip_bytes
from quanmin.base.problems import Gone, Invalid, NotFound, NotSupported, TooCostly
from quanmin.trust import Taken

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.call import Call
    from quanmin.trust import Errand

_NO_PATIENT: Final = (
    "patient: some of these Patients are not here, or not members of the Group: leave them out"
)


async def export_all(call: Call) -> Reply:
    """Begin an export of all records (export.html#endpoint---system-level-export)."""
    return await _begin(call, of_patients=False)


async def export_patients(call: Call) -> Reply:
    """Begin an export of what is in the compartments of all Patients, or of those named
    (export.html#endpoint---all-patients).
    """
    named = await _named_patients(call)
    if named is None:
        return await _begin(call, of_patients=True)
    found = await call.records.exporting.patients(named)
    return await _begin(call, of_patients=True, named=named, found=found)


async def export_group(call: Call) -> Reply:
    """Begin an export of what is in the compartments of a Group's members
    (export.html#endpoint---group-of-patients).
    """
    stored = await call.records.read("Group", call.parts[1])
    members = members_of(stored.body or b"{}", call.records.context.base)
    _check_number(call, len(members))
    found = await call.records.exporting.patients(members)
    named = await _named_patients(call)
    return await _begin(call, of_patients=True, named=named or list(found), found=found)


async def _named_patients(call: Call) -> list[str] | None:
    if any(name == "patient" for name, _ in call.pairs):
        raise NotSupported(
            "patient names persons: send it by POST in a Parameters resource, where it stands in "
            "no address"
        )
    values = [value for name, value in _asked(call) if name == "patient"]
    if not values:
        return None
    ids = patient_ids(part.strip() for value in values for part in value.split(","))
    _check_number(call, len(ids))
    return ids


def _asked(call: Call) -> Pairs:
    """All parameters: what is not known is refused where leniency is known too."""
    return Parameters(call, None).pairs()


def _check_number(call: Call, number: int) -> None:
    limit = _exports(call).limits.patients_max
    if number > limit:
        raise TooCostly(
            f"{number:,} patients are more than {limit:,} (setting export.patients_max)"
        )


async def _begin(
    call: Call,
    *,
    of_patients: bool,
    named: Sequence[str] = (),
    found: Mapping[str, int] | None = None,
) -> Reply:
    """Begin an export; of the patients `named` by id, those whose keys were `found`."""
    _exports(call)
    await call.records.spend(exported_bytes=1)  # whoever has none left begins nothing
    language = Language(
        zone=call.desk.zone,
        limits=call.records.context.query_limits,
        table=call.records.context.table,
        is_current=call.is_current,
    )
    asking = Asking(
        _asked(call),
        of_patients=of_patients,
        is_lenient=call.preference.is_lenient,
        language=language,
    )
    patients = None
    if found is not None:
        patients = pack_keys(found[id_] for id_ in named if id_ in found)
        if any(id_ not in found for id_ in named):
            asking.refuse(Invalid(_NO_PATIENT))
    asked = asking.read(call.records.context.suite.number, patients)
    await call.records.exporting.check(
        [language.query(type_, text) for type_, text in asked.filters]
    )
    return await begin(call, KIND, msgspec.to_builtins(asked))


def _exports(call: Call) -> Exports:
    if call.desk.exports is None:
        raise NotSupported("this node has no place for exports")
    return call.desk.exports


async def manifest(call: Call, errand: Errand) -> Answer:
    """The manifest of an export that is done (export.html#response---complete-status)."""
    exports = _exports(call)
    done, until = finished(errand), exports.shelf.kept_until(errand.job)
    _check_kept(until)
    where = f"{call.base}/_job/{errand.job.number}"
    listed: dict[str, list[Any]] = {"output": [], "deleted": [], "error": []}
    for part in done.parts:
        url = f"{where}/{part.name}"
        listed[part.listing].append({"type": part.type, "url": url, "count": part.count})
    body = {
        "transactionTime": instant(done.moment, call.desk.zone),
        "request": errand.mandate.address,
        "requiresAccessToken": True,
        **listed,
    }
    return Answer(msgspec.json.encode(body), until)


def _check_kept(until: int) -> None:
    if time.time_ns() // 1000 >= until:
        raise Gone("the files of this export have been removed: export again")


async def discard(call: Call, errand: Errand) -> None:
    """Remove the files of an export that nobody wants."""
    asked = msgspec.convert(errand.mandate.asked, Asked)
    await asyncio.to_thread(_exports(call).vault(errand.job.number, asked).remove)


async def give_file(call: Call, errand: Errand) -> Reply:
    """One file of an export (export.html#bulk-data-output-file-request): streamed, packed for
    whoever takes gzip.
    """
    exports, name = _exports(call), call.parts[2]
    _check_kept(exports.shelf.kept_until(errand.job))
    done = finished(errand)
    part = next((one for one in done.parts if one.name == name), None)
    if part is None:
        raise NotFound("there is no such file: the manifest of the export names those there are")
    taken = Taken(errand.job.owner, errand.request, done.moment)
    await call.records.stating(errand.purpose).exporting.refuse_withdrawn(taken)
    asked = msgspec.convert(errand.mandate.asked, Asked)
    await call.records.exporting.note_download(part.type, part.count)
    vault = exports.vault(errand.job.number, asked)
    try:
        file = vault.open(part)
    except FileNotFoundError:
        raise Gone("the files of this export have been removed: export again") from None
    pieces = vault.pieces(part, file)
    if accepts_gzip(call.request.headers.get(b"accept-encoding", b"")):
        headers: Headers = (
            (b"content-encoding", b"gzip"),
            (b"content-length", b"%d" % gzip_bytes(part)),
        )
        content = as_gzip(part, pieces)
    else:
        headers = ((b"content-length", b"%d" % part.plain_bytes),)
        content = as_plain(pieces)
    return Reply(200, b"", headers, FHIR_NDJSON, stream=_FileStream(file, content))


class _FileStream:
    """Pieces of a file, made beside the event loop."""

    def __init__(self, file: IO[bytes], pieces: Iterator[bytes]) -> None:
        self._file = file
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await asyncio.to_thread(next, self._pieces, b"")
        if not piece:
            raise StopAsyncIteration
        return piece

    async def close(self) -> None:
        self._file.close()


EXPORT: Final = Later(kind=KIND, answer=manifest, discard=discard, file=give_file)
