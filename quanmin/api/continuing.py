"""Where a search, a history or an operation goes on: at the place in a link of this node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.documents import list_documents
from quanmin.api.everything import gather
from quanmin.api.reading import read_history
from quanmin.api.searching import search
from quanmin.base.problems import Malformed

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.api.reply import Reply

_CONTINUED = {"_history": read_history, "$everything": gather, "$docref": list_documents}


async def go_on(call: Call) -> Reply:
    """The next slice of what was asked before, from a link this node gave out."""
    links = [value for name, value in call.pairs if name == "c"]
    if len(links) != 1:
        raise Malformed("_page takes one link in c, as this node gave it out")
    seal = call.desk.seal
    place = seal.open(links[0], call.actor)
    if place.kept:
        place = seal.whole(place, await call.records.kept_question(place.kept), call.actor)
    onward = msgspec.structs.replace(
        call,
        parts=place.path,
        pairs=list(place.pairs),
        position=place.position,
        own_link=f"{call.base}/_page?c={links[0]}",
        preference=msgspec.structs.replace(call.preference, is_strict=place.is_strict),
        is_private=True,
    )
    return await _CONTINUED.get(place.path[-1] if place.path else "", search)(onward)
