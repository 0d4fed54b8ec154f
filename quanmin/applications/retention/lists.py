"""The lists of retention: what is due, deletions, and holds."""

from __future__ import annotations

from typing import Final

from quanmin.trust.lifecycle.deletions import Listed
from quanmin.trust.lifecycle.retention_desk import ROLES, Held, RetentionDesk
from quanmin.trust.lifecycle.retention_rules import retention_rules
from quanmin.web import Access, DeclaredRecords, Page, Visit
from quanmin.web.forms import Cell, Field, word_of
from quanmin.web.tables import Heading, Table, asked_order, known, table

KEEPERS: Final = Access(ROLES)
LIST: Final = "/retention"
DELETIONS: Final = f"{LIST}/deletions"
HOLDS: Final = f"{LIST}/holds"
TO_CONFIRM: Final = "to-confirm"
"""The state by which the list has the proposals that the visitor may confirm."""


@table(LIST, access=KEEPERS, name="retention-due")
async def due(visit: Visit, records: DeclaredRecords) -> Table:
    """What was found due when it was looked for last, by clock."""
    say, clocks = visit.say, retention_rules().clock
    headings = [
        *(Heading(say("Clock"), "clock"), Heading(say("Registrations"), "registrations")),
        *(Heading(say("Records"), "records"), Heading(say("First since"), "since")),
    ]
    order = asked_order(visit, headings)
    rows = [
        [
            Cell(word_of(visit, clocks, one.clock)),
            Cell(str(one.patients), is_number=True),
            Cell(str(one.records), is_number=True),
            Cell(visit.moment(one.first)[:10], is_number=True),
        ]
        for one in await records.desk(RetentionDesk).due()
    ]
    return Table(
        title=say("Due for deletion"),
        lead=say("As it was found last; it is judged again when it is deleted."),
        headings=headings,
        fetch=known(rows, headings, order),
        order=order,
        empty=say("Nothing was due, or nobody has looked for it yet."),
        actions=[
            (say("Look for what is due"), f"{LIST}/find"),
            (say("Propose to delete it"), f"{LIST}/propose"),
            (say("Deletions"), DELETIONS),
            (say("Holds"), HOLDS),
        ],
    )


@table(DELETIONS, access=KEEPERS, name="retention-deletions")
async def deletions(visit: Visit, records: DeclaredRecords) -> Table:
    """Deletions: how far they are; one leads to its confirmation or to its certificate."""
    say, asked = visit.say, visit.asked("state")
    headings = [
        *(Heading(say("Deletion")), Heading(say("State")), Heading(say("Proposed"), "proposed")),
        *(Heading(say("Proposed by")), Heading(say("Confirmed"), "confirmed")),
        *(Heading(say("Confirmed by")), Heading(say("Registrations"), "registrations")),
        *(Heading(say("Deleted"), "deleted"), Heading(say("Kept after all"), "kept")),
        Heading(say("What to do"), where="page"),
    ]
    order, desk = asked_order(visit, headings), records.desk(RetentionDesk)
    own = await desk.confirmable() if asked == TO_CONFIRM else frozenset()
    rows = [
        _deletion(visit, one)
        for one in await desk.deletions()
        if asked in {"", _state(one)} or one.deletion in own
    ]
    by_me = (TO_CONFIRM, say("to be confirmed by you"))
    states = [("", say("any")), by_me, *_states(visit).items()]
    return Table(
        title=say("Deletions"),
        headings=headings,
        fetch=known(rows, headings, order),
        filters=[Field("state", say("State"), "select", asked, states)],
        order=order,
        empty=say("No proposed deletion matches this."),
        actions=[(say("Due for deletion"), LIST)],
    )


@table(HOLDS, access=KEEPERS, name="retention-holds")
async def holds(visit: Visit, records: DeclaredRecords) -> Table:
    """Holds, without on whom they stand; those that stand lead to their end."""
    say, asked = visit.say, visit.asked("state")
    headings = [
        *(Heading(say("Hold"), "hold"), Heading(say("Why")), Heading(say("Since"), "since")),
        *(Heading(say("By")), Heading(say("Ended"), "ended"), Heading(say("Ended by"))),
    ]
    order = asked_order(visit, headings)
    rows = [
        _hold(visit, one)
        for one in await records.desk(RetentionDesk).holds()
        if not asked or (asked == "ended") == (one.released_at is not None)
    ]
    states = [("", say("any")), ("stands", say("stands")), ("ended", say("ended"))]
    return Table(
        title=say("Holds"),
        headings=headings,
        fetch=known(rows, headings, order),
        filters=[Field("state", say("State"), "select", asked, states)],
        order=order,
        empty=say("No hold matches this. Where a lawsuit asks for records, hold them."),
        actions=[(say("Hold a person's records"), f"{LIST}/hold"), (say("Due for deletion"), LIST)],
    )


def _states(visit: Visit) -> dict[str, str]:
    say = visit.say
    return {
        "proposed": say("to be confirmed"),
        "confirmed": say("under way"),
        "done": say("done, certified"),
    }


def _state(one: Listed) -> str:
    if one.is_done:
        return "done"
    return "proposed" if one.confirmed_at is None else "confirmed"


def _deletion(visit: Visit, one: Listed) -> list[Cell]:
    own, state = f"{DELETIONS}/{one.deletion}", _state(one)
    link = {"done": f"{own}/certificate", "proposed": f"{own}/confirm"}.get(state, "")
    confirmed = "" if one.confirmed_at is None else visit.moment(one.confirmed_at)
    return [
        Cell(str(one.deletion), link),
        Cell(_states(visit)[state]),
        Cell(visit.moment(one.proposed_at), is_number=True),
        Cell(one.proposed_by),
        Cell(confirmed, is_number=True),
        Cell(one.confirmed_by or ""),
        *(Cell(str(each), is_number=True) for each in (one.patients, one.deleted, one.kept)),
        Cell(visit.say("Withdraw"), f"{own}/withdraw") if state == "proposed" else Cell(""),
    ]


def _hold(visit: Visit, one: Held) -> list[Cell]:
    ended = "" if one.released_at is None else visit.moment(one.released_at)
    link = "" if one.released_at is not None else f"{HOLDS}/{one.hold}/release"
    return [
        Cell(str(one.hold), link),
        Cell(one.reason),
        Cell(visit.moment(one.at), is_number=True),
        Cell(one.by),
        Cell(ended, is_number=True),
        Cell(one.released_by or ""),
    ]


PAGES: Final[tuple[Page, ...]] = (*due, *deletions, *holds)
