"""What a code is in another system (R4 conceptmap-operation-translate.html)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .terms import get, parts, said, store

ICD, OWN = "urn:icd", "urn:own"


def concept_map(name: str = "to-own", **unmapped: Any) -> dict[str, Any]:
    group: dict[str, Any] = {
        "source": ICD,
        "target": OWN,
        "element": [
            {
                "code": "A00",
                "target": [
                    {"code": "cholera", "display": "Cholera", "equivalence": "equivalent"},
                    {"code": "gut", "equivalence": "wider"},
                ],
            },
            {"code": "B99", "target": [{"equivalence": "unmatched"}]},
        ],
    }
    if unmapped:
        group["unmapped"] = unmapped
    return {
        "resourceType": "ConceptMap",
        "url": f"http://node.test/ConceptMap/{name}",
        "status": "active",
        "group": [group],
    }


def matches(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    found = [parts(p["part"]) for p in answer["parameter"] if p["name"] == "match"]
    return [(each["equivalence"], each.get("concept", {}).get("code")) for each in found]


async def test_translate_forward_and_in_reverse(client: httpx.AsyncClient) -> None:
    (id_,) = await store(client, concept_map())
    path = "ConceptMap/$translate"
    url = "http://node.test/ConceptMap/to-own"
    found = await get(client, path, url=url, system=ICD, code="A00")
    assert said(found, "result") is True
    assert matches(found) == [("equivalent", "cholera"), ("wider", "gut")]
    back = await get(client, path, url=url, system=OWN, code="gut", reverse="true")
    assert matches(back) == [("narrower", "A00")]
    none = await get(client, f"ConceptMap/{id_}/$translate", system=ICD, code="B99")
    assert said(none, "result") is False
    assert matches(none) == [("unmatched", None)]
    unknown = await get(client, path, url=url, system=ICD, code="C00")
    assert (said(unknown, "result"), matches(unknown)) == (False, [])


async def test_translate_without_a_map_asks_all_of_them(client: httpx.AsyncClient) -> None:
    other = concept_map("other")
    other["group"][0]["target"] = "urn:third"
    await store(client, concept_map(), other)
    path = "ConceptMap/$translate"
    everywhere = await get(client, path, system=ICD, code="A00")
    assert len(matches(everywhere)) == 4
    one = await get(client, path, system=ICD, code="A00", targetsystem="urn:third")
    sources = {parts(p["part"])["source"] for p in one["parameter"] if p["name"] == "match"}
    assert sources == {"http://node.test/ConceptMap/other"}


@pytest.mark.parametrize(
    ("unmapped", "wanted"),
    [
        ({"mode": "provided"}, [("equal", "C00")]),
        ({"mode": "fixed", "code": "unknown"}, [("inexact", "unknown")]),
        ({"mode": "other-map", "url": "http://node.test/ConceptMap/rest"}, [("equal", "C00")]),
    ],
)
async def test_translate_of_an_unmapped_code_follows_the_map(
    client: httpx.AsyncClient, unmapped: dict[str, str], wanted: list[tuple[str, str]]
) -> None:
    await store(client, concept_map("rest", mode="provided"), concept_map(**unmapped))
    url = "http://node.test/ConceptMap/to-own"
    found = await get(client, "ConceptMap/$translate", url=url, system=ICD, code="C00")
    assert matches(found) == wanted
