"""One lot in a store: what comes in, what moves it, and whether it may be used."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from quanmin.applications.vaccine_supply.pages import STAFF, STOCK
from quanmin.base.problems import Conflict, Invalid, NotFound, PreconditionFailed, Problem
from quanmin.fhir.json import Json, decode
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.dates import short_fhir
from quanmin.web.forms import Cell, Field, Sent, choices, form_page, read_number
from quanmin.web.stocks import (
    called,
    is_beyond,
    lots_of,
    name_of,
    now_of,
    stores_of,
    unfit,
)
from quanmin.workflow.stock import (
    MOVEMENT_SYSTEM,
    Lot,
    lot_entry,
    lot_of,
    moved,
    movements,
    products,
)
from quanmin.workflow.stock.lots import QUANTITY_MAX, criteria_of, told_of

_HISTORY: Final = 50
_DIGITS_MAX: Final = 7


@page(f"{STOCK}/receipt", access=STAFF, methods=("GET", "POST"))
async def receipt(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter what has come into a store; a lot that is there already grows."""
    say, sent = visit.say, Sent(visit)
    held = {one["id"]: called(one) for one in await stores_of(records)}
    fields = [
        Field("product", say("Vaccine"), "select", is_needed=True,
              choices=[("", ""), *choices(visit, products().values())]),
        Field("number", say("Lot"), is_needed=True, length_max=40),
        Field("expiry", say("Expiry"), "date", is_needed=True),
        Field("count", say("Doses"), is_needed=True, length_max=_DIGITS_MAX),
        Field("store", say("Store"), "select", choices=[("", ""), *held.items()], is_needed=True),
        Field("words", say("Remark"), hint=say("Who delivered it, number of the delivery")),
    ]  # fmt: skip
    shown: dict[str, Any] = {"button": say("Enter"), "back": STOCK}
    if visit.request.method == "GET":
        lead = "" if held else say("Enter a store first, under stores and temperatures.")
        return form_page(visit, say("Enter a receipt"), fields, lead=lead, **shown)
    product = sent.choice("product", products(), is_needed=True)
    number = sent.text("number", is_needed=True, length_max=40)
    expiry, count = sent.day("expiry", is_needed=True), count_of(visit, sent, least=1)
    store, words = sent.choice("store", held, is_needed=True), sent.text("words")
    if expiry is not None and expiry < visit.today:
        sent.faults["expiry"] = say("It has expired: it is not taken into stock.")
    if store and await is_beyond(records, store):
        sent.faults["store"] = say("This store is beyond its temperatures now.")
    if sent.is_sound and expiry is not None:
        entry = lot_entry(product, number, expiry, (store, held[store]), now_of(visit))
        await records.transact([entry])
        found = [one for one in await lots_of(records, product, number) if one.store == store]
        if found and found[0].expiry == expiry:
            await records.transact(_moves(visit, found[0], "receipt", count, words))
            return visit.go(f"{STOCK}/{found[0].id}")
        sent.faults["expiry"] = say("This lot is in the store with another expiry.")
    return form_page(visit, say("Enter a receipt"), fields, sent=sent, **shown)


def count_of(visit: Visit, sent: Sent, *, is_needed: bool = True, least: int = 0) -> int:
    """A number of doses, so many at least."""
    text = sent.text("count", is_needed=is_needed, length_max=_DIGITS_MAX)
    number = read_number(text)
    if text and not (text.isascii() and text.isdigit()):
        sent.faults["count"] = visit.say("Write a whole number.")
    elif text and (number is None or not least <= number <= QUANTITY_MAX):
        values = {"least": least, "most": QUANTITY_MAX}
        sent.faults["count"] = visit.say("Give %(least)s to %(most)s doses.") % values
    return 0 if number is None or "count" in sent.faults else number


def _moves(visit: Visit, lot: Lot, kind: str, count: int, words: str) -> list[Json]:
    who = visit.actor.name if visit.actor else ""
    return moved(lot, kind, count, now_of(visit), who=who, words=words)


