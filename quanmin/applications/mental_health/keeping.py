"""What a visit comes to by the norm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from quanmin.applications.mental_health.rules import is_stable, is_unstable
from quanmin.workflow.mental import number

HERE: Final = Path(__file__).parent
_FUNCTIONS: Final = ("care", "housework", "work", "learning", "contact")


class Finding(msgspec.Struct, frozen=True):
    """What a visit came to: the grade, the class, why that is not stable, and whether somebody has
    harmed themselves.
    """

    grade: int
    class_: str
    reasons: tuple[str, ...]
    self_harm: bool


def judged(said: Mapping[str, Any]) -> Finding:
    """What the answers of a visit come to."""
    code = {
        link: str(value.get("code", "")) for link, value in said.items() if isinstance(value, dict)
    }
    grade = int(code["grade"])
    found: dict[str, Any] = {
        "grade": grade,
        **{name: code[name] for name in ("symptoms", "insight", "reaction", "illness")},
    }
    function = "poor" if "poor" in {code[one] for one in _FUNCTIONS} else ""
    stable = is_stable(**found, function=function, basic_from=number("basic_from"))
    settled = "basic-settled" if code.get("settled") == "yes" else "basic"
    class_ = "stable" if stable.allowed else settled
    if is_unstable(**found, refer_from=number("refer_from")).allowed:
        class_ = "unstable"
    harm = int(said.get("self-harm") or 0) + int(said.get("suicide") or 0)
    return Finding(grade, class_, stable.reasons, harm > 0)
