"""The pages that judge emergencies: the queue, one case, the statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from typing import Final, cast

from starlette.responses import Response

from quanmin.applications.emergency_review.counting import counted
from quanmin.base.problems import Malformed, NotFound, Problem
from quanmin.trust.deciding.glass import Opened, State, Wanted, load_glass_rules
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.forms import Cell, Field, read_number
from quanmin.web.labels import tell_type
from quanmin.web.route import Charge
from quanmin.web.sheet import sheet
from quanmin.web.tables import Heading, Row, Table, asked_order, table

# Of an institution's staff those alone who are charged with it in a post; the desk looks.
_OWN: Final = load_glass_rules().own_reviewers
REVIEWERS: Final = Access(
    frozenset({"operator", "security_administrator", "doctor", "nurse"}),
    Charge(frozenset({_OWN.duty}), frozenset({"doctor", "nurse"})),
    is_of_node=True,
)
_STATES: Final = ("waiting", "justified", "unjustified")
_EVER: Final = (1 << 63) - 1
_DAYS: Final = 90


@table("/emergency-review", access=REVIEWERS, name="emergencies")
async def queue(visit: Visit, records: DeclaredRecords) -> Table:
    """What waits to be judged, the oldest first; or what else is asked for."""
    desk, (wanted, is_day), say = records.desk(EmergencyReviews), _wanted(visit), visit.say
    headings = [
        Heading(say("When"), "opened"),
        *(Heading(say("Who")), Heading(say("Institution")), Heading(say("Judged"))),
        Heading(say("Due")),
    ]
    order, now = asked_order(visit, headings, "opened"), visit.house.guard.now()

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.listed(
            wanted,
            institution=visit.asked("institution"),
            after=_after(after) if after else None,
            count=count,
            is_newest_first=order == "-opened",
        )
        return [Row(_row(visit, *one, now=now), f"{one[0].at}.{one[0].glass}") for one in found]

    hours = load_glass_rules().review_hours_max
    return Table(
        title=say("Opened in emergencies"),
        lead=say("Each is to be judged within %(hours)s hours, the oldest first.")
        % {"hours": hours},
        headings=headings,
        fetch=fetch,
        filters=_filters(visit),
        order=order,
        fault="" if is_day else say("A day is written as 2026-01-31."),
        empty=say("Nothing waits here"),
        actions=[(say("Statistics"), "/emergency-review/statistics")],
    )


def _filters(visit: Visit) -> list[Field]:
    say, asked = visit.say, visit.asked
    states = [
        *((one, _told(visit, one)) for one in _STATES),
        ("any", say("any")),
    ]
    return [
        Field("state", say("Judged"), "select", asked("state") or "waiting", states),
        Field("actor", say("Code of the account"), value=asked("actor"), length_max=100),
        Field("institution", say("Code of the institution"), value=asked("institution")),
        Field("since", say("From"), "date", asked("since")),
        Field("before", say("To"), "date", asked("before")),
    ]


@page("/emergency-review/case/{glass}", access=REVIEWERS, methods=("GET", "POST"))
async def case(visit: Visit, records: DeclaredRecords) -> Response:
    """One case; after a POST it is judged."""
    desk, glass = records.desk(EmergencyReviews), read_number(visit.path("glass"))
    if glass is None:
        raise NotFound("nothing was opened under this number")
    wrong: Problem | None = None
    sent = {name: visit.sent.get(name, "") for name in ("state", "opinion")}
    if visit.request.method == "POST":
        try:
            await desk.judge(glass, cast("State", sent["state"]), sent["opinion"])
        except NotFound:
            raise
        except Problem as problem:
            wrong = problem
        else:
            return visit.go(f"/emergency-review/case/{glass}")
    review = await desk.review(glass)
    rules = load_glass_rules()
    return visit.page(
        "emergency_review/case.html",
        status=wrong.status if wrong else 200,
        problem=wrong,
        sent=sent,
        review=review,
        one=review.opened,
        state=_told(visit, review.opened.state),
        is_overdue=_is_overdue(review.opened, visit.house.guard.now()),
        read=[(tell_type(type_, visit.language).text, str(n)) for type_, n in review.read],
        letters=(rules.opinion_letters_min, rules.opinion_letters_max),
    )


@page("/emergency-review/statistics", access=REVIEWERS)
async def statistics(visit: Visit, records: DeclaredRecords) -> Response:
    """How often who opened records in a period, and what was judged; each number leads to its
    rows.
    """
    since, before, is_day = _period(visit, default_days=_DAYS)
    desk = records.desk(EmergencyReviews)
    found = await desk.statistics(since, before)
    suspended = await desk.suspended_until([one.actor for one, _ in found])
    days = {"since": _day(visit, since), "before": _day(visit, before - 1)}
    return visit.page(
        "emergency_review/statistics.html",
        people=counted(visit, found, "actor", days, suspended),
        institutions=counted(visit, found, "institution", days, {}),
        days=days,
        is_day=is_day,
        csv=visit.here_with().replace("/statistics?", "/statistics.csv?", 1),
    )


@page("/emergency-review/statistics.csv", access=REVIEWERS)
async def statistics_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The same by person and institution as a sheet."""
    since, before, _ = _period(visit, default_days=_DAYS)
    found = await records.desk(EmergencyReviews).statistics(since, before)

    async def rows() -> AsyncIterator[list[str]]:
        for one, institution in found:
            yield [one.actor, institution, str(one.number), str(one.waiting), str(one.justified),
                   str(one.unjustified)]  # fmt: skip

    say = visit.say
    heading = [say("Who"), say("Institution"), say("Opened"), say("Not judged yet"),
               say("Justified"), say("Unjustified")]  # fmt: skip
    return sheet("emergency_statistics", heading, rows())