@page(f"{STOCK}/{{id}}", access=STAFF, methods=("GET", "POST"))
async def lot(visit: Visit, records: DeclaredRecords) -> Response:
    """One lot in a store: what is on hand, whether it may be used, what moved it, what moves it."""
    one = await read_lot(records, visit.path("id"))
    say, sent = visit.say, Sent(visit)
    kinds = [known for known in movements().values() if not known.is_of_form]
    fields = [
        Field("kind", say("What happens"), "select", is_needed=True,
              choices=[("", ""), *choices(visit, kinds)]),
        Field("count", say("Doses"), length_max=_DIGITS_MAX,
              hint=say("For a stock-take the number that was counted")),
        Field("words", say("Why"), length_max=500),
    ]  # fmt: skip
    if visit.request.method == "POST":
        kind = sent.choice("kind", [known.code for known in kinds], is_needed=True)
        is_empty = bool(kind) and "kind" not in sent.faults and movements()[kind].is_empty
        count = count_of(visit, sent, is_needed=not is_empty)
        words = sent.text("words", length_max=500)
        if sent.is_sound:
            try:
                await records.transact(_moves(visit, one, kind, count, words))
            except PreconditionFailed:
                sent.general = say("Somebody moved this lot meanwhile: look and send once more.")
            except (Conflict, Invalid) as problem:
                sent.general = _told(visit, problem)
            else:
                return visit.go(f"{STOCK}/{one.id}")
        one = await read_lot(records, one.id)
    return visit.page(
        "vaccine_supply/lot.html",
        status=200 if sent.is_sound else 422,
        lot=one,
        product=name_of(visit, one.product),
        unfit=[reason_words(visit)[code] for code in await unfit(records, one, now_of(visit))],
        moves=await _history(visit, records, one),
        fields=fields if visit.request.method == "GET" else sent.shown(fields),
        general=sent.general,
        trace=f"/vaccine-trace/lot?{urlencode({'product': one.product, 'lot': one.number})}",
    )


def _told(visit: Visit, problem: Problem) -> str:
    """What stands against a movement; numbers are on the page anyway."""
    if isinstance(problem, Conflict):
        return visit.say("More than is on hand cannot be taken.")
    return visit.say("Give a number and, where it is asked for, the reason.")


def reason_words(visit: Visit) -> dict[str, str]:
    """Why a lot must not be used, in words."""
    say = visit.say
    return {
        "expired": say("It has expired."),
        "out-of-stock": say("None is left."),
        "recalled": say("It was recalled."),
        "cold-chain-broken": say("Its store was beyond its temperatures; judge this first."),
        "store-unknown": say("What kind of store it is in is not known."),
    }


async def read_lot(records: DeclaredRecords, id_: str) -> Lot:
    """A lot in a store. Raises NotFound or Gone."""
    stored = await records.read("Substance", id_)
    found = lot_of(decode(stored.body or b"{}"), stored.version)
    if found is None:
        raise NotFound("this is no lot in a store")
    return found


async def _history(visit: Visit, records: DeclaredRecords, one: Lot) -> list[list[Cell]]:
    """What moved a lot, newest first, each with what was on hand then."""
    batch = await records.history("Substance", one.id, count=_HISTORY)
    held = {
        known.version: known.on_hand
        for known in (lot_of(decode(each.body or b"{}"), each.version) for each in batch.versions)
        if known is not None
    }
    tokens = ",".join(criteria_of(MOVEMENT_SYSTEM, f"{one.id}.{at}") for at in held)
    hits = await records.find("SupplyDelivery", ("identifier", tokens), count=_HISTORY)
    told = []
    for each in hits.matches:
        delivery = decode(each.body or b"{}")
        version = int(delivery["identifier"][0]["value"].rpartition(".")[2])
        told.append((version, told_of(delivery)))
    zone = visit.house.settings.zone
    return [
        [
            Cell(short_fhir(move["at"], zone), is_number=True),
            Cell(movements()[move["kind"]].told(visit.language)),
            Cell(str(move["count"]), is_number=True),
            Cell(str(held[version]), is_number=True),
            Cell(move["who"]),
            Cell(move["words"]),
        ]
        for version, move in sorted(told, key=lambda pair: -pair[0])
    ]


PAGES: Final[tuple[Page, ...]] = (receipt, lot)
