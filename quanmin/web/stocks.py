"""Lots in stores, as applications find them, and whether one may be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

from quanmin.fhir.json import Json, decode, encode
from quanmin.trust import Stored
from quanmin.web.dates import from_micros
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit
from quanmin.workflow.stock import (
    LOT_SYSTEM,
    PRODUCT_SYSTEM,
    Lot,
    Store,
    lot_of,
    lot_unfit,
    products,
    stores,
)
from quanmin.workflow.stock.lots import criteria_of
from quanmin.workflow.vaccination import LABEL

RECALL_SYSTEM: Final = "https://quanmin.example/fhir/NamingSystem/lot-recall"
_NUMBERED: Final = "https://quanmin.example/fhir/NamingSystem/lot-recall-number"
_LIFTED: Final = "https://quanmin.example/fhir/StructureDefinition/recall-lifted"
TEMPERATURE: Final = ("https://quanmin.example/fhir/CodeSystem/measure", "storage-temperature")
STORE_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/store"
LOTS_MAX: Final = 200
ON_HAND: Final = ("quantity", "gt0")
"""What is asked of lots (Substances) for those of which any is left."""
# Of a reading that was not taken back.
_READ: Final = "registered,preliminary,final,amended,corrected,unknown"
_STORES_MAX: Final = 200
_RECALLS_MAX: Final = 50


def now_of(visit: Visit) -> datetime:
    """This moment, by the clock of where the node stands."""
    return from_micros(visit.house.guard.now(), visit.house.settings.zone)


def name_of(visit: Visit, product: str) -> str:
    """What a product is called."""
    known = products().get(product)
    return known.told(visit.language) if known else product


async def stores_of(records: DeclaredRecords) -> list[Json]:
    """The stores of the institution."""
    hits = await records.find("Device", ("type", f"{STORE_SYSTEM}|"), count=_STORES_MAX)
    found = [decode(one.body or b"{}") for one in hits.matches]
    return [one for one in found if kind_of_store(one) is not None]


def called(device: Json) -> str:
    """The name of a store, with its site."""
    name = next((one["name"] for one in device.get("deviceName", [])), device["id"])
    site = device.get("location", {}).get("display", "")
    return f"{site} · {name}" if site else str(name)


async def lots_of(records: DeclaredRecords, product: str, number: str) -> list[Lot]:
    """The lots of a product by their number, in the stores that the asker sees."""
    hits = await records.find(
        "Substance",
        ("code", criteria_of(PRODUCT_SYSTEM, product)),
        ("container-identifier", criteria_of(LOT_SYSTEM, number)),
        count=LOTS_MAX,
    )
    return lots_in(hits.matches)


def lots_in(found: Sequence[Stored]) -> list[Lot]:
    """The lots among stored Substances."""
    read = [lot_of(decode(one.body or b"{}"), one.version) for one in found]
    return [one for one in read if one is not None]


async def recalls_of(records: DeclaredRecords, product: str, number: str) -> list[Json]:
    """The recalls of a lot, wherever it is, those that were lifted among them, newest first."""
    asked = ("identifier", criteria_of(RECALL_SYSTEM, f"{product}|{number}"))
    hits = await records.find("Basic", asked, ("_sort", "-created"), count=_RECALLS_MAX)
    return [decode(one.body or b"{}") for one in hits.matches]


async def recalled_among(
    records: DeclaredRecords, lots: Sequence[Lot]
) -> frozenset[tuple[str, str]]:
    """Which of these lots, by product and number, a recall holds for, wherever they are."""
    values = sorted({f"{one.product}|{one.number}" for one in lots})
    if not values:
        return frozenset()
    tokens = ",".join(criteria_of(RECALL_SYSTEM, value) for value in values)
    hits = await records.find("Basic", ("identifier", tokens), count=_RECALLS_MAX * len(values))
    recalls = [decode(one.body or b"{}") for one in hits.matches]
    held = {
        str(name["value"])
        for one in recalls
        for name in one["identifier"]
        if is_recalled(one) and name.get("system") == RECALL_SYSTEM
    }
    return frozenset(
        (one.product, one.number) for one in lots if f"{one.product}|{one.number}" in held
    )


async def may_lift(visit: Visit, records: DeclaredRecords, recall: Json) -> bool:
    """Whether the visitor's institution has recalled the lot: no other lifts it."""
    stored = await records.read("Basic", recall["id"])
    senders = await records.senders([stored])
    return visit.actor is not None and senders[stored.facts.sender].code == visit.actor.sender


def is_recalled(recall: Json) -> bool:
    """Whether a recall holds: it does until it is lifted."""
    return not any("end" in _period(one) for one in recall.get("identifier", []))


def recalled_since(recall: Json, zone: tzinfo) -> datetime:
    """From when on a recall holds; of one that tells no moment from the beginning of its day."""
    starts = [one["period"]["start"] for one in recall["identifier"] if "start" in _period(one)]
    since = datetime.fromisoformat(starts[0] if starts else recall["created"])
    return since if since.tzinfo else since.replace(tzinfo=zone)


def is_entered_since(dose: Json, moment: datetime) -> bool:
    """Whether a dose says that it was entered at a moment or later."""
    recorded = str(dose.get("recorded", ""))
    return "T" in recorded and datetime.fromisoformat(recorded) >= moment


def _period(name: Json) -> Json:
    return name.get("period", {})


def recalling(product: str, number: str, earlier: int, moment: datetime, reason: str) -> Json:
    """The entry that recalls a lot which was recalled so many times before: of two who do so at
    once there is one.
    """
    since = {"start": moment.isoformat(timespec="seconds")}
    value = f"{product}|{number}"
    numbered = f"{value}|{earlier}"
    body = {
        "resourceType": "Basic",
        "meta": {"security": [LABEL]},
        "identifier": [
            {"system": RECALL_SYSTEM, "value": value, "period": since},
            {"system": _NUMBERED, "value": numbered},
        ],
        "code": {"coding": [{"system": PRODUCT_SYSTEM, "code": product}], "text": reason},
        "created": moment.date().isoformat(),
    }
    once = f"identifier={criteria_of(_NUMBERED, numbered)}"
    request = {"method": "POST", "url": "Basic", "ifNoneExist": once}
    return {"resource": decode(encode(body)), "request": request}


def lifting(recall: Json, day: date, reason: str) -> Json:
    """The entry that lifts a recall, on top of the version that was read."""
    end = {"end": day.isoformat()}
    names = [
        {**one, "period": {**_period(one), **end}} if one.get("system") == RECALL_SYSTEM else one
        for one in recall["identifier"]
    ]
    why = {"url": _LIFTED, "valueString": reason}
    body = {**recall, "identifier": names, "extension": [*recall.get("extension", []), why]}
    version = recall.get("meta", {}).get("versionId")
    request = {"method": "PUT", "url": f"Basic/{recall['id']}", "ifMatch": f'W/"{version}"'}
    return {"resource": body, "request": request}


def lifted(recall: Json) -> tuple[str, str]:
    """When a recall was lifted, and why."""
    ends = [one["period"]["end"] for one in recall["identifier"] if "end" in _period(one)]
    why = [one["valueString"] for one in recall.get("extension", []) if one["url"] == _LIFTED]
    return next(iter(ends), ""), next(iter(why), "")


def kind_of_store(device: Json) -> Store | None:
    """The kind of store that a Device is; None for a Device of another sort."""
    codings = device.get("type", {}).get("coding", [])
    code = next((one.get("code") for one in codings if one.get("system") == STORE_SYSTEM), "")
    return stores().get(code or "")


def reading_of(observation: Json) -> tuple[datetime, Decimal] | None:
    """When a temperature was read, and which (°C); None for an Observation that tells none."""
    value = observation.get("valueQuantity", {}).get("value")
    at = observation.get("effectiveDateTime", "")
    if value is None or "T" not in at:
        return None
    return datetime.fromisoformat(at), Decimal(str(value))


async def readings_of(
    records: DeclaredRecords, device: str, *asked: tuple[str, str], count: int
) -> list[tuple[datetime, Decimal]]:
    """Readings of a store, newest first, without those that were mistaken."""
    hits = await records.find(
        "Observation",
        ("device", f"Device/{device}"),
        ("code", "|".join(TEMPERATURE)),
        ("status", _READ),
        *asked,
        ("_sort", "-date"),
        count=count,
    )
    read = [reading_of(decode(one.body or b"{}")) for one in hits.matches]
    return [one for one in read if one is not None]


async def is_beyond(records: DeclaredRecords, store: str) -> bool:
    """Whether the last reading of a store is beyond its limits."""
    kind = kind_of_store(decode((await records.read("Device", store)).body or b"{}"))
    last = await readings_of(records, store, count=1)
    return kind is not None and any(not kind.keeps(one) for _, one in last)


async def unfit(records: DeclaredRecords, lot: Lot, moment: datetime) -> tuple[str, ...]:
    """Why a lot must not be used at a moment, now or one before: expired by then, none left now,
    recalled by then, or by then read beyond the limits of its store since it is there and was
    judged last. Moments are entered to the minute, so what is of that minute counts. Nothing says
    that it may be.
    """
    until = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    reasons = list(lot_unfit(lot, moment.astimezone(records.zone).date()))
    recalls = await recalls_of(records, lot.product, lot.number)
    if any(is_recalled(one) and recalled_since(one, records.zone) < until for one in recalls):
        reasons.append("recalled")
    device = decode((await records.read("Device", lot.store)).body or b"{}")
    kind = kind_of_store(device)
    begins = lot.since if lot.judged is None else max(lot.since, lot.judged)
    dates = (f"gt{begins.isoformat(timespec='seconds')}", f"lt{until.isoformat()}")
    within = [("date", one) for one in dates]
    if kind is None:
        return (*reasons, "store-unknown")
    for bound in (f"lt{kind.least}", f"gt{kind.most}"):
        if await readings_of(records, lot.store, *within, ("value-quantity", bound), count=1):
            return (*reasons, "cold-chain-broken")
    return tuple(reasons)
