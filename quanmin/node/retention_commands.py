"""`quanmin retention`: what must not be kept any longer, its deletion, and the proof of that."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from quanmin.base.problems import Invalid, Unusable
from quanmin.node.given import Directory, SettingsFile, read_given
from quanmin.node.log_commands import KeyFile, KnownKeys
from quanmin.node.log_keys import key_of, read_keys
from quanmin.node.register_commands import By, Desk, Number, at_desk
from quanmin.node.restoration import as_text
from quanmin.trust.lifecycle import deletions
from quanmin.trust.lifecycle import retention as clocks
from quanmin.trust.lifecycle.retention_desk import account_of, confirm_by_another
from quanmin.trust.registers.sheets import as_csv

retention = typer.Typer(
    name="retention", help="Delete what must not be kept any longer.", no_args_is_help=True
)
_console = Console()

Deletion = Annotated[str, typer.Argument(help="The deletion, as it was told.")]


@retention.command("run")
def run(by: By, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Look in the background for what is due; `quanmin jobs list` tells how far it is."""

    async def work(desk: Desk) -> int:
        async with desk.node.pool.acquire() as connection:
            return await clocks.put_finding(connection, by)

    _console.print(f"Job {at_desk(directory, settings_file, work)} looks for what is due.")


@retention.command("status")
def show_status(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Tell by clock what was found due, and how far every deletion is."""

    async def work(desk: Desk) -> list[str]:
        found = await clocks.status(desk.node.pool)
        lines = [
            f"due by {one.clock}: {one.patients:,} Patients, {one.records:,} records, the first"
            f" since {desk.day(one.first)}"
            for one in found
        ] or ["nothing was found due"]
        async with desk.node.pool.acquire() as connection:
            for one in await deletions.listed(connection):
                state = "done" if one.is_done else "confirmed" if one.confirmed_at else "proposed"
                lines.append(
                    f"deletion {one.deletion}: {state}, {one.deleted:,} of {one.patients:,}"
                    f" deleted, {one.kept:,} kept; proposed by {one.proposed_by}"
                )
        return lines

    for line in at_desk(directory, settings_file, work):
        _console.print(line, markup=False, highlight=False, soft_wrap=True)


@retention.command("due")
def due(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Write as CSV what was found due: keys of Patients, clocks and numbers, no names."""

    async def work(desk: Desk) -> list[tuple[object, ...]]:
        rows = await desk.node.pool.fetch(
            "select patient, clock, due, records from trust.retention_due order by due, patient"
        )
        return [
            (row["patient"], row["clock"], desk.day(row["due"]), row["records"]) for row in rows
        ]

    columns = ("patient", "clock", "due", "records")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, work)))


@retention.command("propose")
def propose(by: By, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Propose to delete what was found due; another confirms it."""

    async def work(desk: Desk) -> uuid.UUID:
        async with desk.node.pool.acquire() as connection, connection.transaction():
            await account_of(connection, by)
            return await deletions.propose(connection, at=desk.now, by=by)

    _console.print(f"Deletion {at_desk(directory, settings_file, work)} waits to be confirmed.")


@retention.command("confirm")
def confirm(
    deletion: Deletion, by: By, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """Confirm a deletion that another has proposed: it is done in the background, for good."""

    async def work(desk: Desk) -> int:
        number = _deletion(deletion)
        async with desk.node.pool.acquire() as connection, connection.transaction():
            return await confirm_by_another(connection, number, at=desk.now, by=by)

    _console.print(f"Job {at_desk(directory, settings_file, work)} deletes it.")


@retention.command("withdraw")
def withdraw(
    deletion: Deletion, by: By, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """Take back a proposal that nobody has confirmed."""

    async def work(desk: Desk) -> None:
        number = _deletion(deletion)
        async with desk.node.pool.acquire() as connection, connection.transaction():
            await account_of(connection, by)
            await deletions.withdraw(connection, number)

    at_desk(directory, settings_file, work)
    _console.print("Nothing is deleted by it.")


@retention.command("hold")
def hold(
    patient: Annotated[str, typer.Argument(help="A record of the person: Patient/id.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, such as the number of a lawsuit.")],
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Keep everything of a person, whatever is due."""

    async def work(desk: Desk) -> int:
        stored = await desk.records.read("Patient", patient.rpartition("/")[2])
        async with desk.node.pool.acquire() as connection, connection.transaction():
            return await clocks.hold(connection, stored.rid, reason=reason, at=desk.now, by=by)

    _console.print(f"Hold {at_desk(directory, settings_file, work)} stands.")


@retention.command("release")
def release(
    number: Number, by: By, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """End a hold."""

    async def work(desk: Desk) -> None:
        async with desk.node.pool.acquire() as connection:
            await clocks.release(connection, number, at=desk.now, by=by)

    at_desk(directory, settings_file, work)
    _console.print(f"Hold {number} has ended.")


@retention.command("verify")
def verify(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Check every certificate of deletion, and that nothing of what it names is left; ends with 1
    when something is wrong.
    """

    async def work(desk: Desk) -> tuple[int, list[deletions.Finding]]:
        async with (
            desk.node.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await deletions.verify(desk.node.guard, connection)

    count, found = at_desk(directory, settings_file, work)
    for one in found:
        _console.print(f"{one.deletion} {one.reason}", markup=False, soft_wrap=True)
    _console.print(f"{count:,} certificates, {len(found):,} faults.", highlight=False)
    if found:
        raise typer.Exit(1)


@retention.command("certificate")
def certificate(
    deletion: Deletion, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """Write the signed certificate of a deletion, for whoever wants proof of it."""

    async def work(desk: Desk) -> deletions.Signed:
        async with desk.node.pool.acquire() as connection:
            return await deletions.signed(connection, _deletion(deletion))

    one = at_desk(directory, settings_file, work)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(one)).decode() + "\n")


@retention.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A certificate of `retention certificate`.")],
    public: KeyFile,
    known: KnownKeys = None,
) -> None:
    """Check a certificate with nothing but the node's public keys."""
    try:
        one = msgspec.json.decode(read_given(file), type=deletions.Signed)
        told = one.check(key_of(read_keys(public, known), one.signature))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unusable(f"{file} is no certificate of a deletion.") from error
    except Invalid as problem:
        _console.print(f"NOT proven: {problem.text}.", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    patients = sum(number for _, number, _ in told.clocks)
    _console.print(
        f"Proven: node {told.node} deleted {told.records:,} records of {patients:,} Patients by"
        f" {as_text(told.finished)}, proposed by {told.proposed[0]}, confirmed by"
        f" {told.confirmed[0]}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _deletion(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid("this is no deletion: `quanmin retention status` lists them") from None
