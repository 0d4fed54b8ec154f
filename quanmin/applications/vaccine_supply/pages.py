"""Stock by lot and store: the list, receipts, and one lot with all that moved it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from quanmin.base.problems import Invalid
from quanmin.trust import Role, Stored
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work
from quanmin.web.forms import Cell, Field, choices
from quanmin.web.route import Charge
from quanmin.web.searches import searched
from quanmin.web.stocks import ON_HAND, called, lots_in, name_of, recalled_among, stores_of
from quanmin.web.tables import Heading, Table, table
from quanmin.workflow.stock import PRODUCT_SYSTEM, Lot, products
from quanmin.workflow.stock.lots import criteria_of

VACCINATORS: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
STAFF: Final = Access(VACCINATORS, Charge(frozenset({"immunization"}), VACCINATORS))
STOCK: Final = "/vaccine-stock"
SOON_DAYS: Final = 90


@table(STOCK, access=STAFF, name="vaccine-stock")
async def stock(visit: Visit, records: DeclaredRecords) -> Table:
    """What is on hand, by product, store and expiry, what expires first before all."""
    say, product, store = visit.say, visit.asked("product"), visit.asked("store")
    held = [(one["id"], called(one)) for one in await stores_of(records)]
    states = [("", say("any")), ("soon", say("expires soon")), ("expired", say("expired"))]
    any_one = [("", say("any"))]

    async def made(found: Sequence[Stored]) -> list[list[Cell] | None]:
        lots = lots_in(found)
        recalled = await recalled_among(records, lots)
        return [
            _cells(visit, lot, is_recalled=(lot.product, lot.number) in recalled)
            if store in {"", lot.store}
            else None
            for lot in lots
        ]

    asked = [*_asked(visit, visit.asked("expiry")), ("_sort", "expiry")]
    asked += [("code", criteria_of(PRODUCT_SYSTEM, product))] if product else []
    return Table(
        title=say("Vaccines in stock"),
        headings=[Heading(one) for one in (say("Lot"), say("Vaccine"), say("Expiry"),
                                           say("On hand"), say("Store"))],
        fetch=searched(visit, records, "Substance", asked, made),
        filters=[
            Field("product", say("Vaccine"), "select", product,
                  [*any_one, *choices(visit, products().values())]),
            Field("store", say("Store"), "select", store, [*any_one, *held]),
            Field("expiry", say("Expiry"), "select", visit.asked("expiry"), states),
        ],
        empty=say("Enter a receipt to begin."),
        actions=[
            (say("Enter a receipt"), f"{STOCK}/receipt"),
            (say("Stores and temperatures"), "/cold-chain"),
            (say("Trace a lot or a package"), "/vaccine-trace"),
        ],
    )  # fmt: skip


def _asked(visit: Visit, expiry: str) -> list[tuple[str, str]]:
    today, soon = visit.today, visit.today + timedelta(days=SOON_DAYS)
    bounds = {
        "": [],
        "expired": [("expiry", f"lt{today}"), ON_HAND],
        "soon": [("expiry", f"ge{today}"), ("expiry", f"le{soon}"), ON_HAND],
    }
    if expiry not in bounds:
        raise Invalid("expiry is soon or expired")
    return [("code", f"{PRODUCT_SYSTEM}|"), *bounds[expiry]]


def _cells(visit: Visit, lot: Lot, *, is_recalled: bool) -> list[Cell]:
    left = (lot.expiry - visit.today).days
    is_soon = left <= SOON_DAYS
    tag = visit.say("expired") if left < 0 else visit.say("expires soon") if is_soon else ""
    return [
        Cell(
            lot.number,
            f"{STOCK}/{lot.id}",
            tag=visit.say("recalled") if is_recalled else "",
            is_warning=is_recalled,
        ),
        Cell(name_of(visit, lot.product)),
        Cell(lot.expiry.isoformat(), is_number=True, tag=tag, is_warning=is_soon),
        Cell(str(lot.on_hand), is_number=True),
        Cell(lot.store_name),
    ]


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Lots that expire soon."""
    most = visit.house.settings.work_count_max + 1
    hits = await records.find("Substance", *_asked(visit, "soon"), count=most)
    number = len(lots_in(hits.matches))
    words, link = visit.say("lots that expire soon"), f"{STOCK}?expiry=soon"
    return [Work(words=words, link=link, number=number)]


PAGES: Final[tuple[Page, ...]] = stock
