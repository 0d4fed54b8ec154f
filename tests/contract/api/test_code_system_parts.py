"""Code systems that are here in parts: supplements, fragments, and those without their concepts
(codesystem.html#supplements, codesystem-definitions.html#CodeSystem.content).
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .terms import get, post, refusal, said, store

WINES = "http://node.test/CodeSystem/wines"


def wines(**more: Any) -> dict[str, Any]:
    concept = [{"code": "Red", "display": "Red wine"}, {"code": "white", "display": "White wine"}]
    return {
        "resourceType": "CodeSystem",
        "url": WINES,
        "status": "active",
        "content": "complete",
        "concept": concept,
        **more,
    }


def in_french(*codes: str) -> dict[str, Any]:
    named = {"Red": "Vin rouge", "white": "Vin blanc"}
    concept = [
        {"code": code, "designation": [{"language": "fr", "value": named[code]}]} for code in codes
    ]
    return wines(url=f"{WINES}/french", content="supplement", supplements=WINES, concept=concept)


@pytest.mark.parametrize("more", [{}, {"caseSensitive": True}, {"caseSensitive": False}])
async def test_codesystem_supplements_names_are_those_of_the_code_whatever_its_case(
    client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    await store(client, wines(**more), in_french("Red", "white"))
    for code, name in (("Red", "Vin rouge"), ("white", "Vin blanc")):
        found = await get(
            client, "CodeSystem/$lookup", system=WINES, code=code, displayLanguage="fr"
        )
        assert said(found, "display") == name
        found = await get(client, "CodeSystem/$validate-code", url=WINES, code=code, display=name)
        assert said(found, "result") is True
    composed = {
        "resourceType": "ValueSet",
        "url": f"{WINES}/all",
        "status": "active",
        "compose": {"include": [{"system": WINES}]},
    }
    sent = {"name": "valueSet", "resource": composed}
    language = {"name": "displayLanguage", "valueCode": "fr"}
    expanded = await post(client, "ValueSet/$expand", sent, language)
    shown = [each["display"] for each in expanded["expansion"]["contains"]]
    assert shown == ["Vin rouge", "Vin blanc"]
    coding = {
        "name": "coding",
        "valueCoding": {"system": WINES, "code": "Red", "display": "Vin rouge"},
    }
    assert said(await post(client, "ValueSet/$validate-code", sent, coding), "result") is True


@pytest.mark.parametrize("content", ["fragment", "example"])
async def test_codesystem_content_what_is_not_in_a_part_may_be_a_code_all_the_same(
    client: httpx.AsyncClient, content: str
) -> None:
    await store(client, wines(content=content))
    found = await get(client, "CodeSystem/$validate-code", url=WINES, code="rose")
    assert said(found, "result") is False
    assert f"content is {content}" in said(found, "message")
    known = await get(client, "CodeSystem/$validate-code", url=WINES, code="Red")
    assert said(known, "result") is True


@pytest.mark.parametrize("content", ["not-present", "supplement"])
async def test_codesystem_content_without_concepts_no_code_can_be_checked(
    client: httpx.AsyncClient, content: str
) -> None:
    more = {"supplements": f"{WINES}/other"} if content == "supplement" else {"concept": None}
    await store(client, {k: v for k, v in wines(content=content, **more).items() if v})
    code, text = refusal(await get(client, "CodeSystem/$validate-code", 404, url=WINES, code="Red"))
    assert code == "not-found"
    assert "without its concepts" in text
