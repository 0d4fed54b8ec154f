"""Breaks docstrings and comments that are wider than the page; code is the formatter's business.

Only paragraphs that hold too wide a line are touched; lists, tables and examples are left alone.

    python tools/wrap.py [PATH ...]      wrap in place; without a path, all of quanmin, tests, tools
"""

from __future__ import annotations

import ast
import re
import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS_MAX = 100
_COMMENT = re.compile(r"^(\s*)(#|--) (?!type:|noqa|mypy:|!)(.*)$")
_FIXED = re.compile(r"^(?:[-*|>]|\d+\.|```|:|\.\.|#)")


def columns(line: str) -> int:
    """The width of a line: a full-width character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def fill(text: str, indent: str, columns_max: int = COLUMNS_MAX) -> list[str]:
    """The words of `text` in lines that fit, each after `indent`."""
    lines, line = [], indent
    for word in text.split():
        wider = f"{line} {word}" if line != indent else line + word
        if columns(wider) > columns_max and line != indent:
            lines.append(line)
            line = indent + word
        else:
            line = wider
    return [*lines, line]


def wrap_paragraphs(lines: list[str], indent: str) -> list[str]:
    """The same lines with every too wide paragraph filled anew."""
    out: list[str] = []
    paragraph: list[str] = []

    def close() -> None:
        wide = any(columns(line) > COLUMNS_MAX for line in paragraph)
        # Deeper lines are examples or continued list items: their breaks mean something.
        shaped = any(
            _FIXED.match(line[len(indent) :]) or line[len(indent) : len(indent) + 1].isspace()
            for line in paragraph
        )
        out.extend(fill(" ".join(paragraph), indent) if wide and not shaped else paragraph)
        paragraph.clear()

    for line in lines:
        if line.strip() in {"", indent.strip()}:
            close()
            out.append(line)
        else:
            paragraph.append(line)
    close()
    return out


def wrap_comments(text: str) -> str:
    """Comment blocks of whole lines, in Python or SQL."""
    out: list[str] = []
    block: list[str] = []
    prefix = ""
    for line in [*text.split("\n"), ""]:
        found = _COMMENT.match(line)
        here = f"{found[1]}{found[2]} " if found else ""
        if block and here != prefix:
            out.extend(_wrap_block(block, prefix))
            block = []
        if found:
            prefix = here
            block.append(found[3])
        else:
            out.append(line)
    return "\n".join(out[:-1])


def _wrap_block(block: list[str], prefix: str) -> list[str]:
    shaped = any(_FIXED.match(line) or line[:1].isspace() for line in block)
    if shaped or all(columns(prefix + line) <= COLUMNS_MAX for line in block):
        return [prefix + line for line in block]
    return fill(" ".join(block), prefix)


def wrap_docstrings(text: str) -> str:
    """Docstrings of modules, classes and functions."""
    lines = text.split("\n")
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, holders) and ast.get_docstring(node, clean=False) is not None
    ]
    for docstring in sorted(found, key=lambda node: node.lineno, reverse=True):
        first, last = docstring.lineno - 1, (docstring.end_lineno or docstring.lineno) - 1
        held = lines[first : last + 1]
        if all(columns(line) <= COLUMNS_MAX for line in held):
            continue
        indent = held[0][: len(held[0]) - len(held[0].lstrip())]
        if held[-1].strip() != '"""':
            held = [*held[:-1], held[-1].removesuffix('"""'), indent + '"""']
        if len(held) == 2:
            # The formatter draws the closing quotes up to a single line, so it must have room.
            lines[first : last + 1] = [*fill(held[0], indent, COLUMNS_MAX - 3), held[1]]
            continue
        lines[first : last + 1] = [*wrap_paragraphs(held[:-1], indent), held[-1]]
    return "\n".join(lines)


def wrap(path: Path) -> bool:
    """Wrap one file in place; whether it changed."""
    before = path.read_text(encoding="utf-8")
    after = wrap_comments(before)
    if path.suffix == ".py":
        after = wrap_docstrings(after)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def main(arguments: list[str]) -> int:
    """Run as a script; the arguments are in the module's docstring."""
    named = [Path(argument) for argument in arguments] or [
        ROOT / folder for folder in ("quanmin", "tests", "tools", "benchmarks")
    ]
    for path in named:
        files = [path] if path.is_file() else [*path.rglob("*.py")]
        for file in files:
            if wrap(file):
                print(f"wrapped {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
