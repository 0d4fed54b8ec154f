"""Keys never lose a record: whatever counts as found has every key the question needs."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from quanmin.records.keying import Keying
from quanmin.records.words import Modifier, index_words, is_found, needed_keys

KEYING = Keying(b"k" * 32)
CHARACTERS = "王小明单乐曾长重朝解四川省成都市号 ·'-aáeilnwxmgzhüABC019"

texts = st.text(alphabet=CHARACTERS, min_size=1, max_size=12)
params = st.sampled_from(["name", "family", "given", "address", "address-city", "title"])
modifiers: st.SearchStrategy[Modifier] = st.sampled_from([None, "exact", "contains"])


@given(param=params, modifier=modifiers, question=texts, values=st.lists(texts, max_size=4))
@example(param="title", modifier="contains", question="川", values=["四川"])
@example(param="address", modifier=None, question="四川", values=["四 川"])
def test_what_is_found_has_the_keys(
    param: str, modifier: Modifier, question: str, values: list[str]
) -> None:
    assert not is_found(param, modifier, question, values) or _is_candidate(
        param, modifier, question, values
    )


@given(param=params, modifier=modifiers, value=texts, data=st.data())
def test_a_part_of_the_value_is_found_or_has_its_keys(
    param: str, modifier: Modifier, value: str, data: st.DataObject
) -> None:
    """Questions cut out of the value, so that many of them do find it."""
    start = data.draw(st.integers(0, len(value) - 1))
    question = value[start : data.draw(st.integers(start + 1, len(value)))]
    assert not is_found(param, modifier, question, [value]) or _is_candidate(
        param, modifier, question, [value]
    )


@given(value=texts)
def test_a_text_is_found_by_itself(value: str) -> None:
    assert is_found("name", "exact", value, [value])
    assert is_found("name", None, value, [value]) or not any(map(str.isalnum, value))


def _is_candidate(param: str, modifier: Modifier, question: str, values: list[str]) -> bool:
    whole = {"family": "name", "given": "name", "address-city": "address"}.get(param, param)
    keys = set(index_words(KEYING, "Patient", whole, values))
    needed = needed_keys(KEYING, "Patient", param, modifier, question)
    return all(any(keys.issuperset(each) for each in group) for group in needed)
