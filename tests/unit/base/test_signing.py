"""Signing behind one interface: what stands with a signature, and what happens without SM2."""

from __future__ import annotations

import re
from collections.abc import Iterator

import gmssl_pyx
import pytest

from quanmin.base import sm2
from quanmin.base.crypto import Tampered
from quanmin.base.problems import Unusable
from quanmin.base.signing import (
    ALGORITHMS,
    DIGESTS,
    ECDSA_P256,
    ED25519,
    SM2_SM3,
    SUITES,
    Algorithm,
    KeyUnusable,
    Signature,
    read_public,
    suite_named,
)

SEED = bytes(range(32))
EACH = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda each: each.name)


@pytest.fixture
def searched_anew() -> Iterator[None]:
    sm2.library.cache_clear()
    yield
    sm2.library.cache_clear()


def test_numbers_never_change_their_meaning() -> None:
    assert {number: each.name for number, each in ALGORITHMS.items()} == {
        1: "ECDSA-P256-SHA256",
        2: "Ed25519",
        3: "SM2-SM3",
    }
    assert {number: each.name for number, each in DIGESTS.items()} == {1: "SHA-256", 2: "SM3"}


@pytest.mark.parametrize(
    ("algorithm", "key_id"),
    [
        (ECDSA_P256, "1cd4a86dc60b726928e08e0df0be23e0"),
        (ED25519, "30adaa1e2bfabdf3fd2ead5882d33368"),
        (SM2_SM3, "5c5d3caabddc82d726b274fd3022e96a"),
    ],
)
def test_a_seed_stands_for_the_same_key_in_every_version(algorithm: Algorithm, key_id: str) -> None:
    assert algorithm.private_key(SEED).public.key_id.hex() == key_id


@EACH
def test_a_packed_signature_tells_by_which_algorithm_and_key(algorithm: Algorithm) -> None:
    key = algorithm.private_key(SEED)
    packed = key.sign(b"an opinion").pack()
    again = Signature.unpack(packed)
    assert len(packed) == 81
    assert (again.algorithm, again.key_id) == (algorithm.number, key.public.key_id)
    read_public(key.public.encoded).verify(b"an opinion", again)
    with pytest.raises(Tampered):
        Signature.unpack(packed + b"\0")


@EACH
def test_a_signature_is_not_taken_under_another_algorithm_or_key_id(algorithm: Algorithm) -> None:
    key = algorithm.private_key(SEED)
    signed = key.sign(b"an opinion")
    for number in set(range(256)) - {algorithm.number}:
        with pytest.raises(Tampered):
            key.public.verify(b"an opinion", Signature(number, signed.key_id, signed.value))
    with pytest.raises(Tampered):
        key.public.verify(b"an opinion", Signature(algorithm.number, bytes(16), signed.value))


@EACH
def test_a_key_of_another_algorithm_is_none(algorithm: Algorithm) -> None:
    for other in ALGORITHMS.values():
        encoded = other.private_key(SEED).public.encoded
        if other is algorithm:
            assert algorithm.public_key(encoded).encoded == encoded
        else:
            with pytest.raises(KeyUnusable):
                algorithm.public_key(encoded)


@EACH
def test_a_seed_of_another_length_is_refused(algorithm: Algorithm) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        algorithm.private_key(SEED[:31])


def test_a_point_beside_the_curve_is_no_key() -> None:
    encoded = bytearray(SM2_SM3.private_key(SEED).public.encoded)
    encoded[-1] ^= 1
    with pytest.raises(KeyUnusable):
        read_public(bytes(encoded))


def test_sm2_and_gmssl_read_each_others_signatures() -> None:
    number = bytes(31) + b"\7"
    for signing, verifying in (
        (sm2._LibCrypto(), sm2._GmSsl()),
        (sm2._GmSsl(), sm2._LibCrypto()),
    ):
        signed = signing.sign(number, b"an opinion", b"ALICE123@YAHOO.COM")
        point = verifying.point(number)
        assert verifying.verify(point, b"an opinion", signed, b"ALICE123@YAHOO.COM")
        assert not verifying.verify(point, b"an opinion", signed, sm2.SIGNER_ID)


def test_sm2_signatures_of_this_node_are_taken_by_gmssl_directly() -> None:
    key = SM2_SM3.private_key(SEED)
    point = key.public.encoded[-64:]
    value = SM2_SM3.to_der(key.sign_bare(b"an opinion"))
    assert gmssl_pyx.sm2_verify(point, b"an opinion", value)


@pytest.mark.usefixtures("searched_anew")
def test_without_sm2_in_libcrypto_the_other_library_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sm2._LibCrypto, "sign", lambda *_: bytes(64))
    assert sm2.library().name == "gmssl-pyx"


@pytest.mark.usefixtures("searched_anew")
def test_without_any_sm2_the_node_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm2, "_load", lambda: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(sm2._GmSsl, "verify", lambda *_: True)  # one that finds all well
    with pytest.raises(Unusable, match="install OpenSSL 3"):
        SM2_SM3.private_key(SEED)
    # The others need nothing of it.
    assert ECDSA_P256.private_key(SEED).sign_bare(b"x")


def test_suites_are_found_by_name() -> None:
    assert suite_named("international").algorithm is ECDSA_P256
    assert suite_named("gm").algorithm is SM2_SM3
    assert all(suite.digest is suite.algorithm.digest for suite in SUITES.values())
    with pytest.raises(KeyError, match=re.escape("there are: international, gm")):
        suite_named("none")
