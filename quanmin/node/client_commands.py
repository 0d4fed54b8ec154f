"""`quanmin client`: the applications that may ask this node for tokens, for its operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.clock import Clock
from quanmin.base.epoch import Epoch
from quanmin.base.postgres import open_pool
from quanmin.base.problems import Invalid
from quanmin.node.given import Directory, SettingsFile, read_given_text
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.settings_in_force import load_settings
from quanmin.trust import Actor, Actors
from quanmin.trust.lifecycle.transfers import Transfers, transfer_rules
from quanmin.trust.sign_in.clients import CODE, SYSTEM, Client, Clients, check_client
from quanmin.trust.sign_in.secrets import digest_of, new_secret

_Told = TypeVar("_Told")

Code = Annotated[str, typer.Argument(help="The client's code: its client_id.")]

clients = typer.Typer(
    name="client", help="Register applications, list them, withdraw them.", no_args_is_help=True
)
_console = Console()


class _Reached(msgspec.Struct, frozen=True):
    clients: Clients
    actors: Actors
    transfers: Transfers


def _ask(
    directory: Path | None,
    settings_file: Path | None,
    question: Callable[[_Reached], Awaitable[_Told]],
) -> _Told:
    """The answer to a question to the node's database; a running node sees at once what changed."""
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)

    async def ask(dsn: str) -> _Told:
        pool: asyncpg.Pool[asyncpg.Record] = await open_pool(
            dsn, name="quanmin client", connections_max=2
        )
        try:
            revoked = Epoch(Places(settings.node.directory).revoked)
            return await question(
                _Reached(Clients(pool, Clock().now, revoked), Actors(pool), Transfers(pool))
            )
        finally:
            await pool.close()

    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(ask(dsn))


Grants = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        help="authorization_code, refresh_token, client_credentials, introspection; may be"
        " repeated.",
    ),
]
Redirects = Annotated[
    list[str] | None,
    typer.Option(
        "--redirect",
        help="Where people are sent back to, compared letter by letter, but for the port of an"
        " http://127.0.0.1 or http://[::1]; may be repeated.",
    ),
]
Keys = Annotated[
    Path | None, typer.Option("--jwks", help="A file with its public keys (JSON Web Key Set).")
]
KeysUrl = Annotated[
    str | None,
    typer.Option(
        "--jwks-url", help="Where its public keys are; the setting oauth.key_origins allows it."
    ),
]
LaunchUrl = Annotated[
    str | None, typer.Option("--launch-url", help="Where applications of the node open it.")
]
Sender = Annotated[
    str | None,
    typer.Option(
        "--sender", help="For client_credentials: the institution it works for, by its code."
    ),
]


@clients.command("add")
def add(
    code: Code,
    *,
    name: Annotated[str, typer.Option(help="What people read when they are asked to approve it.")],
    scopes: Annotated[
        str, typer.Option(help="What it may ask for at most, such as `system/Patient.rs`.")
    ],
    grant: Grants = None,
    redirect: Redirects = None,
    jwks: Keys = None,
    jwks_url: KeysUrl = None,
    launch_url: LaunchUrl = None,
    sender: Sender = None,
    country: Annotated[
        str, typer.Option(help="Where it stands (ISO 3166-1): what is given to it goes there.")
    ] = transfer_rules().definition.home,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    secret: Annotated[
        bool, typer.Option("--secret", help="Give it a secret, shown once, instead of keys.")
    ] = False,
) -> None:
    """Register an application."""
    shown = new_secret() if secret else None
    client = Client(
        code=code,
        name=name,
        grants=frozenset(grant or [CODE]),
        scopes=scopes,
        redirects=tuple(redirect or ()),
        jwks=_read(jwks),
        jwks_url=jwks_url,
        secret=None if shown is None else digest_of(shown),
        launch_url=launch_url,
    )
    check_client(client)
    if SYSTEM in client.grants and not sender:
        raise Invalid("name the institution that the system works for with --sender")

    async def question(reached: _Reached) -> None:
        await reached.transfers.refuse_unapproved("client", code, country, Clock().now())
        if SYSTEM in client.grants and sender:
            # Its own token is thrown away: it comes by its assertions alone.
            await reached.actors.enrol(Actor(code, "institution", name, sender))
        await reached.clients.add(client)

    _ask(directory, settings_file, question)
    _console.print(f"The client {code} is registered.", markup=False)
    if shown is not None:
        _console.print("Its secret, shown only now:", markup=False)
        _console.print(shown, soft_wrap=True, markup=False)


@clients.command("list")
def list_(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """List the applications, what they may ask for and how they prove themselves."""
    table = Table("client", "name", "grants", "proves itself by", "state", "scopes", box=None)

    async def question(reached: _Reached) -> list[tuple[Client, bool]]:
        return await reached.clients.all()

    for client, is_active in _ask(directory, settings_file, question):
        table.add_row(
            client.code,
            client.name,
            ", ".join(sorted(client.grants)),
            _proof(client),
            "active" if is_active else "retired",
            client.scopes,
        )
    _console.print(table, soft_wrap=True)


@clients.command("retire")
def retire(code: Code, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Withdraw an application: all that it holds stops working at once."""

    async def question(reached: _Reached) -> None:
        await reached.clients.retire(code)

    _ask(directory, settings_file, question)
    _console.print(f"The client {code} is withdrawn.", markup=False)


def _proof(client: Client) -> str:
    if client.secret is not None:
        return "secret"
    if client.jwks is not None:
        return "keys"
    return client.jwks_url or "nothing (public)"


def _read(path: Path | None) -> str | None:
    return None if path is None else read_given_text(path)
