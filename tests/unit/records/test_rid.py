from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quanmin.records.rid import assign, bucket_of, id_of, is_assigned, rid_of

sequences = st.integers(0, 2**45 - 1)
buckets = st.integers(0, 1023)
types = st.integers(1, 255)
ids = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)


@given(sequences, buckets, types)
def test_an_assigned_id_is_its_key(sequence: int, bucket: int, type_number: int) -> None:
    rid = assign(sequence, bucket, type_number)
    id_ = id_of(rid, "q")
    assert rid_of(type_number, id_, "q") == rid
    assert bucket_of(rid) == bucket
    assert is_assigned(rid) or rid == 0


@given(sequences, buckets, types)
def test_an_assigned_id_names_nothing_of_another_type(
    sequence: int, bucket: int, type_number: int
) -> None:
    id_ = id_of(assign(sequence, bucket, type_number), "q")
    assert rid_of(type_number % 255 + 1, id_, "q") is None


@given(types, ids)
def test_a_chosen_id_has_a_negative_key_of_64_bits(type_number: int, id_: str) -> None:
    rid = rid_of(type_number, id_, "zz")
    if rid is not None and not id_.startswith("zz"):
        assert -(2**63) <= rid < 0
        assert 0 <= bucket_of(rid) <= 1023


@given(sequences, buckets, types)
def test_a_wrong_check_character_makes_it_a_strangers_id(
    sequence: int, bucket: int, type_number: int
) -> None:
    id_ = id_of(assign(sequence, bucket, type_number), "q")
    wrong = id_[:-1] + ("0" if id_[-1] != "0" else "1")
    assert (rid_of(type_number, wrong, "q") or 0) < 0


def test_the_same_id_of_two_types_has_two_keys() -> None:
    assert rid_of(1, "abc", "q") != rid_of(2, "abc", "q")
