"""Writes the pages of `docs/reference` that say of every requirement of a guide on servers how it
is met, by a named test, or why it is not.

python tools/build_requirements_pages.py TABLES            write the pages
python tools/build_requirements_pages.py TABLES --check    end with 1 when a page is another

TABLES is the archive of the requirement tables of the Inferno test kits.
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
TEXT_LENGTH_MAX = 240


class Guide(NamedTuple):
    """A guide: its page, where its requirements stand and in which sets, newest first."""

    name: str
    title: str
    table: str
    versions: tuple[str, ...]
    about: str

    @property
    def answers_file(self) -> Path:
        """What is said of each requirement."""
        return FOLDER / f"{self.name}-requirements.toml"

    @property
    def page_file(self) -> Path:
        """The page."""
        return FOLDER / f"{self.name}-requirements.md"


BULK = Guide(
    "bulk-data",
    "Bulk Data requirements",
    "bulk_data_test_kit_requirements.csv",
    ("2.0.0", "1.0.0"),
    """\
Every requirement that the table of the Inferno Bulk Data Test Kit has on servers (both versions
of the guide; those of clients are left out), and what [the export](api.md#bulk-export) does about
it. *Met* names the test; *declined* and *chosen* (where the guide leaves it open) say why. What the
table calls deprecated stands in other rows too.""",
)
SMART = Guide(
    "smart",
    "SMART App Launch requirements",
    "smart_app_launch_test_kit_requirements.csv",
    ("2.2.0", "2.0.0"),
    """\
Every requirement that the table of the Inferno SMART App Launch Test Kit has on servers (both
versions of the guide; those of clients are left out), and what
[the authorization server](api.md#applications) does about it. *Met* names the test; *declined* and
*chosen* (where the guide leaves it open) say why.""",
)
GUIDES = (BULK, SMART)


class Unanswered(Exception):  # noqa: N818 - it stops the tool, and names rows
    """A requirement has no answer, or an answer no requirement."""


def answers(guide: Guide) -> dict[str, tuple[str, str]]:
    """For each number what is said, and the reason or the test."""
    known = tomllib.loads(guide.answers_file.read_text(encoding="utf-8"))
    found: dict[str, tuple[str, str]] = {}

    def say(row: int | str, verdict: str, why: str) -> None:
        first, _, last = str(row).partition("-")
        for one in range(int(first), int(last) + 1) if last else (row,):
            if str(one) in found:
                raise Unanswered(f"{one} is answered twice")
            found[str(one)] = (verdict, why)

    for name, rows in known["met"].items():
        for row in rows:
            say(row, "met", f"`{known['tests'][name]}`")
    for verdict in ("declined", "chosen"):
        for each in known[verdict]:
            for row in each["rows"]:
                say(row, verdict, each["reason"])
    return found


def rows_of(path: Path, guide: Guide) -> list[dict[str, str]]:
    """The rows of the table that are about servers."""
    with tarfile.open(path) as archive:
        name = next(one for one in archive.getnames() if one.endswith(f"/{guide.table}"))
        opened = archive.extractfile(name)
        text = opened.read().decode("utf-8-sig") if opened is not None else ""
    return [row for row in csv.DictReader(io.StringIO(text)) if "Server" in row["Actors"]]


def page(guide: Guide, rows: list[dict[str, str]], said: dict[str, tuple[str, str]]) -> str:
    """The whole page. Raises Unanswered."""
    origin = f"<!-- Written by tools/build_requirements_pages.py out of {guide.answers_file.name}:"
    parts = [f"# {guide.title}\n\n{origin} change that. -->\n\n{guide.about}\n"]
    used: set[str] = set()
    for version in guide.versions:
        lines = ["| | level | requirement | | |", "|---|---|---|---|---|"]
        counts: dict[str, int] = {}
        for row in rows:
            if not row["Req Set"].endswith(version):
                continue
            key = f"{version}@{row['ID']}" if f"{version}@{row['ID']}" in said else row["ID"]
            if key not in said:
                raise Unanswered(f"{row['Req Set']}@{row['ID']} has no answer")
            used.add(key)
            verdict, why = said[key]
            counts[verdict] = counts.get(verdict, 0) + 1
            text = _short(row["Requirement"])
            lines.append(f"| {row['ID']} | {row['Conformance']} | {text} | {verdict} | {why} |")
        told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
        parts.append(f"## Version {version}\n\n{told}.\n\n" + "\n".join(lines) + "\n")
    if set(said) - used:
        raise Unanswered(f"no requirement has the numbers {sorted(set(said) - used)}")
    return "\n".join(parts)


def _short(text: Any) -> str:
    """On one line, without what Markdown would read, not longer than a reader wants."""
    flat = " ".join(str(text).split())
    for mark in "|[]<>`*_":
        flat = flat.replace(mark, f"\\{mark}" if mark in "|*_" else "")
    if len(flat) > TEXT_LENGTH_MAX:
        flat = flat[: TEXT_LENGTH_MAX - 3].rpartition(" ")[0] + " ..."
    return flat


def main() -> None:
    """Write the pages, or check them."""
    paths = [Path(one) for one in sys.argv[1:] if one != "--check"]
    if len(paths) != 1:
        print(__doc__)
        sys.exit(2)
    for guide in GUIDES:
        try:
            written = page(guide, rows_of(paths[0], guide), answers(guide))
        except Unanswered as unanswered:
            print(f"{guide.name}: {unanswered}")
            sys.exit(1)
        file = guide.page_file
        if "--check" not in sys.argv[1:]:
            file.write_text(written, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != written:
            print(f"{file.name} is stale: run python tools/build_requirements_pages.py")
            sys.exit(1)


if __name__ == "__main__":
    main()
