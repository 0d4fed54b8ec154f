"""A Vault for tests: the part of the transit engine's documented interface that the node uses,
which really encrypts; or a real one, where `QUANMIN_VAULT` names the program (`vault_program`).
What a Vault does beyond its documentation the first does not show; the long tests ask the second.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding

Answer = tuple[int, dict[str, Any] | None]


class Vault:
    """Its keys, and what it has been asked."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.keys: dict[str, bytes] = {}
        self.signing: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.is_sealed = False
        self.asked: list[str] = []
        self.address = ""
        self._deletable: set[str] = set()
        self._wrapping = rsa.generate_private_key(65537, 4096)

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> Answer:
        self.asked.append(f"{method} {path}")
        if self.is_sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        parts = path.removeprefix("/v1/transit/").split("/")
        if parts[0] in {"keys", "keys?list=true", "wrapping_key"}:
            return self._of_keys(method, parts, body)
        return self._work(parts, body)

    def close(self) -> None:
        """Nothing of it is left when this returns."""

    def _of_keys(self, method: str, parts: list[str], body: dict[str, Any]) -> Answer:
        match (method, parts):
            case ("GET", ["keys?list=true"]):
                return (200, {"data": {"keys": sorted(self.keys)}}) if self.keys else (404, None)
            case ("GET", ["wrapping_key"]):
                public = self._wrapping.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
                return 200, {"data": {"public_key": public.decode()}}
            case ("POST", ["keys", name]) if body["type"] == "ecdsa-p256":
                self.signing.setdefault(name, ec.generate_private_key(ec.SECP256R1()))
                return 200, {"data": {"name": name}}
            case ("GET", ["keys", name]) if name in self.signing:
                public = (
                    self.signing[name]
                    .public_key()
                    .public_bytes(
                        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                    )
                )
                return 200, {"data": {"keys": {"1": {"public_key": public.decode()}}}}
            case ("POST", ["keys", name]):
                assert body["type"] in {"aes256-gcm96", "hmac"}
                self.keys.setdefault(name, os.urandom(32))
                return 200, {"data": {"name": name}}
            case ("POST", ["keys", name, "import"]):
                assert (body["type"], body["hash_function"]) == ("hmac", "SHA256")
                self.keys[name] = self._unwrapped(base64.b64decode(body["ciphertext"]))
                return 204, None
            case ("POST", ["keys", name, "config"]):
                self._deletable |= {name} if body["deletion_allowed"] else set()
                return 200, {"data": {}}
            case ("DELETE", ["keys", name]) if name in self._deletable:
                del self.keys[name]
                return 204, None
        return 404, {"errors": []}

    def _work(self, parts: list[str], body: dict[str, Any]) -> Answer:
        match parts:
            case ["encrypt", name]:
                results = [self._encrypt(name, item) for item in body["batch_input"]]
                return 200, {"data": {"batch_results": results}}
            case ["decrypt", name] if name in self.keys:
                results = [self._decrypt(name, item) for item in body["batch_input"]]
                status = 400 if any("error" in result for result in results) else 200
                return status, {"data": {"batch_results": results}}
            case ["sign", name, "sha2-256"] if name in self.signing:
                assert body["marshaling_algorithm"] == "asn1"
                message = base64.b64decode(body["input"])
                signed = self.signing[name].sign(message, ec.ECDSA(hashes.SHA256()))
                return 200, {"data": {"signature": f"vault:v1:{base64.b64encode(signed).decode()}"}}
            case ["hmac", name, "sha2-256"] if name in self.keys:
                digest = hmac.digest(self.keys[name], base64.b64decode(body["input"]), "sha256")
                return 200, {"data": {"hmac": f"vault:v1:{base64.b64encode(digest).decode()}"}}
        return 400 if parts[0] == "decrypt" else 404, {"errors": []}

    def _encrypt(self, name: str, item: dict[str, str]) -> dict[str, str]:
        nonce = os.urandom(12)
        plain = base64.b64decode(item["plaintext"])
        place = base64.b64decode(item["associated_data"])
        sealed = nonce + AESGCM(self.keys[name]).encrypt(nonce, plain, place)
        return {"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}"}

    def _decrypt(self, name: str, item: dict[str, str]) -> dict[str, str]:
        place = base64.b64decode(item["associated_data"])
        try:
            sealed = base64.b64decode(item["ciphertext"].removeprefix("vault:v1:"))
            plain = AESGCM(self.keys[name]).decrypt(sealed[:12], sealed[12:], place)
        except (InvalidTag, ValueError):
            return {"error": "cipher: message authentication failed"}
        return {"plaintext": base64.b64encode(plain).decode()}

    def _unwrapped(self, sealed: bytes) -> bytes:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        passing = self._wrapping.decrypt(sealed[:512], oaep)
        return aes_key_unwrap_with_padding(passing, sealed[512:])


class RealVault(Vault):
    """A program that is a Vault, behind a door at which what it is asked is counted."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        place = self._process.stdout.readline().strip()
        self._client = httpx.Client(base_url=f"http://{place}", timeout=30)
        shares = {"secret_shares": 1, "secret_threshold": 1}
        made = self._client.put("/v1/sys/init", json=shares).raise_for_status().json()
        [self._unsealing] = made["keys_base64"]
        self._root = {"X-Vault-Token": made["root_token"]}
        super().__init__()
        self.token = made["root_token"]
        mount = self._client.post(
            "/v1/sys/mounts/transit", json={"type": "transit"}, headers=self._root
        )
        mount.raise_for_status()

    @property
    def is_sealed(self) -> bool:
        return bool(self._client.get("/v1/sys/seal-status").json()["sealed"])

    @is_sealed.setter
    def is_sealed(self, wanted: bool) -> None:
        if wanted:
            told = self._client.put("/v1/sys/seal", headers=self._root)
        else:
            told = self._client.put("/v1/sys/unseal", json={"key": self._unsealing})
        told.raise_for_status()

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> Answer:
        self.asked.append(f"{method} {path}")
        headers = {} if token is None else {"X-Vault-Token": token}
        told = self._client.request(method, path, json=body or None, headers=headers)
        return told.status_code, told.json() if told.content else None

    def close(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.communicate()


@contextmanager
def running_vault() -> Iterator[Vault]:
    """A Vault on a port of its own, ended on leaving."""
    program = os.environ.get("QUANMIN_VAULT")
    vault = RealVault(program) if program else Vault()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            token = self.headers.get("X-Vault-Token")
            status, told = vault.answer(self.command, self.path, token, body)
            content = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        # The names are those that the library looks for.
        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 - as said above

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        vault.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield vault
        finally:
            server.shutdown()
            thread.join()
            vault.close()
