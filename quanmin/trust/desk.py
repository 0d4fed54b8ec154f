"""Where something other than records is asked of the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quanmin.base.problems import Forbidden

if TYPE_CHECKING:
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.log import Notes


class Desk:
    """One matter of trust, open to one actor, for one purpose, in one request.

    Each checks for itself who may ask, and puts into the access log what it has shown or changed
    before it answers.
    """

    def __init__(
        self, guard: Guarding, notes: Notes, actor: Actor, purpose: str, request_id: str
    ) -> None:
        self._guard = guard
        self._notes = notes
        self._actor = actor
        self._purpose = purpose
        self._request_id = request_id

    async def _refuse_entrusted(self) -> None:
        """Keep what is of the whole node from whoever runs some of its tenants under a contract,
        whatever their role. Raises Forbidden, and Stopped for one who may not act at all.
        """
        standing = await self._guard.standings.of(self._actor)
        if standing.party:
            raise Forbidden("this is of the whole node: who runs tenants for others has no part")


Kind = TypeVar("Kind", bound=Desk)
