"""What others sign by is verified by the standard's name of it; what is broken is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from authority import NOW, YEAR
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from quanmin.base.authorities import Authorities
from quanmin.base.certificates import Certificate, read_certificate
from quanmin.base.crypto import Tampered
from quanmin.base.signing import ALGORITHMS, Algorithm, KeyUnusable
from quanmin.base.verifying import hashed, scheme_of, scheme_of_jws, verify, verify_jws

TEXT = b"an opinion"


def public(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.DER, form))


@pytest.mark.parametrize(("bits", "digest"), [(2048, "256"), (3072, "384"), (2048, "512")])
def test_rsa_is_verified_from_2048_bits_on(bits: int, digest: str) -> None:
    key = rsa.generate_private_key(65537, bits)
    scheme = scheme_of_jws(f"RS{digest}")
    assert scheme is not None
    signature = key.sign(TEXT, padding.PKCS1v15(), getattr(hashes, f"SHA{digest}")())
    verify_jws(scheme, public(key), TEXT, signature)
    with pytest.raises(Tampered):
        verify_jws(scheme, public(key), TEXT + b"!", signature)


def test_rsa_of_1024_bits_is_no_key() -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - this is what is refused
    scheme = scheme_of_jws("RS256")
    assert scheme is not None
    with pytest.raises(KeyUnusable):
        verify(scheme, public(key), TEXT, key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256()))


@pytest.mark.parametrize(
    ("name", "curve", "digest", "size"),
    [
        ("ES256", ec.SECP256R1(), hashes.SHA256(), 32),
        ("ES384", ec.SECP384R1(), hashes.SHA384(), 48),
        ("ES512", ec.SECP521R1(), hashes.SHA512(), 66),
    ],
)
def test_rfc_7518_3_4_numbers_have_the_length_of_the_curve(
    name: str, curve: Any, digest: Any, size: int
) -> None:
    key = ec.generate_private_key(curve)
    scheme = scheme_of_jws(name)
    assert scheme is not None
    der = key.sign(TEXT, ec.ECDSA(digest))
    bare = b"".join(part.to_bytes(size, "big") for part in decode_dss_signature(der))
    verify(scheme, public(key), TEXT, der)
    verify_jws(scheme, public(key), TEXT, bare)
    with pytest.raises(Tampered):
        verify_jws(scheme, public(key), TEXT, der)
    other = ec.generate_private_key(ec.SECP256R1() if size > 32 else ec.SECP384R1())
    with pytest.raises(KeyUnusable):
        verify_jws(scheme, public(other), TEXT, bare)


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda each: each.name)
def test_what_a_node_signs_is_verified_by_the_name_that_others_use(algorithm: Algorithm) -> None:
    key = algorithm.private_key(b"k" * 32)
    scheme = scheme_of_jws(algorithm.jws)
    assert scheme is not None
    verify_jws(scheme, key.public.encoded, TEXT, key.sign_bare(TEXT))
    for other in ALGORITHMS.values():
        if other is not algorithm:
            with pytest.raises(KeyUnusable):
                verify(scheme, other.private_key(b"k" * 32).public.encoded, TEXT, b"x" * 64)


def test_no_signature_and_broken_hashes_have_no_scheme() -> None:
    assert scheme_of_jws("none") is None
    assert scheme_of_jws("HS256") is None
    assert scheme_of("1.2.840.113549.1.1.5") is None  # RSA with SHA-1
    assert scheme_of("1.2.840.113549.1.1.1", "sha1") is None
    assert scheme_of("1.2.840.113549.1.1.1", "sha256") == scheme_of_jws("RS256")
    assert hashed("sha1", TEXT) is None


def test_a_chain_by_rsa_is_believed() -> None:
    key = rsa.generate_private_key(65537, 2048)
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "RSA Root")])
    leaf = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Leaf")])

    def certified(subject: x509.Name) -> Certificate:
        builder = (
            x509.CertificateBuilder(root, subject, key.public_key(), 7)
            .not_valid_before(NOW - YEAR)
            .not_valid_after(NOW + YEAR)
            .add_extension(x509.BasicConstraints(subject == root, None), critical=True)
        )
        signed = builder.sign(key, hashes.SHA256())
        return read_certificate(signed.public_bytes(serialization.Encoding.DER))

    authorities = Authorities([certified(root)])
    assert authorities.check([certified(leaf)], NOW, "signature").is_accepted
    broken = msgspec.structs.replace(certified(leaf), fingerprint="?", scheme=None)
    verdict = authorities.check([broken], NOW, "signature")
    assert [each.reason for each in verdict.refusals] == ["not-signed-by-authority"]
