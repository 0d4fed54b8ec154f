"""The ways to the system outside: a folder of files, or an HTTP address that answers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
import time
from pathlib import Path
from typing import Final, Protocol

import httpx

from quanmin.base.disk import replace_on_disk
from quanmin.base.problems import Unusable
from quanmin.workflow.outgoing.settings import OutgoingSettings

# What another attempt may mend: too early, too many, and all that is the other side's own trouble.
_PASSING: Final = frozenset({408, 425, 429})
_FAILURE: Final = 500
_ANSWER_BYTES_MAX: Final = 10_000
_SAID_MAX: Final = 500


class Unsent(Exception):  # noqa: N818 - what happened to a message, told in the queue
    """The other side did not take a message; `is_final` says that trying again is in vain."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class Port(Protocol):
    """A way out."""

    async def send(self, key: str, body: bytes) -> str:
        """The other side has taken the message when this returns; gives the number that it has
        given it, "" for none. Raises Unsent.
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

    def _put(self, key: str, body: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_on_disk(self._folder / f"{key}.json", body)


class HttpPort:
    """An address that takes cards as JSON, signed as messages of notices are. It answers 2xx with
    `{"number": ...}`, or 4xx with `{"reason": ...}`.
    """

    def __init__(self, url: str, secret: bytes, seconds_max: float) -> None:
        self._url = url
        self._secret = secret
        self._seconds_max = seconds_max
        self._secure = ssl.create_default_context()

    async def send(self, key: str, body: bytes) -> str:
        """Post it; a status of 2xx says that it was taken."""
        now = str(int(time.time()))
        signed = hmac.new(self._secret, now.encode() + b"." + body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "X-Quanmin-Time": now,
            "X-Quanmin-Signature": signed.hexdigest(),
        }
        try:
            async with (
                asyncio.timeout(self._seconds_max),
                httpx.AsyncClient(
                    verify=self._secure, timeout=self._seconds_max, trust_env=False
                ) as client,
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status, told = answer.status_code, await _told(answer)
        except (httpx.HTTPError, TimeoutError) as error:
            reason = f"the address does not answer ({type(error).__name__})"
            raise Unsent(reason, is_final=False) from error
        if 200 <= status < 300:
            return told.get("number", "")
        is_final = status < _FAILURE and status not in _PASSING
        reason = told.get("reason") or f"the address answered {status}"
        raise Unsent(reason, is_final=is_final)


async def _told(answer: httpx.Response) -> dict[str, str]:
    """What of the answer is text, as far as it is read: what is no JSON says nothing."""
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _ANSWER_BYTES_MAX:
            return {}
    try:
        found = json.loads(body)
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
    return HttpPort(settings.url, line.encode(), settings.send_seconds_max)
