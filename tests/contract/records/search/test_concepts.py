"""Codes by value set and by hierarchy: a terminology says what they mean, the index finds them."""

from __future__ import annotations

from typing import Any

import pytest
from shelf import find_all, observation_of, put_away, query_of
from stores import create

from quanmin.base.problems import NotSupported, TooCostly
from quanmin.records.context import Terms
from quanmin.records.search import concepts
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

SYSTEM = "urn:animals"
ABOVE = {"cat": ("cat", "mammal", "animal"), "newt": ("newt", "animal"), "mammal": ("mammal",)}


class Animals:
    """A terminology of a few concepts."""

    async def codes_in(self, value_set: str) -> frozenset[tuple[str, str]]:
        codes = {"urn:pets": ("cat",), "urn:wild": ("newt", "mammal")}.get(value_set, ())
        return frozenset((SYSTEM, code) for code in codes)

    async def is_member(self, value_set: str, system: str, code: str) -> bool:
        return (system, code) in await self.codes_in(value_set)

    async def is_above(self, system: str, general: str, special: str) -> bool:
        return (system, special) in await self.descendants(system, general)

    async def descendants(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        return frozenset((system, one) for one, above in ABOVE.items() if code in above)

    async def ancestors(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        return frozenset((system, one) for one in ABOVE.get(code, ()))


def seen(code: str, system: str = SYSTEM) -> Any:
    coded = {"coding": [{"system": system, "code": code}]}
    return observation_of(f"{code}-{len(system)}", code=coded, method=coded)


@pytest.fixture
async def filled(store: Store) -> Store:
    several = [seen("cat"), seen("newt"), seen("mammal"), seen("cat", "urn:other")]
    patient = create("Patient", b'{"resourceType":"Patient"}')
    await put_away(store, [patient, *several, observation_of("none", code={"text": "?"})])
    return store


async def found(store: Store, name: str, value: str) -> set[str]:
    hits = await find_all(store, query_of("Observation", (name, value)), Everything(), size=2)
    return {one.id for one in hits}


CAT, NEWT, MAMMAL, OTHER = "cat-11", "newt-11", "mammal-11", "cat-9"


@pytest.mark.parametrize("name", ["code", "method", "combo-code"])
@pytest.mark.parametrize(
    ("modifier", "value", "expected"),
    [
        ("in", "urn:pets", {CAT}),
        ("in", "urn:pets,urn:wild", {CAT, NEWT, MAMMAL}),
        ("in", "urn:nothing", set()),
        ("not-in", "urn:pets", {NEWT, MAMMAL, OTHER, "none"}),
        ("not-in", "urn:nothing", {CAT, NEWT, MAMMAL, OTHER, "none"}),
        ("below", "urn:animals|mammal", {CAT, MAMMAL}),
        ("below", "urn:animals|cat,urn:animals|newt", {CAT, NEWT}),
        ("below", "urn:animals|stone", set()),
        ("above", "urn:animals|cat", {CAT, MAMMAL}),
    ],
)
async def test_records_are_found_by_what_their_codes_mean(
    filled: Store, name: str, modifier: str, value: str, expected: set[str]
) -> None:
    def animals(_: object) -> Terms:
        return Animals()

    filled.context.terms = animals
    assert await found(filled, f"{name}:{modifier}", value) == expected


@pytest.mark.parametrize("modifier", ["in", "not-in", "above", "below"])
async def test_without_a_terminology_it_is_refused_by_name(filled: Store, modifier: str) -> None:
    value = "urn:pets" if modifier.endswith("in") else "urn:animals|cat"
    for name in ("code", "has-member:Observation.code"):
        with pytest.raises(NotSupported, match=f"code:{modifier}"):
            await found(filled, f"{name}:{modifier}", value)


async def test_what_means_too_many_codes_is_refused(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concepts, "_CODES_MAX", 1)
    filled.context.terms = lambda _: Animals()
    assert await found(filled, "code:in", "urn:pets") == {CAT}
    with pytest.raises(TooCostly, match="code:in means more than 1 codes"):
        await found(filled, "code:in", "urn:wild")


async def test_conditional_criteria_ask_no_terminology(filled: Store) -> None:
    criteria = query_of("Observation", ("code:in", "urn:pets"))
    with pytest.raises(NotSupported, match="terminology"):
        await put_away(filled, [create("Observation", b"{}", criteria=criteria)])
