"""Id tokens: a signed statement to an application about who is there (OpenID Connect Core 1.0)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from quanmin.base.signing import ECDSA_P256, PrivateKey

_COORDINATE_BYTES: Final = 32


class IdTokens:
    """Signs id tokens with the node's key for them (ES256)."""

    def __init__(self, seed: bytes) -> None:
        """The key follows from these 32 bytes, the same in every worker."""
        self._key: PrivateKey = ECDSA_P256.private_key(seed)
        self._public = _public_jwk(self._key.public.encoded)

    def key_set(self) -> dict[str, Any]:
        """The public key, as applications fetch it (RFC 7517)."""
        return {"keys": [self._public]}

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a signed token."""
        header = {"alg": ECDSA_P256.jws, "kid": self._public["kid"], "typ": "JWT"}
        signed = f"{_encode_json(header)}.{_encode_json(claims)}"
        return f"{signed}.{_encode(self._key.sign_bare(signed.encode()))}"


def _public_jwk(encoded: bytes) -> dict[str, Any]:
    key = load_der_public_key(encoded)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("id tokens are signed with a key on P-256")
    numbers = key.public_numbers()
    members = {
        "crv": "P-256",
        "kty": "EC",
        "x": _encode(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
        "y": _encode(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
    }
    # RFC 7638: the hash of exactly these members, in this order.
    thumbprint = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    kid = _encode(hashlib.sha256(thumbprint).digest())
    return {**members, "kid": kid, "use": "sig", "alg": ECDSA_P256.jws}


def _encode_json(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
