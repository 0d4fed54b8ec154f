"""No test without a claim: each asserts something that can be false."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from tidy.tree import Source, assert_clean, sources

KINDS = {"unit", "contract", "property", "golden", "journeys", "tidy", "full"}
# What holds of every application is read in one place, by whoever writes another.
BESIDE = {"tests/test_applications.py"}
CLAIMS = {"raises", "warns", "fail", "expect", "run_state_machine_as_test"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def called(node: ast.AST) -> set[str]:
    """The last names of everything that is called below `node`."""
    names = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            if isinstance(part.func, ast.Attribute):
                names.add(part.func.attr)
            elif isinstance(part.func, ast.Name):
                names.add(part.func.id)
    return names


def asserts(node: ast.AST) -> bool:
    """Whether `node` itself holds a claim: an assert that is no constant, or a pytest claim."""
    return any(
        isinstance(part, ast.Assert) and not isinstance(part.test, ast.Constant)
        for part in ast.walk(node)
    ) or any(name in CLAIMS or name.startswith("assert_") for name in called(node))


def claimless(files: Iterable[Source]) -> list[str]:
    """Tests that claim nothing, neither themselves nor through a function of their module."""
    found = []
    for file in files:
        functions = {
            node.name: node for node in ast.walk(file.tree()) if isinstance(node, Function)
        }
        claiming = {name for name, node in functions.items() if asserts(node)}
        while more := {
            name
            for name, node in functions.items()
            if name not in claiming and called(node) & claiming
        }:
            claiming |= more
        found += [
            f"{file.path}:{node.lineno}: {name} asserts nothing; say what must hold"
            for name, node in functions.items()
            if name.startswith("test_") and name not in claiming
        ]
    return found


def misplaced(listed: Iterable[str]) -> list[str]:
    """Test modules outside the folders of a kind: no target would run them."""
    return [
        f"{path}: tests stand in tests/<kind>/, kinds are {', '.join(sorted(KINDS))}"
        for path in listed
        if path.rsplit("/", 1)[-1].startswith("test_")
        and path.split("/")[1] not in KINDS
        and path not in BESIDE
    ]


def test_every_test_claims_something() -> None:
    assert_clean(claimless(sources(".py", under="tests/")))


def test_every_test_is_run_by_a_target() -> None:
    assert_clean(misplaced(file.path for file in sources(".py", under="tests/")))


def test_a_test_without_claim_is_noticed() -> None:
    assert claimless([Source("tests/unit/test_a.py", "def test_a_b_c():\n    print(1)\n")])
    assert claimless([Source("tests/unit/test_a.py", "def test_a_b_c():\n    assert True\n")])
    through = "def holds(x):\n    assert x\ndef test_a_b_c():\n    holds(1)\n"
    assert claimless([Source("tests/unit/test_a.py", through)]) == []


def test_a_test_outside_the_kinds_is_noticed() -> None:
    assert misplaced(["tests/other/test_a.py"])
    assert misplaced(["tests/test_a.py"])
    assert misplaced(sorted(BESIDE)) == []
    assert misplaced(["tests/unit/base/test_a.py", "tests/shared.py"]) == []
