"""Unified social credit codes: which are valid, and where they were registered (GB 32100)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from quanmin.base.decision import Decision


class CodeRule(msgspec.Struct, frozen=True):
    """The definition file, read. `own` is the system that this node writes; `division` is where in
    the code its division stands.
    """

    own: str
    systems: frozenset[str]
    alphabet: str
    weights: tuple[int, ...]
    division: tuple[int, int]


@cache
def code_rule() -> CodeRule:
    """The rule in force."""
    file = files("quanmin.definitions").joinpath("registers", "credit_code.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8"))["code"], CodeRule)


def credit_code_of(organization: Mapping[str, Any]) -> str | None:
    """The code that an Organization states, upper case without blanks; None when it has none."""
    for identifier in organization.get("identifier") or ():
        if identifier.get("system") in code_rule().systems and identifier.get("value"):
            return str(identifier["value"]).strip().upper()
    return None


def judge_credit_code(code: str) -> Decision:
    """Whether a code is valid (GB 32100-2015, 4 and 5); else the first rule that it breaks."""
    rule = code_rule()
    start, end = rule.division
    is_formed = len(code) == len(rule.weights) + 1 and set(code) <= set(rule.alphabet)
    if not is_formed or not code[start:end].isdigit():
        return Decision(allowed=False, reasons=("not-of-the-form",))
    places = map(rule.alphabet.index, code)
    # The last place has no weight: it makes the sum a multiple of the size of the alphabet.
    total = sum(place * weight for place, weight in zip(places, (*rule.weights, 1), strict=True))
    if total % len(rule.alphabet):
        return Decision(allowed=False, reasons=("check-character-wrong",))
    return Decision(allowed=True, reasons=("valid",))


def division_of(code: str) -> str:
    """The division whose authority registered a valid code."""
    start, end = code_rule().division
    return code[start:end]
