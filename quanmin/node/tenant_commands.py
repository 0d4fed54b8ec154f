"""`quanmin tenants`: the agencies that a node is divided among, from the node's own machine.

What opens one tenant to another is decided here and nowhere else: whoever answers requests may read
these tables and not write them.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from quanmin.base.postgres import connect
from quanmin.node.database import worker_role
from quanmin.node.first_actors import OPERATOR
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.register_commands import By, Day, Desk, Number, Until, at_desk
from quanmin.node.walls import lower_walls, raise_walls
from quanmin.trust.registers.sheets import as_csv
from quanmin.trust.registers.tenant_rule import tenant_rule
from quanmin.trust.registers.tenants import Tenant, Tenants

_PAGE: Final = 1_000
_ANY: Final = "all"
_NOON: Final = 43_200_000_000

tenants = typer.Typer(
    name="tenants",
    help="Divide the node among agencies whose records are apart.",
    no_args_is_help=True,
)
_console = Console()

Code = Annotated[str, typer.Argument(help="The tenant's code.")]
First = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day; else now.")
]


@tenants.command()
def declare(
    code: Code,
    *,
    name_zh: Annotated[str, typer.Option(help="Its Chinese name.")],
    name_en: Annotated[str, typer.Option(help="Its English name.")],
    division: Annotated[str, typer.Option(help="Its division (GB/T 2260).")],
    parent: Annotated[str | None, typer.Option(help="The tenant above it.")] = None,
    first: First = None,
    last: Until = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Declare a tenant. The first divides the node: each row is then shown to the tenants that its
    sender is of, and to those it has agreed with. On a large node that takes a while; requests go
    on.
    """

    async def work(desk: Desk) -> str:
        settings = desk.node.settings
        role = await worker_role(settings, desk.node.places)
        connection = await connect(desk.dsn, name="quanmin tenants")
        seconds = settings.tenants.grace_seconds
        period = desk.start(first), desk.end(last)
        try:
            await raise_walls(connection, role, _progress, grace_seconds=seconds)
            made = await _register(desk).declare(
                Tenant(code, name_zh, name_en, division, parent, *period, by), at=desk.now
            )
            # In case somebody has just taken them down, before there was this tenant.
            await raise_walls(connection, role, _progress, grace_seconds=seconds)
        finally:
            await connection.close()
        return f"Tenant {made.code} is of division {made.division}."

    _say(directory, settings_file, work)


@tenants.command("list")
def list_(
    directory: Directory = None, settings_file: SettingsFile = None, as_of: Day = None
) -> None:
    """Write the tenants of any time as CSV, with their state on a day."""

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        moment = _moment(desk, as_of)
        rows: list[tuple[object, ...]] = []
        after = None
        while slice_ := await _register(desk).all(after=after, count=_PAGE):
            rows += [
                (
                    *(one.code, one.name_zh, one.name_en, one.division, one.parent or ""),
                    *(one.state(moment), *_period(desk, one.since, one.until), one.decided_by),
                )
                for one in slice_
            ]
            after = slice_[-1].code
        return rows

    columns = ("code", "name_zh", "name_en", "division", "parent", "state", "from", "until", "by")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))


