"""What is kept in stock: the products with their words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import msgspec

from quanmin.workflow.states import Words

PRODUCT_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/vaccine"


class Product(Words, frozen=True, kw_only=True):
    """A product: `plan` is what schedules call it; `national` is its code in the national table, ""
    where that is not known; `doses` are in its smallest package.
    """

    plan: str = ""

    national: str = ""
    doses: int = 1

    def coded(self, language: str = "zh") -> dict[str, Any]:
        """As a CodeableConcept."""
        words = self.told(language)
        coding = {"system": PRODUCT_SYSTEM, "code": self.code, "display": words}
        return {"coding": [coding], "text": words}


@cache
def products() -> Mapping[str, Product]:
    """The products of the definition, by code."""
    rows = definition("products")["product"]
    return MappingProxyType({one["code"]: msgspec.convert(one, Product) for one in rows})


def definition(name: str) -> dict[str, Any]:
    """A definition of `definitions/stock`."""
    path = files("quanmin").joinpath("definitions", "stock", f"{name}.toml")
    return tomllib.loads(path.read_text("utf-8"))
