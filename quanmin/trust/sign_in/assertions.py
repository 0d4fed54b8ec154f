"""Assertions: by what a client proves itself without a secret that could be read on the way
(RFC 7523, SMART 2.2 client-confidential-asymmetric: `private_key_jwt` with RS384 or ES384).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from quanmin.base.problems import GrantRefused

ALGORITHMS: Final = {"RS384": "RSA", "ES384": "EC"}
KIND: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_RSA_BITS_MIN: Final = 2048
_RSA_BITS_MAX: Final = 8192
_KEYS_MAX: Final = 20
_JTI_LENGTH_MAX: Final = 255
_PUBLIC: Final = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e")}


class Key(msgspec.Struct, frozen=True):
    """A public key of a client, under the name that its assertions call it by."""

    kid: str
    kind: str
    key: Any


class Claims(msgspec.Struct):
    """What an assertion says (RFC 7523 section 3)."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    jti: str
    iat: float | None = None
    nbf: float | None = None


class _Header(msgspec.Struct):
    alg: str
    kid: str
    typ: str | None = None
    jku: str | None = None
    crit: Any = None


class Proven(msgspec.Struct, frozen=True):
    """An assertion that holds: whose it is, and under which hash it is remembered until when
    (microseconds since 1970), as it works once.
    """

    client: str
    jti: bytes
    until: int


def read_keys(found: object) -> tuple[Key, ...]:
    """The keys of a JSON Web Key Set that may be used; of private ones the public half, and nothing
    of any other kind: a public key that were taken for a secret would be everybody's.
    """
    several = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(several, list):
        return ()
    keys = (_read_key(one) for one in several[:_KEYS_MAX])
    return tuple(key for key in keys if key is not None)


def _read_key(one: object) -> Key | None:
    if not isinstance(one, dict):
        return None
    kind, kid = one.get("kty"), one.get("kid")
    if kind not in _PUBLIC or not isinstance(kid, str) or one.get("use", "sig") != "sig":
        return None
    public: dict[str, str | list[str]] = {name: str(one.get(name, "")) for name in _PUBLIC[kind]}
    try:
        if kind == "EC":
            if public["crv"] != "P-384":
                return None
            return Key(kid, kind, ECKey.import_key(public))
        key = RSAKey.import_key(public)
        bits = key.public_key.key_size
    except (JoseError, ValueError, TypeError, binascii.Error):
        return None
    return Key(kid, kind, key) if _RSA_BITS_MIN <= bits <= _RSA_BITS_MAX else None


def read_unproven(assertion: str, *, bytes_max: int) -> tuple[str, str, str | None]:
    """Whose an assertion says it is, which key signed it, and where it says that key is. Nothing of
    it is proven yet. Raises GrantRefused.
    """
    header, claims = _parts(assertion, bytes_max)
    return claims.iss, header.kid, header.jku


def prove(
    assertion: str,
    keys: Iterable[Key],
    *,
    audiences: frozenset[str],
    now: int,
    seconds_max: int,
    skew_seconds_max: int,
    bytes_max: int,
) -> Proven:
    """What a signed assertion proves at a moment (microseconds). Raises GrantRefused."""
    header, claims = _parts(assertion, bytes_max)
    fitting = [
        key for key in keys if key.kid == header.kid and key.kind == ALGORITHMS.get(header.alg)
    ]
    # Where no key fits, as of a client that is not known, one that is nobody's: the time of an
    # answer is not to tell of either.
    several = fitting or [_decoy(ALGORITHMS[header.alg])]
    if not any(_is_signed(assertion, header.alg, key) for key in several) or not fitting:
        raise not_signed()
    if claims.iss != claims.sub:
        raise _refused("iss and sub of the assertion must both be the client_id")
    named = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
    if not named & audiences:
        raise _refused("aud of the assertion must be the address of the token endpoint")
    _check_times(claims, now / 1e6, seconds_max, skew_seconds_max)
    if not 0 < len(claims.jti) <= _JTI_LENGTH_MAX:
        raise _refused(f"jti of the assertion must have 1 to {_JTI_LENGTH_MAX} characters")
    until = int((claims.exp + skew_seconds_max) * 1e6)
    return Proven(claims.iss, hashlib.sha256(claims.jti.encode()).digest(), until)


def not_signed() -> GrantRefused:
    """The one refusal for whatever a stranger may send: a client that is not known, a key that is
    not its own, a place of keys that it has not registered.
    """
    return _refused(
        "no key of this client has signed the assertion: compare iss, kid and, where there is one,"
        " jku with what is registered"
    )


def _check_times(claims: Claims, now: float, seconds_max: int, skew: int) -> None:
    if not claims.exp > now - skew:
        raise _refused("the assertion has ended: make a new one for each request")
    # A clock that is ahead is borne where iat shows it; by its own clock no client has longer.
    begun = now if claims.iat is None else max(now, min(claims.iat, now + skew))
    if not claims.exp <= begun + seconds_max:
        raise _refused(f"exp of the assertion must be within {seconds_max} seconds from now")
    for moment in (claims.nbf, claims.iat):
        if moment is not None and not moment <= now + skew:
            raise _refused("the assertion is of the future: set the clock of the client")


@cache
def _decoy(kind: str) -> Key:
    """A key with which nobody signs."""
    key = ECKey.generate_key("P-384") if kind == "EC" else RSAKey.generate_key(_RSA_BITS_MIN)
    return Key("", kind, key)


def _is_signed(assertion: str, algorithm: str, key: Key) -> bool:
    try:
        # By the one algorithm of the key's own kind, whatever the header may have wished.
        jws.deserialize_compact(assertion, key.key, algorithms=[algorithm])
    except (JoseError, ValueError):
        return False
    return True


def _parts(assertion: str, bytes_max: int) -> tuple[_Header, Claims]:
    if len(assertion) > bytes_max:
        raise _refused(f"the assertion is longer than {bytes_max} bytes")
    pieces = assertion.split(".")
    if len(pieces) != 3 or not assertion.isascii():
        raise _refused("the assertion is no signed JSON Web Token")
    try:
        header = msgspec.json.decode(_decode(pieces[0]), type=_Header)
        claims = msgspec.json.decode(_decode(pieces[1]), type=Claims)
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        raise _refused(
            "the assertion must have the headers alg and kid and the claims iss, sub, aud, exp, jti"
        ) from None
    if header.alg not in ALGORITHMS:
        raise _refused(f"the assertion must be signed by {' or '.join(ALGORITHMS)}")
    if header.crit is not None:  # RFC 7515 section 4.1.11; of what it could name, JWTs know nothing
        raise _refused("the header of the assertion asks for what is not known here (crit)")
    if header.typ is not None and header.typ.upper() != "JWT":
        raise _refused("typ of the assertion must be JWT")
    return header, claims


def _decode(piece: str) -> bytes:
    return base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_", validate=True)


def _refused(text: str) -> GrantRefused:
    return GrantRefused("invalid_client", text)


@lru_cache(maxsize=256)
def key_set(text: str) -> tuple[Key, ...]:
    """The keys of a set as JSON text; none for a text that is no set."""
    try:
        return read_keys(json.loads(text))
    except (ValueError, RecursionError):
        return ()
