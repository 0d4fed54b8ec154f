"""The systems that a node of a demonstration knows, with their tokens."""

from __future__ import annotations

from typing import Final

from quanmin.base.postgres import open_pool
from quanmin.demo.province import Province
from quanmin.node.first_actors import OPERATOR, enrolled, keep
from quanmin.node.places import Enrolled, Places
from quanmin.trust import Actor, Actors

# The centre for disease control and the two hospitals that send under their own name in the
# demonstration, so that the same tokens show what an institution sees of it.
CENTRE, *HOSPITALS = (
    Actor(sender.code, "institution", sender.name, sender.code)
    for sender in Province.senders()[-3:]
)

# Sees the records of one person. Nobody is that person before a demonstration has been loaded.
RESIDENT: Final = Actor("resident", "resident", "Resident", "")

_FIRST: Final = (OPERATOR, CENTRE, *HOSPITALS, RESIDENT)


async def enrol_first_actors(dsn: str, places: Places) -> tuple[Enrolled, ...]:
    """Enrol those that the database does not know; gives them with their tokens.

    An actor whose token has been lost keeps its old one: `quanmin node token` gives a new one.
    """
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        actors = Actors(pool)
        missing = [actor for actor in _FIRST if await actors.by_code(actor.code) is None]
        made = tuple([enrolled(actor, await actors.enrol(actor)) for actor in missing])
    finally:
        await pool.close()
    keep(places, made)
    return made
