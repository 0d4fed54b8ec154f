"""What a check knows of the world: profiles, codes, records. What it does not know it notes.

A check that had to note something is repeated once that has been found out. So checking itself
needs no input or output, and everything asked in one round is fetched together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from quanmin.fhir.json import Json
from quanmin.fhir.profiles.model import STRUCTURE, Profile, Rule
from quanmin.fhir.table import ValueSet, load_table
from quanmin.fhir.units import is_unit
from quanmin.fhir.validation.advice import extensible_bindings
from quanmin.fhir.validation.literals import compiled

Coded = tuple[str, str | None, str]
"""A value set, a code system (None: any of the set) and a code."""

Subsumed = tuple[str, str, str]
"""A code system, a code that may be above, and one that may be below."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_SIMPLE = STRUCTURE + "SimpleQuantity"
# Part of R4 itself, as a type of elements that has no shape (datatypes.html#SimpleQuantity).
_BUILT_IN = {
    _SIMPLE: Profile(
        _SIMPLE,
        "",
        "Quantity",
        Rule(
            "Quantity",
            "Quantity",
            children={"comparator": Rule("Quantity.comparator", "comparator", max=0)},
        ),
    )
}


def _of_release(url: str) -> ValueSet | None:
    """A value set that R4 itself binds elements to, so that its codes are known here."""
    return load_table().value_sets.get(url) or extensible_bindings().value_sets.get(url)


class Knowledge:
    """`profiles`, `members`, `subsumptions` and `targets` hold None for what was looked for and is
    not there.

    A profile that is there and cannot be used is a text that says why.
    """

    def __init__(
        self,
        profiles: dict[str, Profile | str | None] | None = None,
        members: dict[Coded, bool | None] | None = None,
        subsumptions: dict[Subsumed, bool | None] | None = None,
    ) -> None:
        self.profiles = profiles if profiles is not None else {}
        self.members = members if members is not None else {}
        self.subsumptions = subsumptions if subsumptions is not None else {}
        self.targets: dict[str, Json | None] = {}
        self.wanted_profiles: set[str] = set()
        self.wanted_members: set[Coded] = set()
        self.wanted_subsumptions: set[Subsumed] = set()
        self.wanted_targets: set[str] = set()

    @property
    def is_enough(self) -> bool:
        """Whether everything asked so far was known."""
        return not (
            self.wanted_profiles
            or self.wanted_members
            or self.wanted_subsumptions
            or self.wanted_targets
        )

    def profile(self, url: str) -> Profile | str | None:
        """The profile at a canonical address; None when there is none."""
        return _BUILT_IN.get(url) or self._ask(self.profiles, self.wanted_profiles, url)

    def usable(self, url: str) -> Profile | None:
        """The profile, where there is one that can be used."""
        found = self.profile(url)
        return found if isinstance(found, Profile) else None

    # As a terminology, of expressions too.

    def is_member(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether the code is in the value set; None where this is not known."""
        known = _of_release(value_set.partition("|")[0])
        if known is None or known.open or (known.pattern and system is not None):
            return self._ask(self.members, self.wanted_members, (value_set, system, code))
        if system is not None:
            return known.has(system, code)
        if known.pattern:
            return compiled(known.pattern).search(code) is not None
        return is_unit(code) if known.is_ucum else code in known.codes

    def subsumes(self, system: str, general: str, special: str) -> bool | None:
        """Whether a code is another or above it; None where this is not known."""
        key = system, general, special
        return self._ask(self.subsumptions, self.wanted_subsumptions, key)

    def target(self, reference: str) -> Json | None:
        """The record that a reference leads to, as far as whoever asks may see it."""
        return self._ask(self.targets, self.wanted_targets, reference)

    def _ask(self, known: Mapping[_Key, _Value], wanted: set[_Key], key: _Key) -> _Value | None:
        found = known.get(key)
        if found is None and key not in known:
            wanted.add(key)
        return found
