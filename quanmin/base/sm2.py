"""SM2 signatures (GB/T 32918.2) by whatever library of this machine has them.

The `cryptography` package knows SM3 and SM4 but no SM2 keys. So the system's libcrypto is asked
first, and `gmssl-pyx` where that was built without SM2. Keys and signatures are the bare numbers
of the standard here; what wraps them is `signing.py`'s matter.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from quanmin.base.problems import Unusable

# The curve that GB/T 32918.5 recommends.
_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A: Final = _P - 3
_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
# Whose signature it is goes into what is signed. Certificates and those who write no id of their
# own use this one (GM/T 0009, 10).
SIGNER_ID: Final = b"1234567812345678"

# SubjectPublicKeyInfo and PrivateKeyInfo around the bare numbers (RFC 5480, 5958).
_PUBLIC_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_PRIVATE_HEAD: Final = bytes.fromhex(
    "3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420"
)
_POINT_BYTES: Final = 65
_NUMBER_BYTES: Final = 32


class Library(Protocol):
    """One way to SM2. Points are uncompressed (0x04, x, y), signatures r and s of 32 bytes each."""

    name: str

    def point(self, number: bytes) -> bytes:
        """The public point of a private number."""

    def sign(self, number: bytes, message: bytes, signer: bytes) -> bytes:
        """A new signature."""

    def verify(self, point: bytes, message: bytes, signature: bytes, signer: bytes) -> bool:
        """Whether the signature is that of this message, by this point's owner."""


def is_on_curve(point: bytes) -> bool:
    """Whether these bytes are a point of the curve, uncompressed."""
    if len(point) != _POINT_BYTES or point[0] != 4:
        return False
    x, y = (int.from_bytes(part, "big") for part in (point[1:33], point[33:]))
    return x < _P and y < _P and (y * y - (x * x * x + _A * x + _B)) % _P == 0


def encode_public(point: bytes) -> bytes:
    """The point as SubjectPublicKeyInfo in DER."""
    return _PUBLIC_HEAD + point


def decode_public(encoded: bytes) -> bytes | None:
    """The point again; None for what is no such key of this curve."""
    point = encoded.removeprefix(_PUBLIC_HEAD)
    return point if point != encoded and is_on_curve(point) else None


@lru_cache(maxsize=1)
def library() -> Library:
    """The first library of this machine that signs and verifies as the standard says.

    Raises Unusable, with what to install.
    """
    for make in (_LibCrypto, _GmSsl):
        with suppress(OSError, AttributeError, ImportError, _Failed):
            found: Library = make()
            if _is_right(found):
                return found
    raise Unusable(
        "SM2 is not to be had on this machine: install OpenSSL 3 as a system library with SM2 in it"
        " (Debian: libssl3), or the Python package gmssl-pyx; or let the node sign by the"
        " international suite (node.signature_suite)"
    )


def _is_right(candidate: Library) -> bool:
    """Tries the published example, so that a library that is there and wrong is not used."""
    number = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
    point = bytes.fromhex(
        "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
    )
    published = bytes.fromhex(
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
        "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
    )
    text = b"message digest"
    fresh = candidate.sign(number, text, SIGNER_ID)
    return (
        candidate.point(number) == point
        and candidate.verify(point, text, published, SIGNER_ID)
        and candidate.verify(point, text, fresh, SIGNER_ID)
        and not candidate.verify(point, text + b".", published, SIGNER_ID)
    )


class _Failed(Exception):  # noqa: N818 - names the finding
    """A call of the library did not do what it was asked."""


def to_der(signature: bytes) -> bytes:
    """SEQUENCE of r and s, as certificates carry them."""
    return encode_dss_signature(
        int.from_bytes(signature[:_NUMBER_BYTES], "big"),
        int.from_bytes(signature[_NUMBER_BYTES:], "big"),
    )


def from_der(signature: bytes) -> bytes:
    """Both numbers, 32 bytes each. Raises ValueError for what is no such sequence."""
    try:
        return b"".join(
            part.to_bytes(_NUMBER_BYTES, "big") for part in decode_dss_signature(signature)
        )
    except OverflowError as error:
        raise ValueError("numbers beyond 256 bits") from error


# ---- the system's libcrypto ----------------------------------------------------------------------

