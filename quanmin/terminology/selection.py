"""Compiles what a ValueSet composes into one SQL select of its codes.

R4 valueset.html#compositions.

The select has the columns `part`, `place` (the order in which codes are listed), `resource`,
`concept` (null where the code system is not here), `url`, `code`, `matched` and `shown`, the
display that the value set gives itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import (
    Conflict,
    Invalid,
    Issue,
    NotFound,
    NotSupported,
    Sentence,
    TooCostly,
)
from quanmin.terminology.catalogue import Canonical, Entry, Pins, find, need
from quanmin.terminology.limits import TermLimits

_NOTHING: Final = (
    "select 0 as part, 0::bigint as place, 0 as resource, 0 as concept, '' as url, '' as code,"
    " '' as matched, null::text as shown where false"
)


class Used(msgspec.Struct, frozen=True):
    """What a selection looked into, for `expansion.parameter`."""

    systems: dict[str, Entry]
    value_sets: dict[str, Entry]


class Binding:
    """Arguments of one statement."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []

    def bind(self, value: Any) -> str:
        """The placeholder of a value."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"


class Composer:
    """Compiles value sets; one for each statement, whose arguments it gathers."""

    def __init__(
        self,
        connection: Connection,
        limits: TermLimits,
        pins: Pins | None = None,
    ) -> None:
        self.binding = Binding()
        self.used = Used({}, {})
        # What value sets call the codes that they list themselves, by system and code.
        self.given: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._connection = connection
        self._limits = limits
        self._pins = pins or Pins()
        self._under_way: list[str] = []

    async def select(self, head: Mapping[str, Any]) -> str:
        """The select of a ValueSet's codes, each once for each place where it is listed.

        Raises NotFound for a code system or value set that is not here, Conflict for a value set
        that imports itself, Invalid for a filter without sense.
        """
        compose = head.get("compose")
        if compose is None:
            raise NotFound(
                "the ValueSet has no compose, so there is nothing to tell its codes by: store it"
                " with its definition"
            )
        only_active = compose.get("inactive") is False
        included = [
            await self._include(part, number, f"ValueSet.compose.include[{number}]")
            for number, part in enumerate(compose.get("include") or ())
        ]
        whole = " union all ".join(f"({each})" for each in included) or _NOTHING
        excluded = [
            await self._include(part, number, f"ValueSet.compose.exclude[{number}]")
            for number, part in enumerate(compose.get("exclude") or ())
        ]
        conditions = [
            f"not exists (select 1 from ({each}) e where e.url = m.url and e.matched = m.matched)"
            for each in excluded
        ]
        if only_active:
            conditions.append(
                "not exists (select 1 from terminology.concept i where i.resource = m.resource"
                " and i.concept = m.concept and i.is_inactive)"
            )
        if not conditions:
            return whole
        return f"select m.* from ({whole}) m where {' and '.join(conditions)}"

    async def imported(self, canonical: Canonical, where: str) -> str:
        """The select of the value set at an address."""
        entry = await need(self._connection, "ValueSet", canonical, self._pins.date)
        if entry.canonical in self._under_way:
            text = Sentence(
                "%(canonical)s imports itself by way of %(known)s: take one of the imports out",
                canonical=entry.canonical,
                known=" -> ".join(self._under_way),
            )
            raise Conflict(
                "the value set imports itself", issues=(Issue("error", "conflict", text, where),)
            )
        if len(self._under_way) >= self._limits.import_depth_max:
            raise TooCostly(
                Sentence(
                    "value sets import one another more than %(import_depth_max)s deep (setting"
                    " terminology.import_depth_max)",
                    import_depth_max=self._limits.import_depth_max,
                )
            )
        self.used.value_sets[entry.canonical] = entry
        self._under_way.append(entry.canonical)
        try:
            return await self.select(entry.head)
        finally:
            self._under_way.pop()

    async def _include(self, part: Mapping[str, Any], number: int, where: str) -> str:
        selects = []
        if part.get("system"):
            selects.append(await self._of_system(part, number, where))
        for place, text in enumerate(part.get("valueSet") or ()):
            at = f"{where}.valueSet[{place}]"
            inner = await self.imported(Canonical.read(text), at)
            selects.append(
                f"select {number} as part, row_number() over (order by v.part, v.place) as place,"
                f" v.resource, v.concept, v.url, v.code, v.matched, v.shown from ({inner}) v"
            )
        if not selects:
            issue = Issue("error", "required", "names neither a system nor a valueSet", where)
            raise Invalid("the ValueSet cannot be expanded", issues=(issue,))
        first, *others = selects
        if not others:
            return first
        also = " and ".join(
            f"exists (select 1 from ({other}) o where o.url = f.url and o.matched = f.matched)"
            for other in others
        )
        return f"select f.* from ({first}) f where {also}"

    async def _of_system(self, part: Mapping[str, Any], number: int, where: str) -> str:
        url = part["system"]
        version = self._pins.version(url, part.get("version"))
        canonical = Canonical.read(url, version)
        entry = await find(self._connection, "CodeSystem", canonical, self._pins.date)
        if entry is not None:
            self.used.systems[entry.canonical] = entry
        if part.get("concept"):
            return self._listed(part, number, entry)
        if entry is None or not entry.has_concepts:
            here = (
                Sentence("is not here")
                if entry is None
                else Sentence("is here without its concepts")
            )
            text = Sentence(
                "the code system %(url)s %(here)s, so its codes cannot be listed: store it as a"
                " CodeSystem with its concepts",
                url=url,
                here=here,
            )
            raise NotFound(text, issues=(Issue("error", "not-found", text, f"{where}.system"),))
        conditions = [
            f"c.resource = {self.binding.bind(entry.number)}",
            *(
                self._filter(given, entry, f"{where}.filter[{place}]")
                for place, given in enumerate(part.get("filter") or ())
            ),
        ]
        return (
            f"select {number} as part, c.concept::bigint as place, c.resource, c.concept,"
            f" {self.binding.bind(url)}::text as url, c.code, c.matched, null::text as shown"
            f" from terminology.concept c where {' and '.join(conditions)}"
        )

    def _listed(self, part: Mapping[str, Any], number: int, entry: Entry | None) -> str:
        sensitive = entry is None or entry.is_case_sensitive
        codes = [each["code"] for each in part["concept"]]
        keys = codes if sensitive else [code.casefold() for code in codes]
        for key, each in zip(keys, part["concept"], strict=True):
            if each.get("designation"):
                self.given.setdefault((part["system"], key), []).extend(each["designation"])
        bind = self.binding.bind
        # Of a system that is whole here, what it does not know is no code.
        join = "join" if entry is not None and entry.is_whole else "left join"
        return (
            f"select {number} as part, l.place, c.resource, c.concept,"
            f" {bind(part['system'])}::text as url, coalesce(c.code, l.code) as code,"
            f" l.matched, l.shown"
            f" from unnest({bind(codes)}::text[], {bind(keys)}::text[],"
            f" {bind([each.get('display') for each in part['concept']])}::text[])"
            f" with ordinality l (code, matched, shown, place)"
            f" {join} terminology.concept c"
            f" on c.resource = {bind(0 if entry is None else entry.number)}"
            f" and c.matched = l.matched"
        )

    # ---- filters (R4 valueset-definitions.html#ValueSet.compose.include.filter) ---------------

    def _filter(self, given: Mapping[str, Any], entry: Entry, where: str) -> str:
        name, operator, value = given["property"], given["op"], given["value"]
        match operator:
            case "is-a" | "descendent-of" | "is-not-a" | "generalizes":
                return self._family(operator, self._place(value, entry))
            case "=" if name in {"parent", "child"} and name not in _declared(entry):
                return self._next(name, self._place(value, entry))
            case "=":
                return self._holds(name, entry, f"= {self.binding.bind(value)}")
            case "in" | "not-in":
                listed = [each.strip() for each in value.split(",")]
                found = self._holds(name, entry, f"= any({self.binding.bind(listed)}::text[])")
                return found if operator == "in" else f"not {found}"
            case "regex":
                # The whole value, as anchors in the examples of the specification suppose.
                return self._holds(name, entry, f"~ {self.binding.bind(f'^(?:{value})$')}")
            case "exists":
                found = self._holds(name, entry, "is not null")
                return found if value == "true" else f"not {found}"
        text = Sentence(
            "the operator is none of =, is-a, descendent-of, is-not-a, regex, in, not-in,"
            " generalizes and exists"
        )
        raise NotSupported(text, issues=(Issue("error", "not-supported", text, f"{where}.op"),))

    @staticmethod
    def _family(operator: str, place: str) -> str:
        """How the concept stands to the one at `place` in the hierarchy."""
        upper, lower = ("c.concept", place) if operator == "generalizes" else (place, "c.concept")
        related = (
            "exists (select 1 from terminology.ancestor a where a.resource = c.resource"
            f" and a.ancestor = {upper} and a.concept = {lower})"
        )
        if operator == "descendent-of":
            return related
        is_a = f"(c.concept is not distinct from {place} or {related})"
        return f"not {is_a}" if operator == "is-not-a" else is_a

    @staticmethod
    def _next(name: str, place: str) -> str:
        """Whether the concept at `place` is a parent or a child."""
        if name == "parent":
            return f"coalesce({place} = any(c.parents), false)"
        return (
            "exists (select 1 from terminology.concept k where k.resource = c.resource"
            f" and k.concept = {place} and c.concept = any(k.parents))"
        )

    def _place(self, code: str, entry: Entry) -> str:
        """Where a code stands in its system; null when it is not there, and nothing matches."""
        key = code if entry.is_case_sensitive else code.casefold()
        bind = self.binding.bind
        return (
            f"(select p.concept from terminology.concept p where p.resource = {bind(entry.number)}"
            f" and p.matched = {bind(key)})"
        )

    def _holds(self, name: str, entry: Entry, comparison: str) -> str:
        """Whether a property of the concept compares; some every system has, declared or not."""
        match name:
            case "concept" | "code":
                return f"(c.code {comparison})"
            case "display":
                return f"coalesce(c.display {comparison}, false)"
            case "definition":
                return f"coalesce((c.more ->> 'definition') {comparison}, false)"
            case "inactive" if "inactive" not in _declared(entry):
                return f"(c.is_inactive::text {comparison})"
        return (
            "exists (select 1 from terminology.property p where p.resource = c.resource"
            f" and p.concept = c.concept and p.code = {self.binding.bind(name)}"
            f" and p.value {comparison})"
        )


def _declared(entry: Entry) -> set[str]:
    return {each["code"] for each in entry.head.get("property") or ()}
