"""`quanmin search-parameters`: what can be searched by beside R4, and how far it is."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.database import Connection
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.job_commands import ask_database
from quanmin.records.readiness import (
    ParameterState,
    Readiness,
    RuleState,
    parameter_states,
    rule_states,
)

search_parameters = typer.Typer(
    name="search-parameters",
    help="See what can be searched by beside R4, and how far it is.",
    no_args_is_help=True,
)
_console = Console()


@search_parameters.callback()
def _only_commands() -> None:
    """Keep `list` a word to be typed, though it is the only one."""


@search_parameters.command("list")
def list_(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """List custom search parameters and rules of indexing, each with how far it is."""

    async def question(connection: Connection) -> tuple[list[ParameterState], list[RuleState]]:
        return await parameter_states(connection), await rule_states(connection)

    parameters, rules = ask_database(directory, settings_file, question)
    table = Table("parameter", "kind", "state", "done", "job", "reason", box=None)
    for one in parameters:
        types = one.types[0] if len(one.types) == 1 else f"{len(one.types)} types"
        table.add_row(f"{types}:{one.code}", one.kind, *_told(one.readiness))
    for rule in rules:
        table.add_row(f"rule {rule.rule} {rule.version}", "", *_told(rule.readiness))
    _console.print(table)


def _told(readiness: Readiness) -> tuple[str, str, str, str]:
    job = "" if readiness.job is None or readiness.state == "ready" else str(readiness.job)
    return readiness.state, f"{readiness.share:.0%}", job, readiness.reason
