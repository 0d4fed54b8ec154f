"""Every application has the same shape, so that whoever knows one knows all."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import PurePosixPath

from tidy.tree import Source, assert_clean, paths, sources

NEEDED = {"__init__.py", "application.py"}
# What may stand in an application's folder (docs/how-to/develop.md). Pages and rules of one
# subject each may be modules of their own beside pages.py and rules.py.
FILES = {"workflow.toml"}
FOLDERS = {"templates", "definitions", "examples"}

# A rule is computed from what it is given: no file, no clock, no network, no record store.
PURE = {
    "__future__",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "math",
    "typing",
    "quanmin",
}
PURE_OURS = ("quanmin.base", "quanmin.fhir", "quanmin.definitions", "quanmin.terminology")


def impure(files: Iterable[Source]) -> list[str]:
    """Imports in `rules.py` modules of what could do input or output."""
    found = []
    for file in files:
        if file.name != "rules":
            continue
        for node in ast.walk(file.tree()):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found += [
                f"{file.path}: imports {name}; a rule is pure: hand it what it needs"
                for name in names
                if name.partition(".")[0] not in PURE
                or (name.startswith("quanmin.") and not name.startswith(PURE_OURS))
            ]
    return found


def misshapen(listed: Iterable[str]) -> list[str]:
    """Application folders that lack a part or hold one that the shape has no place for."""
    held: dict[str, set[PurePosixPath]] = {}
    for path in listed:
        parts = PurePosixPath(path).parts
        if parts[:2] == ("quanmin", "applications") and len(parts) > 3:
            held.setdefault(parts[2], set()).add(PurePosixPath(*parts[3:]))
    found = []
    for name, inside in sorted(held.items()):
        place = f"quanmin/applications/{name}"
        top = {str(path) for path in inside if len(path.parts) == 1}
        found += [f"{place}: {missing} is missing" for missing in sorted(NEEDED - top)]
        found += [
            f"{place}/{file}: an application holds modules, {', '.join(sorted(FILES | FOLDERS))}"
            for file in sorted(top - FILES)
            if not file.endswith(".py")
        ]
        found += [
            f"{place}/{path}: an application has no folder but {', '.join(sorted(FOLDERS))}"
            for path in sorted(inside, key=str)
            if len(path.parts) > 1 and path.parts[0] not in FOLDERS
        ]
        found += [
            f"{place}/{path}: examples are data, templates are HTML, definitions are data"
            for path in sorted(inside, key=str)
            if len(path.parts) > 1 and path.suffix == ".py"
        ]
    return found


def test_applications_are_of_one_shape() -> None:
    assert_clean(misshapen(paths()))


def test_rules_are_pure() -> None:
    assert_clean(impure(sources(".py", under="quanmin/applications/")))


def test_a_rule_that_reads_is_noticed() -> None:
    place = "quanmin/applications/blood/rules.py"
    assert impure([Source(place, "import httpx")])
    assert impure([Source(place, "from quanmin.trust import Guard")])
    assert impure([Source(place, "from decimal import Decimal")]) == []


def test_a_misshapen_application_is_noticed() -> None:
    place = "quanmin/applications/blood/"
    good = [f"{place}__init__.py", f"{place}application.py", f"{place}templates/a.html"]
    assert misshapen(good) == []
    assert misshapen(good[:1])
    assert misshapen([*good, f"{place}static/a.css"])
    assert misshapen([*good, f"{place}notes.txt"])
    assert misshapen([*good, f"{place}definitions/a.py"])
