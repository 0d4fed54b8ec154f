"""The node's keys inside a Vault (or OpenBao): its transit engine wraps data keys, derives,
and where it is told so, signs.

They are made there and never leave it. What is asked for together goes in one request.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from quanmin.base.crypto import Tampered
from quanmin.base.keys import (
    FIRST_ROOT,
    Keyed,
    KeysUnreadable,
    expand_input,
    name_root,
    pack_number,
    root_numbers,
    split_number,
)
from quanmin.base.problems import Overloaded
from quanmin.base.signing import ECDSA_P256

_SECONDS_MAX: Final = 10.0
_BUSY_SECONDS: Final = 5
_BATCH: Final = 500
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class VaultKeys:
    """The keys of one node in one engine: `<label>-node-<n>` wrap, `<label>-root` and the
    `<label>-root-<n>` after it derive, and `<label>-sign-<name>` sign.
    """

    is_remote = True

    def __init__(
        self,
        address: str,
        mount: str,
        token_file: Path,
        label: str,
        certificates: Path | None,
        *,
        signs_inside: bool = False,
    ) -> None:
        """`token_file` is read for every request, so that it may be renewed; `certificates` is a
        file of authorities to believe instead of the machine's. Raises KeysUnreadable for an
        address without TLS on another machine.
        """
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in _HERE:
            raise KeysUnreadable(f"{address} is not https: keys need TLS, set `keys.vault_address`")
        self._base = f"{address.rstrip('/')}/v1/{mount.strip('/')}"
        self._token_file = token_file
        self._label = label
        self.signs_inside = signs_inside
        try:
            verify = ssl.create_default_context(cafile=certificates)
        except (OSError, ssl.SSLError) as error:
            raise KeysUnreadable(
                f"{certificates} holds no authorities: set `keys.vault_certificates`"
            ) from error
        self._client = httpx.Client(
            timeout=_SECONDS_MAX, verify=verify, trust_env=False, follow_redirects=False
        )
        # A port lives as long as its process, and nobody is asked to close it.
        weakref.finalize(self, self._client.close)

    def create(self) -> None:
        """Make the keys of a new node; those that are here stay."""
        if not self.roots():
            self.add_root(FIRST_ROOT)
        if not self.numbers():
            self.add(1)

    def take_root(self, number: int, pseudorandom_key: bytes) -> None:
        """Derive from now on what another port has derived from its root of a number, which is not
        here yet.

        It goes in wrapped for this Vault alone (RSA-OAEP and AES key wrap with padding, RFC 5649).
        """
        told = self._ask("GET", "wrapping_key")["public_key"]
        public = serialization.load_pem_public_key(told.encode())
        if not isinstance(public, rsa.RSAPublicKey):
            raise KeysUnreadable("the Vault's wrapping key is no RSA key: look at its version")
        passing = os.urandom(32)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        sealed = public.encrypt(passing, oaep)
        sealed += aes_key_wrap_with_padding(passing, pseudorandom_key)
        self._post(
            f"keys/{self._root_name(number)}/import",
            {"type": "hmac", "hash_function": "SHA256", "ciphertext": _text(sealed)},
        )

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        number = self.numbers()[-1]
        wrapped: list[bytes] = []
        for start in range(0, len(keys), _BATCH):
            items = [
                {"plaintext": _text(key), "associated_data": _text(place)}
                for key, place in keys[start : start + _BATCH]
            ]
            told = self._post(f"encrypt/{self._name(number)}", {"batch_input": items})
            for result in told["batch_results"]:
                if result.get("error"):
                    raise KeysUnreadable(f"the Vault wraps no key: {result['error']}")
                wrapped.append(pack_number(number) + result["ciphertext"].encode())
        return wrapped

    def unwrap(self, wrapped: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        by_number: dict[int, list[int]] = {}
        for at, (each, _) in enumerate(wrapped):
            by_number.setdefault(split_number(each)[0], []).append(at)
        found: dict[int, bytes] = {}
        for number, places in by_number.items():
            for start in range(0, len(places), _BATCH):
                some = places[start : start + _BATCH]
                opened = self._unwrap(number, [wrapped[at] for at in some])
                found.update(zip(some, opened, strict=True))
        return [found[at] for at in range(len(wrapped))]

    def _unwrap(self, number: int, wrapped: Sequence[Keyed]) -> list[bytes]:
        items = [
            {
                "ciphertext": split_number(each)[1].decode("ascii", "replace"),
                "associated_data": _text(place),
            }
            for each, place in wrapped
        ]
        told = self._post(f"decrypt/{self._name(number)}", {"batch_input": items}, is_answer=True)
        results = told.get("batch_results") or []
        if len(results) != len(items) or any(result.get("error") for result in results):
            raise Tampered
        return [base64.b64decode(result["plaintext"]) for result in results]

    def derive(self, purpose: str, root: int = FIRST_ROOT) -> bytes:
        """See `KeyPort`."""
        asked = {"input": _text(expand_input(purpose))}
        told = self._post(f"hmac/{self._root_name(root)}/sha2-256", asked)
        return base64.b64decode(str(told["hmac"]).rpartition(":")[2])

    def roots(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        return root_numbers(self._root_name(FIRST_ROOT), self._names())

    def add_root(self, number: int) -> None:
        """See `KeyPort`."""
        self._post(f"keys/{self._root_name(number)}", {"type": "hmac", "key_size": 32})

    def remove_root(self, number: int) -> None:
        """See `KeyPort`."""
        self._remove(self._root_name(number))

    def public_key(self, name: str) -> bytes:
        """See `Inside`."""
        key = f"{self._label}-sign-{name}"
        # Making a key that is there changes nothing.
        self._post(f"keys/{key}", {"type": "ecdsa-p256"})
        told = self._ask("GET", f"keys/{key}")["keys"]["1"]["public_key"]
        return serialization.load_pem_public_key(told.encode()).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign_inside(self, name: str, message: bytes) -> bytes:
        """See `Inside`."""
        asked = {"input": _text(message), "marshaling_algorithm": "asn1", "key_version": 1}
        told = self._post(f"sign/{self._label}-sign-{name}/sha2-256", asked)
        return ECDSA_P256.from_der(base64.b64decode(str(told["signature"]).rpartition(":")[2]))

    def numbers(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        named = re.compile(re.escape(self._label) + r"-node-([1-9][0-9]*)")
        found = (named.fullmatch(name) for name in self._names())
        return tuple(sorted(int(match[1]) for match in found if match))

    def add(self, number: int) -> None:
        """See `KeyPort`."""
        self._post(f"keys/{self._name(number)}", {"type": "aes256-gcm96"})

    def remove(self, number: int) -> None:
        """See `KeyPort`."""
        self._remove(self._name(number))

    def _remove(self, name: str) -> None:
        self._post(f"keys/{name}/config", {"deletion_allowed": True})
        self._ask("DELETE", f"keys/{name}")

    def _root_name(self, number: int) -> str:
        return name_root(f"{self._label}-root", number)

    def _name(self, number: int) -> str:
        return f"{self._label}-node-{number}"

    def _names(self) -> set[str]:
        told = self._ask("GET", "keys?list=true", missing={"keys": []})
        return set(told["keys"])

    def _post(self, path: str, body: dict[str, Any], *, is_answer: bool = False) -> dict[str, Any]:
        return self._ask("POST", path, body, is_answer=is_answer)

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        missing: dict[str, Any] | None = None,
        is_answer: bool = False,
    ) -> dict[str, Any]:
        """What the Vault tells. With `is_answer` a refusal (400) is told as an empty answer."""
        try:
            token = self._token_file.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise KeysUnreadable(
                f"{self._token_file} cannot be read: set `keys.vault_token_file`"
            ) from error
        try:
            answer = self._client.request(
                method, f"{self._base}/{path}", json=body, headers={"X-Vault-Token": token}
            )
        except httpx.HTTPError as error:
            raise Overloaded(
                "the Vault that holds the node's keys does not answer: try again later",
                retry_after_seconds=_BUSY_SECONDS,
            ) from error
        if answer.status_code == 404 and missing is not None:
            return missing
        if answer.status_code == 400 and is_answer:
            return answer.json().get("data") or {}
        if answer.status_code in {429, 500, 502, 503}:
            raise Overloaded(
                "the Vault that holds the node's keys is sealed or busy: try again later",
                retry_after_seconds=_BUSY_SECONDS,
            )
        if answer.status_code >= 400:
            reasons = {
                403: "the token may not: look at its policy, and at `keys.vault_token_file`",
                404: "there is no such key or engine: look at `keys.vault_mount`",
            }
            reason = reasons.get(answer.status_code, f"it answers {answer.status_code}")
            raise KeysUnreadable(f"the Vault refuses {path.partition('?')[0]}: {reason}")
        return (answer.json().get("data") or {}) if answer.content else {}


def _text(plain: bytes) -> str:
    return base64.b64encode(plain).decode()
