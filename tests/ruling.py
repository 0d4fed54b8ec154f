"""Rules of access for tests: those of the program at any moment, and rules of a node's own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from quanmin.trust import Guard
from quanmin.trust.deciding import Bounds, rules
from quanmin.trust.deciding.rules import Rule, load_rules, read_rules
from quanmin.web.application import discover

TIMELESS: Final[tuple[Rule, ...]] = tuple(
    msgspec.structs.replace(rule, effective=date(1900, 1, 1)) for rule in load_rules()
)
"""The rules of the program, for tests whose moments are small numbers."""


def written(id_: str, when: str = "", among: str = '"everything"', **more: str) -> str:
    """A rule as somebody writes it into a file: it lets read, unless `more` says otherwise."""
    members = {
        "en": '"One."',
        "effect": '"permit"',
        "does": '["read", "look_up"]',
        "effective": "2026-01-01",
        "when": f"{{ {when} }}",
        "reach": f"{{ among = [{among}] }}",
        **more,
    }
    lines = [f'[[rule]]\nid = "{id_}"\nversion = "1"\nsource = "a test"\nzh = "一。"']
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in members.items()), ""])


def under(guard: Guard, *texts: str, brought: Iterable[Bounds] = ()) -> Guard:
    """The same node under further rules, and those that applications bring."""
    shipped = Path(rules.__file__).parents[2] / "definitions" / "consent_policies"
    files = [(one.name, one.read_bytes()) for one in sorted(shipped.glob("*.toml"))]
    files += [(f"{number}.toml", text.encode()) for number, text in enumerate(texts)]
    return Guard(
        guard.store,
        guard.people,
        guard.log,
        guard.now,
        posts_required=guard.standings.posts_required,
        rules=read_rules(files, brought),
        due=guard.due,
    )


def brought_by(package: str) -> list[Bounds]:
    """The rules that the applications of a package bring."""
    return [one.rules for one in discover(package) if one.rules is not None]
