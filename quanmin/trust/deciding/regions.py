"""The institutions of a region, by the register."""

from __future__ import annotations

from typing import Final

from quanmin.base.database import Reader
from quanmin.trust.deciding.rules import own_digits

_OF_REGION: Final = """
    select s.sender from trust.institution i
    join trust.institution_entry e using (organization)
    join records.sender s on s.code = e.sender
    where i.since <= $2 and i.until > $2 and starts_with(i.region, $1)
"""


async def senders_of_region(reader: Reader, region: str, now: int) -> frozenset[int]:
    """The sender numbers of institutions in a division (GB/T 2260) and those below it; each pair of
    digits but 00 is one level.
    """
    own = own_digits(region)
    if not own:
        return frozenset()
    rows = await reader.fetch(_OF_REGION, own, now)
    return frozenset(row["sender"] for row in rows)
