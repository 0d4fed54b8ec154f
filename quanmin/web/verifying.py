"""Papers that the node vouches for: a QR code on what is printed leads to a page on which anybody
who holds the paper sees what it says in short, and that the node signed it.

The address holds nothing that can be read: it is sealed, and shows what was signed and no record.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from quanmin.base.crypto import Tampered
from quanmin.base.problems import Gone, Malformed, NotFound, Overloaded
from quanmin.trust.signatures.papers import Papers
from quanmin.web.route import ANYBODY, Page, page
from quanmin.web.text import Text
from quanmin.web.visit import Visit

_USE = "paper"
_DAY_SECONDS = 86_400


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """What a paper says: what it is, and the words, in both languages where they differ."""

    label: Text
    words: Text


class Paper(msgspec.Struct, frozen=True, array_like=True):
    """What is on a paper, in short. Say no more than whoever is shown it needs."""

    title: Text
    day: str
    facts: tuple[Fact, ...]


def address_of(visit: Visit, paper: Paper) -> str:
    """The address under which the node tells of a paper that it signs now. Raises Overloaded
    where it signs none.
    """
    signed = _papers(visit).sign(msgspec.json.encode(paper))
    sealed = visit.house.seal.close(_USE, "", signed)
    # Whoever holds the paper may be elsewhere than who printed it.
    origin = visit.house.settings.origin or str(visit.request.base_url).rstrip("/")
    return f"{origin}/papers/{sealed}"


def _papers(visit: Visit) -> Papers:
    papers = visit.house.papers
    if papers is None:
        raise Overloaded("this node signs no papers", retry_after_seconds=60)
    return papers


@page("/papers/{sealed}", access=ANYBODY)
async def show(visit: Visit) -> Response:
    """What a paper says, to whoever holds it."""
    days = visit.house.settings.pages.paper_days_max
    try:
        signed = visit.house.seal.open(
            _USE, "", visit.path("sealed"), age_seconds_max=days * _DAY_SECONDS
        )
        paper = msgspec.json.decode(_papers(visit).read(signed), type=Paper)
    except Tampered:
        raise NotFound("this node has signed no such paper") from None
    except Malformed:
        raise Gone("this is no paper of this node, or it is too old: ask for a new one") from None
    return visit.page("kit/verified.html", paper=paper)


PAGES: tuple[Page, ...] = (show,)
