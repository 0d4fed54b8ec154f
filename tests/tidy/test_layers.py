"""The layers stay those that were decided, and their picture is that of the code."""

from __future__ import annotations

import tomllib
from typing import Any

import draw_layers
from tidy.tree import ROOT, assert_clean, paths

ORDER = (
    "node > demo > applications > web|api > federation > exchange|analytics > workflow > trust > "
    "people > records > terminology > definitions > fhir > base"
)


def contracts() -> dict[str, dict[str, Any]]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        contract["name"]: contract for contract in declared["tool"]["importlinter"]["contracts"]
    }


def named(layers: list[str]) -> str:
    """The layers of the contract as one line, without the brackets of what is still to come."""
    return " > ".join(layer.translate(str.maketrans("", "", "() ")) for layer in layers)


def test_the_layers_are_those_of_the_design() -> None:
    layers = next(c for c in contracts().values() if c["type"] == "layers")
    assert named(layers["layers"]) == ORDER
    assert layers["exhaustive"] is True


def test_no_contract_has_exceptions() -> None:
    assert_clean(
        f"{name}: an ignored import is a hole; mend the import"
        for name, contract in contracts().items()
        if contract.get("ignore_imports")
    )


def test_the_guard_is_the_only_door_to_records_and_people() -> None:
    door = next(c for c in contracts().values() if c["type"] == "protected")
    assert set(door["protected_modules"]) == {"quanmin.records", "quanmin.people"}
    assert set(door["allowed_importers"]) == {f"quanmin.{p}" for p in ("people", "trust", "node")}


def test_only_packages_that_hold_something_exist() -> None:
    held: dict[str, int] = {}
    for path in paths():
        parts = path.split("/")
        if parts[0] == "quanmin" and len(parts) > 2:
            held[parts[1]] = held.get(parts[1], 0) + (parts[-1] != "__init__.py")
    assert_clean(
        f"quanmin/{p}: empty; remove it until it holds something" for p in held if not held[p]
    )


def test_the_picture_of_the_layers_is_that_of_the_code() -> None:
    assert draw_layers.current(ROOT) == draw_layers.drawn(ROOT), "run python tools/draw_layers.py"


def test_a_changed_order_is_noticed() -> None:
    assert named(["(web) | (api)", "base"]) == "web|api > base"
    assert named(["base", "(web) | (api)"]) != "web|api > base"


def test_a_new_import_changes_the_picture() -> None:
    layers = [["web", "api"], ["base"]]
    purposes = {"web": "Pages", "base": "The ground"}
    alone = draw_layers.picture(layers, purposes, {})
    assert draw_layers.picture(layers, purposes, {"web": {"base"}}) != alone
    assert "(to come)" in alone
