"""Writes a page of the manual for every application, out of its declaration, and the list of them.

    python tools/draw_applications.py       write anew

A test is red when a page is not what its application declares.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from quanmin.trust import Role
from quanmin.trust.deciding.rules import read_rules
from quanmin.trust.lifecycle.declared_activities import FILE as ENTRY
from quanmin.trust.registers.definitions import duties, roles
from quanmin.web.application import Installed, discover
from quanmin.web.case_notices import notice_kinds
from quanmin.web.route import Page

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "docs/applications"
LIST = f"{FOLDER}/index.md"


def page(installed: Installed, package: str = "quanmin.applications") -> str:
    """The page of an application."""
    one = installed.application
    said = inspect.getdoc(importlib.import_module(f"{package}.{one.name}")) or ""
    parts = [
        f"# {one.title.en} ({one.title.zh})",
        "<!-- Written by tools/draw_applications.py out of the application's folder. -->",
        said,
        _table(("", ""), _declared(installed)),
        "## Pages",
        _table(
            ("path", "asked by", "who", "with a duty"),
            [_page(each, one.roles) for each in one.pages],
        ),
    ]
    if one.workflow is not None:
        parts += ["## Workflow", f"[{one.workflow.head.en}](../reference/workflows/{one.name}.md)."]
    parts += _brought(installed)
    kinds = notice_kinds(installed)
    if kinds:
        rows = [(f"`{kind.code}`", kind.class_, kind.en, kind.zh) for kind in kinds.values()]
        parts += ["## Notices", _table(("kind", "class", "English", "中文"), rows)]
    examples = [*_examples(installed.folder)]
    if examples:
        parts += ["## Examples", _table(("example", "rule", "given", "then"), examples)]
    return "\n\n".join(parts) + "\n"


def _declared(installed: Installed) -> Iterator[tuple[str, str]]:
    one = installed.application
    yield "in short", f"{one.summary.en} {one.summary.zh}"
    yield "name", f"`{one.name}`"
    yield "levels", ", ".join(sorted(one.levels))
    yield "roles", _roles(one.roles)
    stated = ", ".join(f"`{code}`" for code in sorted(one.may_state))
    yield "purpose", f"`{one.purpose}`" + (f", or stated: {stated}" if stated else "")
    yield "reads", ", ".join(sorted(one.reads)) or "no records"
    yield "writes", ", ".join(sorted(one.writes)) or "no records"
    if one.desks:
        yield "desks", ", ".join(sorted(desk.__name__ for desk in one.desks))
    if installed.activity is not None:
        yield "processing register", f"`{installed.activity.code}`"
    folder = installed.folder / "definitions"
    entry = Path(ENTRY).name
    names = sorted(path.name for path in folder.glob("*.*") if path.name != entry)
    if names:
        yield "definitions", ", ".join(f"`{name}`" for name in names)


def _roles(codes: Iterable[str] | None) -> str:
    return "everybody" if codes is None else ", ".join(roles()[code].en for code in sorted(codes))


def _page(one: Page, every: frozenset[Role]) -> tuple[str, str, str, str]:
    charge, words = one.access.charge, {duty.code: duty.en for duty in duties()}
    asked = "" if charge is None else ", ".join(words[code] for code in sorted(charge.duties))
    who = "all of them" if one.access.roles == every else _roles(one.access.roles)
    return f"`{one.path}`", ", ".join(one.methods), who, asked


def _brought(installed: Installed) -> list[str]:
    if installed.rules is None:
        return []
    rows = [
        (f"`{rule.id}`", rule.en, rule.zh, rule.source, rule.version)
        for rule in read_rules([], [installed.rules])
    ]
    return ["## Rules of access", _table(("rule", "English", "中文", "source", "version"), rows)]


def _examples(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    for path in sorted((folder / "examples").glob("*.toml")):
        for one in tomllib.loads(path.read_text("utf-8")).get("example", ()):
            given, then = (
                ", ".join(f"{name} = {_told(value)}" for name, value in one[part].items())
                for part in ("given", "then")
            )
            yield one["title"], f"`{one['rule']}`", given, then


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value).replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def all_files() -> dict[str, str]:
    """What must stand in the tree: path -> text."""
    every = discover()
    found = {f"{FOLDER}/{one.application.name}.md": page(one) for one in every}
    rows = [
        (f"[{one.application.title.en}]({one.application.name}.md)", one.application.title.zh,
         one.application.summary.en)
        for one in every
    ]  # fmt: skip
    note = "<!-- Written by tools/draw_applications.py. -->"
    listed = _table(("application", "", "in short"), rows)
    return {**found, LIST: f"# Applications\n\n{note}\n\n{listed}\n"}


def stale(wanted: Mapping[str, str]) -> list[str]:
    """The pages of the tree that are not as they must be, or of no application any more."""
    found = [
        f"{path}: not what its application declares: run python tools/draw_applications.py"
        for path, text in wanted.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text("utf-8") != text
    ]
    return found + [
        f"{FOLDER}/{path.name}: there is no such application: delete it"
        for path in sorted((ROOT / FOLDER).glob("*.md"))
        if f"{FOLDER}/{path.name}" not in wanted
    ]


def main() -> int:
    """Run as a script."""
    wanted = all_files()
    (ROOT / FOLDER).mkdir(parents=True, exist_ok=True)
    for path in (ROOT / FOLDER).glob("*.md"):
        if f"{FOLDER}/{path.name}" not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (ROOT / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(wanted)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
