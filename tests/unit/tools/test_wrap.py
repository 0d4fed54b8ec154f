"""Wrapping changes where lines end, and nothing else."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st
from wrap import COLUMNS_MAX, columns, wrap_comments, wrap_docstrings

WORDS = st.lists(
    st.sampled_from(["a", "record", "健康档案", "is", "kept."]), min_size=1, max_size=60
)


def told(text: str) -> str:
    return " ".join((ast.get_docstring(ast.parse(text)) or "").split())


@given(WORDS)
def test_a_docstring_keeps_its_words_and_fits(words: list[str]) -> None:
    before = f'"""{" ".join(words)}"""\n'
    after = wrap_docstrings(before)
    assert told(after) == told(before)
    assert all(columns(line) <= COLUMNS_MAX for line in after.split("\n"))


@given(WORDS)
def test_a_comment_keeps_its_words_and_fits(words: list[str]) -> None:
    before = f"x = 1\n    # {' '.join(words)}\ny = 2\n"
    after = wrap_comments(before)
    assert after.replace("\n    # ", " ").split() == before.replace("\n    # ", " ").split()
    assert all(columns(line) <= COLUMNS_MAX for line in after.split("\n"))


def test_what_fits_is_not_touched() -> None:
    text = '"""A page.\n\n    kept   as it\n  is\n"""\n# a\n#   b\nx = 1\n'
    assert wrap_docstrings(wrap_comments(text)) == text


def test_lists_and_examples_keep_their_breaks() -> None:
    text = f'"""A page.\n\n- {"long " * 30}\n- short\n"""\n'
    assert wrap_docstrings(text) == text


def test_a_suppression_is_not_joined_to_the_comment_above() -> None:
    text = f"# {'long ' * 30}\n# type: ignore[misc]  # the stub is wrong\n"
    assert wrap_comments(text).endswith("\n# type: ignore[misc]  # the stub is wrong\n")
