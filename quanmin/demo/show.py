"""Fills a running node with a province before the eyes of whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from quanmin.demo.guide import find_hints
from quanmin.demo.post import Posted, Poster, Step
from quanmin.demo.province import Province


def fill(address: str, tokens: Mapping[str, str], province: Province, console: Console) -> Posted:
    """Sends the province with a progress bar and ends by saying where to look and for whom.

    `tokens` has a bearer token for each of `province.senders()`. A second run sends only what is
    missing. Raises the problems of `Poster.post`.
    """
    console.print(
        f"An invented province of {province.people:,} people (seed {province.seed}) goes to"
        f" {address}. Nobody and nothing in it is real."
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = monotonic()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("sending", total=None, rate="")

        def report(step: Step) -> None:
            rate = step.resources / max(monotonic() - started, 0.001)
            shown = f"{step.resources:,} resources, {rate:,.0f}/s"
            progress.update(task, completed=step.done, total=step.total, rate=shown)

        posted = asyncio.run(Poster(address, tokens, province, report).post())
    seconds = monotonic() - started
    console.print(
        f"{posted.resources:,} resources in {posted.bundles:,} bundles stored in {seconds:.0f} s;"
        f" {posted.found:,} bundles were there already."
    )
    tell(address, province, console)
    return posted


def tell(address: str, province: Province, console: Console) -> None:
    """Says where the pages are and what to look for."""
    console.print(f"\nOpen [bold]{address}/[/bold] and look for:")
    table = Table(show_header=False, box=None, padding=(0, 2))
    for hint in find_hints(province):
        table.add_row(f"[bold]{hint.term}[/bold]", hint.shows)
    console.print(table)
    outbreak = province.outbreak()
    cases = sum(outbreak.cases)
    if not cases:
        return  # too few people live there
    console.print(
        f"An outbreak ({outbreak.name}) is planted in county {outbreak.county}:"
        f" {cases} {'case' if cases == 1 else 'cases'} in {outbreak.weeks} weeks from"
        f" {outbreak.first_day}."
    )
