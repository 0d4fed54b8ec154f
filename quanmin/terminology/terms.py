"""Terminology at one moment: what others ask of it, over a connection that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quanmin.base.database import Connection
from quanmin.terminology.catalogue import Canonical, Entry, Kind, find_record, need
from quanmin.terminology.checking import (
    Check,
    Verdict,
    check_in_sent_system,
    check_in_system,
    check_in_value_set,
    concept_row,
    member,
)
from quanmin.terminology.choosing import Choice, Choices, choose, chosen
from quanmin.terminology.concepts import Described, Relation, look_up, relate
from quanmin.terminology.expanding import Wanted, expand
from quanmin.terminology.limits import TermLimits
from quanmin.terminology.selection import Composer
from quanmin.terminology.translating import Asked, Translated, translate

Pair = tuple[str, str]
"""A code system and a code in it."""


class Terms:
    """Bound to one connection, best one inside a snapshot."""

    def __init__(self, connection: Connection, limits: TermLimits | None = None) -> None:
        self._connection = connection
        self._limits = limits or TermLimits()

    async def entry(self, kind: Kind, canonical: Canonical, date: str = "") -> Entry:
        """The resource at a canonical address. Raises NotFound."""
        return await need(self._connection, kind, canonical, date)

    async def entry_of(self, kind: Kind, rid: int) -> Entry:
        """The resource of a record. Raises NotFound."""
        return await find_record(self._connection, kind, rid)

    # ---- for searches and validation ----------------------------------------------------------

    async def codes_in(self, value_set: str) -> frozenset[Pair]:
        """Every code of a value set (`url` or `url|version`), without a limit of number.

        Raises NotFound, Conflict, Invalid as an expansion does.
        """
        composer = Composer(self._connection, self._limits)
        select = await composer.imported(Canonical.read(value_set), "ValueSet")
        rows = await self._connection.fetch(
            f"select distinct s.url, s.code from ({select}) s",
            *composer.binding.arguments,
        )
        return frozenset((row["url"], row["code"]) for row in rows)

    async def is_member(self, value_set: str, system: str, code: str) -> bool:
        """Whether a value set holds a code; one probe, however large it is."""
        entry = await self.entry("ValueSet", Canonical.read(value_set))
        return (
            await member(self._connection, self._limits, entry.head, Check(system, code))
            is not None
        )

    async def is_above(self, system: str, general: str, special: str) -> bool:
        """Whether a code is another of its system or subsumes it. Raises as `relate` does."""
        entry = await self.entry("CodeSystem", Canonical.read(system))
        relation = await relate(self._connection, entry, general, special)
        return relation in {"equivalent", "subsumes"}

    async def descendants(self, system: str, code: str) -> frozenset[Pair]:
        """The code and all below it (`:below`). Raises NotFound for an unknown system."""
        return await self._family(system, code, "a.ancestor = $2 and a.concept = c.concept")

    async def ancestors(self, system: str, code: str) -> frozenset[Pair]:
        """The code and all above it (`:above`). Raises NotFound for an unknown system."""
        return await self._family(system, code, "a.concept = $2 and a.ancestor = c.concept")

    async def _family(self, system: str, code: str, relation: str) -> frozenset[Pair]:
        entry = await self.entry("CodeSystem", Canonical.read(system))
        row = await concept_row(self._connection, entry, code)
        if row is None:
            return frozenset()
        rows = await self._connection.fetch(
            "select c.code from terminology.concept c join terminology.ancestor a"
            f" on a.resource = c.resource and {relation} where c.resource = $1",
            entry.number,
            row["concept"],
        )
        return frozenset({(entry.url, row["code"])} | {(entry.url, each["code"]) for each in rows})

    # ---- for people who choose -----------------------------------------------------------------

    async def choose(
        self,
        head: Mapping[str, Any],
        *,
        words: str = "",
        after: str = "",
        count: int,
        language: str | None = None,
    ) -> Choices:
        """See `choosing.choose`."""
        return await choose(
            self._connection,
            self._limits,
            head,
            words=words,
            after=after,
            count=count,
            language=language,
        )

    async def chosen(
        self, head: Mapping[str, Any], codes: Sequence[Check], language: str | None = None
    ) -> dict[Pair, Choice]:
        """See `choosing.chosen`."""
        return await chosen(self._connection, self._limits, head, codes, language)

    # ---- the operations -----------------------------------------------------------------------

    async def expand(self, head: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
        """See `expanding.expand`."""
        return await expand(self._connection, self._limits, head, wanted)

    async def check_in_system(
        self,
        entry: Entry,
        codes: Sequence[Check],
        *,
        language: str | None = None,
        allows_abstract: bool = True,
    ) -> Verdict:
        """See `checking.check_in_system`."""
        return await check_in_system(
            self._connection, entry, codes, language=language, allows_abstract=allows_abstract
        )

    def check_in_sent_system(
        self,
        system: Mapping[str, Any],
        codes: Sequence[Check],
        *,
        language: str | None = None,
        allows_abstract: bool = True,
    ) -> Verdict:
        """See `checking.check_in_sent_system`."""
        return check_in_sent_system(
            system, self._limits, codes, language=language, allows_abstract=allows_abstract
        )

    async def check_in_value_set(
        self,
        head: Mapping[str, Any],
        codes: Sequence[Check],
        *,
        language: str | None = None,
        allows_abstract: bool = True,
        date: str = "",
    ) -> Verdict:
        """See `checking.check_in_value_set`."""
        return await check_in_value_set(
            self._connection,
            self._limits,
            head,
            codes,
            language=language,
            allows_abstract=allows_abstract,
            date=date,
        )

    async def look_up(
        self,
        entry: Entry,
        code: str,
        *,
        language: str | None = None,
        properties: Sequence[str] = (),
    ) -> Described:
        """See `concepts.look_up`."""
        return await look_up(
            self._connection, entry, code, language=language, properties=properties
        )

    async def relate(self, entry: Entry, first: str, second: str) -> Relation:
        """See `concepts.relate`."""
        return await relate(self._connection, entry, first, second)

    async def translate(
        self, entry: Entry | None, codes: Sequence[Check], asked: Asked
    ) -> Translated:
        """See `translating.translate`."""
        return await translate(self._connection, entry, codes, asked)
