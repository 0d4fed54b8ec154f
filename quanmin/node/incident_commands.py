"""`quanmin incidents`: when personal data may have leaked, whom it concerns and what is done.

Whoever decides (`--by`) is a security administrator of the node, as on its pages.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

from quanmin.base import csv_line
from quanmin.base.problems import Forbidden
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.register_commands import By, Desk, Number, at_desk
from quanmin.trust.lifecycle.incidents import Incident, Incidents, Scope, incident_rules
from quanmin.trust.registers.sheets import as_csv

incidents = typer.Typer(
    name="incidents", help="When personal data may have leaked.", no_args_is_help=True
)
_console = Console()
_Told = TypeVar("_Told")
_MOMENT: Final = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]

Several = list[str] | None
Words = Annotated[str, typer.Option(help="What is said of it, without names.")]


def _asked(
    directory: Path | None,
    settings_file: Path | None,
    by: str,
    work: Callable[[Desk, Incidents], Awaitable[_Told]],
) -> _Told:
    async def ask(desk: Desk) -> _Told:
        actor = await desk.node.actors.by_code(by)
        if actor is None:
            raise Forbidden("name an actor of this node who is a security administrator")
        records = desk.node.guard.records(actor, purpose="HSYSADMIN", request_id="incidents")
        return await work(desk, records.desk(Incidents))

    return at_desk(directory, settings_file, ask)


def _moment(desk: Desk, moment: int | None) -> str:
    if moment is None:
        return ""
    return f"{datetime.fromtimestamp(moment / 1e6, desk.zone):%Y-%m-%d %H:%M}"


@incidents.command("list")
def list_(by: By, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Write all incidents as CSV, the newest first."""

    async def work(desk: Desk, incidents: Incidents) -> list[tuple[object, ...]]:
        def told(one: Incident) -> tuple[object, ...]:
            moments = (one.opened_at, one.due("report"), one.reported_at, one.due("tell"))
            last = (one.told_at, one.closed_at)
            return one.incident, one.title, *(_moment(desk, each) for each in moments + last)

        return [told(one) for one in await incidents.all()]

    columns = ("incident", "title", "opened", "report_by", "reported", "tell_by", "told", "closed")
    sys.stdout.write(as_csv(columns, _asked(directory, settings_file, by, work)))


@incidents.command("open")
def open_(
    title: Annotated[str, typer.Argument(help="What it is.")],
    *,
    since: Annotated[datetime, typer.Option("--from", formats=_MOMENT, help="Of the log.")],
    until: Annotated[datetime, typer.Option("--until", formats=_MOMENT, help="Of the log.")],
    happened: Words,
    harm: Words,
    remedy: Words,
    advice: Words,
    contact: Words,
    by: By,
    actor: Annotated[Several, typer.Option(help="Whose accesses; repeatable.")] = None,
    client: Annotated[Several, typer.Option(help="Of which application; repeatable.")] = None,
    institution: Annotated[Several, typer.Option(help="Of all of its; repeatable.")] = None,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Open an incident, and begin to count whom it concerns."""
    parts = {
        "happened": happened,
        "harm": harm,
        "remedy": remedy,
        "advice": advice,
        "contact": contact,
    }

    async def work(desk: Desk, incidents: Incidents) -> int:
        low, high = (
            round(each.replace(tzinfo=desk.zone).timestamp() * 1e6) for each in (since, until)
        )
        named = [tuple(each or ()) for each in (actor, client, institution)]
        return await incidents.open(title, parts, Scope(low, high, *named))

    _console.print(f"Incident {_asked(directory, settings_file, by, work)} is open.")


@incidents.command("scope")
def show_scope(
    number: Number,
    by: By,
    *,
    entries: Annotated[
        bool, typer.Option("--entries", help="Write the entries of the log as CSV instead.")
    ] = False,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Tell whom and what an incident concerns in numbers, what was done and what is due."""
    if entries:
        _write_entries(number, by, directory, settings_file)
        return

    async def work(desk: Desk, incidents: Incidents) -> list[str]:
        one, numbers, taken = await incidents.one(number)
        state = "still being counted" if one.counted_at is None else _moment(desk, one.counted_at)
        named = [*one.scope.actors, *one.scope.clients, *one.scope.senders]
        since, until = _moment(desk, one.scope.since), _moment(desk, one.scope.until)
        found = f"{numbers.persons:,} persons, {numbers.patients:,} registrations"
        lines = [
            f"{since} to {until}, by {', '.join(named)}",
            f"{found} (counted: {state}); {numbers.stopped:,} stopped now",
        ]
        lines += [
            f"{action} {type_ or '-'}: {entries:,} entries, {records:,} records"
            for type_, action, entries, records in numbers.kinds
        ]
        lines += [f"{_moment(desk, each.at)} {each.step} by {each.by}" for each in taken]
        for clock, done in (("report", one.reported_at), ("tell", one.told_at)):
            late = " (late)" if one.is_late(clock, desk.now) else ""
            due = _moment(desk, one.due(clock))
            lines.append(f"{clock}: " + (_moment(desk, done) if done else f"by {due}{late}"))
        return lines

    for line in _asked(directory, settings_file, by, work):
        _console.print(line, markup=False, highlight=False, soft_wrap=True)


def _write_entries(
    number: int, by: str, directory: Path | None, settings_file: Path | None
) -> None:
    columns = ("entry", "at", "actor", "role", "purpose", "action", "type", "outcome", "records")

    async def work(desk: Desk, incidents: Incidents) -> None:
        await incidents.one(number)
        sys.stdout.write(as_csv(columns, ()))
        async for some in incidents.entries(number):
            for one in some:
                named = (f"log-{one.lane}-{one.n}", _moment(desk, one.at), one.actor, one.role)
                did = (one.purpose, one.action, one.type or "", one.outcome, str(one.hits))
                sys.stdout.write(csv_line.line(named + did))

    _asked(directory, settings_file, by, work)


@incidents.command("take")
def take(
    number: Number,
    step: Annotated[str, typer.Argument(help=", ".join(one.code for one in incident_rules().step))],
    *,
    words: Words,
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Take a step: stop those whom the scope names, tell the persons, and so on."""

    async def work(_: Desk, incidents: Incidents) -> None:
        await incidents.take(number, step, words)

    _asked(directory, settings_file, by, work)
    _console.print(f"Done: {step}.", markup=False)


@incidents.command("close")
def close(
    number: Number,
    *,
    words: Words,
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Close an incident with a review, when the authority and the persons were told."""
    take(number, "close", words=words, by=by, directory=directory, settings_file=settings_file)
