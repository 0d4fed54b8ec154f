"""What the invented province says to the registers of a node: its institutions, staff and their
licences, as the files that `quanmin registers load` takes, and a child with its parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import chain

import msgspec

from quanmin.base.csv_line import line
from quanmin.demo.households import LAST_DAY, make_household
from quanmin.demo.institutions import Institution, Staff
from quanmin.demo.province import Province
from quanmin.demo.tables import INSTITUTIONS

_SINCE, _UNTIL = "2020-01-01", "2034-12-31"
_INSTITUTIONS = (
    *("credit_code", "name", "kind", "level", "grade", "region", "sender", "parent"),
    *("state", "from"),
)
_STAFF = ("staff_number", "name", "licence", "scopes", "from", "until", "institution")
_CHILD_AGE_MAX = 11  # so that it is one for years to come
_LOOKED_AT_MAX = 3000


class ParentAndChild(msgspec.Struct, frozen=True):
    """Two of one household, by their identity numbers."""

    parent: str
    parent_name: str
    child: str
    born: date


def institution_sheet(province: Province) -> str:
    """The institutions of the province, each in the state it has been in since long ago."""
    known = {one.code: one for one in _institutions(province)}
    lines = [line(_INSTITUTIONS)]
    for one in known.values():
        said = one.kind.registered
        parent = "" if one.parent is None else known[one.parent].credit_code
        # Most send through the platform of their prefecture, which is none of them.
        sender = one.sender if _is_own_sender(one) else ""
        words = (one.credit_code, one.name, said.kind, said.level, said.grade)
        lines.append(line((*words, one.division[:6], sender, parent, "active", _SINCE)))
    return "".join(lines)


def staff_sheet(province: Province) -> str:
    """The staff of the institutions, each with a licence, some with one to vaccinate beside it."""
    lines = [line(_STAFF)]
    for one in _institutions(province):
        for staff in one.staff:
            said = one.kind.registered
            scope = said.scopes.get(staff.department, said.scope)
            days = (_SINCE, _UNTIL, one.credit_code)
            who = (staff.number, staff.name.text)
            lines.append(line((*who, said.licence, scope, *days)))
            if staff.department in said.vaccinators:
                lines.append(line((*who, "vaccinator", "", *days)))
    return "".join(lines)


def first_of_staff(province: Province, sender: str, department: str) -> Staff:
    """The first doctor of a department of the hospital that sends under this code."""
    hospital = next(one for one in _institutions(province) if one.sender == sender)
    return next(one for one in hospital.staff if one.department == department)


def parent_and_child(province: Province) -> ParentAndChild | None:
    """A mother and a child of hers who both have identity numbers; None where nobody is found."""
    for number in range(min(_LOOKED_AT_MAX, province.household_count)):
        humans = make_household(province.seed, number).humans
        for child in humans:
            mother = None if child.mother is None else humans[child.mother]
            if (
                mother is not None
                and child.has_identity
                and mother.has_identity
                and child.lives(LAST_DAY)
                and mother.lives(LAST_DAY)
                and 0 <= child.age(LAST_DAY) <= _CHILD_AGE_MAX
            ):
                name = mother.name.text
                return ParentAndChild(mother.identity, name, child.identity, child.born)
    return None


def _institutions(province: Province) -> Iterator[Institution]:
    return chain.from_iterable(province.places().values())


def _is_own_sender(one: Institution) -> bool:
    return one.sender in {own.code for own in INSTITUTIONS.own_senders}
