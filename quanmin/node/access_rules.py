"""The rules of access of this node: those of the program, of its applications, and of its own."""

from __future__ import annotations

from quanmin.node.settings import Settings
from quanmin.trust.deciding.rules import Rule, load_rules
from quanmin.web.application import discover


def rules_in_force(settings: Settings) -> tuple[Rule, ...]:
    """All of them, with those of the applications that a node of this level has. Raises Unusable,
    naming file and rule, for one that is faulty.
    """
    level = settings.node.level
    brought = [one.rules for one in discover() if level in one.application.levels]
    return load_rules(settings.rules.folder, tuple(one for one in brought if one is not None))
