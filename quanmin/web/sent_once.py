"""What is sent of a page is done once: a form that comes again, as by a double click or because the
answer did not, is answered as it was the first time.

The token of a page is its own. So the same token with the same fields, to the same address, is the
same page sent twice; what a page that was opened anew sends is something else, however alike.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec
from starlette.responses import Response

from quanmin.trust.sign_in import Turn
from quanmin.web.route import ANYBODY, Page
from quanmin.web.visit import Visit

_USE: Final = "sent form"


async def begin_once(visit: Visit, page: Page) -> Response | None:
    """The answer of a form that was sent before; None for one that is to be done now, of which
    `end_once` is told the answer. Raises Unanswered where it is not known what came of it.
    """
    # Who has not signed in has a session to win, which cannot be given twice.
    if visit.actor is None or page.access == ANYBODY or not page.is_taken_once:
        return None
    settings = visit.house.settings.pages
    turn = await visit.house.sign_in.sent_forms.take(
        _form_of(visit),
        wait_seconds=settings.sent_wait_seconds_max,
        kept_seconds=settings.sent_kept_seconds,
    )
    if not turn.answer:
        visit.turn = turn
        return None
    return visit.go(_opened(visit, turn))


async def end_once(visit: Visit, response: Response) -> None:
    """Have a form that sends the browser on answered so again. One that does not was refused, or
    has only looked at something: it is done again.
    """
    if visit.turn is None:
        return
    # Where a cookie goes along, the next request is somebody else's.
    is_done = 300 <= response.status_code < 400 and "set-cookie" not in response.headers
    place = response.headers["location"] if is_done else ""
    sealed = visit.house.seal.close(_USE, visit.asker, place.encode()) if place else ""
    await visit.house.sign_in.sent_forms.answer(visit.turn, sealed)


def _opened(visit: Visit, turn: Turn) -> str:
    """Where the form leads. Addresses may say of whom a page is, so they are kept sealed."""
    kept = visit.house.settings.pages.sent_kept_seconds
    opened = visit.house.seal.open(_USE, visit.asker, turn.answer, age_seconds_max=kept)
    return opened.decode()


def _form_of(visit: Visit) -> bytes:
    files = [(one.field, one.name, sha256(one.content).hexdigest()) for one in visit.files]
    said = (visit.asker, visit.here_again, sorted(visit.sent_all.items()), files)
    return sha256(msgspec.json.encode(said)).digest()