_LIBRARY_NAMES: Final = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib", "libcrypto.so")


def _load() -> ctypes.CDLL:
    """OpenSSL 3 or later. Raises OSError."""
    for name in (*_LIBRARY_NAMES, None):
        # Asking the linker for the name starts other programs, so it comes last.
        path = name or ctypes.util.find_library("crypto")
        if path is None:
            break
        with suppress(OSError, AttributeError):
            found = ctypes.CDLL(path)
            if found.OPENSSL_version_major() >= 3:
                return found
    raise OSError("no libcrypto of OpenSSL 3")


_POINTER: Final = ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "d2i_AutoPrivateKey": (_POINTER, (_POINTER, ctypes.POINTER(_POINTER), ctypes.c_long)),
    "d2i_PUBKEY": (_POINTER, (_POINTER, ctypes.POINTER(_POINTER), ctypes.c_long)),
    "i2d_PUBKEY": (ctypes.c_int, (_POINTER, ctypes.POINTER(_POINTER))),
    "EVP_PKEY_free": (None, (_POINTER,)),
    "EVP_MD_CTX_new": (_POINTER, ()),
    "EVP_MD_CTX_free": (None, (_POINTER,)),
    "EVP_MD_CTX_set_pkey_ctx": (None, (_POINTER, _POINTER)),
    "EVP_PKEY_CTX_new": (_POINTER, (_POINTER, _POINTER)),
    "EVP_PKEY_CTX_free": (None, (_POINTER,)),
    "EVP_PKEY_CTX_set1_id": (ctypes.c_int, (_POINTER, ctypes.c_char_p, ctypes.c_int)),
    "EVP_sm3": (_POINTER, ()),
    "EVP_DigestSignInit": (ctypes.c_int, (_POINTER,) * 5),
    "EVP_DigestVerifyInit": (ctypes.c_int, (_POINTER,) * 5),
    "EVP_DigestSign": (
        ctypes.c_int,
        (
            _POINTER,
            ctypes.c_char_p,
            ctypes.POINTER(ctypes.c_size_t),
            ctypes.c_char_p,
            ctypes.c_size_t,
        ),
    ),
    "EVP_DigestVerify": (
        ctypes.c_int,
        (_POINTER, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t),
    ),
    "ERR_clear_error": (None, ()),
}


class _Key:
    """An EVP_PKEY, freed when nothing holds it any more."""

    def __init__(self, pointer: int, free: Callable[[int], None]) -> None:
        self.pointer = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self.pointer)


class _LibCrypto:
    """By the system's OpenSSL. A key is parsed once and then used by any thread."""

    name = "libcrypto"

    def __init__(self) -> None:
        self._lib = _load()
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._private = lru_cache(maxsize=64)(self._read_private)
        self._public = lru_cache(maxsize=1024)(self._read_public)

    def point(self, number: bytes) -> bytes:
        out = ctypes.create_string_buffer(len(_PUBLIC_HEAD) + _POINT_BYTES)
        place = ctypes.cast(out, _POINTER)
        length = self._lib.i2d_PUBKEY(self._private(number).pointer, ctypes.byref(place))
        if length != len(out):
            raise _Failed
        return out.raw[len(_PUBLIC_HEAD) :]

    def sign(self, number: bytes, message: bytes, signer: bytes) -> bytes:
        key = self._private(number)
        out = ctypes.create_string_buffer(80)
        length = ctypes.c_size_t(len(out))
        with self._context(self._lib.EVP_DigestSignInit, key, signer) as context:
            self._expect(
                self._lib.EVP_DigestSign(context, out, ctypes.byref(length), message, len(message))
            )
        return from_der(out.raw[: length.value])

    def verify(self, point: bytes, message: bytes, signature: bytes, signer: bytes) -> bool:
        key = self._public(point)
        der = to_der(signature)
        with self._context(self._lib.EVP_DigestVerifyInit, key, signer) as context:
            found = self._lib.EVP_DigestVerify(context, der, len(der), message, len(message))
        # What it says about a wrong signature stays in a queue of the thread otherwise.
        self._lib.ERR_clear_error()
        return bool(found == 1)

    @contextmanager
    def _context(self, begin: Callable[..., int], key: _Key, signer: bytes) -> Iterator[int]:
        lib = self._lib
        context, inner = lib.EVP_MD_CTX_new(), lib.EVP_PKEY_CTX_new(key.pointer, None)
        try:
            self._expect(bool(context and inner))
            self._expect(lib.EVP_PKEY_CTX_set1_id(inner, signer, len(signer)))
            lib.EVP_MD_CTX_set_pkey_ctx(context, inner)
            self._expect(begin(context, None, lib.EVP_sm3(), None, key.pointer))
            yield context
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(inner)

    def _read_private(self, number: bytes) -> _Key:
        return self._read(self._lib.d2i_AutoPrivateKey, _PRIVATE_HEAD + number)

    def _read_public(self, point: bytes) -> _Key:
        return self._read(self._lib.d2i_PUBKEY, _PUBLIC_HEAD + point)

    def _read(self, parse: Callable[..., int | None], der: bytes) -> _Key:
        held = ctypes.create_string_buffer(der, len(der))
        place = ctypes.cast(held, _POINTER)
        pointer = parse(None, ctypes.byref(place), len(der))
        self._expect(bool(pointer))
        return _Key(pointer or 0, self._lib.EVP_PKEY_free)

    def _expect(self, answer: int) -> None:
        if answer != 1:
            self._lib.ERR_clear_error()
            raise _Failed


