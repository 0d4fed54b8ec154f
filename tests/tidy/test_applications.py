"""Every application has the same shape, so that whoever knows one knows all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from tidy.tree import assert_clean, paths

NEEDED = {"__init__.py", "application.py"}
# What may stand in an application's folder (docs/how-to/develop.md). Pages and rules of one
# subject each may be modules of their own beside pages.py and rules.py.
FILES = {"workflow.toml"}
FOLDERS = {"templates", "definitions", "examples"}


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


def test_a_misshapen_application_is_noticed() -> None:
    place = "quanmin/applications/blood/"
    good = [f"{place}__init__.py", f"{place}application.py", f"{place}templates/a.html"]
    assert misshapen(good) == []
    assert misshapen(good[:1])
    assert misshapen([*good, f"{place}static/a.css"])
    assert misshapen([*good, f"{place}notes.txt"])
    assert misshapen([*good, f"{place}definitions/a.py"])
