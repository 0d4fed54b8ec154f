"""`quanmin transfers`: recipients outside the country, and what was approved to go to them."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from quanmin.node.given import Directory, SettingsFile
from quanmin.node.register_commands import By, Desk, From, Number, at_desk
from quanmin.trust.lifecycle.transfers import Approval, Listed, Transfers
from quanmin.trust.registers.sheets import as_csv

transfers = typer.Typer(
    name="transfers", help="Let records out of the country, or stop it.", no_args_is_help=True
)
_console = Console()

Kind = Annotated[str, typer.Argument(help="client, actor or sender.")]
Member = Annotated[str, typer.Argument(help="Its code.")]


@transfers.command()
def declare(
    kind: Kind,
    member: Member,
    country: Annotated[str, typer.Argument(help="ISO 3166-1, such as SG.")],
    *,
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Say that a recipient is outside the country: from now on it is handed nothing."""
    at_desk(
        directory,
        settings_file,
        lambda desk: Transfers(desk.node.pool).declare(kind, member, country, at=desk.now, by=by),
    )
    _console.print(f"{kind} {member} is handed nothing without a transfer.", markup=False)


@transfers.command()
def approve(
    kind: Kind,
    member: Member,
    *,
    ground: Annotated[str, typer.Option(help="assessment, contract or certification.")],
    reference: Annotated[str, typer.Option(help="The number of the approval or contract.")],
    activity: Annotated[str, typer.Option(help="The entry of the processing register.")],
    records: Annotated[int, typer.Option(help="How many records may go out at most.")],
    since: From,
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="The last day.")],
    by: By,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only records of this type; repeatable.")
    ] = None,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Enter an approved transfer."""
    number = at_desk(
        directory,
        settings_file,
        lambda desk: Transfers(desk.node.pool).approve(
            kind,
            member,
            Approval(
                ground=ground,
                reference=reference,
                activity=activity,
                types=tuple(type_) if type_ else None,
                records_max=records,
                since=desk.start(since),
                until=desk.end(until),
            ),
            at=desk.now,
            by=by,
            zone=desk.zone,
        ),
    )
    _console.print(f"Transfer {number} is entered.", markup=False)


@transfers.command()
def withdraw(
    number: Number,
    *,
    reason: Annotated[str, typer.Option(help="Why; it stays with the entry.")],
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Let nothing more go out under a transfer, from the next request on."""
    at_desk(
        directory,
        settings_file,
        lambda desk: Transfers(desk.node.pool).withdraw(number, reason=reason, at=desk.now, by=by),
    )
    _console.print(f"Transfer {number} is withdrawn.", markup=False)


@transfers.command("list")
def list_(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Write as CSV who is outside the country and what may go to them."""

    def told(one: Listed, now: int) -> tuple[object, ...]:
        types = "" if one.types is None else ";".join(one.types)
        in_force = "yes" if one.is_in_force(now) else "no"
        named = (one.kind, one.member, one.country, one.transfer, one.ground, one.reference)
        return (*named, one.activity, types, one.records_max, one.handed, in_force)

    columns = (
        *("kind", "member", "country", "transfer", "ground", "reference", "activity", "types"),
        *("records_max", "handed", "in_force"),
    )

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        return [told(one, desk.now) for one in await Transfers(desk.node.pool).all()]

    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))
