"""Files sent with a form: looked at, sealed on the node's disk until the form is kept, then
stored as DocumentReferences through the guard; and handed out so that they can do nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import msgspec
from starlette.responses import Response

from quanmin.base.problems import Malformed, NotFound, Sentence, StorageFull, TooLarge
from quanmin.base.spool import Spool
from quanmin.fhir.json import Json
from quanmin.web.multipart import SentFile
from quanmin.web.records import DeclaredRecords
from quanmin.web.sniffing import ENDINGS, kind_of
from quanmin.web.visit import Visit
from quanmin.workflow.forms import Around, Filling, Item
from quanmin.workflow.forms.sending import REFUSED

_FILE: Final = "~file"
_MEGABYTE: Final = 1_000_000
_HOUR_SECONDS: Final = 3600
_NAME_LENGTH_MAX: Final = 100
# What would end a line, change the direction of reading or name a folder.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_FOLDERS: Final = re.compile(r".*[\\/]")
_SHUT: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"


class _Kept(msgspec.Struct):
    """A file on the disk, and how an answer tells of it."""

    spool: str
    attachment: dict[str, Json]


class _Files:
    """The files of one form: the `Files` of its `Around`."""

    def __init__(self, spool: Spool | None) -> None:
        self.by_token: dict[str, Json] = {}
        self._spool = spool
        self._names: dict[str, str] = {}

    def keep(self, token: str, kept: _Kept) -> None:
        self.by_token[token] = kept.attachment
        self._names[str(kept.attachment["url"])] = kept.spool

    def hold(self, attachment: Json) -> None:
        """Take one that the form holds already: it is stored, and stands for itself."""
        self.by_token[str(attachment.get("url", ""))] = attachment

    def attachment(self, token: str) -> Json | None:
        """The Attachment that a field stands for; None for none that is here."""
        return self.by_token.get(token)

    def content(self, url: str) -> bytes | None:
        """What is in a file that is to be stored; None for one that is stored."""
        name = self._names.get(url)
        return None if name is None or self._spool is None else _read(self._spool, name)


class FileShown(msgspec.Struct, frozen=True):
    """A file that a question has, as the page shows it."""

    token: str
    title: str
    size: str


async def with_files(visit: Visit, filling: Filling) -> Around:
    """What the filling is within, with the files that were sent with its form, that an earlier
    sending left and that it holds. What is too large, empty or of no kind that the node takes is
    left out and told of beside its field. The filling has it from then on.
    """
    asked = {k: one for k, one in filling.form.by_link.items() if one.kind == "attachment"}
    if not asked:
        return filling.around
    spool = visit.house.settings.uploads
    files = _Files(spool)
    for attachment in _held(filling.response()):
        files.hold(attachment)
    for name in [one for one in visit.sent_all if one.endswith(REFUSED)]:
        del visit.sent_all[name]
    for name, texts in visit.sent_all.items():
        if _link(name) in asked:
            for text in texts:
                _recall(visit, files, spool, text)
    settings = visit.house.settings
    if len(visit.files) > settings.pages.uploads_max:
        raise TooLarge(
            Sentence(
                "at most %(uploads_max)s files are sent with a form at once",
                uploads_max=settings.pages.uploads_max,
            )
        )
    for sent in visit.files:
        item = asked.get(_link(sent.field.removesuffix(_FILE)))
        if item is not None and sent.field.endswith(_FILE):
            await _take(visit, files, spool, item, sent)
    filling.around = msgspec.structs.replace(filling.around, files=files)
    return filling.around


async def _take(
    visit: Visit, files: _Files, spool: Spool | None, item: Item, sent: SentFile
) -> None:
    key = sent.field.removesuffix(_FILE)
    refusal = refusal_of(visit, item, sent.content)
    if refusal:
        visit.sent_all.setdefault(key + REFUSED, []).append(refusal)
        return
    if spool is None:
        message = "a form that takes files needs KitSettings.uploads"
        raise TypeError(message)
    kind = kind_of(sent.content)
    kept = _Kept(
        spool=await asyncio.to_thread(_write, visit, spool, sent.content),
        attachment={
            "contentType": kind,
            "url": f"urn:uuid:{uuid4()}",
            "size": len(sent.content),
            "hash": base64.b64encode(
                hashlib.sha1(sent.content, usedforsecurity=False).digest()
            ).decode(),
            "title": title_of(sent.name, kind),
            "creation": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    token = visit.keep("upload", {"upload": msgspec.to_builtins(kept)})
    files.keep(token, kept)
    before = visit.sent_all.get(key, []) if item.repeats else []
    visit.sent_all[key] = [*before, token]


def refusal_of(visit: Visit, item: Item, content: bytes) -> str:
    """Why a file is not taken: the code of a fault, behind a blank its limit; "" for nothing."""
    settings = visit.house.settings.pages
    size_max = min(settings.upload_bytes_max, item.bytes_max or settings.upload_bytes_max)
    if not content:
        return "file-empty"
    if len(content) > size_max:
        return f"file-size {size_max / _MEGABYTE:.3g} MB"
    allowed = [
        kind for kind in settings.upload_kinds if not item.media_types or kind in item.media_types
    ]
    if kind_of(content) not in allowed:
        return f"file-kind {', '.join(kind.rpartition('/')[2].upper() for kind in allowed)}"
    return ""


def title_of(name: str, kind: str) -> str:
    """A file's name without folders and signs that deceive, with the ending of what it is."""
    plain = _FOLDERS.sub("", unicodedata.normalize("NFC", name))
    plain = "".join(one for one in plain if unicodedata.category(one) not in _UNSAFE)
    stem = plain.rpartition(".")[0] if "." in plain else plain
    stem = " ".join(stem.split()).strip(". ")[:_NAME_LENGTH_MAX].strip()
    return f"{stem or 'file'}.{ENDINGS[kind]}"


