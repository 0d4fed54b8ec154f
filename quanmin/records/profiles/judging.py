"""Holds records to profiles: finds out whatever a check has to know, and checks again.

A check says what it misses: other profiles, codes, records that are referred to. All of one round
is fetched together, over the connection of whoever asks. What was compiled stays with the worker
for as long as no profile changes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from quanmin.base.database import Connection
from quanmin.base.problems import Issue, Problem, Sentence, listed
from quanmin.fhir.json import Json
from quanmin.fhir.profiles import (
    Definition,
    Faulty,
    Knowledge,
    Profile,
    check_record,
    compile_profile,
)
from quanmin.fhir.profiles.definition import definition_of as read_resource
from quanmin.fhir.profiles.knowledge import Coded, Subsumed
from quanmin.records.profiles.catalogue import (
    Supported,
    definition_of,
    edition,
    find_all,
    profiles_in_force,
)

if TYPE_CHECKING:
    from quanmin.records.context import Context

Resolve = Callable[[str], Awaitable[Json | None]]
"""The record that a reference leads to, as far as whoever asks may see it."""

_LITERAL: Final = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z"
)
_BASE: Final = "its base"
_EDITIONS_MAX: Final = 2
_BASES_MAX: Final = 16


class ValidationLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How records are held to profiles."""

    profiles: Annotated[
        Literal["claimed", "off"],
        Meta(
            description="Whether a write is refused that does not keep a profile it claims "
            "(`meta.profile`) and the node knows. `$validate` checks profiles either way."
        ),
    ] = "claimed"
    profiles_kept_max: Annotated[
        int, Meta(description="How many compiled profiles one worker keeps.", ge=1)
    ] = 2000
    rounds_max: Annotated[
        int,
        Meta(
            description="How often a check may ask for profiles, codes and records that it turned "
            "out to need; what it asks for after that counts as unknown.",
            ge=1,
            le=100,
        ),
    ] = 16
    codes_kept_max: Annotated[
        int,
        Meta(
            description="How many codes one worker remembers to be in a value set, or below "
            "another, or not.",
            ge=1,
        ),
    ] = 100_000


class _Edition(msgspec.Struct):
    """What a worker found out while no profile and no value set changed."""

    profiles: dict[str, Profile | str | None] = {}
    members: dict[Coded, bool | None] = {}
    subsumptions: dict[Subsumed, bool | None] = {}


