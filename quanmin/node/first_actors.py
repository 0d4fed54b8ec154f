"""The actors that a node knows from its first start, since there is no other way in yet."""

from __future__ import annotations

from typing import Final

from quanmin.base.postgres import open_pool
from quanmin.node.places import Enrolled, Places
from quanmin.trust import Actor, Actors

FIRST: Final = (
    Actor("operator", "operator", "Node operator", "node"),
    Actor("hospital-1", "institution", "First hospital", "hospital-1"),
    Actor("hospital-2", "institution", "Second hospital", "hospital-2"),
    Actor("resident", "resident", "Resident", ""),
)


async def enrol_first_actors(dsn: str, places: Places) -> tuple[Enrolled, ...]:
    """Enrol those of FIRST that the database does not know; gives them with their tokens.

    An actor whose token has been lost keeps its old one: `quanmin node token` gives a new one.
    """
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        actors = Actors(pool)
        missing = [actor for actor in FIRST if await actors.by_code(actor.code) is None]
        made = tuple(
            [
                Enrolled(actor.code, actor.role, actor.name, await actors.enrol(actor))
                for actor in missing
            ]
        )
    finally:
        await pool.close()
    keep(places, made)
    return made


def keep(places: Places, made: tuple[Enrolled, ...]) -> None:
    """Keep new tokens beside the old ones, one for each actor."""
    if made:
        codes = {each.code for each in made}
        kept = tuple(each for each in places.tokens() if each.code not in codes)
        places.keep_tokens(kept + made)
