"""Passwords: what one must be, and hashes of argon2id that cost the same whoever is asked for.

A question about an account that is not there, has no password or may not sign in costs what any
other costs: it is hashed against a password that nobody has.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from quanmin.base.problems import Invalid
from quanmin.trust.sign_in.measures import Argon2Rule, PasswordRule, load_measures

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_ADDED: Final = "0123456789!@#$%^&*()_-+=.,?~ "


FaultCode = Literal["short", "long", "kinds", "common", "name", "former"]
_WORDS: Final[dict[FaultCode, str]] = {
    "short": "a password has %(number)s characters or more",
    "long": "a password has %(number)s characters at most",
    "kinds": "unless it is a long sentence, a password has %(number)s of: small letters, capitals,"
    " digits, other signs",
    "common": "this password is common, or one sign over and over",
    "name": "a password has nothing of its owner's name in it",
    "former": "the last %(number)s passwords may not come again",
}


class Passwords:
    """Hashes and checks passwords; at most `hashings_max` at once, for each takes memory."""

    def __init__(self, rule: PasswordRule, cost: Argon2Rule, hashings_max: int) -> None:
        self.rule = rule
        self.cost = cost
        self._places = asyncio.Semaphore(hashings_max)
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of a password, in the PHC string format."""
        async with self._places:
            return await asyncio.to_thread(self._derive, _normal(password))

    async def is_right(self, kept: str | None, password: str) -> bool:
        """Whether the password is the one kept; with None as much work is done and the answer is
        no.
        """
        if self._nobodys is None:
            self._nobodys = await self.hash(secrets.token_urlsafe(_HASH_BYTES))
        # What is longer than any password may be is not hashed whole: its length is the sender's.
        given = password[: self.rule.length_max + 1]
        async with self._places:
            held = await asyncio.to_thread(_verify, kept or self._nobodys, _normal(given))
        return held and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was hashed at another cost than the present one."""
        cost = self.cost
        named = f"m={cost.memory_kibibytes},t={cost.iterations},p={cost.lanes}"
        return kept.split("$")[1:4:2] != ["argon2id", named]

    async def refuse_unless_fit(
        self, password: str, former: Sequence[str], about: Sequence[str]
    ) -> None:
        """Raises Invalid, with every reason at once, for a password that may not be taken: too
        short, of too few kinds of signs, common, one of `former`, or with a word `about` its owner.
        """
        faults = find_faults(self.rule, password, about)
        if not faults:
            for kept in former:
                if await self.is_right(kept, password):
                    faults.append(Fault("former", self.rule.former_refused))
                    break
        if faults:
            raise UnfitPassword(faults)

    def _derive(self, password: bytes) -> str:
        cost = self.cost
        hashing = Argon2id(
            salt=secrets.token_bytes(_SALT_BYTES),
            length=_HASH_BYTES,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kibibytes,
        )
        return hashing.derive_phc_encoded(password)


def open_passwords(hashings_max: int) -> Passwords:
    """Passwords by the measures in force."""
    measures = load_measures()
    return Passwords(measures.password, measures.argon2id, hashings_max)


class Fault(msgspec.Struct, frozen=True):
    """One reason against a password, with the number that it is about (0: none)."""

    code: FaultCode
    number: int = 0

    @property
    def text(self) -> str:
        """The reason in words; none of them repeats the password."""
        return _WORDS[self.code] % {"number": self.number}


class UnfitPassword(Invalid):
    """A password that may not be taken, with every reason at once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.text for fault in faults))
        self.faults = tuple(faults)


def find_faults(rule: PasswordRule, password: str, about: Sequence[str]) -> list[Fault]:
    """What keeps a text from being a password."""
    text = unicodedata.normalize("NFKC", password)
    faults: list[Fault] = []
    if len(text) < rule.length_min:
        faults.append(Fault("short", rule.length_min))
    if len(text) > rule.length_max:
        faults.append(Fault("long", rule.length_max))
    if len(text) < rule.kinds_free_length and _kinds(text) < rule.kinds_min:
        faults.append(Fault("kinds", rule.kinds_min))
    bare = text.casefold()
    if (
        bare in rule.common
        or bare.strip(_ADDED) in rule.common
        or len(set(bare)) < rule.length_min // 3
    ):
        faults.append(Fault("common"))
    if any(len(word) >= rule.length_min // 3 and word.casefold() in bare for word in about):
        faults.append(Fault("name"))
    return faults


def _kinds(text: str) -> int:
    asked = (str.islower, str.isupper, str.isdigit)
    known = sum(any(is_such(sign) for sign in text) for is_such in asked)
    others = any(not (s.islower() or s.isupper() or s.isdigit()) for s in text)
    return known + others


def _normal(password: str) -> bytes:
    # The same characters come in other bytes from other keyboards (800-63B 3.1.1.2, UAX 15).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _verify(kept: str, password: bytes) -> bool:
    try:
        Argon2id.verify_phc_encoded(password, kept)
    except InvalidKey:
        return False
    return True
