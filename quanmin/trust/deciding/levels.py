"""Up to which level of GB/T 39725 a role sees the records of other institutions, by scenario."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec

from quanmin.records.keying import Keying
from quanmin.records.sensitivity import load_kinds


class Scenario(msgspec.Struct, frozen=True):
    """Some purposes of use, and the level up to which each role sees for them; `is_of_standard`:
    GB/T 39725-2020 names it.
    """

    name: str
    en: str
    purposes: frozenset[str]
    levels: dict[str, int]
    is_of_standard: bool = False


class Level(msgspec.Struct, frozen=True):
    """What a level means."""

    level: int
    zh: str
    en: str


class Levels(msgspec.Struct, frozen=True):
    """The definition file. A record without a label has the level `unlabelled`."""

    unlabelled: int
    confidentiality: str
    labels: dict[str, int]
    level: tuple[Level, ...]
    scenario: tuple[Scenario, ...]

    def seen_up_to(self, role: str, purpose: str) -> int:
        """The level up to which a role sees for a purpose; 0 for none."""
        return max(
            (
                scenario.levels.get(role, 0)
                for scenario in self.scenario
                if purpose in scenario.purposes
            ),
            default=0,
        )


@cache
def load_levels() -> Levels:
    """The definition in force."""
    file = resources.files("quanmin") / "definitions" / "sensitivity" / "levels.toml"
    whole = tomllib.loads(file.read_text("utf-8"))
    head = whole.pop("definition")
    return msgspec.convert({**head, **whole}, Levels, strict=False)


def label_levels(keying: Keying) -> dict[int, int]:
    """The level of each label, by its key, without those of kinds that only a consent opens."""
    known = load_levels()
    label = keying.label
    found = {label(known.confidentiality, code): of for code, of in known.labels.items()}
    return found | {
        label(kind.label.system, kind.label.code): kind.level
        for kind in load_kinds()
        if not kind.is_strict
    }
