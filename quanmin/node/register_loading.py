"""Takes files of institutions, practitioners and posts into the registers: all of a file or nothing
of it, or a rehearsal that leaves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, Issue, Problem
from quanmin.trust import GuardedRecords
from quanmin.trust.registers.posts import Wished, appoint
from quanmin.trust.registers.sheets import Parcel, joined

_FAULTS_MAX: Final = 100

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


class _TakenBack(Exception):  # noqa: N818 - it is no error
    """Ends a rehearsal."""


async def load_parcels(
    records: GuardedRecords, parcels: Sequence[Parcel], progress: Progress, *, is_rehearsal: bool
) -> None:
    """Enter what a file says in one transaction. Raises Invalid with every fault and its line, also
    for what the registers hold already against an entry; then nothing of the file was taken in.
    """
    if not parcels:
        return
    try:
        await _carry_out(records, parcels, is_rehearsal=is_rehearsal)
    except Problem as problem:
        raise Invalid(
            "nothing of the file was taken in",
            issues=await _located(records, parcels, problem, progress),
        ) from problem
    progress(len(parcels), len(parcels))


async def _carry_out(
    records: GuardedRecords, parcels: Sequence[Parcel], *, is_rehearsal: bool
) -> None:
    async def end(_connection: Connection) -> None:
        if is_rehearsal:
            raise _TakenBack

    try:
        await records.take_in(msgspec.json.encode(joined(parcels)), end)
    except _TakenBack:
        return


async def _located(
    records: GuardedRecords, parcels: Sequence[Parcel], problem: Problem, progress: Progress
) -> tuple[Issue, ...]:
    """What is wrong with which lines: each part of the file is tried by itself. Where none is wrong
    by itself, they are wrong together.
    """
    found: list[Issue] = []
    together = {entry["fullUrl"] for parcel in parcels for entry in parcel.bundle["entry"]}
    for number, parcel in enumerate(parcels, 1):
        try:
            await _carry_out(records, [parcel], is_rehearsal=True)
        except Problem as alone:
            if not _names_others(parcel, together):
                found += [_at_line(parcel.line, issue) for issue in alone.issues]
        progress(number, len(parcels))
        if len(found) >= _FAULTS_MAX:
            break
    return tuple(found) or problem.issues


def _names_others(parcel: Parcel, urls: set[str]) -> bool:
    """Whether it leans on other lines of the file, without which it cannot be tried."""
    own = {entry["fullUrl"] for entry in parcel.bundle["entry"]}
    named = {
        reference["reference"]
        for entry in parcel.bundle["entry"]
        for name in ("partOf", "organization")
        if (reference := entry["resource"].get(name))
    }
    return bool(named & (urls - own))


def _at_line(line: int, issue: Issue) -> Issue:
    _, _, element = issue.expression.partition(".resource.")
    where = element or issue.expression
    return msgspec.structs.replace(issue, text=f"line {line}: {issue.text}", expression=where)


async def load_posts(
    connect: Callable[[], AbstractAsyncContextManager[Connection]],
    wished: Sequence[tuple[int, Wished]],
    progress: Progress,
    *,
    at: int,
    by: str,
    is_rehearsal: bool,
) -> None:
    """Give the posts of a file, with their lines, in one transaction. Raises Invalid with every
    fault and its line and column.
    """
    found: list[Issue] = []
    async with _transaction(connect, is_rehearsal=is_rehearsal) as connection:
        for number, (line, one) in enumerate(wished, 1):
            try:
                async with connection.transaction():
                    await appoint(connection, one, at=at, by=by)
            except Problem as problem:
                found += [
                    Issue("error", issue.code, f"line {line}, {issue.expression}: {issue.text}")
                    for issue in problem.issues
                ]
            progress(number, len(wished))
        if found:
            raise Invalid("nothing of the file was taken in", issues=tuple(found[:_FAULTS_MAX]))


@asynccontextmanager
async def _transaction(
    connect: Callable[[], AbstractAsyncContextManager[Connection]], *, is_rehearsal: bool
) -> AsyncIterator[Connection]:
    async with connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield connection
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.rollback() if is_rehearsal else transaction.commit())
