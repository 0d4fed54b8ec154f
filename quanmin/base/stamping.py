"""Asks an authority for time stamps by the protocol of RFC 3161 over HTTP (3.4)."""

from __future__ import annotations

from typing import Final

from quanmin.base.problems import Overloaded, Sentence
from quanmin.base.signing import Digest
from quanmin.base.timestamps import BYTES_MAX, Stamp, StampUnreadable, read_answer, request

_RETRY_SECONDS: Final = 60
_ASKED: Final = "application/timestamp-query"
_ANSWERED: Final = "application/timestamp-reply"


class StampServer:
    """A stamping authority at an address; `policy` is the one its stamps must have, "" for any."""

    def __init__(self, address: str, policy: str, seconds_max: float) -> None:
        self._address = address
        self._policy = policy
        self._seconds_max = seconds_max

    def stamp(self, digest: Digest, content: bytes) -> Stamp:
        """A stamp of this content, of which nothing is believed yet. Raises Overloaded with the
        reason where none comes, and where it is another than was asked for.
        """
        asked, nonce = request(digest, content, self._policy)
        try:
            stamp = read_answer(self._ask(asked), nonce)
        except StampUnreadable:
            raise _without("it gave no stamp for what it was asked") from None
        if self._policy not in {"", stamp.policy}:
            raise _without("its stamp is of another policy than `signatures.stamper_policy`")
        return stamp

    def _ask(self, asked: bytes) -> bytes:
        # Loaded only here: most processes ask nobody, and all would wait for it when they start.
        import httpx  # noqa: PLC0415 - see above

        headers = {"Content-Type": _ASKED, "Accept": _ANSWERED}
        try:
            with (
                # No redirect is followed and no proxy of the environment asked.
                httpx.Client(
                    follow_redirects=False, trust_env=False, timeout=self._seconds_max
                ) as client,
                client.stream("POST", self._address, content=asked, headers=headers) as answer,
            ):
                kind = answer.headers.get("content-type", "").partition(";")[0].strip()
                if answer.status_code != 200 or kind != _ANSWERED:
                    raise _without(f"it answers {answer.status_code}, {kind or 'of no type'}")
                received = bytearray()
                for chunk in answer.iter_bytes():
                    received += chunk
                    if len(received) > BYTES_MAX:
                        raise _without("its answer is too large")
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _without("it does not answer") from None
        return bytes(received)


def _without(reason: str) -> Overloaded:
    return Overloaded(
        Sentence(
            "no time stamp is to be had from the authority of `signatures.stamper_url`: "
            "%(reason)s; nothing was signed, try again later",
            reason=reason,
        ),
        retry_after_seconds=_RETRY_SECONDS,
    )
