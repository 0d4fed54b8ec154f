"""Our expansions are those that HL7 published with R4, or differ for a reason that is checked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import pytest
import shared
from vocabulary import Told

from quanmin.base.problems import NotFound
from quanmin.terminology import Canonical, Check, TerminologyIndex, TermLimits, Terms, Wanted

pytestmark = [pytest.mark.shared, pytest.mark.slow]

EXAMPLES, EXPANSIONS = "hl7.fhir.r4.examples-4.0.1.tar.xz", "hl7.fhir.r4.expansions.tar.xz"
LIMITS = TermLimits(expansion_codes_max=100_000)

# Value sets whose published codes are not what their definition says, each with why.
DIFFERENT = {
    "http://hl7.org/fhir/ValueSet/c80-doc-typecodes": "published cut off after 1,000 codes",
    "http://hl7.org/fhir/ValueSet/detectedissue-category": (
        "published without what `child` properties place below a second parent"
    ),
    "http://terminology.hl7.org/ValueSet/v3-ActPharmacySupplyType": "the same",
}
# Displays of systems that are not ours to load (SNOMED CT, LOINC), or published in other languages.
OTHER_NAMES = {
    *("http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org"),
    "urn:ietf:bcp:47",
}
_ABSENT = ("is not here", "is here without its concepts")


class Official(NamedTuple):
    terms: Terms
    published: dict[str, dict[str, Any]]
    unusual: set[tuple[str, str]]


@pytest.fixture
async def official(pool: asyncpg.Pool[asyncpg.Record]) -> AsyncIterator[Official]:
    """Every code system and value set of R4, and the expansions that were published."""
    resources = {
        name: json.loads(body)
        for name, body in shared.members(EXAMPLES)
        if name.rpartition("/")[2].startswith(("CodeSystem-", "ValueSet-"))
    }
    published = {
        each["url"]: each
        for name, body in shared.members(EXPANSIONS)
        if "ValueSet-" in name
        for each in [json.loads(body)]
    }
    index = TerminologyIndex(LIMITS)
    kept = [each for each in resources.values() if each.get("url") not in published]
    async with pool.acquire() as connection, connection.transaction():
        for number, each in enumerate([*kept, *published.values()]):
            told = Told(each["resourceType"], number, 1, number, each)
            await index.apply(connection, [told])
        unusual = await connection.fetch(
            "select r.url, c.code from terminology.concept c"
            " join terminology.resource r using (resource)"
            " where c.is_abstract or c.more ->> 'property' ~ 'retired|deprecated'"
        )
        pairs = {(row["url"], row["code"]) for row in unusual}
        yield Official(Terms(connection, LIMITS), published, pairs)


def named(expansion: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (each["system"], each["code"]): (each.get("display") or "").strip()
        for each in expansion.get("contains", ())
    }


async def test_the_official_expansions_are_ours(official: Official) -> None:
    """R4 terminology-service.html#expand.

    The published expansions leave out codes that are abstract, retired or deprecated; R4 leaves
    that to `excludeNotForUI` and `activeOnly`. What is left must be the same, and in our favour
    only such codes may be more.
    """
    terms, published, unusual = official
    same = 0
    absent: list[str] = []
    wrong: list[tuple[str, list[Any], list[Any]]] = []
    different: set[str] = set()
    for url, resource in sorted(published.items()):
        entry = await terms.entry("ValueSet", Canonical(url))
        try:
            ours = named((await terms.expand(entry.head, Wanted()))["expansion"])
        except NotFound as problem:
            absent.append(problem.text)
            continue
        theirs = named(resource["expansion"])
        missing, more = theirs.keys() - ours.keys(), ours.keys() - theirs.keys() - unusual
        if (missing or more) and url in DIFFERENT:
            different.add(url)
        elif missing or more:
            wrong.append((url, sorted(missing)[:3], sorted(more)[:3]))
        names = [
            (pair, display, ours[pair])
            for pair, display in theirs.items()
            if pair in ours and ours[pair] != display and pair[0] not in OTHER_NAMES
        ]
        if names:
            wrong.append((url, names[:3], []))
        same += not (missing or more or names)
    assert wrong == []
    assert different == DIFFERENT.keys()
    # The others need code systems that R4 does not define (SNOMED CT, LOINC, UCUM, MIME types ...).
    assert (same, len(absent)) == (493, 57)
    assert [text for text in absent if not any(reason in text for reason in _ABSENT)] == []


async def test_every_official_code_is_a_member_of_its_value_set(official: Official) -> None:
    """R4 terminology-service.html#validation: `is_member` and `codes_in` agree with expansions."""
    terms, published, _ = official
    checked = 0
    for url in sorted(published)[::25]:
        try:
            codes = await terms.codes_in(url)
        except NotFound:
            continue
        for system, code in sorted(codes)[:20]:
            assert await terms.is_member(url, system, code)
            assert not await terms.is_member(url, system, f"{code}-none")
            assert not await terms.is_member(url, "urn:none", code)
            checked += 1
    assert checked > 100


async def test_every_official_code_is_valid_under_its_official_name(official: Official) -> None:
    """R4 valueset-operation-validate-code.html, asked with what HL7 published.

    A code is valid with the display of the published expansion, and its display is told. Where R4
    does not define the code system, the value set's own list is all there is to know.
    """
    terms, published, _ = official
    checked = 0
    wrong: list[tuple[str, str, str | None]] = []
    for url in sorted(set(published) - DIFFERENT.keys())[::3]:
        contains = published[url]["expansion"].get("contains", ())
        head = (await terms.entry("ValueSet", Canonical(url))).head
        for each in contains[:: max(1, len(contains) // 25)]:
            display = each.get("display") if each["system"] not in OTHER_NAMES else None
            check = Check(each["system"], each["code"], display)
            try:
                verdict = await terms.check_in_value_set(head, [check])
            except NotFound as problem:
                assert any(reason in problem.text for reason in _ABSENT)  # noqa: PT017 - one of 57
                break
            checked += 1
            if not verdict.result or (display and verdict.display != display):
                wrong.append((url, each["code"], verdict.message))
    assert wrong == []
    assert checked > 1000
