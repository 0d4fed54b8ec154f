"""The rows of the statistics: sums by person or by institution, with rates and where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlencode

from quanmin.trust.deciding.glass import Openings
from quanmin.web import Visit

Cell = str | tuple[str, str]


def counted(
    visit: Visit,
    found: Sequence[tuple[Openings, str]],
    by: Literal["actor", "institution"],
    days: dict[str, str],
    suspended: dict[str, int],
) -> list[list[Cell]]:
    """Who, how many, of these waiting, justified and unjustified, and the share of unjustified
    among those that were judged; each number leads to its rows.
    """
    sums: dict[str, list[int]] = {}
    for one, institution in found:
        row = sums.setdefault(one.actor if by == "actor" else institution, [0, 0, 0, 0])
        for place, number in enumerate((one.number, one.waiting, one.justified, one.unjustified)):
            row[place] += number
    ordered = sorted(sums.items(), key=lambda one: (-one[1][0], one[0]))
    return [
        [who, *_numbers(who, by, row, days), _rate(row), _until(visit, suspended.get(who))]
        for who, row in ordered
    ]


def _numbers(who: str, by: str, row: Sequence[int], days: dict[str, str]) -> list[Cell]:
    states = ("any", "waiting", "justified", "unjustified")
    return [
        (str(number), f"/emergency-review?{urlencode({by: who, 'state': state, **days})}")
        if number
        else "0"
        for state, number in zip(states, row, strict=True)
    ]


def _rate(row: Sequence[int]) -> str:
    _, _, justified, unjustified = row
    judged = justified + unjustified
    return f"{100 * unjustified / judged:.0f} % ({unjustified}/{judged})" if judged else "–"


def _until(visit: Visit, moment: int | None) -> str:
    return "" if moment is None else visit.moment(moment)