@tenants.command()
def end(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """End a tenant now. Its institutions are then of the tenant around it, or of none."""

    async def work(desk: Desk) -> str:
        await _register(desk).end(code, at=desk.now)
        return f"Tenant {code} has ended."

    _say(directory, settings_file, work)


@tenants.command()
def undivide(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Take the walls down, once every tenant has ended: from then on the rules alone say who sees
    what, as on a node that never had any. The next declaration raises them again.
    """

    async def work(desk: Desk) -> str:
        connection = await connect(desk.dsn, name="quanmin tenants")
        try:
            was_up = await lower_walls(connection, desk.now)
        finally:
            await connection.close()
        return "The walls are down." if was_up else "There are no walls."

    _say(directory, settings_file, work)


@tenants.command()
def assign(
    sender: Annotated[str, typer.Argument(help="The code an institution sends under.")],
    code: Annotated[str | None, typer.Argument(help="The tenant; without one: of none.")] = None,
    *,
    first: First = None,
    last: Until = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Decide of which tenant a sender is, whatever its division says."""

    async def work(desk: Desk) -> str:
        await _register(desk).assign(
            sender, code, since=desk.start(first), until=desk.end(last), at=desk.now, by=by
        )
        return f"{sender} is of {code or 'no tenant'}."

    _say(directory, settings_file, work)


@tenants.command()
def release(
    sender: Annotated[str, typer.Argument(help="The code an institution sends under.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Take a decision about a sender back: from now on its division says of which tenant it is."""

    async def work(desk: Desk) -> str:
        await _register(desk).release(sender, at=desk.now)
        return f"{sender} is of the tenant of its division."

    _say(directory, settings_file, work)


@tenants.command()
def members(
    code: Code, directory: Directory = None, settings_file: SettingsFile = None, as_of: Day = None
) -> None:
    """Write as CSV who is of a tenant on a day, and whether that was decided or follows from the
    division.
    """

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        register = _register(desk)
        await register.one(code)
        rows: list[tuple[object, ...]] = []
        after = None
        while slice_ := await register.members(
            code, _moment(desk, as_of), after=after, count=_PAGE
        ):
            rows += [
                (one.sender, one.name, one.region, "decided" if one.is_decided else "division")
                for one in slice_
            ]
            after = slice_[-1].sender
        return rows

    columns = ("sender", "name", "division", "by")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))


@tenants.command()
def enable(
    code: Code,
    application: Annotated[str, typer.Argument(help="An application's or a client's code.")],
    *,
    first: First = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Switch an application on for a tenant."""
    _switch(directory, settings_file, code, application, is_on=True, first=first, by=by)


@tenants.command()
def disable(
    code: Code,
    application: Annotated[str, typer.Argument(help="An application's or a client's code.")],
    *,
    first: First = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Switch an application off for a tenant: its pages and requests are refused at once."""
    _switch(directory, settings_file, code, application, is_on=False, first=first, by=by)


@tenants.command()
def applications(
    code: Code, directory: Directory = None, settings_file: SettingsFile = None, as_of: Day = None
) -> None:
    """Write as CSV what was decided of applications; others are as the definition says."""

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        register = _register(desk)
        await register.one(code)
        found = await register.switched(code, _moment(desk, as_of))
        return [
            (one.application, "on" if one.is_on else "off", desk.day(one.since), one.decided_by)
            for one in found
        ]

    columns = ("application", "state", "from", "by")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))


@tenants.command()
def agree(
    giver: Annotated[str, typer.Argument(help="The tenant whose records are shown; or all.")],
    taker: Annotated[str, typer.Argument(help="The tenant that sees them; or all.")],
    *,
    purpose: Annotated[list[str], typer.Option(help="A purpose of use; several times for more.")],
    basis: Annotated[str, typer.Option(help="The document it stands on.")],
    first: First = None,
    last: Until = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Let a tenant see for some purposes what another has, as far as the rules permit it."""

    async def work(desk: Desk) -> str:
        since = desk.start(first)
        years = tenant_rule().agreements.years_max
        number = await _register(desk).agree(
            None if giver == _ANY else giver,
            None if taker == _ANY else taker,
            purposes=purpose,
            basis=basis,
            since=since,
            until=since + years * 365 * 86_400_000_000 if last is None else desk.end(last),
            at=desk.now,
            by=by,
        )
        return f"Agreement {number}."

    _say(directory, settings_file, work)


@tenants.command("end-agreement")
def end_agreement(
    number: Number, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """End an agreement now."""

    async def work(desk: Desk) -> str:
        await _register(desk).end_agreement(number, at=desk.now)
        return f"Agreement {number} has ended."

    _say(directory, settings_file, work)


@tenants.command()
def agreements(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Write all agreements as CSV."""

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        return [
            (
                *(one.agreement, one.giver or _ANY, one.taker or _ANY, ";".join(one.purposes)),
                *(one.basis, *_period(desk, one.since, one.until), one.decided_by),
            )
            for one in await _register(desk).agreements()
        ]

    columns = ("agreement", "giver", "taker", "purposes", "basis", "from", "until", "by")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))


@tenants.command()
def entrust(
    party: Annotated[str, typer.Argument(help="An operator of the register of admission.")],
    codes: Annotated[list[str], typer.Argument(help="The tenants that it runs.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Say which tenants an entrusted operator runs: it acts in no other, and while its admission
    lasts.
    """

    async def work(desk: Desk) -> str:
        await _register(desk).entrust(party, codes)
        return f"{party} runs {', '.join(codes)}."

    _say(directory, settings_file, work)


def _switch(
    directory: Path | None,
    settings_file: Path | None,
    code: str,
    application: str,
    *,
    is_on: bool,
    first: datetime | None,
    by: str,
) -> None:
    async def work(desk: Desk) -> str:
        since = desk.start(first)
        await _register(desk).switch(
            code, application, is_on=is_on, since=since, at=desk.now, by=by
        )
        return f"{application} is {'on' if is_on else 'off'} for {code}."

    _say(directory, settings_file, work)


def _register(desk: Desk) -> Tenants:
    return Tenants(desk.node.pool)


def _moment(desk: Desk, day: datetime | None) -> int:
    return desk.now if day is None else desk.start(day) + _NOON


def _period(desk: Desk, since: int, until: int) -> tuple[str, str]:
    return desk.day(since), desk.day(until, is_end=True)


def _say(
    directory: Path | None, settings_file: Path | None, work: Callable[[Desk], Awaitable[str]]
) -> None:
    _console.print(at_desk(directory, settings_file, work), markup=False)


def _progress(text: str) -> None:
    _console.print(text, markup=False)
