"""The page `docs/benchmarks-search.md`: every shape at every size, and how it grows."""

from __future__ import annotations

import tomllib

from search import measuring, results
from search.fill import SIZES
from search.results import Measured, Results
from search.shapes import SHAPES

PAGE = results.FOLDER.parent.parent.parent / "docs" / "benchmarks-search.md"
_NOTES = results.FOLDER.parent / "notes.toml"
# At ten times the records a search may take so many times as long, if its answer is no larger.
GROWTH_MAX = 3.0
COLUMNS = (
    *("p50", "p95", "p99", "alone p50", "alone p99", "Python us", "PostgreSQL us", "hits"),
    *("cold first", "cold p50", "cold worst"),
)
P99_MAX = 50.0


def write() -> None:
    """The page, anew from what is kept."""
    kept = [found for size in SIZES if (found := results.read(size)) is not None]
    parts = [_HEAD.format(**_method()), _curve(kept)]
    parts += [_size(found) for found in kept]
    PAGE.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def cells(measured: Measured) -> list[str]:
    """The figures of a shape in their order, for a table."""
    if measured.refused:
        return [measured.refused]
    four, alone, cold = measured.four, measured.alone, measured.cold
    shown: list[float | None] = []
    shown += [four.p50, four.p95, four.p99] if four else [None] * 3
    shown += [alone.p50, alone.p99] if alone else [None] * 2
    shown += [measured.python_us, measured.postgres_us, measured.hits]
    shown += [cold.first, cold.p50, cold.worst] if cold else [None] * 3
    return ["" if one is None else f"{one:,g}" for one in shown]


def growth(smaller: Measured, larger: Measured) -> float:
    """How many times as long the larger node takes, in the middle: over one connection."""
    if smaller.alone is None or larger.alone is None:
        return 0.0
    return larger.alone.p50 / smaller.alone.p50


def is_answer_larger(smaller: Measured, larger: Measured) -> bool:
    """Whether the growth is that of the answer: its bytes or what it counts, by a fifth or more."""
    return larger.bytes > 1.2 * smaller.bytes or larger.total > 1.2 * smaller.total


def _curve(kept: list[Results]) -> str:
    """The p50 and p99 of each shape by size, and the growth of the last step."""
    sizes = [f"{found.resources:,}" for found in kept]
    lines = ["## How each shape grows", ""]
    lines.append(f"| shape | {' | '.join(f'{size} p50 / p99' for size in sizes)} | growth | |")
    lines.append(f"|---|{'---:|' * len(sizes)}---:|---|")
    notes, missed = _notes(), []
    for name in SHAPES:
        shapes = [found.shapes.get(name) for found in kept]
        ratio, told = step(shapes[-2] if len(shapes) > 1 else None, shapes[-1])
        over = [one for one in shapes if one and one.four and one.four.p99 > P99_MAX]
        if over:
            told = f"{told}; p99 **above {P99_MAX:g} ms**".removeprefix("; ")
        shown = " | ".join(_middle_and_end(one) for one in shapes)
        lines.append(f"| {name} | {shown} | {ratio} | {told} |")
        if "**" in told:
            missed.append(f"- `{name}`: {notes.get(name, '')}".rstrip(": "))
    if missed:
        lines += ["", "### What falls short, and why", "", *missed]
    return "\n".join([*lines, ""])


def step(smaller: Measured | None, larger: Measured | None) -> tuple[str, str]:
    """The growth as it is shown, and what is to be said of it."""
    if smaller is None or larger is None:
        return "", ""
    ratio = growth(smaller, larger)
    if not ratio:
        return "", ""
    told = "answer larger" if is_answer_larger(smaller, larger) else ""
    if ratio > GROWTH_MAX and not told:
        told = f"**more than {GROWTH_MAX:g} times**"
    return f"{ratio:.1f}", told


def _middle_and_end(measured: Measured | None) -> str:
    if measured is None:
        return ""
    if measured.refused:
        return "refused"
    return f"{measured.four.p50:,g} / {measured.four.p99:,g}" if measured.four else ""


def _size(found: Results) -> str:
    lines = [f"## {found.resources:,} resources", "", f"{_machine(found)}.", ""]
    lines += [f"- {told}" for told in _weights(found)]
    lines += [
        "",
        f"| shape | {' | '.join(COLUMNS)} |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for name, measured in found.shapes.items():
        lines.append(f"| {name} | {' | '.join(cells(measured))} |")
    return "\n".join([*lines, ""])


def _machine(found: Results) -> str:
    return "Machine: " + ", ".join(f"{name} {value}" for name, value in found.machine.items())


def _weights(found: Results) -> list[str]:
    told = [f"{found.bytes_a_resource:,} bytes a resource in the database, indexes in."]
    for name, bulk in (("in (`quanmin load`)", found.bulk_in), ("out (`$export`)", found.bulk_out)):
        if bulk is not None:
            told.append(
                f"Bulk {name}: {bulk.rate:,} resources/s, processor time {bulk.python_us} us of"
                f" Python and {bulk.postgres_us} us of PostgreSQL a resource, {bulk.resources:,}"
                " resources."
            )
    if found.memory is not None:
        told.append(
            f"Memory after all shapes: {found.memory.python:,} MiB of Python's processes,"
            f" {found.memory.postgres:,} MiB of PostgreSQL's; the largest worker"
            f" {found.memory.largest_worker:,} MiB."
        )
    return told + [f"{name}: {remark}" for name, remark in found.remarks.items()]


def _method() -> dict[str, object]:
    return {
        "connections": measuring.CONNECTIONS,
        "warm": measuring.WARM_REQUESTS,
        "alone": measuring.ALONE_REQUESTS,
        "cold": measuring.COLD_REQUESTS,
        "growth": f"{GROWTH_MAX:g}",
        "p99": f"{P99_MAX:g}",
        "data": (results.read("100k") or results.read("1m") or Results("", 0, "", {})).data,
    }


def _notes() -> dict[str, str]:
    """Why a shape falls short, as found by looking at its plans."""
    notes = tomllib.loads(_NOTES.read_text("utf-8"))["why"]
    return {name: " ".join(text.split()) for name, text in notes.items()}


_HEAD = """# Searches at three sizes

Generated by `benchmarks/search/run.py` (`make bench-search`) from `benchmarks/search/results/`; the
shapes stand in `benchmarks/search/shapes.py`.

How: a real node, started by the command an operator uses, with the settings it chooses by itself,
its embedded PostgreSQL (fsync on), two workers, guard, access log and encryption on. It is filled
by `quanmin load` and asked over HTTP by one process on the same machine. Nothing is vacuumed,
analysed or tuned by hand. What is asked for is drawn from records anywhere in the node, other
values each time.

Data: {data}

- Warm: {warm} requests over {connections} connections after a run-up: p50, p95, p99 in ms.
  Alone: the first {alone} of them over one connection; processor time is of one of those.
- Cold: {cold} requests over one connection to a node just started, after its files were dropped
  from the system's cache: the first, the middle and the slowest, in ms. Each shape has its own
  restart.
- Hits: entries of one answer on average (a page of 50, of patients 20, with what is included).
- Growth: the middle of the largest size to that of the size before, over one connection. More than
  {growth} times is marked unless the answer is larger; so is a p99 above {p99} ms.
"""