def shown_files(files: object, attachments: Mapping[str, Json]) -> tuple[FileShown, ...]:
    """The files of a question; `attachments` are its answers by address."""
    if not isinstance(files, _Files):
        return ()
    tokens = {str(one.get("url")): token for token, one in files.by_token.items()}
    return tuple(
        FileShown(
            tokens.get(url, url),
            str(one.get("title") or one.get("contentType") or ""),
            f"{max(int(one.get('size') or 0), 1000) / _MEGABYTE:.2g} MB",
        )
        for url, one in attachments.items()
    )


def has_file(document: Json) -> bool:
    """Whether a DocumentReference holds its file within."""
    return any((one.get("attachment") or {}).get("data") for one in document.get("content") or ())


async def file_page(records: DeclaredRecords, id_: str) -> Response:
    """The file of a DocumentReference, to be saved and not opened here. Its kind is told by what is
    in it, whoever stored it as what. Raises NotFound for one without a file within.
    """
    document = await records.resource("DocumentReference", id_)
    held = next((one.get("attachment") or {} for one in document.get("content") or ()), {})
    try:
        content = base64.b64decode(str(held.get("data") or ""), validate=True)
    except binascii.Error:
        content = b""
    if not content:
        raise NotFound("this document has no file")
    kind = kind_of(content)
    title = title_of(str(held.get("title") or ""), kind) if kind else "file.bin"
    headers = {
        "Content-Disposition": f'attachment; filename="file.{ENDINGS.get(kind, "bin")}";'
        f" filename*=UTF-8''{quote(title, safe='')}",
        "Content-Security-Policy": _SHUT,
    }
    return Response(content, media_type=kind or "application/octet-stream", headers=headers)


def _write(visit: Visit, spool: Spool, content: bytes) -> str:
    """Put a file on the disk, and forget those whose forms nobody can send any more."""
    settings = visit.house.settings
    spool.sweep((), settings.link_hours_max * _HOUR_SECONDS)
    if spool.size() + len(content) > settings.pages.uploads_kept_bytes_max:
        raise StorageFull(
            "too many files wait for their forms on this node: send the form without files, or"
            " later (setting pages.uploads_kept_bytes_max)",
            retry_after_seconds=3600,
        )
    with spool.create() as file:
        file.add(b"")  # whether a file is there is asked more often than what is in it
        file.add(content)
        file.finish()
        return file.name


def _read(spool: Spool, name: str) -> bytes:
    _, place = spool.read(name, 0)
    return spool.read(name, place)[0] or b""


def _recall(visit: Visit, files: _Files, spool: Spool | None, token: str) -> None:
    """Take what an earlier sending of this visitor left; what is gone is left out."""
    if spool is None:
        return
    try:
        state = visit.kept("upload", token)
        kept = msgspec.convert(state.get("upload"), _Kept)
        spool.read(kept.spool, 0)
    except (Malformed, msgspec.ValidationError, NotFound):
        return
    files.keep(token, kept)


def _held(part: Json) -> Iterator[Json]:
    for one in part.get("item") or ():
        for answer in one.get("answer") or ():
            if "valueAttachment" in answer:
                yield answer["valueAttachment"]
            yield from _held(answer)
        yield from _held(one)


def _link(name: str) -> str:
    return name.rpartition("/")[2]
