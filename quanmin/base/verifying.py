"""Verifies what others signed, by the algorithms that certificates, lists and tokens name.

A node signs by few algorithms (`signing.py`) and verifies by more: authorities and institutions
brought theirs along. What is broken or too short is refused, whoever signed with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from quanmin.base.crypto import Tampered
from quanmin.base.signing import ED25519, SHA256, SM2_SM3, SM3, Algorithm, Digest, KeyUnusable

SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
SM3_OID: Final = "1.2.156.10197.1.401"
_RSA_BITS_MIN: Final = 2048  # NIST SP 800-57, and the Chinese authorities' own smallest

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sm3": hashes.SM3,
}
_CURVES: Final[dict[str, tuple[type[ec.EllipticCurve], int]]] = {
    "ES256": (ec.SECP256R1, 32),
    "ES384": (ec.SECP384R1, 48),
    "ES512": (ec.SECP521R1, 66),
}


class Scheme(msgspec.Struct, frozen=True):
    """How a signature is made: `oid` is what certificates call it, `jws` what JSON Web Signatures
    do (RFC 7518, 8037).
    """

    oid: str
    jws: str
    digest: str
    kind: Literal["rsa", "ecdsa", "ed25519", "sm2"]


SCHEMES: Final = (
    Scheme("1.2.840.113549.1.1.11", "RS256", "sha256", "rsa"),
    Scheme("1.2.840.113549.1.1.12", "RS384", "sha384", "rsa"),
    Scheme("1.2.840.113549.1.1.13", "RS512", "sha512", "rsa"),
    Scheme("1.2.840.10045.4.3.2", "ES256", "sha256", "ecdsa"),
    Scheme("1.2.840.10045.4.3.3", "ES384", "sha384", "ecdsa"),
    Scheme("1.2.840.10045.4.3.4", "ES512", "sha512", "ecdsa"),
    Scheme("1.3.101.112", "EdDSA", "sha512", "ed25519"),
    Scheme(SM2_WITH_SM3, "SM2SM3", "sm3", "sm2"),
)
_BY_OID: Final = {scheme.oid: scheme for scheme in SCHEMES}
_BY_JWS: Final = {scheme.jws: scheme for scheme in SCHEMES}
# Cryptographic messages name the key's kind and the hash apart (RFC 5652 5.3; GB/T 35275).
_KINDS: Final = {
    "1.2.840.113549.1.1.1": "rsa",
    "1.2.840.10045.2.1": "ecdsa",
    "1.2.156.10197.1.301.1": "sm2",
    "1.2.156.10197.1.301": "sm2",
}


def scheme_of(oid: str, digest: str = "") -> Scheme | None:
    """The scheme of this object identifier, or of a key's kind with this hash; None for one that
    is unknown or no longer to be trusted (SHA-1, MD5).
    """
    kind = _KINDS.get(oid)
    if kind is None:
        return _BY_OID.get(oid)
    return next((each for each in SCHEMES if (each.kind, each.digest) == (kind, digest)), None)


def scheme_of_jws(name: str) -> Scheme | None:
    """The scheme that a JSON Web Signature calls so; never one without a signature."""
    return _BY_JWS.get(name)


def digest_name(algorithm: Any) -> str:
    """The name of a hash out of its AlgorithmIdentifier, as `hashed` knows it."""
    oid = algorithm["algorithm"]
    return "sm3" if oid.dotted == SM3_OID else str(oid.native)


def digest_oid(digest: Digest) -> str:
    """What an AlgorithmIdentifier calls a hash of this node's."""
    return {SHA256.number: "2.16.840.1.101.3.4.2.1", SM3.number: SM3_OID}[digest.number]


def hashed(digest: str, message: bytes) -> bytes | None:
    """The hash of this name; None for one that is unknown or no longer to be trusted."""
    kind = _HASHES.get(digest)
    if kind is None:
        return None
    running = hashes.Hash(kind())
    running.update(message)
    return running.finalize()


def verify(scheme: Scheme, key: bytes, message: bytes, signature: bytes) -> None:
    """Holds the signature, as certificates carry it, against a SubjectPublicKeyInfo.

    Raises Tampered when it is not that key's, KeyUnusable when the key is none of the scheme's or
    too short.
    """
    if scheme.kind in {"ed25519", "sm2"}:
        algorithm: Algorithm = SM2_SM3 if scheme.kind == "sm2" else ED25519
        algorithm.public_key(key).verify_bare(message, algorithm.from_der(signature))
        return
    try:
        public = serialization.load_der_public_key(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable from error
    digest = _HASHES[scheme.digest]()
    try:
        if scheme.kind == "rsa":
            if not isinstance(public, rsa.RSAPublicKey) or public.key_size < _RSA_BITS_MIN:
                raise KeyUnusable
            public.verify(signature, message, padding.PKCS1v15(), digest)
        else:
            if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(
                public.curve, tuple(curve for curve, _ in _CURVES.values())
            ):
                raise KeyUnusable
            public.verify(signature, message, ec.ECDSA(digest))
    except InvalidSignature as error:
        raise Tampered from error


def verify_jws(scheme: Scheme, key: bytes, message: bytes, signature: bytes) -> None:
    """The same for the form of JSON Web Signatures: numbers of fixed length (RFC 7518, 3.4)."""
    if scheme.kind == "sm2":
        signature = _as_der(signature, 32)
    elif scheme.kind == "ecdsa":
        _expect_curve(scheme, key)
        signature = _as_der(signature, _CURVES[scheme.jws][1])
    verify(scheme, key, message, signature)


def _expect_curve(scheme: Scheme, key: bytes) -> None:
    """There the name of the scheme fixes the curve as well."""
    try:
        public = serialization.load_der_public_key(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable from error
    curve, _ = _CURVES[scheme.jws]
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, curve):
        raise KeyUnusable


def _as_der(signature: bytes, size: int) -> bytes:
    if len(signature) != 2 * size:
        raise Tampered
    return encode_dss_signature(
        int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    )
