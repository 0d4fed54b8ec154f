"""What institutions are called, and which of them something goes to, by the register."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from quanmin.fhir.json import Json, decode
from quanmin.trust import Actor, Stored
from quanmin.trust.registers import Institution, Wanted
from quanmin.trust.registers.definitions import institution_rule
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit


async def institution_names(records: DeclaredRecords, ids: Iterable[str]) -> dict[str, str]:
    """The names by id, in one search; those the asker may not see are left out."""
    wanted = sorted({id_ for id_ in ids if id_})
    if not wanted:
        return {}
    hits = await records.find("Organization", ("_id", ",".join(wanted)), count=len(wanted))
    found = {stored.id: decode(stored.body or b"{}") for stored in hits.matches}
    return {id_: str(resource.get("name") or "") for id_, resource in found.items()}


def tell_sender(visit: Visit, code: str, name: str) -> str:
    """Who sent something: the platform itself, else by name, else by code."""
    is_own = code in institution_rule().register.senders
    return visit.say("This platform") if is_own else name or code


async def sender_words(
    visit: Visit, records: DeclaredRecords, versions: Sequence[Stored]
) -> dict[int, str]:
    """The same of who sent these versions, by their number in `facts`."""
    found = await records.senders(versions)
    return {number: tell_sender(visit, one.code, one.name) for number, one in found.items()}


# By how many digits of a division (GB/T 2260) institutions of a level are told from others.
_DIGITS: Final = {"county": 6, "city": 4, "province": 2}


def code_of(actor: Actor) -> str:
    """Under which code something is addressed to whom an actor works for."""
    return actor.place.institution or actor.sender


async def own_name(records: DeclaredRecords, actor: Actor) -> str:
    """What the register calls the actor's institution; "" for one that is not in it."""
    code = actor.place.institution
    found = await records.institutions(None, Wanted(text=code), count=1) if code else ()
    return found[0].name if found else ""


async def nearest(records: DeclaredRecords, kind: str, division: str) -> Institution | None:
    """The active institution of a kind (WS 218) for a division: that of the county, else of its
    city, else of its province; None for none in the register.
    """
    return await _first(records, kind, division, list(_DIGITS))


async def above(records: DeclaredRecords, actor: Actor) -> Institution | None:
    """The institution of the actor's kind at the next level above where there is one."""
    levels = list(_DIGITS)
    if actor.place.level not in _DIGITS:
        return None
    higher = levels[levels.index(actor.place.level) + 1 :]
    return await _first(records, actor.place.kind, actor.place.region, higher)


async def at_level(
    records: DeclaredRecords, kind: str, division: str, level: str
) -> Institution | None:
    """The institution of a kind at a level for a division; None for none in the register."""
    return await _first(records, kind, division, [level])


async def _first(
    records: DeclaredRecords, kind: str, division: str, levels: Iterable[str]
) -> Institution | None:
    for level in levels:
        digits = division[: _DIGITS[level]]
        if len(digits) < _DIGITS[level]:
            continue
        wanted = Wanted(state="active", level=level, kind=kind, region=digits)
        found = await records.institutions(None, wanted, count=1)
        if found:
            return found[0]
    return None


def as_owner(institution: Institution) -> Json:
    """The institution as who has a case now (Task.owner)."""
    return {"identifier": {"value": institution.code}, "display": institution.name}


def owner_of(task: Json) -> str:
    """The code of who has a case now; "" for nobody."""
    return str(((task.get("owner") or {}).get("identifier") or {}).get("value") or "")
