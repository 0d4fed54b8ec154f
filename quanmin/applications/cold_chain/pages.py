"""Stores and their temperatures: readings, excursions, and the lots that they touch."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import NotFound
from quanmin.fhir.json import Json, decode, encode
from quanmin.trust import Role
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.charts import Band, Series, line_chart
from quanmin.web.forms import Cell, Field, Sent, choices, form_page
from quanmin.web.route import Charge
from quanmin.web.sheet import sheet
from quanmin.web.stocks import (
    ON_HAND,
    STORE_SYSTEM,
    TEMPERATURE,
    called,
    kind_of_store,
    lots_in,
    name_of,
    now_of,
    readings_of,
    stores_of,
)
from quanmin.web.tables import Heading, Table, known, table
from quanmin.workflow.stock import PRODUCT_SYSTEM, Excursion, Lot, excursions, stores
from quanmin.workflow.stock.cold_chain import silence

VACCINATORS: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
STAFF: Final = Access(VACCINATORS, Charge(frozenset({"immunization"}), VACCINATORS))
COLD_CHAIN: Final = "/cold-chain"
_READINGS: Final = 400
_LINES_MAX: Final = 200
_SLACK: Final = timedelta(minutes=5)
_COLDEST, _HOTTEST = Decimal(-90), Decimal(60)


@table(COLD_CHAIN, access=STAFF, name="cold-chain")
async def every_store(visit: Visit, records: DeclaredRecords) -> Table:
    """The stores of the institution, each with its last reading."""
    say, rows = visit.say, []
    for device in await stores_of(records):
        kind, last = kind_of_store(device), await readings_of(records, device["id"], count=1)
        if kind is None:
            continue
        at, celsius = last[0] if last else (None, None)
        is_silent = at is None or now_of(visit) - at > silence()
        is_beyond = celsius is not None and not kind.keeps(celsius)
        tag = say("beyond its limits") if is_beyond else say("no reading") if is_silent else ""
        rows.append(
            [
                Cell(called(device), f"{COLD_CHAIN}/{device['id']}"),
                Cell(kind.told(visit.language)),
                Cell("" if celsius is None else f"{celsius} °C", is_number=True, tag=tag,
                     is_warning=bool(tag)),
                Cell("" if at is None else _moment(visit, at), is_number=True),
                Cell(f"{kind.least} – {kind.most} °C", is_number=True),
            ]
        )  # fmt: skip
    headings = [
        Heading(one)
        for one in (say("Store"), say("Kind"), say("Last reading"), say("When"), say("Limits"))
    ]
    return Table(
        title=say("Stores and temperatures"),
        headings=headings,
        fetch=known(rows, headings, ""),
        empty=say("Enter a store to begin."),
        actions=[
            (say("Enter a store"), f"{COLD_CHAIN}/new"),
            (say("To the stock"), "/vaccine-stock"),
        ],
    )


@page(f"{COLD_CHAIN}/new", access=STAFF, methods=("GET", "POST"))
async def new_store(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter a store: a refrigerator of a site."""
    say, sent = visit.say, Sent(visit)
    fields = [
        Field("name", say("Name"), is_needed=True, length_max=60),
        Field("site", say("Site"), hint=say("The room or place where it stands"), is_needed=True,
              length_max=60),
        Field("kind", say("Kind"), "select", is_needed=True,
              choices=[("", ""), *choices(visit, stores().values())]),
    ]  # fmt: skip
    shown: dict[str, Any] = {"button": say("Enter"), "back": COLD_CHAIN}
    if visit.request.method == "GET":
        return form_page(visit, say("Enter a store"), fields, **shown)
    name, site = sent.text("name", is_needed=True), sent.text("site", is_needed=True)
    kind = sent.choice("kind", stores(), is_needed=True)
    if not sent.is_sound:
        return form_page(visit, say("Enter a store"), fields, sent=sent, **shown)
    body = {
        "resourceType": "Device",
        "status": "active",
        "deviceName": [{"name": name, "type": "user-friendly-name"}],
        "type": {"coding": [{"system": STORE_SYSTEM, "code": kind, "display": stores()[kind].zh}]},
        "location": {"display": site},
    }
    stored = (await records.create("Device", encode(body))).stored
    return visit.go(f"{COLD_CHAIN}/{stored.id}")


