"""Signatures and hashes in two suites, international and gm (the national algorithms), behind one
interface, as `crypto.py` has them for encryption.

An algorithm's number stands with every signature and never changes its meaning, so what was signed
under one suite is verified for ever, whatever the node signs with by then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from quanmin.base import sm2
from quanmin.base.crypto import Tampered, derive

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
KEY_ID_BYTES: Final = 16
_NUMBER_BYTES: Final = 32
_PACKED_BYTES: Final = 1 + KEY_ID_BYTES + SIGNATURE_BYTES


class KeyUnusable(Exception):  # noqa: N818 - names the finding
    """These bytes are no public key of the algorithm they are said to be of."""


# ---- hashes --------------------------------------------------------------------------------------


class Digest:
    """A hash. `number` stands in stored bytes and never changes its meaning."""

    def __init__(self, number: int, name: str, kind: hashes.HashAlgorithm) -> None:
        self.number = number
        self.name = name
        self.size_bytes = kind.digest_size
        self._kind = kind

    def of(self, *parts: bytes) -> bytes:
        """The hash of the parts, one after the other."""
        running = hashes.Hash(self._kind)
        for part in parts:
            running.update(part)
        return running.finalize()


SHA256: Final = Digest(1, "SHA-256", hashes.SHA256())  # FIPS 180-4
SM3: Final = Digest(2, "SM3", hashes.SM3())  # GB/T 32905
DIGESTS: Final = {digest.number: digest for digest in (SHA256, SM3)}


# ---- signatures ----------------------------------------------------------------------------------


class Signature(msgspec.Struct, frozen=True):
    """What stands in stored bytes: by which algorithm, by which key, and the signature itself."""

    algorithm: int
    key_id: bytes
    value: bytes

    def pack(self) -> bytes:
        """Algorithm (1 byte), key id (16), value (64)."""
        return bytes([self.algorithm]) + self.key_id + self.value

    @classmethod
    def unpack(cls, packed: bytes) -> Signature:
        """What `pack` gave. Raises Tampered for anything else."""
        if len(packed) != _PACKED_BYTES:
            raise Tampered
        return cls(packed[0], packed[1 : 1 + KEY_ID_BYTES], packed[1 + KEY_ID_BYTES :])


class PublicKey(Protocol):
    """Verifies. `encoded` is its SubjectPublicKeyInfo in DER (RFC 5480, 8410; GM/T 0015)."""

    algorithm: Algorithm
    encoded: bytes

    @property
    def key_id(self) -> bytes:
        """The first 16 bytes of the SHA-256 of `encoded`."""

    def verify(self, message: bytes, signature: Signature) -> None:
        """Raises Tampered unless this key signed this message, by its algorithm and no other."""

    def verify_bare(self, message: bytes, value: bytes) -> None:
        """The same for 64 bytes alone, where algorithm and key are known from elsewhere."""


class PrivateKey(Protocol):
    """Signs; never gives out what it signs with."""

    public: PublicKey

    def sign(self, message: bytes) -> Signature:
        """A signature of the message."""

    def sign_bare(self, message: bytes) -> bytes:
        """Its 64 bytes alone."""


class Algorithm(Protocol):
    """A signature algorithm. `number` stands in stored bytes and never changes its meaning.

    `jws` is what a JSON Web Signature calls it (RFC 7518, 8037). SM2 has no registered name; the
    one used here is what others use.
    """

    number: int
    name: str
    jws: str
    digest: Digest

    def private_key(self, seed: bytes) -> PrivateKey:
        """The key that these 32 bytes stand for, the same each time."""

    def public_key(self, encoded: bytes) -> PublicKey:
        """A key out of its SubjectPublicKeyInfo. Raises KeyUnusable."""

    def to_der(self, value: bytes) -> bytes:
        """The 64 bytes as certificates carry them."""

    def from_der(self, value: bytes) -> bytes:
        """The 64 bytes out of a certificate's. Raises Tampered."""


