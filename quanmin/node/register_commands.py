"""`quanmin registers`: institutions, practitioners, posts, proxies and admissions, from the node's
own machine.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from quanmin.base.problems import Invalid, Issue, NotFound, Problem, Unusable
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.node.first_actors import OPERATOR
from quanmin.node.given import Directory, SettingsFile, read_given_text
from quanmin.node.reach import reached_database
from quanmin.node.register_loading import load_parcels, load_posts
from quanmin.node.server import Node, open_node
from quanmin.node.settings_in_force import load_settings
from quanmin.trust import GuardedRecords
from quanmin.trust.registers import (
    Admission,
    Admissions,
    Application,
    Institutions,
    Posts,
    Proxies,
)
from quanmin.trust.registers.entry import OPEN_END, OPEN_START
from quanmin.trust.registers.institutions import Wanted
from quanmin.trust.registers.licensing import licence_rule
from quanmin.trust.registers.posts import Wished
from quanmin.trust.registers.proxies import refuse_minor
from quanmin.trust.registers.sheets import (
    PostLine,
    as_csv,
    institutions,
    posts,
    practitioners,
)

_Told = TypeVar("_Told")
_DAY: Final = timedelta(days=1)
_PAGE: Final = 1_000
_COLUMNS: Final = (
    *("credit_code", "name", "kind", "level", "grade", "region", "sender", "parent"),
    *("state", "from", "until"),
)

registers = typer.Typer(
    name="registers", help="Keep the registers that say who may act.", no_args_is_help=True
)
admission = typer.Typer(help="Admit apps, devices, parties, operators.", no_args_is_help=True)
registers.add_typer(admission, name="admission")
_console = Console()

Day = Annotated[datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day.")]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")]
Until = Annotated[
    datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="The last day.")
]
Number = Annotated[int, typer.Argument(help="The number, as it was told.")]
By = Annotated[str, typer.Option(help="Who decides: it stays with the entry.")]


class Desk(msgspec.Struct, frozen=True):
    """An open node, as its operator at the machine uses it."""

    node: Node
    zone: ZoneInfo
    dsn: str

    @property
    def records(self) -> GuardedRecords:
        """In the name of the node's operator."""
        return self.node.guard.records(OPERATOR, purpose="HOPERAT", request_id="registers")

    @property
    def now(self) -> int:
        """Microseconds since 1970-01-01T00:00Z."""
        return self.node.guard.now()

    def start(self, day: datetime | None) -> int:
        """The first moment of a day; now for none."""
        return self.now if day is None else _midnight(day.date(), self.zone)

    def end(self, day: datetime | None) -> int:
        """The first moment after a day; never for none."""
        return OPEN_END if day is None else _midnight(day.date() + _DAY, self.zone)

    def day(self, moment: int, *, is_end: bool = False) -> str:
        """A moment as its day, the last one of a period that it ends; nothing for an open end."""
        if moment in {OPEN_END, OPEN_START}:
            return ""
        moment -= 1 if is_end else 0
        return f"{datetime.fromtimestamp(moment / 1_000_000, self.zone):%Y-%m-%d}"


def at_desk(
    directory: Path | None,
    settings_file: Path | None,
    work: Callable[[Desk], Awaitable[_Told]],
    *,
    entries_max: int = 0,
) -> _Told:
    """What the work at an open node gives. `entries_max`: a transaction may have so many entries,
    if that is more than usual.
    """
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)
    entries = max(entries_max, settings.store.bundle_entries_max)
    store = msgspec.structs.replace(settings.store, bundle_entries_max=entries)
    settings = msgspec.structs.replace(settings, store=store)

    async def run(dsn: str) -> _Told:
        async with open_node(settings, dsn, connections_max=3) as node:
            return await work(Desk(node, settings.zone, dsn))

    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(run(dsn))


@registers.command()
def load(
    kind: Annotated[
        Literal["institutions", "practitioners", "posts"],
        typer.Argument(help="What the file lists."),
    ],
    file: Annotated[Path, typer.Argument(help="CSV with a first line of column names.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is wrong and enter nothing.")
    ] = False,
    by: By = OPERATOR.code,
) -> None:
    """Enter or change entries from CSV: all of the file or, when a line is at fault, nothing."""
    text = read_given_text(file)
    enter, count, entries = _entering(kind, text, file, is_rehearsal=dry_run, by=by)
    try:
        at_desk(directory, settings_file, enter, entries_max=entries)
    except Problem as problem:
        _refuse(file, problem)
    done = "could be entered; nothing was" if dry_run else "are entered"
    _console.print(f"{count} {kind} {done}.")


def _entering(
    kind: Literal["institutions", "practitioners", "posts"],
    text: str,
    file: Path,
    *,
    is_rehearsal: bool,
    by: str,
) -> tuple[Callable[[Desk], Awaitable[None]], int, int]:
    """What enters the file, how many there are in it, and how many records that is."""
    try:
        if kind == "posts":
            lines = posts(text)
            return partial(_enter_posts, lines, is_rehearsal, by), len(lines), 0
        parcels = institutions(text) if kind == "institutions" else practitioners(text)
    except Problem as problem:
        _refuse(file, problem)

    async def enter(desk: Desk) -> None:
        with _shown(f"{len(parcels)} {kind}") as progress:
            await load_parcels(desk.records, parcels, progress, is_rehearsal=is_rehearsal)

    return enter, len(parcels), sum(len(parcel.bundle["entry"]) for parcel in parcels)


async def _enter_posts(
    lines: Sequence[PostLine],
    is_rehearsal: bool,  # noqa: FBT001 - bound by `_entering`
    by: str,
    desk: Desk,
) -> None:
    wished: list[tuple[int, Wished]] = []
    faults: list[Issue] = []
    for one in lines:
        practitioner = None
        if one.staff:
            try:
                practitioner = await _practitioner(desk, one.staff)
            except NotFound as problem:
                faults.append(Issue("error", "value", f"line {one.line}, staff: {problem.text}"))
        since, until = (
            None if not day else datetime.fromisoformat(day) for day in (one.first, one.last)
        )
        given = Wished(
            one.actor,
            one.duties,
            practitioner,
            desk.start(since),
            desk.end(until),
            one.institution,
        )
        wished.append((one.line, given))
    if faults:
        raise Invalid("nothing of the file was taken in", issues=tuple(faults))
    with _shown(f"{len(lines)} posts") as progress:
        await load_posts(
            desk.node.pool.acquire, wished, progress, at=desk.now, by=by, is_rehearsal=is_rehearsal
        )


def _refuse(file: Path, problem: Problem) -> NoReturn:
    _tell(problem.issues)
    raise Unusable(f"{file}: {problem.text}") from problem