class Profiles:
    """The profiles of one worker. Bound to no connection."""

    def __init__(self, limits: ValidationLimits) -> None:
        self.limits = limits
        # A snapshot may be of an older edition than the worker knows: each has its own.
        self._editions: dict[int, _Edition] = {}
        self._supported: tuple[int, Supported] = (-1, ())
        # By the number of the definition, so that they outlast editions that did not change them.
        self._compiled: dict[int, Profile | str] = {}

    async def knowledge(self, connection: Connection) -> Knowledge:
        """What is known at this moment of this connection, for as many checks as it lasts."""
        number = await edition(connection)
        known = self._editions.get(number)
        limits = self.limits
        if known is None or (
            len(known.profiles) > limits.profiles_kept_max
            or len(known.members) + len(known.subsumptions) > limits.codes_kept_max
        ):
            known = self._editions[number] = _Edition()
            for old in sorted(self._editions)[:-_EDITIONS_MAX]:
                del self._editions[old]
        return Knowledge(known.profiles, known.members, known.subsumptions)

    async def supported(self, connection: Connection) -> Supported:
        """The profiles in force: the type and the address of each, in order."""
        number = await edition(connection)
        if self._supported[0] != number:
            self._supported = number, await profiles_in_force(connection)
        return self._supported[1]

    async def judge(
        self,
        context: Context,
        connection: Connection,
        knowledge: Knowledge,
        resource: dict[str, Json],
        *,
        profiles: Sequence[str] = (),
        at: str = "",
        is_brief: bool = False,
        resolve: Resolve | None = None,
    ) -> list[Issue]:
        """What the resource does not keep of its profiles and of `profiles`. See `check_record`.

        Without `resolve` records that it refers to are not looked at, only the types of references.
        """
        issues: list[Issue] = []
        for _ in range(self.limits.rounds_max):
            check = partial(
                check_record, resource, knowledge, profiles=profiles, at=at, is_brief=is_brief
            )
            # What is asked for by itself may be a Bundle of megabytes; requests go on meanwhile.
            issues = check() if is_brief else await asyncio.to_thread(check)
            if knowledge.is_enough:
                break
            await self._find_out(context, connection, knowledge, resolve)
        return issues

    async def faults(self, connection: Connection, resource: dict[str, Json]) -> list[Issue]:
        """Why a StructureDefinition, which is valid R4, cannot be used as a profile."""
        definition = read_resource(resource)
        if not definition.is_profile:
            return []
        base: Profile | str | None = None
        if definition.base is not None:
            base = await self._base(connection, definition.base)
        try:
            compile_profile(definition, base if isinstance(base, Profile) else None)
        except Faulty as faulty:
            return list(faulty.issues)
        return []

    async def _find_out(
        self,
        context: Context,
        connection: Connection,
        knowledge: Knowledge,
        resolve: Resolve | None,
    ) -> None:
        profiles, knowledge.wanted_profiles = knowledge.wanted_profiles, set()
        members, knowledge.wanted_members = knowledge.wanted_members, set()
        pairs, knowledge.wanted_subsumptions = knowledge.wanted_subsumptions, set()
        targets, knowledge.wanted_targets = knowledge.wanted_targets, set()
        found = await find_all(connection, profiles)
        for url, number in found.items():
            knowledge.profiles[url] = await self._profile(connection, number)
        for value_set, system, code in members:
            answer = await _is_member(context, connection, value_set, system, code)
            knowledge.members[value_set, system, code] = answer
        for pair in pairs:
            knowledge.subsumptions[pair] = await _is_above(context, connection, *pair)
        for reference in targets:
            knowledge.targets[reference] = None if resolve is None else await resolve(reference)

    async def _profile(
        self, connection: Connection, number: int | None, depth: int = 0
    ) -> Profile | str | None:
        """The profile; why it cannot be used; or None where there is none."""
        if number is None or number in self._compiled:
            return None if number is None else self._compiled[number]
        definition = await definition_of(connection, number)
        if definition is None:
            return None
        if definition.base is not None:
            # Its base may change without it.
            base = await self._base(connection, definition.base, depth)
            if isinstance(base, str):
                return base
            return _compiled(definition, base)
        if len(self._compiled) > self.limits.profiles_kept_max:
            self._compiled.clear()
        made = self._compiled[number] = _compiled(definition, None)
        return made

    async def _base(self, connection: Connection, url: str, depth: int = 0) -> Profile | str | None:
        if depth == _BASES_MAX:
            return Sentence("its bases go deeper than %(most)s, or in a circle", most=_BASES_MAX)
        number = (await find_all(connection, [url]))[url]
        found = await self._profile(connection, number, depth + 1)
        # Of a chain only the end tells what to mend.
        if isinstance(found, str) and not found.startswith(_BASE):
            return Sentence(
                "its base %(url)s cannot be used: %(found)s", url=url[:200], found=found
            )
        return found


def named_record(reference: str, base: str) -> tuple[str, str] | None:
    """Type and id of the record of this node that a reference names; None for any other."""
    found = _LITERAL.match(reference.removeprefix(base) if base else reference)
    return None if found is None else (found["type"], found["id"])


def _compiled(definition: Definition, base: Profile | None) -> Profile | str:
    if not definition.is_profile:
        return Sentence(
            "it defines a type and constrains none, so that no record of R4 can keep it"
        )
    try:
        return compile_profile(definition, base)
    except Faulty as faulty:
        return listed(issue.text for issue in faulty.issues[:3])


async def _is_member(
    context: Context, connection: Connection, value_set: str, system: str | None, code: str
) -> bool | None:
    """Whether the code is in the value set; None where nobody here knows it."""
    if context.terms is None:
        return None
    terms = context.terms(connection)
    try:
        # A statement that fails ends its transaction: this one, and not that of the write.
        async with connection.transaction():
            if system is not None:
                return await terms.is_member(value_set, system, code)
            return any(each == code for _, each in await terms.codes_in(value_set))
    except Problem:
        return None


async def _is_above(
    context: Context, connection: Connection, system: str, general: str, special: str
) -> bool | None:
    """Whether a code subsumes another; None where nobody here knows it."""
    if context.terms is None:
        return None
    terms = context.terms(connection)
    try:
        # As above: a statement that fails ends its transaction.
        async with connection.transaction():
            return await terms.is_above(system, general, special)
    except Problem:
        return None
