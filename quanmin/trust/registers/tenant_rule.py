"""What tenants have before anybody decides, and how long they may agree."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec


class TenantRule(msgspec.Struct, frozen=True):
    """The definition in force."""

    class Applications(msgspec.Struct, frozen=True):
        """What a tenant has before anybody decides."""

        default_on: bool
        always_on: frozenset[str]

    class Agreements(msgspec.Struct, frozen=True):
        """How long one may hold."""

        years_max: int

    applications: Applications
    agreements: Agreements


@cache
def tenant_rule() -> TenantRule:
    """The definition in force."""
    text = files("quanmin.definitions").joinpath("tenants.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), TenantRule)
