"""Whatever is signed verifies, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quanmin.base import sm2
from quanmin.base.crypto import Tampered
from quanmin.base.signing import ALGORITHMS, Algorithm, Signature

EACH = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda each: each.name)
SEEDS = st.binary(min_size=32, max_size=32)
MESSAGES = st.binary(max_size=300)


@EACH
@given(seed=SEEDS, other=SEEDS, message=MESSAGES)
@settings(deadline=None)
def test_what_a_key_signed_it_verifies_and_another_does_not(
    algorithm: Algorithm, seed: bytes, other: bytes, message: bytes
) -> None:
    key = algorithm.private_key(seed)
    signed = key.sign(message)
    algorithm.public_key(key.public.encoded).verify(message, signed)
    if other != seed:
        with pytest.raises(Tampered):
            algorithm.private_key(other).public.verify_bare(message, signed.value)


@EACH
@given(message=st.binary(min_size=1, max_size=60), mask=st.integers(1, 255))
@settings(deadline=None, max_examples=20)
def test_every_changed_byte_is_noticed(algorithm: Algorithm, message: bytes, mask: int) -> None:
    key = algorithm.private_key(bytes(32))
    packed = key.sign(message).pack()
    for at in range(len(packed)):
        with pytest.raises(Tampered):
            key.public.verify(message, Signature.unpack(_changed(packed, at, mask)))
    for at in range(len(message)):
        with pytest.raises(Tampered):
            key.public.verify(_changed(message, at, mask), Signature.unpack(packed))
    for length in range(len(packed)):
        with pytest.raises(Tampered):
            key.public.verify(message, Signature.unpack(packed[:length]))


@EACH
@given(value=st.binary(max_size=100), message=MESSAGES)
@settings(deadline=None)
def test_foreign_bytes_are_no_signature(algorithm: Algorithm, value: bytes, message: bytes) -> None:
    public = algorithm.private_key(bytes(32)).public
    for wrong in (value, bytes(64), b"\xff" * 64):
        with pytest.raises(Tampered):
            public.verify_bare(message, wrong)
    try:
        bare = algorithm.from_der(value)
    except Tampered:
        return
    assert algorithm.to_der(bare) == value


@EACH
@given(message=MESSAGES)
@settings(deadline=None)
def test_the_form_of_certificates_goes_both_ways(algorithm: Algorithm, message: bytes) -> None:
    value = algorithm.private_key(bytes(32)).sign_bare(message)
    assert algorithm.from_der(algorithm.to_der(value)) == value


@given(number=st.integers(1, sm2.ORDER - 2).map(lambda number: number.to_bytes(32, "big")))
@settings(deadline=None, max_examples=25)
def test_both_libraries_know_the_same_point_of_a_number(number: bytes) -> None:
    libraries = sm2._LibCrypto(), sm2._GmSsl()
    assert len({found.point(number) for found in libraries}) == 1


def _changed(text: bytes, at: int, mask: int) -> bytes:
    return text[:at] + bytes([text[at] ^ mask]) + text[at + 1 :]
