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

from quanmin.base.epoch import Epoch
from quanmin.base.problems import Malformed, TokenRefused, Unauthenticated

if TYPE_CHECKING:
    from quanmin.trust import Actor, Actors
    from quanmin.trust.actors import Bearing
    from quanmin.trust.sign_in.foreign_access import ForeignAccess

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

    Only tokens that were found valid are remembered, so guessing fills no memory. Nothing that was
    known before `revoked` was advanced is believed, so a token that is revoked stops working in
    every worker at once; one that somebody took away by hand in the database after at most
    `seconds_max`.
    """

    def __init__(
        self,
        actors: Actors,
        *,
        seconds_max: float,
        actors_max: int,
        revoked: Epoch | None = None,
        foreign: ForeignAccess | None = None,
        now: Callable[[], float] = time.monotonic,
        moment: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`moment` gives microseconds since 1970-01-01T00:00Z; `foreign` knows tokens of another
        issuer.
        """
        self._actors = actors
        self._foreign = foreign
        self._revoked = revoked or Epoch()
        self._moment = moment
        self._epoch = self._revoked.number
        self._seconds_max = seconds_max
        self._actors_max = actors_max
        self._now = now
        self._known: OrderedDict[str, tuple[Actor, float]] = OrderedDict()

    async def find(self, header: bytes | None) -> Actor:
        """The actor that an `Authorization` header proves; Unauthenticated when it proves none."""
        token = _token(header)
        epoch = self._revoked.number
        if epoch != self._epoch:
            self._known.clear()
            self._epoch = epoch
        known = self._known.get(token)
        asked_at = self._now()
        if known is not None and known[1] > asked_at:
            return known[0]
        moment = self._moment()
        # The node's own tokens are opaque and have no dots.
        if self._foreign is not None and "." in token:
            found: Bearing | None = await self._foreign.bearing(token)
        else:
            found = await self._actors.bearing(token, moment)
        if found is None:
            self._known.pop(token, None)
            raise TokenRefused(f"this token is not valid (any more); {_HOW}")
        actor = found.actor
        if self._revoked.number != epoch:
            return actor  # something was revoked meanwhile, maybe this: it is not kept
        seconds = self._seconds_max
        if found.until is not None:
            seconds = min(seconds, (found.until - moment) / 1e6)
        self._known[token] = (actor, asked_at + seconds)
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