class _Public(ABC):
    """What the public keys of all algorithms share."""

    def __init__(self, algorithm: Algorithm, encoded: bytes) -> None:
        self.algorithm = algorithm
        self.encoded = encoded
        self.key_id = SHA256.of(encoded)[:KEY_ID_BYTES]

    def verify(self, message: bytes, signature: Signature) -> None:
        """See `PublicKey`."""
        # The key says by which algorithm it verifies; a signature only repeats it.
        if signature.algorithm != self.algorithm.number or signature.key_id != self.key_id:
            raise Tampered
        self.verify_bare(message, signature.value)

    def verify_bare(self, message: bytes, value: bytes) -> None:
        """See `PublicKey`."""
        if len(value) != SIGNATURE_BYTES or not self._is_valid(message, value):
            raise Tampered

    @abstractmethod
    def _is_valid(self, message: bytes, value: bytes) -> bool:
        """Whether this key signed the message."""


class _Private(ABC):
    """What the private keys of all algorithms share."""

    def __init__(self, public: PublicKey) -> None:
        self.public = public

    def sign(self, message: bytes) -> Signature:
        """See `PrivateKey`."""
        public = self.public
        return Signature(public.algorithm.number, public.key_id, self.sign_bare(message))

    @abstractmethod
    def sign_bare(self, message: bytes) -> bytes:
        """See `PrivateKey`."""


def _scalar(seed: bytes, name: str, order: int) -> int:
    """A number from 1 to below the order, out of 64 bits more than it has, so that no number is
    noticeably likelier (FIPS 186-5, A.2.1).
    """
    wide = _expand(seed, name, _NUMBER_BYTES + 8)
    return 1 + int.from_bytes(wide, "big") % (order - 1)


