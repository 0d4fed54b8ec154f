"""The long search for something that only the fast half of validation accepts."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from property.fhir.generated import damaged, write
from property.fhir.test_validation import slow

from quanmin.fhir.table import load_table
from quanmin.fhir.validation.fast import is_clean


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resource=damaged(), is_pretty=st.booleans())
def test_ten_thousand_damaged_resources_find_no_difference(
    resource: dict[str, object], *, is_pretty: bool
) -> None:
    raw, name = write(resource, is_pretty=is_pretty), str(resource.get("resourceType"))
    if name in load_table().types and is_clean(name, raw, is_ruled=False):
        assert slow(name, raw, is_ruled=False) == []
