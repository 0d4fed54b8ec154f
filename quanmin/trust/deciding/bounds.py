"""What rules of access that an application brings may be about: what it declares, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.problems import Unusable

if TYPE_CHECKING:
    from quanmin.trust.deciding.rules import Rule

ADDRESSED: Final = "https://quanmin.example/fhir/addressed-to"
"""The system of the security labels that address a record to an institution: its credit code, or
its code as a sender.
"""

_DOES: Final = frozenset({"read", "look_up", "change", "create"})
# A relation in which records stand to whoever asks, or to where they ask; none is of all records.
_AMONG: Final = frozenset(
    {
        *("own", "about-asker", "directory", "treated", "consented", "reportable", "region"),
        "addressed",
    }
)
_OWN: Final = frozenset({"own", "about-asker"})


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that an application brings, as the text of a file at a `place`, and what it
    declares. `label` is that of the cases of its workflow, written system|code; "" without one.
    """

    application: str
    place: str
    text: bytes
    roles: frozenset[str]
    purposes: frozenset[str]
    reads: frozenset[str]
    writes: frozenset[str]
    label: str = ""

    def refuse(self, rule: Rule, where: str) -> None:
        """Raises Unusable for a rule beyond what the application declares."""
        for fault in self._faults(rule):
            raise Unusable(f"{where}: {fault}")

    def _faults(self, rule: Rule) -> Iterator[str]:
        when, reach = rule.when, rule.reach
        if not rule.id.startswith(f"{self.application}."):
            yield f"the id of a rule of this application begins with {self.application!r} and a dot"
        if rule.effect != "permit" or rule.remark is not None:
            yield (
                "an application permits and forbids nothing, and remarks on nothing: what it does"
                " not show it leaves out of its pages"
            )
        if not rule.does <= _DOES:
            yield f"an application lets {_listed(_DOES)}, not {_listed(rule.does - _DOES)}"
        for name, named, declared in (
            ("roles", when.roles, self.roles),
            ("purposes", when.purposes, self.purposes),
        ):
            if named is None or not named <= declared:
                yield f"`when.{name}` names some of those that it declares: {_listed(declared)}"
        yield from self._undeclared(rule)
        if not _AMONG.issuperset(reach.among):
            yield f"`reach.among` of an application is of {_listed(_AMONG)}"
        labels = frozenset(reach.labels or ())
        if (
            "Task" in (reach.types or ())
            and "create" not in rule.does
            and not (_OWN.issuperset(reach.among) or (labels and labels <= {self.label}))
        ):
            yield (
                "of the Tasks of others it reaches the cases of its own workflow: say"
                f" labels = [{self.label!r}]"
                if self.label
                else "it has no workflow.toml, so no Task of others is a case of its own"
            )

    def _undeclared(self, rule: Rule) -> Iterator[str]:
        types = rule.reach.types or frozenset()
        if not types:
            yield "`reach.types` names the types that it is about"
        for does, declared, word in (
            ({"read", "look_up"}, self.reads, "reads"),
            ({"change", "create"}, self.writes, "writes"),
        ):
            if rule.does & does and not types <= declared:
                yield f"{_listed(types - declared)}: it does not declare that it {word} this"


def _listed(codes: frozenset[str]) -> str:
    return ", ".join(sorted(codes)) or "none"
