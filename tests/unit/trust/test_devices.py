"""What shows that a device has signed something, whatever is sent as its key and signature."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quanmin.base.problems import Forbidden, Invalid
from quanmin.trust.devices import refuse_unsigned

_OWN = ec.generate_private_key(ec.SECP256R1())
_P256, _OF_CURVES = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d0201")


def shown(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"none",
        shown(ec.generate_private_key(ec.SECP384R1())),
        shown(ed25519.Ed25519PrivateKey.generate()),
        shown(_OWN).replace(_P256, bytes.fromhex("2a8648ce3d030103")),
        shown(_OWN).replace(_OF_CURVES, bytes.fromhex("2a8648ce3d0209")),
        shown(_OWN)[:-64] + bytes(64),
    ],
    ids=["empty", "junk", "P-384", "Ed25519", "no such curve", "no such kind", "no such point"],
)
def test_what_is_no_key_of_the_kind_is_refused_as_such(key: bytes) -> None:
    with pytest.raises(Invalid, match="P-256"):
        refuse_unsigned(key, bytes(64), b"said")


@pytest.mark.parametrize("signature", [b"", bytes(64), b"x" * 63, b"x" * 64, b"x" * 10_000])
def test_what_is_no_signature_of_the_key_is_refused(signature: bytes) -> None:
    with pytest.raises(Forbidden):
        refuse_unsigned(shown(_OWN), signature, b"said")


def test_what_the_key_has_signed_is_taken_and_nothing_beside_it() -> None:
    numbers = decode_dss_signature(_OWN.sign(b"said", ec.ECDSA(SHA256())))
    signature = b"".join(one.to_bytes(32, "big") for one in numbers)
    refuse_unsigned(shown(_OWN), signature, b"said")
    with pytest.raises(Forbidden):
        refuse_unsigned(shown(_OWN), signature, b"said more")
