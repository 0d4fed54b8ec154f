"""Writes `docs/reference/bulk-data-requirements.md`: the requirements of the Bulk Data guide on
servers, each with the test that shows it met or the reason why it is not.

python tools/build_bulk_data_page.py TABLE            write the page
python tools/build_bulk_data_page.py TABLE --check    end with 1 when the page is another

TABLE is `bulk_data_test_kit_requirements.csv`, or an archive that holds it.
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "docs" / "reference" / "bulk-data-requirements.toml"
PAGE = ANSWERS.with_suffix(".md")
TABLE = "bulk_data_test_kit_requirements.csv"
SETS = ("2.0.0", "1.0.0")
TEXT_LENGTH_MAX = 240

_HEAD = """# Bulk Data requirements

<!-- Written by tools/build_bulk_data_page.py out of bulk-data-requirements.toml: change that. -->

Every requirement that the table of the Inferno Bulk Data Test Kit has on servers (both versions of
the guide; those of clients are left out), and what [the export](api.md#bulk-export) does about it.
*Met* names the test; *declined* and *chosen* (where the guide leaves it open) say why. What the
table calls deprecated stands in other rows too.
"""


class Unanswered(Exception):  # noqa: N818 - it stops the tool, and names rows
    """A requirement has no answer, or an answer no requirement."""


def answers() -> dict[str, tuple[str, str]]:
    """For each number what is said, and the reason or the test."""
    known = tomllib.loads(ANSWERS.read_text(encoding="utf-8"))
    found: dict[str, tuple[str, str]] = {}

    def say(row: int | str, verdict: str, why: str) -> None:
        if str(row) in found:
            raise Unanswered(f"{row} is answered twice")
        found[str(row)] = (verdict, why)

    for name, rows in known["met"].items():
        for row in rows:
            say(row, "met", f"`{known['tests'][name]}`")
    for verdict in ("declined", "chosen"):
        for each in known[verdict]:
            for row in each["rows"]:
                say(row, verdict, each["reason"])
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of the table that are about servers."""
    if path.suffix == ".csv":
        text = path.read_text(encoding="utf-8-sig")
    else:
        with tarfile.open(path) as archive:
            name = next(one for one in archive.getnames() if one.endswith(f"/{TABLE}"))
            opened = archive.extractfile(name)
            text = opened.read().decode("utf-8-sig") if opened is not None else ""
    return [row for row in csv.DictReader(io.StringIO(text)) if "Server" in row["Actors"]]


def page(rows: list[dict[str, str]], said: dict[str, tuple[str, str]]) -> str:
    """The whole page. Raises Unanswered."""
    parts, used = [_HEAD], set()
    for version in SETS:
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
    """Write the page, or check it."""
    paths = [Path(one) for one in sys.argv[1:] if one != "--check"]
    if len(paths) != 1:
        print(__doc__)
        sys.exit(2)
    try:
        written = page(rows_of(paths[0]), answers())
    except Unanswered as unanswered:
        print(unanswered)
        sys.exit(1)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(written, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != written:
        print(f"{PAGE.name} is stale: run python tools/build_bulk_data_page.py and commit the page")
        sys.exit(1)


if __name__ == "__main__":
    main()
