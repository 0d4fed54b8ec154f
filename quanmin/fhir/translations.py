"""Texts of a resource that are said in several languages, by the extension of R4 for that
(http://hl7.org/fhir/R4/extension-translation.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from quanmin.fhir.json import Json

TRANSLATION: Final = "http://hl7.org/fhir/StructureDefinition/translation"


def translated(name: str, text: str, translations: Mapping[str, str]) -> dict[str, Json]:
    """The element `name` with its text, and beside it what that is in other languages."""
    said = [
        {
            "url": TRANSLATION,
            "extension": [
                {"url": "lang", "valueCode": language},
                {"url": "content", "valueString": words},
            ],
        }
        for language, words in translations.items()
    ]
    return {name: text, f"_{name}": {"extension": said}}


def translations(element: Mapping[str, Any], name: str) -> dict[str, str]:
    """What the text `name` of an element is in other languages, by their codes."""
    found: dict[str, str] = {}
    for one in _extensions(element.get(f"_{name}")):
        parts = {str(part.get("url")): part for part in _extensions(one)}
        if one.get("url") == TRANSLATION and {"lang", "content"} <= parts.keys():
            content = parts["content"].get("valueString", parts["content"].get("valueMarkdown"))
            found[str(parts["lang"].get("valueCode"))] = str(content)
    return found


def _extensions(element: Any) -> list[dict[str, Any]]:
    held = element.get("extension") if isinstance(element, dict) else None
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []
