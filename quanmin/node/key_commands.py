"""`quanmin keys`: the node's own keys, changed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.clock import Clock
from quanmin.base.database import Connection
from quanmin.base.epoch import Epoch
from quanmin.base.jobs import Listed, list_jobs
from quanmin.base.node_keys import NodeKeys
from quanmin.base.postgres import connect
from quanmin.base.problems import Unusable
from quanmin.fhir.table import load_table
from quanmin.node.given import Directory, SettingsFile, confirm
from quanmin.node.ledger import share_ledger
from quanmin.node.own_keys import move_keys, open_keys, seal_keys
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.resealing import RESEAL, count_under
from quanmin.node.roots import add_root, destroy_root, read_node_keys
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings
from quanmin.people import PersonIndex
from quanmin.records.codec import PATIENT, Holder, has_key
from quanmin.records.keying import INDEX, Keying
from quanmin.records.rewrapping import (
    REWRAP,
    begin_rewrapping,
    count_wrapped,
    put_rewrapping,
    refuse_used,
)
from quanmin.records.rid import bucket_of, rid_of
from quanmin.records.rotating import ROTATE, count_former, put_rotating
from quanmin.trust.sign_in.id_tokens import ID_TOKEN_KEYS, replace_key

_Told = TypeVar("_Told")
_OWNER = "node"

keys = typer.Typer(name="keys", help="See and change the node's own keys.", no_args_is_help=True)
_console = Console()


@keys.command("status")
def status(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """List the node's keys and roots, how much each wraps or seals, and how far a rotation is."""

    async def question(connection: Connection, port: NodeKeys) -> None:
        counts = await count_wrapped(connection)
        table = Table("key", "wrapped", "", box=None, padding=(0, 2))
        numbers = port.numbers()
        for number in numbers:
            text = "wraps" if number == numbers[-1] else "unwraps"
            table.add_row(str(number), f"{counts.pop(number, 0):,}", text)
        for number, count in sorted(counts.items()):
            table.add_row(str(number), f"{count:,}", "MISSING: bring it back")
        _console.print(table)
        _console.print(await _roots(connection, port))
        for job in await list_jobs(connection, kind=RESEAL, count=1):
            _console.print(f"Sealing anew: {_told(job, 'entries')}.")
        for job in await list_jobs(connection, kind=REWRAP, count=1):
            _console.print(f"Wrapping anew: {_told(job, 'data keys')}.")
        for job in await list_jobs(connection, kind=ROTATE, count=1):
            left = await count_former(connection)
            _console.print(f"New data keys: {_told(job, 'bodies sealed again')}.")
            _console.print(f"Data keys with an old one that is still needed: {left:,}.")

    _ask(directory, settings_file, question)


