from __future__ import annotations

from typing import Any

import pytest

from quanmin.fhir.translations import TRANSLATION, translated, translations


def test_a_text_says_what_it_is_in_other_languages() -> None:
    said = translated("text", "填报", {"en": "Enter the card"})
    assert said == {
        "text": "填报",
        "_text": {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/translation",
                    "extension": [
                        {"url": "lang", "valueCode": "en"},
                        {"url": "content", "valueString": "Enter the card"},
                    ],
                }
            ]
        },
    }
    assert translations(said, "text") == {"en": "Enter the card"}
    assert translations(said, "title") == {}


@pytest.mark.parametrize(
    "beside",
    [None, [], "x", {"extension": None}, {"extension": [1, {"url": "https://other"}]},
     {"extension": [{"url": TRANSLATION, "extension": 1}]},
     {"extension": [{"url": TRANSLATION, "extension": [{"url": "lang", "valueCode": "en"}]}]}],
)  # fmt: skip
def test_what_is_no_translation_is_left_alone(beside: Any) -> None:
    assert translations({"text": "填报", "_text": beside}, "text") == {}
