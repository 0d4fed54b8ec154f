"""One content has one form, however it is laid out, and another content has another."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quanmin.trust.signatures.content import WHOLE, canonical

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(10**6), 10**6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
RESOURCES = st.dictionaries(TEXTS, VALUES, max_size=5)


def turned(value: Any) -> Any:
    """The same with the members of every object in another order."""
    if isinstance(value, dict):
        return {name: turned(part) for name, part in reversed(value.items())}
    return [turned(each) for each in value] if isinstance(value, list) else value


@given(resource=RESOURCES, indent=st.none() | st.integers(0, 4), is_ascii=st.booleans())
def test_layout_order_and_escapes_change_nothing(
    resource: dict[str, Any], indent: int | None, *, is_ascii: bool
) -> None:
    plain = canonical(json.dumps(resource).encode(), WHOLE)
    other = json.dumps(turned(resource), indent=indent, ensure_ascii=is_ascii).encode()
    assert canonical(other, WHOLE) == plain
    assert canonical(plain, WHOLE) == plain
    assert json.loads(plain) == resource


@given(first=RESOURCES, second=RESOURCES)
def test_other_content_has_another_form(first: dict[str, Any], second: dict[str, Any]) -> None:
    forms = [canonical(json.dumps(each).encode(), WHOLE) for each in (first, second)]
    as_written = [json.dumps(each, sort_keys=True) for each in (first, second)]
    assert (forms[0] == forms[1]) == (as_written[0] == as_written[1])
