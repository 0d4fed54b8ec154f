"""Tokens that another issuer has signed: what they say, once it is proven (OpenID Connect Core 1.0
section 3.1.3.7, Back-Channel Logout 1.0 section 2.6, RFC 9068 section 4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from quanmin.base.problems import TokenRefused

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_PUBLIC: Final = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e")}
_RSA_BITS_MIN: Final = 2048
_RSA_BITS_MAX: Final = 8192
# Of so many bits in base64: the library warns of smaller ones.
_RSA_DIGITS_MIN: Final = 342
_KEYS_MAX: Final = 50
_TOKEN_BYTES_MAX: Final = 16_384
_SUBJECT_LENGTH_MAX: Final = 255
_ID_TOKEN_TYPES: Final = (None, "JWT")
_LOGOUT_TYPES: Final = (None, "JWT", "logout+jwt")


class ForeignKey(msgspec.Struct, frozen=True):
    """A public key of the issuer: `curve` of EC keys, `algorithm` where it is for one only."""

    kid: str | None
    curve: str | None
    algorithm: str | None
    key: Any

    def fits(self, kid: str | None, algorithm: str) -> bool:
        """Whether a token with this header may have been signed by it."""
        return (
            self.curve == _CURVES.get(algorithm)
            and self.algorithm in {None, algorithm}
            and (kid is None or kid == self.kid)
        )


class Header(msgspec.Struct):
    """What the header of a token says that is looked at."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = None


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a token must say to be taken: from whom, for whom, by what signed. `now` is in seconds
    since 1970.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str]
    now: float
    skew_seconds: int


def read_foreign_keys(text: bytes) -> tuple[ForeignKey, ...]:
    """The keys for signatures of a JSON Web Key Set; of any other kind none: a public key that were
    taken for a secret would be everybody's (RFC 8725 section 3.1).
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    several = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(several, list):
        return ()
    keys = (_read_key(one) for one in several[:_KEYS_MAX])
    return tuple(key for key in keys if key is not None)


def _read_key(one: object) -> ForeignKey | None:
    if not isinstance(one, dict) or one.get("use", "sig") != "sig":
        return None
    kind, kid, algorithm = one.get("kty"), one.get("kid"), one.get("alg")
    if (
        kind not in _PUBLIC
        or not isinstance(kid, str | None)
        or not isinstance(algorithm, str | None)
    ):
        return None
    public: dict[str, str | list[str]] = {name: str(one.get(name, "")) for name in _PUBLIC[kind]}
    try:
        if kind == "EC":
            curve = str(public["crv"])
            return (
                ForeignKey(kid, curve, algorithm, ECKey.import_key(public))
                if curve in _CURVES.values()
                else None
            )
        if len(public["n"]) < _RSA_DIGITS_MIN:
            return None
        key = RSAKey.import_key(public)
        bits = key.public_key.key_size
    except (JoseError, ValueError, TypeError, binascii.Error):
        return None
    is_sound = _RSA_BITS_MIN <= bits <= _RSA_BITS_MAX
    return ForeignKey(kid, None, algorithm, key) if is_sound else None


def read_header(token: str) -> Header:
    """The header of a token; nothing of it is proven yet. Raises TokenRefused."""
    pieces = token.split(".")
    if len(token) > _TOKEN_BYTES_MAX or len(pieces) != 3 or not token.isascii():
        raise _refused("it is no signed JSON Web Token")
    try:
        header = msgspec.json.decode(_decode(pieces[0]), type=Header)
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        raise _refused("its header cannot be read") from None
    if header.crit is not None:
        raise _refused("its header asks for what is not known here")
    return header


def prove_token(
    token: str,
    keys: Iterable[ForeignKey],
    expected: Expected,
    types: Iterable[str | None],
) -> dict[str, Any]:
    """The claims of a token that one of these keys has signed, by an algorithm that the operator
    allows and the key is for; issuer, audience and times are right. Raises TokenRefused.
    """
    header = read_header(token)
    typ = None if header.typ is None else header.typ.removeprefix("application/").casefold()
    if typ not in {None if one is None else one.casefold() for one in types}:
        raise _refused("it is of another type")
    if header.alg not in expected.algorithms:
        raise _refused("it is signed by an algorithm that is not taken")
    fitting = [key for key in keys if key.fits(header.kid, header.alg)]
    if not any(_is_signed(token, header.alg, key) for key in fitting):
        raise _refused("no key of the issuer has signed it")
    try:
        claims = json.loads(_decode(token.split(".")[1]))
    except (binascii.Error, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise _refused("its claims cannot be read")
    _check_claims(claims, expected)
    return claims


def _check_claims(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise _refused("another issuer has made it")
    if expected.audience not in _audiences(claims):
        raise _refused("it is for another application")
    now, skew = expected.now, expected.skew_seconds
    if not _number(claims, "exp") > now - skew:
        raise _refused("it has ended")
    if not _number(claims, "iat") <= now + skew:
        raise _refused("it is of the future")
    if "nbf" in claims and not _number(claims, "nbf") <= now + skew:
        raise _refused("it is of the future")


def check_id_token(
    claims: Mapping[str, Any], *, client: str, nonce: str, access_token: str, algorithm: str
) -> None:
    """Raises TokenRefused unless an id token answers this very request of this client."""
    check_subject(claims)
    if len(_audiences(claims)) > 1 and "azp" not in claims:
        raise _refused("it is for several applications and does not say which has asked")
    if claims.get("azp", client) != client:
        raise _refused("another application has asked for it")
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise _refused("it answers another request")
    if "at_hash" in claims and claims["at_hash"] != hash_of_token(access_token, algorithm):
        raise _refused("it belongs to another access token")


def check_logout_token(claims: Mapping[str, Any]) -> None:
    """Raises TokenRefused unless this is a logout token (Back-Channel Logout 1.0 section 2.6)."""
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise _refused("it does not say that a session has ended")
    if "nonce" in claims or not isinstance(claims.get("jti"), str):
        raise _refused("it is no logout token")
    if "sid" not in claims:
        check_subject(claims)
    elif not isinstance(claims["sid"], str):
        raise _refused("it is no logout token")


def check_subject(claims: Mapping[str, Any]) -> None:
    """Raises TokenRefused unless the claims say of whom they are."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_LENGTH_MAX:
        raise _refused("it does not say of whom it is")


def hash_of_token(token: str, algorithm: str) -> str:
    """`at_hash` (OpenID Connect Core 1.0 section 3.1.3.6)."""
    digest = hashlib.new(f"sha{algorithm[-3:]}", token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _audiences(claims: Mapping[str, Any]) -> list[Any]:
    said = claims.get("aud")
    return said if isinstance(said, list) else [said]


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"its {name} is missing or no number")
    return value


def _is_signed(token: str, algorithm: str, key: ForeignKey) -> bool:
    try:
        jws.deserialize_compact(token, key.key, algorithms=[algorithm])
    except (JoseError, ValueError):
        return False
    return True


def _decode(piece: str) -> bytes:
    return base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_", validate=True)


def _refused(why: str) -> TokenRefused:
    return TokenRefused(f"the token of the other issuer is not taken: {why}")
