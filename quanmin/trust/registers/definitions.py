"""What the registers are made of: states, levels, kinds, and where an entry says them."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from quanmin.base.database import Connection

_OURS: Final = "select true from records.sender where sender = $1 and code = any($2::text[])"


class Word(msgspec.Struct, frozen=True):
    """A code with its words."""

    code: str
    zh: str
    en: str


class State(Word, frozen=True):
    """A state of an institution; `acts`: whether its actors may act meanwhile."""

    acts: bool


class Register(msgspec.Struct, frozen=True):
    """Whose records of which types are entries."""

    senders: frozenset[str]
    types: frozenset[str]


class Addresses(msgspec.Struct, frozen=True):
    """The systems and extensions by which an entry says what R4 has no element for."""

    sender: str
    status: str
    division: str
    kind: str
    level: str
    grade: str


class InstitutionRule(msgspec.Struct, frozen=True):
    """The definition of the register of institutions, read."""

    register: Register
    address: Addresses
    state: tuple[State, ...]
    level: tuple[Word, ...]
    grade: tuple[Word, ...]
    kind: tuple[Word, ...]


@cache
def institution_rule() -> InstitutionRule:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("registers", "institutions.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), InstitutionRule)


async def is_of_register(connection: Connection, sender: int) -> bool:
    """Whether what this sender (its number) writes are entries of the registers."""
    senders = list(institution_rule().register.senders)
    return bool(await connection.fetchval(_OURS, sender, senders))


@cache
def acting_states() -> frozenset[str]:
    """The states in which an institution's actors may act."""
    return frozenset(state.code for state in institution_rule().state if state.acts)


class RoleRule(Word, frozen=True):
    """A role, the kinds of licence of which an actor in a post needs one, and who acts in it in a
    post only: nobody, people who sign in, or everybody.
    """

    licences: frozenset[str] = frozenset()
    post: Literal["none", "people", "all"] = "none"


@cache
def roles() -> dict[str, RoleRule]:
    """The roles there are, by their code."""
    file = files("quanmin.definitions").joinpath("roles.toml")
    found = tomllib.loads(file.read_text("utf-8"))["role"]
    return {role["code"]: msgspec.convert(role, RoleRule) for role in found}


class Duty(Word, frozen=True):
    """What a post charges its holder with; `keeps_posts`: with the posts of the institution too."""

    keeps_posts: bool = False


@cache
def duties() -> tuple[Duty, ...]:
    """The duties a post may have."""
    file = files("quanmin.definitions").joinpath("registers", "duties.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8"))["duty"], tuple[Duty, ...])


@cache
def duties_known() -> frozenset[str]:
    """Their codes."""
    return frozenset(duty.code for duty in duties())
