"""A county in columns stands where each of its persons stands by the plan's own words."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import (
    alternatives,
    apart,
    case,
    escalates,
    hindered,
    plan,
    says,
    series,
    shipped,
    turn,
    visits,
    when,
)

from quanmin.trust.due import STATUSES, Known
from quanmin.workflow.plans import (
    Declared,
    Event,
    Facts,
    FactTable,
    Keeper,
    Plan,
    Span,
    State,
    after,
    due_items,
    population_of,
    standings,
)
from quanmin.workflow.plans.calendar import Calendar
from quanmin.workflow.plans.mapping import Told
from quanmin.workflow.plans.population import END, EVER, date_of, number_of

DAY = timedelta(days=1)


def every_rule() -> Plan:
    """A plan in which every rule that there is meets others."""
    codes = "a b"
    spaced = [
        turn(
            "s1", "0 d", says("overdue-after", "1 d"), escalates("0 d", "x"), escalates("3 d", "y")
        ),
        turn("s2", "1 mo", says("least-age", "5 d"), after="s1: 20 d"),
        turn(
            "s3",
            "+1 mo",
            says("least-age", "5 d"),
            says("age-limit", "1 a"),
            after="s2: 1 mo; s1: 2 mo",
        ),
    ]
    skipping = [
        turn("k1", "1 mo", says("age-limit", "3 mo"), says("lapse", "skip"), says("counts", "a")),
        turn("k2", "3 mo", says("age-limit", "6 mo"), says("lapse", "skip"), after="k1: 1 mo"),
        turn("k3", "6 mo", says("overdue-age", "7 mo"), after="k2: 1 mo; s2: 2 wk"),
        turn("k4", "+2 mo", says("overdue-after", "0 d"), after="k3: 10 d"),
    ]
    counting = [
        turn("c1", "1 mo", says("overdue-age", "2 mo"), escalates("1 mo", "z")),
        turn("c2", "2 mo", after="c1: 1 mo"),
    ]
    cases = [
        case("bad", "v", "2 wk", "%last = 'bad' and %before != 'good'"),
        case("girls", "v", "1 mo", "(%sex = 'female' xor 'g' in %groups) and %last = 'good'"),
        case("else", "v", "3 mo"),
    ]
    return plan(
        series("spaced", codes, spaced, says("early-dose", "repeat-spaced"),
               hindered("ill", "postpone")),
        series("skipping", codes, skipping, hindered("never", "exclude"),
               hindered("ill", "exclude")),
        series("counting", codes, counting, says("early-dose", "count"),
               condition=when("%born >= @2024-01-31 and (%groups contains 'g').not()")),
        alternatives(
            "choice",
            series("one", "a", [turn("o1", "1 mo"), turn("o2", "+1 mo", after="o1: 28 d")],
                   hindered("never", "exclude"),
                   condition=when("%sex != 'male' or @2024-03-01 > %born")),
            series("two", "b c", [turn("t1", "1 mo"), turn("t2", "2 mo", after="t1: 3 d")],
                   says("early-dose", "repeat-spaced")),
        ),
        visits("v", "v w", cases, says("begins-state", "held"), says("begins-age", "1 mo"),
               says("overdue-after", "3 d"), escalates("1 wk", "x"), hindered("ill", "postpone")),
        apart_rules=[
            apart("same-day", ["a", "c"], "28 d", "two", same_day=True),
            apart("same-day-too", ["b"], "1 mo", "skipping", same_day=True),
            apart("shield", ["w"], "1 mo", "spaced", same_day=False),
        ],
    )  # fmt: skip


PLANS = {
    "every rule": (every_rule(), ("a", "b", "c", "v", "w"), ("ill", "never", "held")),
    "immunization": (
        shipped("immunization-2026"),
        ("hepb", "bcg", "ipv", "bopv", "dtap", "mmr", "je-live", "je-inactivated", "mpsv-a",
         "mpsv-ac", "hepa-live", "hepa-inactivated", "hpv", "immunoglobulin"),
        ("acute-illness", "immunodeficiency", "allergy-dtap"),
    ),
    "hypertension": (
        shipped("hypertension-2017"),
        ("hypertension-visit", "blood-pressure", "health-examination"),
        ("hypertension",),
    ),
}  # fmt: skip
RESULTS = ("", "good", "bad", "satisfied", "unsatisfied", "adverse-reaction", "crisis")
GROUPS = ("g", "mother-hbsag-positive", "birth-weight-under-2000g")
# Where months end differently, and around the leap day.
BIRTHS = [date(2024, 1, 29) + n * DAY for n in range(5)] + [
    date(2024, 2, 28), date(2024, 2, 29), date(2023, 8, 31), date(2024, 3, 31), date(2012, 2, 29),
    date(1989, 2, 28),
]  # fmt: skip
SPANS = [Span(days=n) for n in (0, 3, 7, 14, 20, 28, 60)] + [
    Span(months=n) for n in (1, 2, 3, 4, 6, 8, 9, 12, 18, 24, 36, 48, 72, 156, 168, 420)
]


@st.composite
def day_near(draw: st.DrawFn, anchors: list[date]) -> date:
    """A day at which something may change: a span after another day, or one beside it."""
    moved = after(draw(st.sampled_from(anchors)), draw(st.sampled_from(SPANS)))
    return moved + draw(st.sampled_from((-1, 0, 0, 1))) * DAY


@st.composite
def someone(draw: st.DrawFn, codes: tuple[str, ...], states: tuple[str, ...]) -> Facts:
    """A person who comes for one thing above all, mostly some span after the last time."""
    born = draw(st.sampled_from(BIRTHS))
    anchors, events, held = [born], [], []
    mainly = [draw(st.sampled_from(codes))] * 2 * len(codes)
    for _ in range(draw(st.integers(0, 7))):
        on = draw(day_near(anchors[-1:] * 3 + anchors))
        anchors.append(on)
        code = draw(st.sampled_from((*mainly, *codes)))
        events.append(Event(on, code, draw(st.sampled_from(RESULTS))))
    for state in states:
        if draw(st.booleans()):
            since = draw(st.none() | day_near(anchors))
            until = draw(st.none() | day_near(anchors if since is None else [since]))
            held.append(State(state, since, until))
    return Facts(
        born=born,
        sex=draw(st.sampled_from(("female", "male", "unknown"))),
        groups=frozenset(draw(st.sets(st.sampled_from(GROUPS)))),
        events=tuple(events),
        states=tuple(held),
    )


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_county_stands_where_its_persons_stand(name: str, data: st.DataObject) -> None:
    held, codes, states = PLANS[name]
    persons = data.draw(st.lists(someone(codes, states), min_size=1, max_size=6))
    anchors = [event.on for one in persons for event in one.events]
    today = data.draw(day_near(anchors + [one.born for one in persons]))
    columns = standings(held, population_of(persons), today)
    for number, person in enumerate(persons):
        singly = due_items(held, person, today)
        together = [column.item(number) for column in columns]
        assert together == [msgspec.structs.replace(one, reasons=()) for one in singly]


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_lines_of_due_lists_hold_until_the_day_to_look_again(
    name: str, data: st.DataObject
) -> None:
    held, codes, states = PLANS[name]
    person = data.draw(someone(codes, states))
    keeper = Keeper(Declared(code="p", plan=held, table=FactTable(()), stamp=""), UTC)
    told = Told(events=person.events, states=person.states, groups=tuple(person.groups))
    patient = {"birthDate": person.born.isoformat(), "gender": person.sex}
    known = Known((patient,), (msgspec.json.encode(told),))
    anchors = [person.born, *(event.on for event in person.events)]
    anchors += [one for state in person.states for one in (state.since, state.until) if one]
    today, later = sorted((data.draw(day_near(anchors)), data.draw(day_near(anchors))))
    (stood,) = keeper.stand([known], today)
    assert stood.again is None or stood.again > today
    if stood.again is not None and stood.again <= later:
        later = data.draw(st.sampled_from((today, stood.again - DAY)))
    (then,) = keeper.stand([known], later)
    assert then.lines == stood.lines
    said = {one.series: one for one in due_items(held, person, later)}
    for line in stood.lines:
        item = said.pop(line.series)
        assert keeper.item(line, later) == msgspec.structs.replace(
            item, because="", because_on=None, reasons=()
        )
    assert {one.status for one in said.values()}.isdisjoint(STATUSES)
    many = keeper.stand([known] * 100, today)
    assert list(many) == [stood] * 100, "in columns it is the same"


@given(st.dates(), st.integers(0, 3000), st.integers(0, 100_000))
def test_columns_add_months_and_days_as_dates_do(day: date, months: int, days: int) -> None:
    column = np.array([number_of(day), EVER], np.int32)
    for span in (Span(months=months), Span(days=days)):
        known = Calendar(column).after(column, span)
        strange = Calendar(np.array([0], np.int32)).after(column, span)
        assert [date_of(int(one)) for one in known] == [after(day, span), None]
        assert [date_of(int(one)) for one in strange] == [after(day, span), None]
    assert date_of(int(END)) == date.max


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)), st.integers(0, 600))
def test_a_later_day_is_never_before_an_earlier_one_so_long_after(day: date, months: int) -> None:
    """So the last of several events decides about a distance."""
    assert after(day, Span(months=months)) <= after(day + DAY, Span(months=months))


def test_nobody_stands_nowhere() -> None:
    assert [
        one.persons("due").size for one in standings(every_rule(), population_of([]), date.max)
    ] == [0] * 6
