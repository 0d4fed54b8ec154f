"""`quanmin account`: who may sign in. The first accounts of a node are made here, on its own
machine; there are none before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar, get_args

import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.postgres import open_pool
from quanmin.base.problems import Unusable
from quanmin.node.first_actors import enrol_system
from quanmin.node.given import Directory, SettingsFile, ask_secret
from quanmin.node.own_keys import open_keys
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.restoration import as_text
from quanmin.node.roots import read_node_keys
from quanmin.node.server import open_log, open_sign_in
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings
from quanmin.trust import Actor, Role
from quanmin.trust.registers.definitions import roles
from quanmin.trust.sign_in import From, SignIn, present_code
from quanmin.trust.sign_in.accounts import bare_number
from quanmin.trust.sign_in.administrators import administrators, documents, refuse_misread
from quanmin.trust.sign_in.external import External

_Told = TypeVar("_Told")

Code = Annotated[str, typer.Argument(help="The account, as `account list` shows it.")]

accounts = typer.Typer(
    name="account", help="Make, list, lock and reset accounts.", no_args_is_help=True
)
_console = Console()

_COMMAND: Final = From(address="command line", request_id="quanmin account")
# What these write is of no institution but of the node; the registers take entries from both.
_OWN_SENDERS: Final = {"operator": "node", "security_administrator": "register"}


def _settings(directory: Path | None, file: Path | None) -> Settings:
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    return load_settings(file=file, given=given)


def _carry_out(
    settings: Settings, task: Callable[[SignIn], Awaitable[_Told]], *, may_make: bool = False
) -> _Told:
    """Do it over the node's database, which is started for it when none runs."""
    with reached_database(settings, may_make=may_make) as dsn:
        return asyncio.run(_over(settings, dsn, task))


async def _over(settings: Settings, dsn: str, task: Callable[[SignIn], Awaitable[_Told]]) -> _Told:
    places = Places(settings.node.directory)
    port = open_keys(places, settings.keys, is_new=False)
    pool = await open_pool(dsn, name="quanmin account", connections_max=2)
    try:
        keys = await read_node_keys(pool, port)
        log = open_log(settings, places, keys, pool)
        return await task(open_sign_in(settings, pool, keys, log))
    finally:
        await pool.close()


@accounts.command("add")
def add(  # noqa: PLR0917 - each is an option of the command
    code: Annotated[str, typer.Argument(help="The new account: small letters, digits, . -")],
    role: Annotated[str, typer.Option(help="What the account acts as.")],
    name: Annotated[str, typer.Option(help="What it is called on pages.")] = "",
    institution: Annotated[
        str, typer.Option(help="The code of the institution it writes for.")
    ] = "",
    directory: Directory = None,
    settings_file: SettingsFile = None,
    *,
    document: Annotated[
        str,
        typer.Option(help=f"An administrator's identity document: {', '.join(documents())}."),
    ] = next(iter(documents())),
    system: Annotated[
        bool, typer.Option("--system", help="A program: it gets a token and does not sign in.")
    ] = False,
) -> None:
    """Make an account, or a system with a token; what opens it is printed once.

    A person gets the code of an invitation, with which they choose a password and add a second
    factor. For the three administrators the number of an identity document is asked for: it tells
    persons apart and is not kept.
    """
    actor = _actor(code, role, name, institution)
    if system and role in administrators():
        raise Unusable("An administrator is a person who signs in: leave --system out.")
    settings = _settings(directory, settings_file)
    if system:
        with reached_database(settings) as dsn:
            token = asyncio.run(enrol_system(dsn, Places(settings.node.directory), actor))
        _console.print(token, soft_wrap=True)
        return
    number = _number(document) if role in administrators() else None

    async def make(entrance: SignIn) -> str:
        invitation = await entrance.accounts.add(code, actor, document=number)
        await entrance.note("invitation", "made", _COMMAND, code, role)
        return invitation

    _show_invitation(settings, _carry_out(settings, make, may_make=True))
    if settings.registers.posts_required and roles()[role].post != "none":
        _console.print(
            f"They act in a post of the register: `quanmin registers appoint {code} --from DAY`"
            " gives them one."
        )


def _number(document: str) -> str:
    """The number of a document, asked for. Raises Invalid for one that it cannot have."""
    words = documents()[document].en if document in documents() else document
    number = bare_number(
        ask_secret(f"{words} of the person (number)", "type the number of the document")
    )
    refuse_misread(document, number)
    return number


