"""The sets of security labels that records have, each under a small number of its own.

The number stands in the row and in the indexes by which whose records are read, so that what an
asker may not see for its labels is passed over in the index. It is worked out where the labels are
written. Numbers are given without a gap, one transaction after the other, and are never taken back:
who knows as many as there are knows all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from quanmin.base.database import Connection

UNLABELLED: Final = 0
"""The number of no label, for which a row has null."""
OTHERS: Final = -1
"""The number of all sets beyond those that have one."""
_SETS_MAX: Final = 1_000
# Whoever numbers a set waits for others who do.
_ALONE: Final = "select last from records.label_count for update"
_COUNT: Final = "update records.label_count set last = $1"
_ALL: Final = "select number, labels from records.label_set"
_LAST: Final = "select last from records.label_count"
_ENTER: Final = "insert into records.label_set (number, labels) values ($1, $2)"

Labels = frozenset[int]


def of_row(alias: str) -> str:
    """The number of a row's set, as it stands in the indexes."""
    return f"(case when {alias}.apart is null then {UNLABELLED}::smallint else {alias}.apart end)"


Rows = Callable[[str], Awaitable[Sequence[Any]]]


class LabelSets:
    """What one process knows of them."""

    def __init__(self) -> None:
        self._known: dict[Labels, int] = {frozenset(): UNLABELLED}

    async def numbers(
        self, connection: Connection, wanted: Iterable[Labels]
    ) -> Mapping[Labels, int]:
        """The numbers of these sets; those that have none yet get one in the caller's transaction.
        What comes of it is `learn`ed when that is committed.
        """
        several = set(wanted)
        if several <= self._known.keys():
            return self._known
        found = dict(self._known)
        if len(found) <= _SETS_MAX:
            await connection.execute(_ALONE)
            found |= _read(await connection.fetch(_ALL))
            fresh = sorted(map(sorted, several - found.keys()))
            for labels in fresh[: _SETS_MAX + 1 - len(found)]:
                number = found[frozenset(labels)] = len(found)
                await connection.execute(_ENTER, number, labels)
                await connection.execute(_COUNT, number)
        return found | dict.fromkeys(several - found.keys(), OTHERS)

    def learn(self, committed: Mapping[Labels, int]) -> None:
        """Remember what has been committed."""
        self._known |= {labels: n for labels, n in committed.items() if n != OTHERS}

    async def all(self, rows: Rows) -> Mapping[Labels, int]:
        """The numbers of all sets that there are for whoever reads `rows`. To ask takes one row."""
        last = (await rows(_LAST))[0]["last"]
        if last >= len(self._known):
            self._known |= _read(await rows(_ALL))
        return self._known

    @property
    def is_full(self) -> bool:
        """Whether there may be sets without a number of their own."""
        return len(self._known) > _SETS_MAX


def _read(rows: Sequence[Any]) -> dict[Labels, int]:
    return {frozenset(row["labels"]): row["number"] for row in rows}
