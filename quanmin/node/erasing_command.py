"""`quanmin erase`: a person out of a node, for good."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from quanmin.base.problems import Unusable
from quanmin.node.first_actors import OPERATOR
from quanmin.node.given import Directory, SettingsFile, confirm
from quanmin.node.reach import reached_database
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings

_PURPOSE = "HOPERAT"
_console = Console()


def erase_person(
    patient: Annotated[str, typer.Argument(help="A record of the person: Patient/id.")],
    *,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    actor: Annotated[
        str, typer.Option(help="In whose name; it must be one that may erase.")
    ] = OPERATOR.code,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Erase a person: every Patient linked to them and all their records, history and index.

    The data keys are destroyed, so that no copy can be read; a backup that is restored later is
    held to it. It cannot be undone.
    """
    type_, _, id_ = patient.rpartition("/")
    if type_ not in {"", "Patient"}:
        raise Unusable(f"{patient!r} is no Patient: name a record of the person as Patient/id.")
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)
    if not yes:
        confirm("The person and all their records are erased for good. Go on?")
    with reached_database(settings, may_make=False) as dsn:
        count = asyncio.run(_erase(settings, dsn, id_, actor))
    _console.print(f"Erased: {count:,} records.")


async def _erase(settings: Settings, dsn: str, id_: str, code: str) -> int:
    # Loaded only here: a second that no other command should wait.
    from quanmin.node.server import open_node  # noqa: PLC0415 - see above

    async with open_node(settings, dsn, connections_max=4) as node:
        found = await node.actors.by_code(code)
        actor = OPERATOR if found is None and code == OPERATOR.code else found
        if actor is None:
            raise Unusable(
                f"There is no actor {code!r}: `quanmin node status --tokens` shows the first."
            )
        await node.guard.look_again()
        records = node.guard.records(actor, purpose=_PURPOSE, request_id="erase")
        return await records.erase(id_)