@keys.command("rotate")
def rotate(
    *,
    root: Annotated[
        bool,
        typer.Option(
            "--root",
            help="Make a new root, under which the node seals what is its own (second factors, "
            "reasons, the ledger, backups), and seal anew what is under the one before.",
        ),
    ] = False,
    data: Annotated[
        bool,
        typer.Option(
            "--data",
            help="Replace the data keys themselves, in the suite of `node.cipher_suite`, and seal "
            "everything again.",
        ),
    ] = False,
    person: Annotated[
        str,
        typer.Option(
            help="With --data: only those of this person; a record of theirs, Patient/id."
        ),
    ] = "",
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Make a new key, by which a job wraps every data key anew while the node runs.

    Copy the keys again afterwards: `quanmin backup --keys FILE`. With --data the node's own key
    stays, and the data keys are replaced; with --root the root is.
    """
    if root and (data or person):
        raise Unusable("One after the other: --root has nothing to do with data keys.")
    if root:
        _ask(directory, settings_file, _rotate_root)
        Epoch(Places(_settings(directory, settings_file).node.directory).roots).advance()
        return
    if person and not data:
        raise Unusable(
            "A person has data keys only: say `quanmin keys rotate --data --person ...`."
        )
    question = _rotate_data(_settings(directory, settings_file), person) if data else _rotate
    _ask(directory, settings_file, question)


async def _rotate_root(connection: Connection, port: NodeKeys) -> None:
    number, job = await add_root(connection, port, Clock().now(), _OWNER)
    _console.print(f"Root {number} seals from now on; job {job} seals anew what is under others.")
    _console.print(
        "Copy the keys again: `quanmin backup --keys FILE`. `quanmin keys status` says how far it "
        "is."
    )


async def _roots(connection: Connection, port: NodeKeys) -> Table:
    table, roots = Table("root", "sealed", "", box=None, padding=(0, 2)), port.roots()
    counts = await count_under(connection) if len(roots) > 1 else {}
    for number in roots:
        count = f"{counts.pop(number, 0):,}" if len(roots) > 1 else "all"
        table.add_row(str(number), count, "seals" if number == roots[-1] else "opens")
    for number, left in sorted(counts.items()):
        table.add_row(str(number), f"{left:,}", "MISSING: bring it back")
    return table


async def _rotate(connection: Connection, port: NodeKeys) -> None:
    number, job = await begin_rewrapping(connection, port, _OWNER)
    _console.print(f"Key {number} wraps from now on; job {job} wraps the data keys anew.")
    _console.print(
        "Copy the keys again: `quanmin backup --keys FILE`. `quanmin keys status` says how far it "
        "is."
    )


def _rotate_data(
    settings: Settings, person: str
) -> Callable[[Connection, NodeKeys], Awaitable[None]]:
    async def question(connection: Connection, port: NodeKeys) -> None:
        patients = await _patients(connection, port, settings, person) if person else None
        job = await put_rotating(connection, _OWNER, patients)
        whose = "all data keys" if patients is None else f"{len(patients):,} data keys"
        _console.print(f"Job {job} replaces {whose} and seals all that is under them again.")
        _console.print("`quanmin keys status` says how far it is.")

    return question


async def _patients(
    connection: Connection, port: NodeKeys, settings: Settings, person: str
) -> list[int]:
    """The record keys of all Patients of the person of whom one is named."""
    type_, _, id_ = person.rpartition("/")
    number = load_table().types["Patient"].number
    rid = rid_of(number, id_, settings.node.id_prefix) if type_ in {"", "Patient"} else None
    holder = None if rid is None else Holder(bucket_of(rid), PATIENT, rid)
    if rid is None or holder is None or not await has_key(connection, holder):
        raise Unusable(
            f"There is no {person!r} with a data key here: name a record of the person, Patient/id."
        )
    people = PersonIndex(Keying(port.derive(INDEX)))
    found = await people.person_of(connection, rid)
    linked = [] if found is None else await people.patients_of(connection, found)
    return sorted({rid, *linked})


@keys.command("replace-id-token-key")
def replace_id_token_key(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Sign id tokens by another key at once, and forget the old ones: somebody may have them.

    Without it a key is replaced by itself every `oauth.id_token_key_days_max`.
    """

    async def question(connection: Connection, port: NodeKeys) -> None:
        await replace_key(connection, port.rooted(ID_TOKEN_KEYS), Clock().now())

    _ask(directory, settings_file, question)
    Epoch(Places(_settings(directory, settings_file).node.directory).revoked).advance()
    _console.print("Id tokens are signed by another key from now on.")


@keys.command("retire")
def retire(
    number: Annotated[int, typer.Argument(help="The key, as `keys status` shows it.")],
    *,
    root: Annotated[bool, typer.Option("--root", help="The root of this number.")] = False,
    cut_links: Annotated[
        bool,
        typer.Option(
            "--cut-links",
            help="With --root: also while links and cookies of pages work that were given out "
            "under it.",
        ),
    ] = False,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Destroy a key that wraps nothing any more, or a root under which nothing is any more. Backups
    made before the rotation ended need it.
    """
    if cut_links and not root:
        raise Unusable("Links are under roots: say `quanmin keys retire N --root --cut-links`.")
    if not yes:
        confirm("Backups made before the rotation ended open only with a copy of this key. Go on?")

    if root:
        _retire_root(_settings(directory, settings_file), number, cuts=cut_links)
        return

    async def question(connection: Connection, port: NodeKeys) -> None:
        _refuse_unfit(port.numbers(), number, "key", "wraps")
        async with connection.transaction():
            await refuse_used(connection, number)
            port.remove(number)
        _console.print(f"Key {number} is destroyed.")

    _ask(directory, settings_file, question)


def _retire_root(settings: Settings, number: int, *, cuts: bool) -> None:
    async def question(connection: Connection, port: NodeKeys) -> None:
        _refuse_unfit(port.roots(), number, "root", "seals")
        share_ledger(places, port, settings.backup.directory)
        await destroy_root(connection, port, settings, number, Clock().now(), cuts=cuts)
        _console.print(f"Root {number} is destroyed.")

    places = Places(settings.node.directory)
    with reached_database(settings, may_make=False) as dsn:
        asyncio.run(_answer(settings, dsn, question))
    Epoch(places.roots).advance()


def _refuse_unfit(numbers: Sequence[int], number: int, what: str, does: str) -> None:
    if number not in numbers:
        raise Unusable(f"There is no {what} {number}: `quanmin keys status` shows those there are.")
    if number == numbers[-1]:
        raise Unusable(f"{what.capitalize()} {number} is the one that {does}: rotate first.")


@keys.command("move")
def move(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Bring the stopped node's keys from its folder to where the setting `keys.port` says."""
    settings = _settings(directory, settings_file)
    places = Places(settings.node.directory)
    places.prepare()
    lock = places.lock()
    if lock is None:
        raise Unusable("The node runs: stop it first with `quanmin node stop`.")
    with lock:
        number = move_keys(places, settings.keys)

    async def question(connection: Connection, _port: NodeKeys) -> None:
        job = await put_rewrapping(connection, _OWNER)
        _console.print(f"Key {number} wraps from now on; job {job} wraps the data keys anew.")
        _console.print("Start the node; `quanmin keys status` says how far it is.")

    _ask(directory, settings_file, question)


@keys.command("seal")
def seal(
    *,
    old: Annotated[
        Path | None,
        typer.Option(help="The file with the passphrase they are under now; none: they are plain."),
    ] = None,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Bring the stopped node's key files under the passphrase of `keys.passphrase_file`.

    Where that is not set, they are written openly again. Copy the keys again afterwards.
    """
    settings = _settings(directory, settings_file)
    places = Places(settings.node.directory)
    if not any(places.keys.glob("*.key")):
        raise Unusable(f"There are no keys in {places.keys}: name the right node with --directory.")
    lock = places.lock()
    if lock is None:
        raise Unusable("The node runs: stop it first with `quanmin node stop`.")
    with lock:
        count = seal_keys(places, settings.keys, old=old)
    how = "open" if settings.keys.passphrase_file is None else "sealed under the passphrase"
    _console.print(f"{count} key files were rewritten; all are {how} now.")
    _console.print("Copy the keys again: `quanmin backup --keys FILE`.")


def _told(job: Listed, what: str) -> str:
    share = f"{job.done:,}" if job.total is None else f"{job.done:,} of about {job.total:,}"
    said = f", {job.message}" if job.message else ""
    return f"job {job.number}, {job.state}, {share} {what}{said}"


def _ask(
    directory: Path | None,
    settings_file: Path | None,
    question: Callable[[Connection, NodeKeys], Awaitable[_Told]],
) -> _Told:
    settings = _settings(directory, settings_file)
    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(_answer(settings, dsn, question))


def _settings(directory: Path | None, settings_file: Path | None) -> Settings:
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    return load_settings(file=settings_file, given=given)


async def _answer(
    settings: Settings,
    dsn: str,
    question: Callable[[Connection, NodeKeys], Awaitable[_Told]],
) -> _Told:
    connection = await connect(dsn, name="quanmin keys")
    try:
        port = open_keys(Places(settings.node.directory), settings.keys, is_new=False)
        return await question(connection, await read_node_keys(connection, port))
    finally:
        await connection.close()
