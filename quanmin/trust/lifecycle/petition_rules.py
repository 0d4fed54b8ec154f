"""What residents may ask and how it is answered, as the definition has it."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

Side = Literal["asker", "answerer", "overseer"]
Part = Literal["wrong", "should", "evidence"]


class Kind(msgspec.Struct, frozen=True):
    """What may be asked; see the definition."""

    code: str
    zh: str
    en: str
    source: str
    source_zh: str
    about: Literal["record", "entry", "any"]
    fields: tuple[Part, ...]
    brings: Literal["version", "denial", "erasure", "nothing"]


class State(msgspec.Struct, frozen=True):
    """How far a petition is; somebody owes an answer while it `is_open`."""

    code: str
    zh: str
    en: str
    task: str
    is_open: bool


class Step(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """What one side may do in some states; `to` None leaves the state as it is."""

    code: str
    zh: str
    en: str
    by: Side
    from_: tuple[str, ...]
    needs: bool
    to: str | None = None
    clock: str | None = None


class Use(msgspec.Struct, frozen=True):
    """A purpose to which somebody may object."""

    code: str
    zh: str
    en: str


class Roles(msgspec.Struct, frozen=True):
    """The roles of each side, and those who see that there are petitions and no more."""

    asker: frozenset[str]
    answerer: frozenset[str]
    overseer: frozenset[str]
    watcher: frozenset[str]

    def side(self, role: str) -> Side | None:
        """On which side somebody of a role stands; None for on none."""
        if role in self.asker:
            return "asker"
        if role in self.answerer:
            return "answerer"
        return "overseer" if role in self.overseer else None


class Addresses(msgspec.Struct, frozen=True):
    """The code systems of petitions."""

    kind: str
    state: str
    step: str
    part: str
    statement: str


class _Head(msgspec.Struct, frozen=True):
    letters_min: int
    letters_max: int


class PetitionRules(msgspec.Struct, frozen=True):
    """The definition, read."""

    definition: _Head
    roles: Roles
    clocks: dict[str, int]
    address: Addresses
    kind: tuple[Kind, ...]
    state: tuple[State, ...]
    step: tuple[Step, ...]
    use: tuple[Use, ...]

    def kind_of(self, code: str) -> Kind | None:
        """The kind with this code."""
        return next((one for one in self.kind if one.code == code), None)

    def state_of(self, code: str) -> State:
        """The state with this code, which must be one."""
        return next(one for one in self.state if one.code == code)

    def step_of(self, code: str) -> Step | None:
        """The step with this code."""
        return next((one for one in self.step if one.code == code), None)

    @property
    def states_above(self) -> tuple[str, ...]:
        """The states that a petition has by an appeal, or by a step of who stands above."""
        by_them = {one.to for one in self.step if one.by == "overseer" or one.code == "appeal"}
        return tuple(one.code for one in self.state if one.code in by_them)

    @property
    def open_states(self) -> tuple[str, ...]:
        """The states in which somebody owes an answer."""
        return tuple(one.code for one in self.state if one.is_open)


@cache
def petition_rules() -> PetitionRules:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("lifecycle", "petitions.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), PetitionRules)
