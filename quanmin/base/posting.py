"""A message posted to an address whose owner shares a secret with the node.

`X-Quanmin-Signature` is HMAC-SHA256, in hexadecimal, of `X-Quanmin-Time` (seconds since 1970), a
full stop and the body (of a question, the place after which it asks); `Idempotency-Key` is the
message's key, so that one that is sent again is known.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import time
from typing import Final
from urllib.parse import urlencode

# What another attempt may mend: too early, too many, and all that is the other side's own trouble.
_PASSING: Final = frozenset({408, 425, 429})
_FAILURE: Final = 500


class Unsent(Exception):  # noqa: N818 - what happened to a message, told in the queue
    """The other side did not take a message. `reason` names no person; `is_final` says that trying
    again is in vain.
    """

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class Posting:
    """The address, and what is shared with its owner. No attempt takes more than `seconds_max`, and
    of an answer that is longer than `answer_bytes_max` nothing is given.
    """

    def __init__(
        self, url: str, secret: bytes, seconds_max: float, answer_bytes_max: int = 0
    ) -> None:
        self._url = url
        self._secret = secret
        self._seconds_max = seconds_max
        self._answer_bytes_max = answer_bytes_max
        self._secure = ssl.create_default_context()  # made once: it costs more than a message

    async def post(self, key: str, body: bytes) -> tuple[int, bytes]:
        """The status and the answer of the other side. Raises Unsent when none came."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return await self._ask("POST", self._url, headers, body)

    async def get(self, after: str) -> tuple[int, bytes]:
        """The status and what the address gives after a place, which is what is signed. Raises
        Unsent when no answer came.
        """
        url = f"{self._url}?{urlencode({'after': after})}"
        headers = {"Accept": "application/json"}
        return await self._ask("GET", url, headers, after.encode())

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], signed: bytes
    ) -> tuple[int, bytes]:
        # Loaded only here: commands and most nodes post nothing, and all would wait at their start.
        import httpx  # noqa: PLC0415 - see above

        now = str(int(time.time()))
        made = hmac.new(self._secret, now.encode() + b"." + signed, hashlib.sha256)
        headers |= {"X-Quanmin-Time": now, "X-Quanmin-Signature": made.hexdigest()}
        body = signed if method == "POST" else None
        said = b""
        try:
            async with (
                asyncio.timeout(self._seconds_max),
                httpx.AsyncClient(
                    verify=self._secure, timeout=self._seconds_max, trust_env=False
                ) as client,
                client.stream(method, url, content=body, headers=headers) as answer,
            ):
                async for chunk in answer.aiter_bytes():
                    said += chunk
                    if len(said) > self._answer_bytes_max:
                        return answer.status_code, b""
                return answer.status_code, said
        except (httpx.HTTPError, TimeoutError) as error:
            reason = f"the address does not answer ({type(error).__name__})"
            raise Unsent(reason, is_final=False) from error


def is_taken(status: int) -> bool:
    """Whether the other side took what it was sent."""
    return 200 <= status < 300


def unsent(status: int, reason: str = "") -> Unsent:
    """Why a message was not taken, with what the other side says of it."""
    is_final = status < _FAILURE and status not in _PASSING
    return Unsent(reason or f"the address answered {status}", is_final=is_final)