@contextmanager
def _shown(what: str) -> Iterator[Callable[[int, int], None]]:
    """A line that says how far it is."""
    columns = (SpinnerColumn(), TextColumn(what), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_console, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@registers.command("institutions")
def list_institutions(
    *,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    as_of: Day = None,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    region: Annotated[str | None, typer.Option(help="Only of divisions that begin so.")] = None,
    history: Annotated[str | None, typer.Option(help="All states of one credit code.")] = None,
) -> None:
    """Write as CSV what the register of institutions says of a day, or all of one institution."""

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        register = Institutions(desk.node.pool)
        if history is not None:
            found = list(await register.history(history.upper()))
        else:
            # The day as a whole is asked for by its noon.
            moment = desk.now if as_of is None else desk.start(as_of) + 43_200_000_000
            found, after = [], None
            while slice_ := await register.as_of(
                moment, Wanted(state=state, region=region), after=after, count=_PAGE
            ):
                found += slice_
                after = slice_[-1].code
        return [
            (
                *(one.code, one.name, one.kind, one.level, one.grade, one.region, one.sender),
                *(one.parent, one.state, desk.day(one.since), desk.day(one.until, is_end=True)),
            )
            for one in found
        ]

    sys.stdout.write(as_csv(_COLUMNS, at_desk(directory, settings_file, ask)))


@registers.command()
def appoint(
    actor: Annotated[str, typer.Argument(help="The actor who gets the post.")],
    *,
    first: From,
    last: Until = None,
    duty: Annotated[list[str] | None, typer.Option(help="A duty; may be repeated.")] = None,
    staff: Annotated[
        str | None, typer.Option(help="The staff number of the Practitioner it is.")
    ] = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Give an actor a post at the institution it writes for."""

    async def work(desk: Desk) -> int:
        practitioner = None if staff is None else await _practitioner(desk, staff)
        post = await Posts(desk.node.pool).appoint(
            actor,
            duties=duty or (),
            practitioner=practitioner,
            since=desk.start(first),
            until=desk.end(last),
            at=desk.now,
            by=by,
        )
        return post.post

    _console.print(f"Post {at_desk(directory, settings_file, work)}.")


@registers.command()
def dismiss(
    number: Number, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """End a post now."""

    async def work(desk: Desk) -> None:
        await Posts(desk.node.pool).end(number, at=desk.now)

    at_desk(directory, settings_file, work)
    _console.print(f"Post {number} has ended.")


@registers.command("posts")
def list_posts(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    as_of: Day = None,
    institution: Annotated[str | None, typer.Option(help="Only at this credit code.")] = None,
) -> None:
    """Write as CSV who holds which post on a day."""

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        moment = desk.now if as_of is None else desk.start(as_of) + 43_200_000_000
        rows: list[tuple[object, ...]] = []
        after = None
        while slice_ := await Posts(desk.node.pool).as_of(
            moment, institution=institution, after=after, count=_PAGE
        ):
            rows += [
                (
                    *(one.post, one.actor, one.role, one.institution, ";".join(one.duties)),
                    *(desk.day(one.since), desk.day(one.until, is_end=True)),
                )
                for one in slice_
            ]
            after = slice_[-1].post
        return rows

    columns = ("post", "actor", "role", "institution", "duties", "from", "until")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))


@registers.command()
def proxy(
    person: Annotated[str, typer.Argument(help="A Patient id of the one who acts.")],
    for_person: Annotated[str, typer.Argument(help="A Patient id of the one acted for.")],
    *,
    kind: Annotated[str, typer.Option(help="A kind of registers/proxies.toml.")],
    evidence: Annotated[str, typer.Option(help="What was seen.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What for, of registers/proxies.toml; all that the kind is for."),
    ] = None,
    last: Until = None,
    by: By = OPERATOR.code,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Enter that one person acts for another from now on."""

    async def work(desk: Desk) -> str:
        records = desk.records
        acting, adult = await _person(desk, records, person)
        refuse_minor(adult, datetime.fromtimestamp(desk.now / 1e6, desk.zone).date())
        acted_for, born = await _person(desk, records, for_person)
        entered = await Proxies(desk.node.pool, desk.zone).enter(
            acting,
            acted_for,
            kind=kind,
            evidence=evidence,
            born=born,
            until=desk.end(last),
            scope=scope or None,
            at=desk.now,
            by=by,
        )
        ends = desk.day(entered.until, is_end=True)
        return f"Proxy {entered.proxy}" + (f", until {ends}." if ends else ".")

    _console.print(at_desk(directory, settings_file, work))


@registers.command("end-proxy")
def end_proxy(
    number: Annotated[int, typer.Argument(help="The proxy, as `registers proxy` told it.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """End at once that one person acts for another; both are told."""

    async def work(desk: Desk) -> str:
        await Proxies(desk.node.pool, desk.zone).end(number, at=desk.now)
        await desk.node.sign_in.acting.tell_ended()
        return f"Proxy {number} has ended."

    _console.print(at_desk(directory, settings_file, work))


@admission.command("apply")
def apply_(
    party: Annotated[str, typer.Argument(help="A code for the party.")],
    *,
    kind: Annotated[str, typer.Option(help="app, device, organisation or operator.")],
    name: Annotated[str, typer.Option(help="Its name.")],
    purpose: Annotated[str, typer.Option(help="What for.")],
    member: Annotated[
        list[str], typer.Option(help="As whom it asks: client:CODE, actor:CODE or sender:CODE.")
    ],
    by: By,
    country: Annotated[
        str, typer.Option(help="Where what it is handed would go, if outside: ISO 3166-1.")
    ] = "",
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Enter an application; whoever does neither reviews nor admits it."""
    pairs = [tuple(text.split(":", 1)) if ":" in text else (text, "") for text in member]
    application: Any = Application(
        party=party,
        kind=kind,
        name=name,
        purpose=purpose,
        members=tuple(pairs),  # type: ignore[arg-type]  # checked when it is entered
        country=country,
    )
    _step(
        directory,
        settings_file,
        lambda all_, at: all_.apply(application, at=at, by=by),
    )


@admission.command()
def review(
    number: Number,
    *,
    opinion: Annotated[str, typer.Option(help="What was looked at and found.")],
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="It is not recommended.")] = False,
) -> None:
    """Say what the review of an application found."""
    _step(
        directory,
        settings_file,
        lambda all_, at: all_.review(
            number, is_recommended=not refuse, opinion=opinion, at=at, by=by
        ),
    )


@admission.command()
def admit(
    number: Number,
    *,
    agreement: Annotated[str, typer.Option(help="The agreement that was signed.")],
    first: From,
    last: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day.")],
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Admit a reviewed application from one day to another."""

    async def work(desk: Desk) -> Admission:
        return await Admissions(desk.node.pool).admit(
            number,
            agreement=agreement,
            since=desk.start(first),
            until=desk.end(last),
            at=desk.now,
            by=by,
        )

    _told(at_desk(directory, settings_file, work))


@admission.command()
def withdraw(
    number: Number,
    *,
    reason: Annotated[str, typer.Option(help="Why.")],
    by: By,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Stop a party now, whatever it holds."""
    _step(
        directory,
        settings_file,
        lambda all_, at: all_.withdraw(number, reason=reason, at=at, by=by),
    )


@admission.command("list")
def list_admissions(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
) -> None:
    """Write as CSV who applied and what became of it."""

    async def ask(desk: Desk) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        after = 0
        while slice_ := await Admissions(desk.node.pool).all(state=state, after=after, count=_PAGE):
            rows += [
                (
                    *(one.admission, one.party, one.kind, one.name, one.state, one.agreement),
                    "" if one.since is None else desk.day(one.since),
                    "" if one.until is None else desk.day(one.until, is_end=True),
                )
                for one in slice_
            ]
            after = slice_[-1].admission
        return rows

    columns = ("admission", "party", "kind", "name", "state", "agreement", "from", "until")
    sys.stdout.write(as_csv(columns, at_desk(directory, settings_file, ask)))


def _step(
    directory: Path | None,
    settings_file: Path | None,
    step: Callable[[Admissions, int], Awaitable[Admission]],
) -> None:
    async def work(desk: Desk) -> Admission:
        return await step(Admissions(desk.node.pool), desk.now)

    _told(at_desk(directory, settings_file, work))


def _told(found: Admission) -> None:
    _console.print(f"Admission {found.admission} of {found.party} is {found.state}.", markup=False)


def _tell(issues: Sequence[Issue]) -> None:
    for issue in issues:
        where = f"{issue.expression}: " if issue.expression else ""
        _console.print(f"  {where}{issue.text}", markup=False, soft_wrap=True)


async def _practitioner(desk: Desk, staff: str) -> int:
    """The key of the register's Practitioner with a staff number. Raises NotFound."""
    system = licence_rule().address.staff
    query = parse_query(
        "Practitioner",
        [("identifier", f"{system}|{staff}")],
        strict=True,
        zone=desk.zone,
        limits=QueryLimits(),
    )
    hits = await desk.records.search(query)
    if len(hits.matches) != 1:
        raise NotFound("no one Practitioner of the register has this staff number")
    return hits.matches[0].rid


async def _person(desk: Desk, records: GuardedRecords, id_: str) -> tuple[int, date | None]:
    """The person a Patient is linked to, and the birth date it states. Raises NotFound."""
    stored = await records.read("Patient", id_)
    async with desk.node.guard.store.glancing() as connection:
        person = await desk.node.guard.people.person_of(connection, stored.rid)
    if person is None:
        raise NotFound(
            "this Patient is linked to no person: an identity number that agrees does it"
        )
    born = msgspec.json.decode(stored.body or b"{}").get("birthDate")
    return person, date.fromisoformat(born) if born and len(born) == len("2020-01-01") else None


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp()) * 1_000_000
