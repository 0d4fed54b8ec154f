"""Citizens' identity numbers: which are valid, and what they say about their holder (GB 11643)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from quanmin.base.decision import Decision
from quanmin.fhir.query import Operand, TokenOperand
from quanmin.fhir.values import SearchParameter

_FILE = Path(__file__).resolve().parent.parent / "definitions" / "identity" / "identity_number.toml"


class _Number(msgspec.Struct, frozen=True):
    """`systems`: the usual one first."""

    systems: tuple[str, ...]
    length: int
    weights: tuple[int, ...]
    check_characters: str
    birth_date: tuple[int, int]
    sequence: tuple[int, int]


class _Dummies(msgspec.Struct, frozen=True):
    numbers: frozenset[str]
    birth_dates: frozenset[str]


class Rule(msgspec.Struct, frozen=True):
    """The definition file, read."""

    number: _Number
    dummies: _Dummies


@cache
def rule() -> Rule:
    """The rule in force."""
    return msgspec.convert(tomllib.loads(_FILE.read_text("utf-8")), Rule)


def number_of(patient: Mapping[str, Any]) -> str | None:
    """The identity number a Patient resource states, normalised (upper case, no blanks); None when
    it has none.
    """
    for identifier in patient.get("identifier") or ():
        if identifier.get("system") in rule().number.systems and identifier.get("value"):
            return str(identifier["value"]).strip().upper()
    return None


def of_today(number: str) -> str:
    """The number as it is written today: one of fifteen digits, as it was until 1999, with the
    century and the check character that it has had since. Others stay as they are.
    """
    form, start = rule().number, rule().number.birth_date[0]
    if len(number) != form.length - 3 or not (number.isascii() and number.isdigit()):
        return number
    whole = f"{number[:start]}19{number[start:]}"
    total = sum(int(digit) * weight for digit, weight in zip(whole, form.weights, strict=True))
    return whole + form.check_characters[total % len(form.check_characters)]


def judge(number: str, patient: Mapping[str, Any]) -> Decision:
    """Whether the number is valid and agrees with the Patient's own birth date and sex.

    A birth date or sex that is not stated cannot disagree. Reasons: "valid", "birth-date-agrees",
    "sex-agrees", or the first rule that is broken.
    """
    fault = _fault(number)
    if fault is not None:
        return Decision(allowed=False, reasons=(fault,))
    reasons = ["valid"]
    born = patient.get("birthDate")
    if born:
        if str(born) != str(_born(number)):
            return Decision(allowed=False, reasons=("valid", "birth-date-disagrees"))
        reasons.append("birth-date-agrees")
    sex = patient.get("gender")
    if sex in {"male", "female"}:
        if sex != _sex(number):
            return Decision(allowed=False, reasons=("valid", "sex-disagrees"))
        reasons.append("sex-agrees")
    return Decision(allowed=True, reasons=tuple(reasons))


def in_every_writing(
    param: SearchParameter, modifier: str, operands: tuple[Operand, ...]
) -> tuple[Operand, ...]:
    """The operands of an identifier, or of a reference by one (`:identifier`), and beside each the
    other writings of the same identity number: by another of its systems, with a small letter at
    its end. Others as they are.
    """
    is_identifier = param.kind == "token" and param.name == "identifier"
    if not is_identifier and modifier != "identifier":
        return operands
    return tuple(
        dict.fromkeys(
            alike
            for one in operands
            for alike in (_writings(one) if isinstance(one, TokenOperand) else (one,))
        )
    )


def _writings(asked: TokenOperand) -> list[TokenOperand]:
    known = rule().number.systems
    systems = (asked.system, *known) if asked.system in known else (asked.system,)
    codes = [asked.code]
    if asked.code is not None and asked.system in {None, *known} and _is_of_form(asked.code):
        codes += [asked.code.upper(), asked.code.lower()]
    return [TokenOperand(system, code) for code in codes for system in systems]


def _is_of_form(number: str) -> bool:
    digits, last = number[:-1], number[-1:].upper()
    is_whole = len(number) == rule().number.length and last in rule().number.check_characters
    return is_whole and digits.isascii() and digits.isdigit()


def _fault(number: str) -> str | None:
    form = rule().number
    if len(number) != form.length or not number.isascii() or not number[:-1].isdigit():
        return "not-of-the-form"
    total = sum(
        int(digit) * weight for digit, weight in zip(number[:-1], form.weights, strict=True)
    )
    if form.check_characters[total % len(form.check_characters)] != number[-1]:
        return "check-character-wrong"
    born = _born(number)
    if born is None:
        return "birth-date-impossible"
    dummies = rule().dummies
    if number in dummies.numbers or str(born) in dummies.birth_dates:
        return "a-dummy"
    return None


def _born(number: str) -> date | None:
    start, end = rule().number.birth_date
    try:
        return date.fromisoformat(number[start:end])
    except ValueError:
        return None


def _sex(number: str) -> str:
    start, end = rule().number.sequence
    return "male" if int(number[start:end]) % 2 else "female"
