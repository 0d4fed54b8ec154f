"""Systems that a node knows by a token. It knows nobody before `quanmin account add` has made
somebody, but for those of a demonstration (`demo_actors.py`).
"""

from __future__ import annotations

from typing import Final

from quanmin.base.epoch import Epoch
from quanmin.base.postgres import open_pool
from quanmin.base.problems import Unusable
from quanmin.node.places import Enrolled, Places
from quanmin.trust import Actor, Actors

OPERATOR: Final = Actor("operator", "operator", "Node operator", "node")


async def enrol_system(dsn: str, places: Places, actor: Actor) -> str:
    """Make a system that has a token; gives it. Raises Conflict when the code is taken."""
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        token = await Actors(pool).enrol(actor)
    finally:
        await pool.close()
    keep(places, (enrolled(actor, token),))
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
    keep(places, (enrolled(actor, token),))
    return token


def keep(places: Places, made: tuple[Enrolled, ...]) -> None:
    """Keep new tokens beside the old ones, one for each actor."""
    if made:
        codes = {each.code for each in made}
        kept = tuple(each for each in places.tokens() if each.code not in codes)
        places.keep_tokens(kept + made)


def enrolled(actor: Actor, token: str) -> Enrolled:
    """What is kept of an actor with its token."""
    return Enrolled(actor.code, actor.role, actor.name, token)
