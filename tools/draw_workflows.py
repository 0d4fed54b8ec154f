"""Draws the workflow of every application: a page of the manual for each, the list of these pages,
and the picture of the trial workflow of the tests.

    python tools/draw_workflows.py          draw anew

A test is red when a page is not that of its workflow.toml.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from quanmin.web.application import Application, discover
from quanmin.workflow.states import Workflow
from quanmin.workflow.states.drawing import draw, table

ROOT = Path(__file__).resolve().parent.parent
TRIALS = ROOT / "tests"
FOLDER, LIST = "docs/reference/workflows", "docs/reference/workflows.md"
EXAMPLE = "docs/pictures/workflow.svg"
BEGIN, END = "<!-- workflows: begin -->", "<!-- workflows: end -->"


def with_workflow(package: str) -> list[Application]:
    """The applications of a package that have a workflow."""
    found = [installed.application for installed in discover(package)]
    return [application for application in found if application.workflow is not None]


def page(application: Application) -> dict[str, str]:
    """The files of one application: path -> text."""
    workflow = application.workflow
    if workflow is None:
        return {}
    head, name = workflow.head, workflow.name
    states = [
        (one.en, one.zh, f"`{one.code}`", one.task, "yes" if one.final else "")
        for one in workflow.states.values()
    ]
    opening = (
        f"The workflow of the application `{name}`, version {head.version}, in force from"
        f" {head.effective}.\nSource: {head.source}. Owner: {head.owner}."
    )
    parts = [
        f"# {head.en} ({head.zh})",
        f"<!-- Written by tools/draw_workflows.py out of {name}/workflow.toml. -->",
        opening,
        f"![{head.en}: states and steps, as the tables below tell them]({name}.svg)",
        f"([中文]({name}.zh.svg))",
        _table(("state", "状态", "code", "Task.status", "final"), states),
        _table(
            ("step", "步骤", "from", "to", "who", "rule", "recorded"),
            [
                (*row, f"`{one.rule}`" if one.rule else "", ", ".join(sorted(one.records)))
                for one, row in zip(workflow.steps.values(), _steps(workflow), strict=True)
            ],
        ),
    ]
    if workflow.timers:
        parts.append(_timers(workflow))
    return {
        f"{FOLDER}/{name}.md": "\n\n".join(parts) + "\n",
        f"{FOLDER}/{name}.svg": draw(workflow, "en"),
        f"{FOLDER}/{name}.zh.svg": draw(workflow, "zh"),
    }


def _steps(workflow: Workflow) -> list[tuple[str, ...]]:
    chinese = [row[0] for row in table(workflow, "zh")]
    return [(row[0], zh, *row[1:]) for row, zh in zip(table(workflow, "en"), chinese, strict=True)]


def _timers(workflow: Workflow) -> str:
    rows = [
        (
            one.en,
            one.zh,
            workflow.states[one.state].en,
            one.duration.told("en"),
            (workflow.steps[one.step] if one.step else workflow.notices[one.notice]).en,
        )
        for one in workflow.timers.values()
    ]
    return _table(("timer", "时限", "in", "after", "then"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def files(applications: Iterable[Application], example: Workflow | None) -> dict[str, str]:
    """Everything that is drawn: path -> text."""
    found: dict[str, str] = {}
    links = []
    for application in applications:
        found |= page(application)
        links.append(f"- [{application.title.en}](workflows/{application.name}.md)")
    listed = "\n".join(links) or "No application of this program has one."
    text = (ROOT / LIST).read_text("utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    found[LIST] = f"{before}{BEGIN}\n{listed}\n{END}{after}"
    if example is not None:
        found[EXAMPLE] = draw(example, "en")
    return found


def all_files() -> dict[str, str]:
    """What must stand in the tree."""
    if str(TRIALS) not in sys.path:
        sys.path.insert(0, str(TRIALS))
    (trial,) = with_workflow("trials")
    return files(with_workflow("quanmin.applications"), trial.workflow)


def stale(wanted: Mapping[str, str]) -> list[str]:
    """The files of the tree that are not as they must be, or have no workflow any more."""
    found = [
        f"{path}: not what its workflow.toml says: run python tools/draw_workflows.py"
        for path, text in wanted.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text("utf-8") != text
    ]
    return found + [
        f"{FOLDER}/{path.name}: no application has this workflow: delete it"
        for path in sorted((ROOT / FOLDER).glob("*.*"))
        if f"{FOLDER}/{path.name}" not in wanted
    ]


def main() -> int:
    """Run as a script."""
    wanted = all_files()
    for path, text in wanted.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    for drawn in sorted((ROOT / FOLDER).glob("*.*")):
        if f"{FOLDER}/{drawn.name}" not in wanted:
            drawn.unlink()
    print(f"drew {len(wanted)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
