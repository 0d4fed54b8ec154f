"""All official examples: exactly those listed break a rule of R4, each for the reason given."""

from __future__ import annotations

import json

import pytest
from contract.fhir.test_invariants import BROKEN, judged, listed

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def test_official_examples_break_exactly_the_rules_listed_with_a_reason() -> None:
    found = judged(every=1)
    assert found.errors == listed()
    assert dict(found.warnings) == json.loads(BROKEN.read_text("utf-8"))["warnings"]
    assert found.clean > 5_000
    assert found.ruled > 3_400