def _expand(seed: bytes, name: str, length: int) -> bytes:
    """Of each algorithm its own secret, so that one seed may serve several."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a signing key is made from {SEED_BYTES} bytes")
    return derive(seed, f"signing key {name}", length)


def _spki(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


# ---- ECDSA with P-256 ----------------------------------------------------------------------------

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class _P256Public(_Public):
    def __init__(self, algorithm: Algorithm, key: ec.EllipticCurvePublicKey) -> None:
        super().__init__(algorithm, _spki(key))
        self._key = key

    def _is_valid(self, message: bytes, value: bytes) -> bool:
        try:
            self._key.verify(sm2.to_der(value), message, _ECDSA)
        except InvalidSignature:
            return False
        return True


class _P256Private(_Private):
    def __init__(self, algorithm: Algorithm, key: ec.EllipticCurvePrivateKey) -> None:
        super().__init__(_P256Public(algorithm, key.public_key()))
        self._key = key

    def sign_bare(self, message: bytes) -> bytes:
        return sm2.from_der(self._key.sign(message, _ECDSA))


class EcdsaP256:
    """ECDSA on P-256 with SHA-256 (FIPS 186-5)."""

    number = 1
    name = "ECDSA-P256-SHA256"
    jws = "ES256"
    digest = SHA256

    def private_key(self, seed: bytes) -> PrivateKey:
        """See `Algorithm`."""
        number = _scalar(seed, self.name, _P256_ORDER)
        return _P256Private(self, ec.derive_private_key(number, ec.SECP256R1()))

    def public_key(self, encoded: bytes) -> PublicKey:
        """See `Algorithm`."""
        key = _load_public(encoded)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
            key.curve, ec.SECP256R1
        ):
            raise KeyUnusable
        return _P256Public(self, key)

    def to_der(self, value: bytes) -> bytes:
        """See `Algorithm`."""
        return sm2.to_der(value)

    def from_der(self, value: bytes) -> bytes:
        """See `Algorithm`."""
        return _bare(value)


def _load_public(encoded: bytes) -> object:
    try:
        return serialization.load_der_public_key(encoded)
    except Exception as error:
        # Foreign bytes: whatever the library makes of them, they are no key.
        raise KeyUnusable from error


def _bare(der: bytes) -> bytes:
    try:
        return sm2.from_der(der)
    except ValueError as error:
        raise Tampered from error


# ---- Ed25519 -------------------------------------------------------------------------------------


class _Ed25519Public(_Public):
    def __init__(self, algorithm: Algorithm, key: ed25519.Ed25519PublicKey) -> None:
        super().__init__(algorithm, _spki(key))
        self._key = key

    def _is_valid(self, message: bytes, value: bytes) -> bool:
        try:
            self._key.verify(value, message)
        except InvalidSignature:
            return False
        return True


class _Ed25519Private(_Private):
    def __init__(self, algorithm: Algorithm, key: ed25519.Ed25519PrivateKey) -> None:
        super().__init__(_Ed25519Public(algorithm, key.public_key()))
        self._key = key

    def sign_bare(self, message: bytes) -> bytes:
        return self._key.sign(message)


class Ed25519:
    """Ed25519 (RFC 8032)."""

    number = 2
    name = "Ed25519"
    jws = "EdDSA"
    digest = SHA256

    def private_key(self, seed: bytes) -> PrivateKey:
        """See `Algorithm`."""
        secret = _expand(seed, self.name, _NUMBER_BYTES)
        return _Ed25519Private(self, ed25519.Ed25519PrivateKey.from_private_bytes(secret))

    def public_key(self, encoded: bytes) -> PublicKey:
        """See `Algorithm`."""
        key = _load_public(encoded)
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise KeyUnusable
        return _Ed25519Public(self, key)

    def to_der(self, value: bytes) -> bytes:
        """See `Algorithm`."""
        return value

    def from_der(self, value: bytes) -> bytes:
        """See `Algorithm`."""
        if len(value) != SIGNATURE_BYTES:
            raise Tampered
        return value


# ---- SM2 -----------------------------------------------------------------------------------------


class _Sm2Public(_Public):
    def __init__(self, algorithm: Algorithm, point: bytes) -> None:
        super().__init__(algorithm, sm2.encode_public(point))
        self._point = point

    def _is_valid(self, message: bytes, value: bytes) -> bool:
        return sm2.library().verify(self._point, message, value, sm2.SIGNER_ID)


class _Sm2Private(_Private):
    def __init__(self, algorithm: Algorithm, number: bytes) -> None:
        super().__init__(_Sm2Public(algorithm, sm2.library().point(number)))
        self._number = number

    def sign_bare(self, message: bytes) -> bytes:
        return sm2.library().sign(self._number, message, sm2.SIGNER_ID)


class Sm2:
    """SM2 with SM3 and the signer id that stands where no other is agreed (GB/T 32918.2)."""

    number = 3
    name = "SM2-SM3"
    jws = "SM2SM3"
    digest = SM3

    def private_key(self, seed: bytes) -> PrivateKey:
        """See `Algorithm`. Raises Unusable where this machine has no SM2."""
        # The largest number is the one private key that SM2 does not allow.
        number = _scalar(seed, self.name, sm2.ORDER - 1)
        return _Sm2Private(self, number.to_bytes(_NUMBER_BYTES, "big"))

    def public_key(self, encoded: bytes) -> PublicKey:
        """See `Algorithm`."""
        point = sm2.decode_public(encoded)
        if point is None:
            raise KeyUnusable
        return _Sm2Public(self, point)

    def to_der(self, value: bytes) -> bytes:
        """See `Algorithm`."""
        return sm2.to_der(value)

    def from_der(self, value: bytes) -> bytes:
        """See `Algorithm`."""
        return _bare(value)


ECDSA_P256: Final = EcdsaP256()
ED25519: Final = Ed25519()
SM2_SM3: Final = Sm2()
ALGORITHMS: Final[dict[int, Algorithm]] = {
    algorithm.number: algorithm for algorithm in (ECDSA_P256, ED25519, SM2_SM3)
}


@lru_cache(maxsize=4096)
def read_public(encoded: bytes) -> PublicKey:
    """A key of any algorithm out of its SubjectPublicKeyInfo. Raises KeyUnusable."""
    for algorithm in ALGORITHMS.values():
        try:
            return algorithm.public_key(encoded)
        except KeyUnusable:
            continue
    raise KeyUnusable


# ---- suites --------------------------------------------------------------------------------------


class SignatureSuite(msgspec.Struct, frozen=True):
    """What a node signs and hashes with."""

    name: str
    algorithm: Algorithm
    digest: Digest


SUITES: Final = {
    "international": SignatureSuite("international", ECDSA_P256, SHA256),
    "gm": SignatureSuite("gm", SM2_SM3, SM3),
}


def suite_named(name: str) -> SignatureSuite:
    """The suite of this name. Raises KeyError, naming those there are."""
    try:
        return SUITES[name]
    except KeyError:
        known = ", ".join(SUITES)
        raise KeyError(f"no signature suite {name!r}; there are: {known}") from None
