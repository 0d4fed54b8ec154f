"""What a password must be, how it is kept and what is proved beside it: the definition, read."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec


class PasswordRule(msgspec.Struct, frozen=True):
    """What a password must be."""

    length_min: int
    length_max: int
    kinds_min: int
    kinds_free_length: int
    former_refused: int
    days_max: int
    common: frozenset[str]


class Argon2Rule(msgspec.Struct, frozen=True):
    """What hashing one costs."""

    memory_kibibytes: int
    iterations: int
    lanes: int


class TotpRule(msgspec.Struct, frozen=True):
    """One-time codes by RFC 6238."""

    digits: int
    period_seconds: int
    periods_off_max: int


class RecoveryRule(msgspec.Struct, frozen=True):
    """Codes for whoever has lost the second factor."""

    codes: int


class Measures(msgspec.Struct, frozen=True):
    """The definition file, read."""

    password: PasswordRule
    argon2id: Argon2Rule
    totp: TotpRule
    recovery: RecoveryRule


@cache
def load_measures() -> Measures:
    """The measures in force."""
    file = resources.files("quanmin") / "definitions" / "sign_in.toml"
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Measures)