def _actor(code: str, role: str, name: str, institution: str) -> Actor:
    for known in get_args(Role):
        if known == role:
            break
    else:
        raise Unusable(f"There is no role {role!r}: choose one of {', '.join(get_args(Role))}.")
    if roles()[role].post != "none" and not institution:
        raise Unusable("Staff of an institution write for one: name it with --institution CODE.")
    sender = _OWN_SENDERS.get(role, institution)
    return Actor(code, known, name or code, sender)


def _show_invitation(settings: Settings, invitation: str) -> None:
    _console.print(f"[bold]{invitation}[/bold]")
    _console.print(
        f"Give this code to its owner: it opens the account once, at {settings.origin}/invitation, "
        f"within {settings.sign_in.invitation_hours_max} hours, and is not shown again."
    )


@accounts.command("list")
def list_(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """List the accounts, with their roles and whether they can sign in."""

    async def ask(entrance: SignIn) -> Table:
        table = Table("account", "name", "roles", "state", box=None, padding=(0, 2))
        for account, held in await entrance.accounts.all():
            state = "invited" if account.password is None else "active"
            if account.locked_at is not None:
                state = f"locked {as_text(account.locked_at)}"
            if account.retired_at is not None:
                state = f"retired {as_text(account.retired_at)}"
            table.add_row(account.code, account.name, ", ".join(held), state)
        return table

    found = _carry_out(_settings(directory, settings_file), ask)
    if found.row_count:
        _console.print(found)
    else:
        _console.print(
            "There is no account. `quanmin account add CODE --role security_administrator` makes "
            "the first."
        )


@accounts.command("lock")
def lock(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Let nobody sign in to it, and end its sessions at once."""

    async def change(entrance: SignIn) -> None:
        await entrance.accounts.lock(code)
        await entrance.note("lock", "locked", _COMMAND, code)

    _carry_out(_settings(directory, settings_file), change)
    _console.print(f"{code} is locked.")


@accounts.command("unlock")
def unlock(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Undo a lock."""

    async def change(entrance: SignIn) -> None:
        await entrance.accounts.unlock(code)
        await entrance.attempts.forgive("account", code)
        await entrance.attempts.forgive("factor", code)
        await entrance.note("lock", "unlocked", _COMMAND, code)

    _carry_out(_settings(directory, settings_file), change)
    _console.print(f"{code} may sign in again.")


@accounts.command("reset")
def reset(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Take password and second factors away and print a new invitation."""
    settings = _settings(directory, settings_file)

    async def change(entrance: SignIn) -> str:
        invitation = await entrance.accounts.invite(code)
        await entrance.note("invitation", "made", _COMMAND, code)
        return invitation

    _show_invitation(settings, _carry_out(settings, change))


@accounts.command("retire")
def retire(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """End an account for good; its code is not given again."""

    async def change(entrance: SignIn) -> None:
        await entrance.accounts.retire(code)
        await entrance.note("lock", "retired", _COMMAND, code)

    _carry_out(_settings(directory, settings_file), change)
    _console.print(f"{code} is retired.")


@accounts.command("code")
def show_code(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Print the one-time code of an account of a demonstration, in place of an authenticator."""
    settings = _settings(directory, settings_file)
    shown = {one.code: one for one in Places(settings.node.directory).accounts()}
    if code not in shown or not shown[code].secret:
        raise Unusable("Only accounts of a demonstration have codes here.")
    _console.print(present_code(shown[code].secret))


def _external(entrance: SignIn) -> External:
    if entrance.external is None:
        raise Unusable("There is no other issuer: name it with the setting external.issuer.")
    return entrance.external


@accounts.command("link")
def link(
    code: Code,
    subject: Annotated[str, typer.Option(help="What the other issuer calls its owner (`sub`).")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Let the owner of an account sign in by the other issuer (settings external.*)."""

    async def change(entrance: SignIn) -> None:
        await _external(entrance).link(subject, code)
        await entrance.note("link-change", "linked", _COMMAND, code)

    _carry_out(_settings(directory, settings_file), change)
    _console.print(f"{code} can sign in by the other issuer.")


@accounts.command("unlink")
def unlink(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Undo `link`; who is signed in by the other issuer is out at once."""

    async def change(entrance: SignIn) -> None:
        await _external(entrance).unlink(code)
        await entrance.note("link-change", "unlinked", _COMMAND, code)

    _carry_out(_settings(directory, settings_file), change)
    _console.print(f"{code} cannot sign in by the other issuer any more.")
