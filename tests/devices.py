"""A device as its script works it: it enrols, takes people along, and sends what was filled in."""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from uuid import uuid4

import httpx
from clinic import Browser
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem"


class Device:
    """A key of its own, and the browser in which somebody is signed in on it."""

    def __init__(self, browser: Browser, path: str = "/chronic/offline") -> None:
        self.browser, self.path = browser, path
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = ""

    def signature(self, said: str) -> str:
        """As WebCrypto makes it: two numbers, one after the other."""
        made = decode_dss_signature(self.key.sign(said.encode(), ec.ECDSA(SHA256())))
        return base64.b64encode(b"".join(one.to_bytes(32, "big") for one in made)).decode()

    async def contact(self) -> dict[str, Any]:
        """What the node says of it to anybody."""
        return dict((await self.browser.get(f"/offline/contact?device={self.id}")).json())

    async def enrol(self, name: str = "phone") -> httpx.Response:
        """Enrol it for whoever is signed in."""
        await self.browser.get(self.path)
        shown = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        key = base64.b64encode(self.key.public_key().public_bytes(*shown)).decode()
        proof = self.signature(f"enrol {self.browser.token}")
        made = await self.browser.send("/offline/enrol", name=name, key=key, signature=proof)
        self.id = made.json().get("device", "")
        return made

    async def take_along(self) -> httpx.Response:
        """Ask for those who are assigned."""
        await self.browser.get(self.path)
        proof = self.signature(f"package {self.browser.token}")
        return await self.browser.send(f"{self.path}/package", device=self.id, signature=proof)

    async def send(self, text: str, signature: str = "", lang: str = "") -> httpx.Response:
        """Send a submission, signed by this device if it is not told how."""
        await self.browser.get(self.path)
        return await self.browser.send(
            f"{self.path}/submission",
            device=self.id,
            submission=text,
            signature=signature or self.signature(text),
            lang=lang,
        )


def visit_of(person: dict[str, Any], on: str, pressure: str, **more: Any) -> str:
    """What a device signs of a visit for hypertension."""
    upper, lower = pressure.split("/")
    values = {
        "day": [on],
        "way": [f"{SYSTEM}/follow-up-way|home"],
        "systolic": [upper],
        "diastolic": [lower],
        "adherence": [f"{SYSTEM}/medicine-adherence|regular"],
        "reaction": ["false"],
        "complication": ["false"],
    }
    kept = {name: person[name] for name in ("case", "ticket", "form")}
    return json.dumps({"id": str(uuid4()), **kept, "values": values, **more})
