"""Work lists: what is to be done, until when in words, how it stands and whose it is, what is due
first before all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from quanmin.web.forms import Cell
from quanmin.web.tables import Fetch, Heading, Row
from quanmin.web.visit import Visit

_MINUTE: Final = 60_000_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be done, as a row: where it is done, until when (microseconds since 1970; None:
    whenever), how it stands, whose it is; `mark` is a priority or another word worth a tag. `place`
    is as in a Row, `more` what else the list tells of each.
    """

    what: str
    link: str
    due: int | None
    state: str
    owner: str
    place: str
    mark: str = ""
    is_urgent: bool = False
    more: Sequence[Cell] = ()


Tasks = Callable[[str, int], Awaitable[Sequence[Task]]]
"""From a place and a number to so many tasks after it, what is due first before all."""


def headings(visit: Visit, *more: str) -> list[Heading]:
    """What the columns of a work list are called, and `more` of its own."""
    say = visit.say
    words = (say("What is to be done"), say("Due"), say("State"), say("Whose it is"), *more)
    return [Heading(one) for one in words]


def rows_of(visit: Visit, tasks: Tasks) -> Fetch:
    """The tasks as the rows of a Table with these headings."""
    now = visit.house.guard.now()

    async def fetch(after: str, count: int) -> list[Row]:
        return [
            Row(
                [
                    Cell(one.what, one.link, tag=one.mark, is_warning=one.is_urgent),
                    due_cell(visit, one.due, now),
                    Cell(one.state),
                    Cell(one.owner),
                    *one.more,
                ],
                one.place,
            )
            for one in await tasks(after, count)
        ]

    return fetch


def due_cell(visit: Visit, due: int | None, now: int) -> Cell:
    """The moment until when, and in words how long that is from now; late is a warning in words."""
    if due is None:
        return Cell("")
    tag, is_late = due_words(visit, due - now), due < now
    return Cell(visit.moment(due), is_number=True, tag=tag, is_warning=is_late)


def due_words(visit: Visit, left: int) -> str:
    """How long it is until then, or how late it is, in the largest unit of which there are two;
    whole ones are told.
    """
    is_late, span = left < 0, abs(left)
    if span < _MINUTE:
        return visit.say("late since now") if is_late else visit.say("now")
    if span >= 2 * _DAY:
        number, late, still = span // _DAY, visit.say("%(n)s days late"), visit.say("in %(n)s days")
    elif span >= 2 * _HOUR:
        number, late, still = span // _HOUR, visit.say("%(n)s h late"), visit.say("in %(n)s h")
    else:
        number, late, still = (
            span // _MINUTE,
            visit.say("%(n)s min late"),
            visit.say("in %(n)s min"),
        )
    return (late if is_late else still) % {"n": number}
