"""Draws the layers into ARCHITECTURE.md: the order from the import contract, the rest from the
code.

Each package stands in its layer with what it is for (its own first sentence) and the packages it
really imports. A test is red when the picture is not that of the code.

    python tools/draw_layers.py          draw anew
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "ARCHITECTURE.md"
BEGIN, END = "<!-- layers: begin -->", "<!-- layers: end -->"


def layers(root: Path) -> list[list[str]]:
    """The packages from the highest layer to the lowest; those side by side do not know each
    other.
    """
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = declared["tool"]["importlinter"]["contracts"]
    order = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip(" ()") for name in layer.split("|")] for layer in order]


def purposes(root: Path) -> dict[str, str]:
    """Package -> what it is for, in its own first words; packages that hold nothing are left
    out.
    """
    found = {}
    for package in sorted((root / "quanmin").iterdir()):
        files = [path for path in package.rglob("*.*") if path.suffix != ".pyc"]
        if any(path.name != "__init__.py" for path in files):
            opening = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))
            sentence = re.split(r"(?<=\.)\s", " ".join((opening or "").split()))[0]
            found[package.name] = sentence.removesuffix(".")
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """Package -> the packages of ours that it imports, at the top of a module or inside."""
    found: dict[str, set[str]] = {}
    for package in purposes(root):
        named: set[str] = set()
        for module in (root / "quanmin" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "quanmin":
                    named |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    named |= set(re.findall(r"^quanmin\.(\w+)", node.module))
                elif isinstance(node, ast.Import):
                    for alias in node.names:
                        named |= set(re.findall(r"^quanmin\.(\w+)", alias.name))
        found[package] = named - {package}
    return found


def picture(
    order: Sequence[Sequence[str]], purpose: Mapping[str, str], known: Mapping[str, set[str]]
) -> str:
    """The layers as text, highest first; `|` stands before a package beside the one above it."""
    low_to_high = {name: place for place, layer in enumerate(order) for name in layer}
    rows = []
    for layer in order:
        for place, name in enumerate(layer):
            head = f"{'|' if place else ' '} {name:<13}"
            if name not in purpose:
                rows.append(f"{head} (to come)")
                continue
            rows.append(f"{head} {purpose[name]}")
            known_here = known.get(name, set()) & low_to_high.keys()
            below = sorted(known_here, key=lambda other: (low_to_high[other], other))
            if below:
                rows.append(f"{' ' * 15} -> {', '.join(below)}")
    return "\n".join(rows)


def drawn(root: Path) -> str:
    """What must stand between the marks."""
    text = picture(layers(root), purposes(root), imports(root))
    return f"\n```text\n{text}\n```\n"


def current(root: Path) -> str:
    """What stands between the marks now."""
    page = (root / PAGE).read_text(encoding="utf-8")
    return page.partition(BEGIN)[2].partition(END)[0]


def main() -> int:
    """Run as a script."""
    path = ROOT / PAGE
    page = path.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    path.write_text(head + BEGIN + drawn(ROOT) + END + tail, encoding="utf-8")
    print(f"drew the layers into {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
