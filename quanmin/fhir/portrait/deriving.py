"""Personal health identifiers: what the records of a person amount to by the definitions, each with
its reasons and the rows it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from quanmin.fhir.portrait.definitions import (
    Definitions,
    Fact,
    Found,
    Identifier,
    Whose,
    found,
    is_one_of,
    newest_first,
)
from quanmin.fhir.portrait.measures import age_on, typed, weighed

_Coded = tuple[Fact, tuple[str, ...]]


def derive(
    by: Definitions, whose: Whose, records: Sequence[Fact], today: date
) -> tuple[Found, ...]:
    """The identifiers that these records amount to on a day, in the order of the definitions. A
    record of a later day does not count yet.
    """
    known = [one for one in records if one.on is None or one.on <= today]
    diagnoses = [
        (one, _codes(one, by)) for one in known if one.type == "Condition" and _counts(one, by)
    ]
    results = [
        one
        for one in known
        if one.type == "Observation" and one.body.get("status") not in by.observations["uncounted"]
    ]
    derived = [
        *(one for each in by.identifier for one in _derived(each, by, whose, diagnoses, today)),
        *weighed(by.weight, whose, results, today),
        *typed(by.blood, results),
    ]
    order = [group.code for group in by.group]
    return tuple(sorted(derived, key=lambda one: order.index(one.group)))


def _derived(
    one: Identifier, by: Definitions, whose: Whose, diagnoses: Sequence[_Coded], today: date
) -> Iterator[Found]:
    if one.sex and whose.sex != one.sex:
        return
    reasons: list[str] = []
    if one.age_from is not None or one.age_below is not None:
        age = age_on(whose.birth, today)
        if age is None or age[0] < (one.age_from or 0):
            return
        if one.age_below is not None and age[1] >= one.age_below:
            return
        reasons.append("age")
    rows = newest_first(_of(diagnoses, one.conditions))
    if one.conditions:
        reason = _stands(one, by, rows, diagnoses, today)
        if not reason:
            return
        reasons.append(reason)
    yield found(one.group, one.code, one, one.source, reasons, rows)


def _stands(
    one: Identifier, by: Definitions, rows: list[Fact], diagnoses: Sequence[_Coded], today: date
) -> str:
    """Why these diagnoses make it so now; "" when they do not."""
    if not rows:
        return ""
    last = rows[0].on
    # Of one day, that it lasts is believed before that it has ended.
    same_day = [row for row in rows if row.on == last]
    if not one.even_ended and all(_has_ended(row, by) for row in same_day):
        return ""
    later = [row.on for row in _of(diagnoses, one.ended_by) if row.on is not None]
    if last is not None and any(on >= last for on in later):
        return ""
    if one.within_days is None:
        return "newest-statement"
    is_within = last is not None and today - last <= timedelta(days=one.within_days)
    return "recorded-lately" if is_within else ""


def _counts(one: Fact, by: Definitions) -> bool:
    """Whether a diagnosis is stated, and not only thought of or taken back."""
    return not is_one_of(one.body.get("verificationStatus"), by.diagnoses.uncounted)


def _has_ended(one: Fact, by: Definitions) -> bool:
    is_abated = any(name.startswith("abatement") for name in one.body)
    return is_abated or is_one_of(one.body.get("clinicalStatus"), by.diagnoses.ended)


def _codes(one: Fact, by: Definitions) -> tuple[str, ...]:
    """The codes of a diagnosis: read once, as every identifier asks for them."""
    return tuple(
        str(coding.get("code") or "").upper()
        for coding in (one.body.get("code") or {}).get("coding") or ()
        if coding.get("system") in by.diagnoses.systems
    )


def _of(diagnoses: Iterable[_Coded], prefixes: tuple[str, ...]) -> list[Fact]:
    return [row for row, codes in diagnoses if any(code.startswith(prefixes) for code in codes)]
