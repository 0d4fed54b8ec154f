"""`quanmin signature`: signatures of documents verified without a node, and what a node needs so
that others believe its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer
from asn1crypto import pem
from rich.console import Console

from quanmin.base import signing
from quanmin.base.authorities import read_folder
from quanmin.base.postgres import connect, open_pool
from quanmin.base.problems import NotFound, Unusable
from quanmin.node.given import Directory, SettingsFile, read_given
from quanmin.node.own_keys import open_keys
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.roots import read_node_keys
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings
from quanmin.trust import Actor, Actors
from quanmin.trust.signatures import Found, Judging, OwnAuthority, fetch_lists, judge_files

_REFUSED: Final = 1
signatures = typer.Typer(
    name="signature", help="Verify signed documents; certify keys.", no_args_is_help=True
)
_console = Console()


@signatures.command()
def verify(
    files: Annotated[
        list[Path],
        typer.Argument(help="Exported records: JSON, a Bundle or NDJSON, with their Provenance."),
    ],
    *,
    certificates: Annotated[
        Path, typer.Option(help="The folder of accepted authorities and of what they revoked.")
    ],
    without_stamp: Annotated[
        bool, typer.Option("--without-stamp", help="Accept signatures without a time stamp.")
    ] = False,
    without_status: Annotated[
        bool,
        typer.Option(
            "--without-status",
            help="Accept certificates of which it is not known whether they were revoked.",
        ),
    ] = False,
    file_bytes_max: Annotated[int, typer.Option(help="A larger file is refused.")] = 1 << 30,
) -> None:
    """Say of every signature in the files whether it holds, and if not, why. Asks nobody.

    Ends with 1 when one does not hold, or when there is none.
    """
    if not certificates.is_dir():
        raise Unusable(f"There is no folder {certificates}: name the one of accepted certificates.")
    judging = Judging(
        authorities=read_folder(certificates, is_status_required=not without_status),
        is_stamp_required=not without_stamp,
    )
    found = list(
        judge_files((read_given(each, bytes_max=file_bytes_max) for each in files), judging)
    )
    for each in found:
        _tell(each)
    if not found:
        _console.print("There is no signature in these files.")
    if not found or not all(each.judgement.holds for each in found):
        raise typer.Exit(_REFUSED)


@signatures.command()
def authority(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Write the certificates of the node's own authority, one a suite, for others to lay into their
    folder.
    """
    settings = _settings(directory, settings_file)
    with reached_database(settings, may_make=False) as dsn:
        own = asyncio.run(_own(settings, dsn))
    for each in own.roots():
        _write("CERTIFICATE", each.der)


@signatures.command()
def request(
    actor: Annotated[str, typer.Argument(help="The actor's code.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Write a request that an authority certify the key the node keeps for an actor (PKCS #10).

    The certificate is laid into the folder of accepted ones (signatures.folder), and from then on
    the actor's signatures carry it.
    """
    settings = _settings(directory, settings_file)
    with reached_database(settings, may_make=False) as dsn:
        who = asyncio.run(_actor(dsn, actor))
        own = asyncio.run(_own(settings, dsn))
    _write("CERTIFICATE REQUEST", own.request_of(who.code, who.name, who.sender or who.code))


@signatures.command()
def fetch(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Copy the lists of revoked certificates that signatures.lists names into signatures.folder.

    For a timer: a running node heeds them at once. Ends with 1 when one could not be had.
    """
    settings = _settings(directory, settings_file).signatures
    if settings.folder is None or not settings.folder.is_dir() or not settings.lists.split():
        raise Unusable(
            "There is nothing to fetch: set signatures.folder to a folder and signatures.lists to"
            " the addresses of its authorities' lists."
        )
    found = list(fetch_lists(settings.folder, settings.lists))
    for each in found:
        _say(f"{each.address}: {each.fault or 'copied'}")
    if any(each.fault for each in found):
        raise typer.Exit(_REFUSED)


def _settings(directory: Path | None, file: Path | None) -> Settings:
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    return load_settings(file=file, given=given)


async def _own(settings: Settings, dsn: str) -> OwnAuthority:
    port = open_keys(Places(settings.node.directory), settings.keys, is_new=False)
    connection = await connect(dsn, name="quanmin signature")
    try:
        keys = await read_node_keys(connection, port)
    finally:
        await connection.close()
    return OwnAuthority(keys, signing.suite_named(settings.node.signature_suite))


async def _actor(dsn: str, code: str) -> Actor:
    pool = await open_pool(dsn, name="quanmin signature", connections_min=1, connections_max=1)
    try:
        found = await Actors(pool).by_code(code)
    finally:
        await pool.close()
    if found is None:
        raise NotFound(f"There is no actor {code!r} on this node.")
    return found


def _tell(found: Found) -> None:
    judgement = found.judgement
    said = "holds" if judgement.holds else "does not hold"
    _say(f"{found.provenance} on {found.target or 'an unknown document'}: {said}")
    if judgement.stamped is not None:
        whose = "the signing node's own" if judgement.is_stamp_own else "a third party's"
        _say(f"  stamped {judgement.stamped.isoformat()} ({whose} stamp), {judgement.algorithm}")
    for refusal in judgement.refusals:
        _say(f"  {refusal.reason}: {refusal.text}")


def _say(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)


def _write(kind: str, der: bytes) -> None:
    typer.echo(pem.armor(kind, der).decode("ascii"), nl=False)
