"""What the register of institutions says as of a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Database

_COLUMNS: Final = (
    "i.organization, e.id, i.code, i.sender, i.name, i.level, i.grade, i.kind, i.region,"
    " p.id as parent, i.tenant, i.state, i.since, i.until"
)
_FROM: Final = (
    "from trust.institution i join trust.institution_entry e using (organization)"
    " left join trust.institution_entry p on p.organization = i.parent"
)
_AS_OF: Final = f"""
    select {_COLUMNS} {_FROM}
    where i.since <= $1 and i.until > $1
        and ($2::text is null or i.state = $2)
        and ($3::text is null or i.level = $3)
        and ($4::text is null or i.kind = $4)
        and ($5::text is null or i.region like $5)
        and ($6::text is null or strpos(i.name, $6) > 0 or i.code = upper($6))
        and ($7::text is null or i.code > $7)
    order by i.code limit $8
"""
_HISTORY: Final = f"""
    select {_COLUMNS} {_FROM} where e.id = $1 or i.code = $1 order by i.since
"""


class Institution(msgspec.Struct, frozen=True):
    """An institution as it is, was or will be from `since` until before `until`; `id` and `parent`
    are those of Organizations.
    """

    organization: int
    id: str
    code: str
    sender: str
    name: str
    level: str | None
    grade: str | None
    kind: str | None
    region: str
    parent: str | None
    tenant: str
    state: str
    since: int
    until: int


class Wanted(msgspec.Struct, frozen=True):
    """Which institutions are asked for; None: any. `region` is what a division begins with, `text`
    a part of the name or the whole code.
    """

    state: str | None = None
    level: str | None = None
    kind: str | None = None
    region: str | None = None
    text: str | None = None


class Institutions:
    """Questions to the register; it names no person, so nothing of it is noted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def as_of(
        self, moment: int, wanted: Wanted | None = None, *, after: str | None = None, count: int
    ) -> Sequence[Institution]:
        """What the register says of this moment, by code, from the code `after` on."""
        wanted = wanted or Wanted()
        region = None if wanted.region is None else f"{_literal(wanted.region)}%"
        rows = await self._database.fetch(
            _AS_OF,
            moment,
            wanted.state,
            wanted.level,
            wanted.kind,
            region,
            wanted.text,
            after,
            count,
        )
        return [Institution(*row) for row in rows]

    async def history(self, id_or_code: str) -> Sequence[Institution]:
        """What an institution was from when to when, oldest first; nothing for an unknown one."""
        return [Institution(*row) for row in await self._database.fetch(_HISTORY, id_or_code)]


def _literal(text: str) -> str:
    """The text with nothing in it that LIKE would read."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
