"""The systems that a node of a demonstration knows, with their tokens. Any other node knows nobody
before `quanmin account add` has made somebody.
"""

from __future__ import annotations

from typing import Final

from quanmin.base.epoch import Epoch
from quanmin.base.postgres import open_pool
from quanmin.base.problems import Unusable
from quanmin.demo.province import Province
from quanmin.node.places import Enrolled, Places
from quanmin.trust import Actor, Actors

OPERATOR: Final = Actor("operator", "operator", "Node operator", "node")

# The two hospitals that send under their own name in the demonstration, so that the same tokens
# show what an institution sees of it.
HOSPITALS: Final = tuple(
    Actor(sender.code, "institution", sender.name, sender.code)
    for sender in Province.senders()[-2:]
)

# Sees the records of one person. Nobody is that person before a demonstration has been loaded.
RESIDENT: Final = Actor("resident", "resident", "Resident", "")

FIRST: Final = (OPERATOR, *HOSPITALS, RESIDENT)


async def enrol_first_actors(dsn: str, places: Places) -> tuple[Enrolled, ...]:
    """Enrol those of FIRST that the database does not know; gives them with their tokens.

    An actor whose token has been lost keeps its old one: `quanmin node token` gives a new one.
    """
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        actors = Actors(pool)
        missing = [actor for actor in FIRST if await actors.by_code(actor.code) is None]
        made = tuple([_enrolled(actor, await actors.enrol(actor)) for actor in missing])
    finally:
        await pool.close()
    keep(places, made)
    return made


async def enrol_system(dsn: str, places: Places, actor: Actor) -> str:
    """Make a system that has a token; gives it. Raises Conflict when the code is taken."""
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        token = await Actors(pool).enrol(actor)
    finally:
        await pool.close()
    keep(places, (_enrolled(actor, token),))
    return token


async def renew_token(dsn: str, places: Places, code: str) -> str:
    """A new token for an actor; the old one stops working. Raises Unusable for an unknown code."""
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        actors = Actors(pool)
        token = await actors.renew(code)
        actor = await actors.by_code(code)
    finally:
        await pool.close()
    Epoch(places.revoked).advance()
    if token is None or actor is None:
        raise Unusable(f"There is no actor {code!r}: `quanmin node status --tokens` lists them.")
    keep(places, (_enrolled(actor, token),))
    return token


def keep(places: Places, made: tuple[Enrolled, ...]) -> None:
    """Keep new tokens beside the old ones, one for each actor."""
    if made:
        codes = {each.code for each in made}
        kept = tuple(each for each in places.tokens() if each.code not in codes)
        places.keep_tokens(kept + made)


def _enrolled(actor: Actor, token: str) -> Enrolled:
    return Enrolled(actor.code, actor.role, actor.name, token)
