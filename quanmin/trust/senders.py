"""Who sent a record: the code that a sender writes under, and what it is called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from quanmin.base.database import Connection

NAME_OF_SENDER: Final = """
    coalesce(
        (select i.name from trust.institution i
         where i.sender = {code} and i.since <= {now} and i.until > {now} limit 1),
        (select o.name from trust.actor o
         where o.sender = {code} and o.sender <> ''
             and o.role = 'institution' and o.account is null
         order by o.code limit 1)
    )
"""
"""What a sender is called at a moment: by the register of institutions, else as its system was
enrolled.
"""
_SENDERS: Final = f"""
    select s.sender, s.code, {NAME_OF_SENDER.format(code="s.code", now="$2::bigint")} as name
    from records.sender s where s.sender = any($1::int[])
"""  # noqa: S608 - constants of this module


class Sender(msgspec.Struct, frozen=True):
    """A sender; `name` is "" for one that neither the register nor an enrolment names."""

    code: str = ""
    name: str = ""


async def senders_of(connection: Connection, numbers: Iterable[int], now: int) -> dict[int, Sender]:
    """Senders by their number in the facts of a record, at a moment (microseconds)."""
    rows = await connection.fetch(_SENDERS, [*set(numbers)], now)
    return {row["sender"]: Sender(row["code"], row["name"] or "") for row in rows}
