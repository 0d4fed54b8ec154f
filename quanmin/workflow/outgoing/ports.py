"""The ways to the system outside: a folder of files, or an HTTP address that answers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from quanmin.base.disk import replace_on_disk
from quanmin.base.posting import Posting, Unsent, is_taken, unsent
from quanmin.base.problems import Unusable
from quanmin.workflow.outgoing.settings import OutgoingSettings

log = logging.getLogger("quanmin.outgoing")

_NO_ANSWERS: Final = frozenset({404, 405, 501})
_ANSWERS_MAX: Final = 200
_SAID_MAX: Final = 500


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side has done later with a case that it was told of: `reference` is its own
    name of the answer, `case` the case as the message named it. `kind` is one that a step of the
    workflow takes; `changes` are new values by the names of fields.
    """

    reference: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    case: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,64}$")]
    kind: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$")]
    reason: Annotated[str, Meta(max_length=500)] = ""
    changes: Annotated[
        dict[
            Annotated[str, Meta(max_length=40)],
            Annotated[str, Meta(max_length=200)],
        ],
        Meta(max_length=20),
    ] = {}


class Answers(msgspec.Struct, frozen=True):
    """A portion of answers in their order, and up to where it goes."""

    answers: tuple[Answer, ...]
    next: str


class _Portion(msgspec.Struct, frozen=True):
    answers: Annotated[list[msgspec.Raw], Meta(max_length=_ANSWERS_MAX)]
    next: Annotated[str, Meta(max_length=200)]


class Port(Protocol):
    """A way out, and back."""

    async def send(self, key: str, body: bytes) -> str:
        """The other side has taken the message when this returns; gives the number that it has
        given it, "" for none. Raises Unsent.
        """

    async def answers(self, after: str) -> Answers:
        """What the other side has answered after a place; the place again where there is nothing.
        Raises Unsent.
        """


class FilePort:
    """A folder: one file for each message, called by its key, so that it is there once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, key: str, body: bytes) -> str:
        """Put it into the folder, durably; under the same key it is the same file."""
        try:
            await asyncio.to_thread(self._put, key, body)
        except OSError as error:
            raise Unsent(f"the folder takes no file ({error.errno})", is_final=False) from error
        return ""

    async def answers(self, after: str) -> Answers:
        """The files that somebody has put into `answers`, one answer each, in the order of their
        names.
        """
        try:
            return await asyncio.to_thread(self._read, after)
        except OSError as error:
            raise Unsent(f"the folder cannot be read ({error.errno})", is_final=False) from error

    def _read(self, after: str) -> Answers:
        folder = self._folder / "answers"
        names = sorted(one.name for one in folder.glob("*.json") if one.name > after)
        now = names[:_ANSWERS_MAX]
        return _understood([(folder / one).read_bytes() for one in now], now[-1] if now else after)

    def _put(self, key: str, body: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_on_disk(self._folder / f"{key}.json", body)


class HttpPort:
    """An address that takes cards as JSON, signed as messages of notices are. It answers 2xx with
    `{"number": ...}`, or 4xx with `{"reason": ...}`.
    """

    def __init__(self, url: str, secret: bytes, seconds_max: float, answer_bytes_max: int) -> None:
        self._posting = Posting(url, secret, seconds_max, answer_bytes_max)

    async def send(self, key: str, body: bytes) -> str:
        """Post it; a status of 2xx says that it was taken."""
        status, said = await self._posting.post(key, body)
        told = _texts(said)
        if not is_taken(status):
            raise unsent(status, told.get("reason", ""))
        return told.get("number", "")

    async def answers(self, after: str) -> Answers:
        """Get what it answers after a place; an address that has no answers to get has none."""
        status, said = await self._posting.get(after)
        if status in _NO_ANSWERS:
            return Answers((), after)
        if not is_taken(status):
            raise Unsent(f"the address answered {status}", is_final=False)
        if not said:
            reason = "it answered nothing, or more than `outgoing.answer_bytes_max` lets it"
            raise Unsent(reason, is_final=False)
        try:
            portion = msgspec.json.decode(said, type=_Portion)
        except msgspec.MsgspecError as error:
            reason = "what it answered is no portion of answers"
            raise Unsent(reason, is_final=False) from error
        return _understood(map(bytes, portion.answers), portion.next)


def _understood(bodies: Iterable[bytes], place: str) -> Answers:
    """The answers among these: one that is not as it should be is told in the log, and holds up no
    other.
    """
    found, unread = [], 0
    for body in bodies:
        try:
            found.append(msgspec.json.decode(body, type=Answer))
        except msgspec.MsgspecError:
            unread += 1
    if unread:
        log.warning("answers are not as they should be", extra={"count": unread})
    return Answers(tuple(found), place)


def _texts(answer: bytes) -> dict[str, str]:
    """What of an answer is text: what is no JSON says nothing."""
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    held = found.items() if isinstance(found, dict) else ()
    return {name: text[:_SAID_MAX] for name, text in held if isinstance(text, str)}


def open_port(settings: OutgoingSettings, folder: Path) -> Port:
    """The way out as it is set, else files in the folder. Raises Unusable for what is set by
    halves.
    """
    if not settings.url:
        return FilePort(folder)
    file = settings.secret_file
    try:
        line = "" if file is None else file.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        text = f"the file of outgoing.secret_file cannot be read ({type(error).__name__})"
        raise Unusable(text) from error
    if not line:
        raise Unusable("set outgoing.secret_file to a file with a secret in its first line")
    return HttpPort(
        settings.url, line.encode(), settings.send_seconds_max, settings.answer_bytes_max
    )
