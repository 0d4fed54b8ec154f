"""What a token of another issuer must say and be signed by (OpenID Connect Core 1.0 section
3.1.3.7, RFC 8725).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from clients import bare
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from quanmin.base.problems import TokenRefused
from quanmin.trust.sign_in.foreign_tokens import (
    Expected,
    ForeignKey,
    check_id_token,
    hash_of_token,
    prove_token,
    read_foreign_keys,
)

NOW = 1_800_000_000
ISSUER, CLIENT = "https://login.example/realms/health", "node"
RSA = RSAKey.generate_key(2048)
CURVE = ECKey.generate_key("P-256")
EXPECTED = Expected(
    issuer=ISSUER,
    audience=CLIENT,
    algorithms=frozenset({"RS256", "ES256"}),
    now=NOW,
    skew_seconds=10,
)


def published(*several: tuple[Any, dict[str, Any]]) -> tuple[ForeignKey, ...]:
    keys = [{**key.as_dict(private=False), **more} for key, more in several]
    return read_foreign_keys(json.dumps({"keys": keys}).encode())


KEYS = published((RSA, {"kid": "r", "use": "sig"}), (CURVE, {"kid": "e"}))


def claims(**more: Any) -> dict[str, Any]:
    usual = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "s-1",
        "iat": NOW - 5,
        "exp": NOW + 60,
        "nonce": "n-1",
    }
    return {name: value for name, value in (usual | more).items() if value is not None}


def signed(key: Any = RSA, alg: str = "RS256", **more: Any) -> str:
    header = {"alg": alg, "kid": "r", "typ": "JWT"} | more.pop("header", {})
    header = {name: value for name, value in header.items() if value is not None}
    body = json.dumps(claims(**more)).encode()
    return str(jws.serialize_compact(header, body, key, algorithms=[alg]))


def take(token: str, keys: tuple[ForeignKey, ...] = KEYS) -> dict[str, Any]:
    found = prove_token(token, keys, EXPECTED, (None, "JWT"))
    check_id_token(found, client=CLIENT, nonce="n-1", access_token="at", algorithm="RS256")
    return found


def test_openid_connect_3_1_3_7_a_sound_token_is_taken() -> None:
    assert take(signed())["sub"] == "s-1"
    assert take(signed(CURVE, "ES256", header={"kid": "e"}))["sub"] == "s-1"
    assert take(signed(aud=[CLIENT, "more"], azp=CLIENT))["sub"] == "s-1"
    assert take(signed(at_hash=hash_of_token("at", "RS256")))["sub"] == "s-1"
    assert take(signed(header={"kid": None, "typ": None}))["sub"] == "s-1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://login.example/realms/other"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": []},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": NOW - 11},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"iat": NOW + 11},
        {"iat": None},
        {"nbf": NOW + 11},
        {"nonce": "n-2"},
        {"nonce": None},
        {"nonce": ["n-1"]},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
        {"at_hash": hash_of_token("another", "RS256")},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": "logout+jwt"}},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": "e"}},
        {"header": {"crit": ["exp"], "exp": 1}},
    ],
    ids=str,
)
def test_openid_connect_3_1_3_7_anything_else_is_refused(wrong: dict[str, Any]) -> None:
    try:
        token = signed(**wrong)
    except JoseError:  # the library signs no header that it does not know
        header = {"alg": "RS256", "kid": "r", **wrong["header"]}
        token = bare(header, claims(), b"x" * 256)
    with pytest.raises(TokenRefused):
        take(token)


def test_rfc_8725_algorithms_are_those_of_the_operator_and_of_the_key() -> None:
    public = RSA.as_pem(private=False)
    for key in (public, public.strip(), json.dumps(RSA.as_dict(private=False)).encode()):
        for alg in ("HS256", "RS256"):
            content = bare({"alg": alg, "kid": "r"}, claims()).rpartition(".")[0]
            mac = hmac.digest(key, content.encode(), hashlib.sha256)
            with pytest.raises(TokenRefused):
                take(bare({"alg": alg, "kid": "r"}, claims(), mac))
    for alg in ("none", "None", "nOnE", "", "HS256", "RS512", "PS256", "ES384"):
        with pytest.raises(TokenRefused):
            take(bare({"alg": alg, "kid": "r"}, claims()))
    with pytest.raises(TokenRefused):
        take(signed(alg="RS256"), published((RSA, {"kid": "r", "alg": "PS256"})))
    with pytest.raises(TokenRefused):
        take(signed(alg="RS256"), published((RSA, {"kid": "r", "use": "enc"})))
    with pytest.raises(TokenRefused):
        take(signed(RSAKey.generate_key(2048)))
    with pytest.raises(TokenRefused):
        take(signed().rpartition(".")[0] + ".")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1, {}]}', b"\xff", b"[" * 100_000]
)
def test_a_key_set_that_is_none_has_no_keys(text: bytes) -> None:
    assert read_foreign_keys(text) == ()


def test_secrets_and_small_keys_are_no_keys_to_prove_by() -> None:
    small = json.dumps({"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB", "kid": "r"})
    secret = json.dumps({"kty": "oct", "k": "c2VjcmV0", "kid": "r"})
    assert read_foreign_keys(f'{{"keys": [{small}, {secret}]}}'.encode()) == ()


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "ü.b.c", "e30.e30.e30", "x" * 20_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        take(token)
