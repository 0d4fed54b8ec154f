"""`quanmin decide`: why somebody can or cannot see a record, in the words of the pages."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from quanmin.node.first_actors import OPERATOR
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.reach import reached_database
from quanmin.node.server import open_node
from quanmin.node.settings_in_force import load_settings
from quanmin.trust.deciding.purposes import purposes
from quanmin.trust.deciding.wording import Wording
from quanmin.trust.decisions import Asked, Decisions, Explained

_MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
_REFUSED: Final = 1
_console = Console()


def decide(  # noqa: PLR0917 - options, each by its name
    record: Annotated[str, typer.Option(help="Which record: type and id, Observation/q123.")],
    actor: Annotated[str, typer.Option(help="Who: the code of an account.")] = "",
    institution: Annotated[str, typer.Option(help="Or anybody at this institution ...")] = "",
    role: Annotated[str, typer.Option(help="... in this role.")] = "",
    purpose: Annotated[str, typer.Option(help="The purpose of use.")] = purposes().default,
    client: Annotated[str, typer.Option(help="Through which application.")] = "",
    application: Annotated[
        str, typer.Option(help="On pages of which application of this node.")
    ] = "",
    at: Annotated[
        datetime | None, typer.Option(formats=_MOMENTS, help="At which moment; else now.")
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="The language.")] = "en",
    directory: Directory = None,
    settings_file: SettingsFile = None,
    *,
    is_self: Annotated[
        bool, typer.Option("--self", help="Or the person whom the record is about.")
    ] = False,
) -> None:
    """Why somebody can or cannot see a record: each rule, and what it found. Ends with 1 when they
    cannot. The question is in the access log; what the record says is not shown.
    """
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)
    moment = None
    if at is not None:
        moment = int(at.replace(tzinfo=settings.zone).timestamp() * 1_000_000)
    asked = Asked(
        record=record,
        purpose=purpose,
        actor=actor,
        institution=institution,
        role=role,
        is_self=is_self,
        client=client,
        application=application,
        moment=moment,
    )

    async def ask(dsn: str) -> Explained:
        async with open_node(settings, dsn, connections_max=3) as node:
            records = node.guard.records(OPERATOR, purpose="HSYSADMIN", request_id="decide")
            return await records.desk(Decisions).explain(asked)

    with reached_database(settings, may_make=False) as dsn:
        explained = asyncio.run(ask(dsn))
    _tell(explained, language, settings.zone)
    if explained.answer.seen == "no" or explained.answer.obstacles:
        raise typer.Exit(_REFUSED)


def _tell(explained: Explained, language: Literal["en", "zh"], zone: ZoneInfo) -> None:
    wording = Wording(
        language,
        name_sender=lambda number: explained.senders.get(number, f"#{number}"),
        name_source=lambda rid: explained.sources.get(rid, ""),
        tell_moment=lambda moment: f"{datetime.fromtimestamp(moment / 1e6, zone):%Y-%m-%d %H:%M}",
    )
    _say(wording.answer(explained.answer))
    if explained.is_past:
        moment = f"{datetime.fromtimestamp(explained.moment / 1e6, zone):%Y-%m-%d %H:%M}"
        _say(wording.remark("past", moment=moment))
    if explained.is_deleted:
        _say(wording.remark("deleted"))
    for one in (*explained.answer.obstacles, *explained.answer.changes):
        for line in wording.finding(one):
            _say(f"- {line}")
    for step in explained.answer.steps:
        told = wording.step(step)
        _say(f"\n{told.id} {told.version}: {told.outcome}\n  {told.sentence}")
        for line in told.why:
            _say(f"  - {line}")


def _say(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)
