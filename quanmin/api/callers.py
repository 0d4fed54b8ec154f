"""Who is asking, and for what: a bearer token becomes an actor, a header a purpose of use."""

from __future__ import annotations

import time
import tomllib
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from quanmin.base.problems import Malformed, Unauthenticated

if TYPE_CHECKING:
    from quanmin.trust import Actor, Actors

_HOW = "send Authorization: Bearer and the token that this node gave you"


class Purposes(msgspec.Struct, frozen=True):
    """The purposes of use that may be stated, and the one that holds when none is."""

    default: str
    codes: frozenset[str]

    def stated(self, header: bytes | None) -> str:
        """The purpose in an `X-Purpose-Of-Use` header; Malformed for a code that is none."""
        if header is None:
            return self.default
        code = header.decode("latin-1").strip()
        if code not in self.codes:
            known = ", ".join(sorted(self.codes))
            raise Malformed(f"X-Purpose-Of-Use must be one of {known}")
        return code


@cache
def load_purposes() -> Purposes:
    """The purposes of the definition file."""
    text = files("quanmin.definitions").joinpath("purposes_of_use.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return Purposes(table["default"], frozenset(table["codes"]))


class Callers:
    """Finds the actor behind a token, and believes it for a few seconds.

    Only tokens that were found valid are remembered, so guessing fills no memory; a token that is
    revoked stops working in every worker after at most `seconds_max`.
    """

    def __init__(
        self,
        actors: Actors,
        *,
        seconds_max: float,
        actors_max: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._actors = actors
        self._seconds_max = seconds_max
        self._actors_max = actors_max
        self._now = now
        self._known: OrderedDict[str, tuple[Actor, float]] = OrderedDict()

    async def find(self, header: bytes | None) -> Actor:
        """The actor that an `Authorization` header proves; Unauthenticated when it proves none."""
        token = _token(header)
        known = self._known.get(token)
        if known is not None and known[1] > self._now():
            return known[0]
        asked_at = self._now()
        actor = await self._actors.by_token(token)
        if actor is None:
            self._known.pop(token, None)
            raise Unauthenticated(f"this token is not valid (any more); {_HOW}")
        self._known[token] = (actor, asked_at + self._seconds_max)
        if len(self._known) > self._actors_max:
            self._known.popitem(last=False)
        return actor


def _token(header: bytes | None) -> str:
    if header is None:
        raise Unauthenticated(f"nobody is signed in; {_HOW}")
    scheme, _, token = header.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise Unauthenticated(f"only bearer tokens are known; {_HOW}")
    return token