# ---- gmssl-pyx -----------------------------------------------------------------------------------


class _GmSsl:
    """By the package `gmssl-pyx`: slower, and without a way to ask for the public point."""

    name = "gmssl-pyx"

    def __init__(self) -> None:
        # Installed where somebody wants it; nothing needs it while libcrypto serves.
        import gmssl_pyx  # noqa: PLC0415 - see above

        self._lib: Any = gmssl_pyx
        self.point = lru_cache(maxsize=64)(self._point)

    def _point(self, number: bytes) -> bytes:
        """Recovered from a signature (SEC 1, 4.1.6, for SM2's equations), so that no secret goes
        through Python's arithmetic, whose time tells of the numbers.
        """
        digest, other = bytes(_NUMBER_BYTES), b"\1" * _NUMBER_BYTES
        r, s = decode_dss_signature(self._lib.sm2_sign_sm3_digest(number, digest))
        # Two points verify the first signature, one of them the second as well.
        second = self._lib.sm2_sign_sm3_digest(number, other)
        # The digest is zero, so r is the x of the one-time point, modulo the order.
        for y in _roots(r):
            # The point is (r + s)^-1 times (the one-time point less s times G).
            rest = _add((r, y), _times(ORDER - s, _G))
            found = _times(pow(r + s, -1, ORDER), rest)
            if found is None:
                continue
            bare = b"".join(part.to_bytes(_NUMBER_BYTES, "big") for part in found)
            if self._lib.sm2_verify_sm3_digest(bare, other, second):
                return b"\x04" + bare
        raise _Failed

    def sign(self, number: bytes, message: bytes, signer: bytes) -> bytes:
        return from_der(self._lib.sm2_sign(number, self.point(number)[1:], message, signer))

    def verify(self, point: bytes, message: bytes, signature: bytes, signer: bytes) -> bool:
        try:
            return bool(self._lib.sm2_verify(point[1:], message, to_der(signature), signer))
        except self._lib.GmsslInnerError:
            return False


_Point = tuple[int, int] | None  # None: the point at infinity


def _roots(x: int) -> tuple[int, ...]:
    square = (x * x * x + _A * x + _B) % _P
    y = pow(square, (_P + 1) // 4, _P)
    return (y, _P - y) if y * y % _P == square else ()


def _add(left: _Point, right: _Point) -> _Point:
    if left is None or right is None:
        return left or right
    if left[0] == right[0]:
        if (left[1] + right[1]) % _P == 0:
            return None
        slope = (3 * left[0] * left[0] + _A) * pow(2 * left[1], -1, _P)
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, _P)
    x = (slope * slope - left[0] - right[0]) % _P
    return x, (slope * (left[0] - x) - left[1]) % _P


def _times(number: int, point: _Point) -> _Point:
    total: _Point = None
    while number:
        if number & 1:
            total = _add(total, point)
        point = _add(point, point)
        number >>= 1
    return total