@page(f"{COLD_CHAIN}/{{id}}", access=STAFF, methods=("GET", "POST"))
async def one_store(visit: Visit, records: DeclaredRecords) -> Response:
    """The readings of a store as a chart with its table, excursions with the lots they touch, and
    the form for readings.
    """
    say, sent = visit.say, Sent(visit)
    device = decode((await records.read("Device", visit.path("id"))).body or b"{}")
    kind = kind_of_store(device)
    if kind is None:
        raise NotFound("this is no store for vaccines")
    field = Field("readings", say("Readings"))
    if visit.request.method == "POST":
        read = _read_lines(visit, sent)
        if sent.is_sound:
            bodies = [encode(_observation(device["id"], at, celsius)) for at, celsius in read]
            await records.create_all("Observation", bodies)
            return visit.go(f"{COLD_CHAIN}/{device['id']}")
    readings = sorted(await readings_of(records, device["id"], count=_READINGS))
    chart = line_chart(
        visit.pen,
        "temperature",
        say("Temperature"),
        [_moment(visit, at) for at, _ in readings],
        [Series(say("Temperature"), [float(celsius) for _, celsius in readings])],
        unit="°C",
        band=Band(say("limits"), float(kind.least), float(kind.most)),
        at=[at.timestamp() for at, _ in readings],
    ) if readings else None  # fmt: skip
    lots = await _lots_in(visit, records, device["id"])
    return visit.page(
        "cold_chain/store.html",
        status=200 if sent.is_sound else 422,
        name=called(device),
        kind=kind.told(visit.language),
        limits=f"{kind.least} – {kind.most} °C",
        chart=chart,
        sheet=f"{COLD_CHAIN}/{device['id']}/readings.csv",
        excursions=[_told(visit, one, lots) for one in reversed(excursions(kind, readings))],
        field=sent.shown([field])[0] if visit.request.method == "POST" else field,
        lots=[(one, name_of(visit, one.product), f"/vaccine-stock/{one.id}") for one in lots],
        now=f"{now_of(visit):%Y-%m-%dT%H:%M}",
    )


async def _lots_in(visit: Visit, records: DeclaredRecords, device: str) -> list[Lot]:
    """The lots of a store of which any is left. Raises TooCostly where all stores have too many."""
    rows_max = visit.house.settings.pages.counted_max
    asked = (("code", f"{PRODUCT_SYSTEM}|"), ON_HAND)
    found = [one async for one in records.every("Substance", *asked, rows_max=rows_max)]
    return [one for one in lots_in(found) if one.store == device]


def _told(visit: Visit, one: Excursion, lots: list[Lot]) -> dict[str, Any]:
    touched = [lot for lot in lots if one.touches(lot.since, lot.judged)]
    return {
        "begins": _moment(visit, one.begins),
        "ends": "" if one.ends is None else _moment(visit, one.ends),
        "extreme": f"{one.extreme} °C",
        "lots": [(f"{name_of(visit, lot.product)} {lot.number}", f"/vaccine-stock/{lot.id}")
                 for lot in touched],
    }  # fmt: skip


def _moment(visit: Visit, at: datetime) -> str:
    return f"{at.astimezone(visit.house.settings.zone):%Y-%m-%d %H:%M}"


def _read_lines(visit: Visit, sent: Sent) -> list[tuple[datetime, Decimal]]:
    """Readings, one a line: a moment and °C with a blank or comma between, as loggers do."""
    read: list[tuple[datetime, Decimal]] = []
    text = visit.sent.get("readings", "").replace("：", ":").replace("，", ",")
    lines = [line for line in text.splitlines() if line.strip()]
    zone, now = visit.house.settings.zone, now_of(visit)
    for number, line in enumerate(lines[: _LINES_MAX + 1], 1):
        at, _, celsius = line.replace(",", " ").strip().rpartition(" ")
        try:
            moment = datetime.fromisoformat(at.strip().replace(" ", "T"))
            value = Decimal(celsius)
        except (ValueError, InvalidOperation):
            sent.faults["readings"] = visit.say("Line %(n)s: write 2026-01-31 08:00 4.5") % {
                "n": number
            }
            return []
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        if not value.is_finite() or not _COLDEST <= value <= _HOTTEST or moment > now + _SLACK:
            sent.faults["readings"] = visit.say(
                "Line %(n)s: no such temperature, or in the future"
            ) % {"n": number}
            return []
        read.append((moment, value))
    if not 1 <= len(read) <= _LINES_MAX:
        sent.faults["readings"] = visit.say("Give 1 to %(n)s readings.") % {"n": _LINES_MAX}
    return read


def _observation(device: str, at: datetime, celsius: Decimal) -> Json:
    system, code = TEMPERATURE
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}], "text": "storage temperature"},
        "subject": {"reference": f"Device/{device}"},
        "device": {"reference": f"Device/{device}"},
        "effectiveDateTime": at.isoformat(timespec="seconds"),
        "valueQuantity": {
            "value": celsius,
            "unit": "°C",
            "system": "http://unitsofmeasure.org",
            "code": "Cel",
        },
    }


@page(f"{COLD_CHAIN}/{{id}}/readings.csv", access=STAFF)
async def readings_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The readings that the chart shows."""
    device = visit.path("id")
    await records.read("Device", device)
    readings = sorted(await readings_of(records, device, count=_READINGS))
    rows = [[_moment(visit, at), str(celsius)] for at, celsius in readings]

    async def every() -> Any:
        for row in rows:
            yield row

    return sheet("readings", [visit.say("When"), "°C"], every())


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Stores whose last reading is beyond their limits."""
    beyond = 0
    for device in await stores_of(records):
        kind, last = kind_of_store(device), await readings_of(records, device["id"], count=1)
        beyond += kind is not None and any(not kind.keeps(celsius) for _, celsius in last)
    return [Work(words=visit.say("stores beyond their limits"), link=COLD_CHAIN, number=beyond)]


PAGES: Final[tuple[Page, ...]] = (*every_store, new_store, one_store, readings_sheet)