def _row(visit: Visit, one: Opened, institution: str, *, now: int) -> list[Cell]:
    is_overdue = _is_overdue(one, now)
    return [
        Cell(visit.moment(one.at), f"/emergency-review/case/{one.glass}"),
        Cell(one.actor),
        Cell(institution),
        Cell(_told(visit, one.state)),
        Cell(
            visit.moment(one.due_at) if one.state == "waiting" else "",
            is_number=True,
            tag=visit.say("overdue") if is_overdue else "",
            is_warning=is_overdue,
        ),
    ]


def _is_overdue(one: Opened, now: int) -> bool:
    return one.state == "waiting" and one.due_at < now


def _told(visit: Visit, state: str) -> str:
    say = visit.say
    words = {
        "waiting": say("not yet"),
        "justified": say("justified"),
        "unjustified": say("unjustified"),
    }
    return words.get(state, state)


def _wanted(visit: Visit) -> tuple[Wanted, bool]:
    state = visit.asked("state") or "waiting"
    since, before, is_day = _period(visit, default_days=None)
    chosen = "" if state == "any" else state if state in _STATES else "waiting"
    return Wanted(chosen, visit.asked("actor"), None, since, before), is_day


def _period(visit: Visit, *, default_days: int | None) -> tuple[int, int, bool]:
    """From when to before when; the last days asked for count whole. False for no dates."""
    zone = visit.house.settings.zone
    today = datetime.fromtimestamp(visit.house.guard.now() / 1e6, zone).date()
    since: date | None = None if default_days is None else today - timedelta(days=default_days)
    before: date | None = None if default_days is None else today
    is_day = True
    try:
        since = date.fromisoformat(visit.asked("since")) if visit.asked("since") else since
        before = date.fromisoformat(visit.asked("before")) if visit.asked("before") else before
        after = None if before is None else before + timedelta(days=1)
    except (ValueError, OverflowError):
        since, after, is_day = None, None, False

    def moment(day: date | None, otherwise: int) -> int:
        if day is None:
            return otherwise
        return int(datetime.combine(day, time(), zone).timestamp()) * 1_000_000

    return moment(since, 0), moment(after, _EVER), is_day


def _day(visit: Visit, moment: int) -> str:
    if not 0 < moment < _EVER - 1:
        return ""
    return f"{datetime.fromtimestamp(moment / 1e6, visit.house.settings.zone):%Y-%m-%d}"


def _after(text: str) -> tuple[int, int]:
    at, _, glass = text.partition(".")
    if not (at.isdecimal() and glass.isdecimal() and len(text) < 40):
        raise Malformed("this link is damaged; begin from the first page")
    return min(int(at), _EVER), min(int(glass), _EVER)


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """What was opened in emergencies and nobody has judged."""
    number, late = await records.desk(EmergencyReviews).waiting(visit.house.settings.work_count_max)
    words, link = visit.say("emergencies to judge"), "/emergency-review?state=waiting"
    return [Work(words=words, link=link, number=number, late=late)]


PAGES: tuple[Page, ...] = (*queue, case, statistics, statistics_sheet)
