"""Unified social credit codes (GB 32100-2015)."""

from __future__ import annotations

import pytest

from quanmin.demo.numbering import credit_code
from quanmin.trust.registers import judge_credit_code
from quanmin.trust.registers.credit_code import division_of

VECTOR = "91350100M000100Y43"


@pytest.mark.parametrize("code", [VECTOR, credit_code("580101", 7), credit_code("580102", 12345)])
def test_a_code_with_the_right_check_character_is_valid(code: str) -> None:
    assert judge_credit_code(code).allowed


def test_any_one_mistyped_character_is_noticed() -> None:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    for place, right in enumerate(VECTOR):
        for wrong in alphabet:
            code = VECTOR[:place] + wrong + VECTOR[place + 1 :]
            assert judge_credit_code(code).allowed == (wrong == right), code


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "not-of-the-form"),
        (VECTOR[:-1], "not-of-the-form"),
        (VECTOR.replace("M", "O"), "not-of-the-form"),
        (VECTOR.lower(), "not-of-the-form"),
        (VECTOR[:-1] + "4", "check-character-wrong"),
        ("91350100M000100Y４3", "not-of-the-form"),
        ("9135A100M000100Y43", "not-of-the-form"),
    ],
)
def test_what_is_wrong_with_a_code_is_told(code: str, reason: str) -> None:
    assert judge_credit_code(code).reasons == (reason,)


def test_a_code_says_where_it_was_registered() -> None:
    assert division_of(VECTOR) == "350100"
