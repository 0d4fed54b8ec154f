"""What institutions are called, for lists of records that name them by reference only."""

from __future__ import annotations

from collections.abc import Iterable

from quanmin.fhir.json import decode
from quanmin.web.records import DeclaredRecords


async def institution_names(records: DeclaredRecords, ids: Iterable[str]) -> dict[str, str]:
    """The names by id, in one search; those the asker may not see are left out."""
    wanted = sorted({id_ for id_ in ids if id_})
    if not wanted:
        return {}
    hits = await records.find("Organization", ("_id", ",".join(wanted)), count=len(wanted))
    found = {stored.id: decode(stored.body or b"{}") for stored in hits.matches}
    return {id_: str(resource.get("name") or "") for id_, resource in found.items()}
