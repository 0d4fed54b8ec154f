"""Where a lot and a package went: to whom; and from which lot a package is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from quanmin.applications.vaccine_supply.pages import STAFF, STOCK
from quanmin.base.problems import Invalid
from quanmin.fhir.json import Json, decode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.dates import short_fhir
from quanmin.web.forms import Cell, Field, Sent, choices, form_page
from quanmin.web.institutions import sender_words
from quanmin.web.persons import tell_patient
from quanmin.web.searches import searched
from quanmin.web.stocks import (
    is_entered_since,
    is_recalled,
    lifted,
    may_lift,
    name_of,
    recalled_since,
    recalls_of,
)
from quanmin.web.tables import Heading, Table, table
from quanmin.workflow.stock import PRODUCT_SYSTEM, products
from quanmin.workflow.stock.lots import criteria_of
from quanmin.workflow.vaccination import PACKAGE_SYSTEM, package_of, patient_of, product_of

TRACE: Final = "/vaccine-trace"
LOT: Final = f"{TRACE}/lot"
_DOSES_MAX: Final = 50


def lot_address(product: str, number: str) -> str:
    """Where a lot is traced."""
    return f"{LOT}?{urlencode({'product': product, 'lot': number})}"


@page(TRACE, access=STAFF, methods=("GET", "POST"))
async def trace(visit: Visit, records: DeclaredRecords) -> Response:
    """Ask where a lot went, or to whom a package; who it was stands in no address."""
    say, sent = visit.say, Sent(visit)
    fields = [
        Field("package", say("Trace code of the smallest package"), length_max=40,
              hint=say("Scan it; or leave it empty and give vaccine and lot")),
        Field("product", say("Vaccine"), "select",
              choices=[("", ""), *choices(visit, products().values())]),
        Field("lot", say("Lot"), length_max=40),
    ]  # fmt: skip
    package = sent.text("package", length_max=40)
    product, lot = sent.choice("product", products()), sent.text("lot", length_max=40)
    if visit.request.method == "POST" and sent.is_sound:
        if package:
            return await _of_package(visit, records, package)
        if product and lot:
            return visit.go(lot_address(product, lot))
        sent.general = say("Give a trace code, or vaccine and lot.")
    is_again = visit.request.method == "POST"
    return form_page(
        visit, say("Trace a lot or a package"), fields, button=say("Trace"), back=STOCK,
        sent=sent if is_again else None,
    )  # fmt: skip


async def _of_package(visit: Visit, records: DeclaredRecords, package: str) -> Response:
    asked = ("identifier", criteria_of(PACKAGE_SYSTEM, package))
    hits = await records.find("Immunization", asked, ("status", "completed"), count=_DOSES_MAX)
    rows = await _rows(visit, records, hits.matches)
    return visit.page("vaccine_supply/package.html", package=package, rows=rows,
                      headings=[one.words for one in _headings(visit)])  # fmt: skip


@table(LOT, access=STAFF, name="lot")
async def persons(visit: Visit, records: DeclaredRecords) -> Table:
    """To whom a lot was given, over all institutions; the sheet is the list for a recall."""
    say, (product, number) = visit.say, asked_lot(visit)
    asked = [
        ("vaccine-code", criteria_of(PRODUCT_SYSTEM, product)),
        ("lot-number:exact", number),
        ("status", "completed"),
        ("_sort", "date"),
    ]

    async def made(found: Sequence[Stored]) -> list[list[Cell] | None]:
        since = None if open_ is None else recalled_since(open_, records.zone)
        return list(await _rows(visit, records, found, since))

    recalls = await recalls_of(records, product, number)
    open_ = next((one for one in recalls if is_recalled(one)), None)
    offers_lifting = open_ is not None and await may_lift(visit, records, open_)
    told = [tell_recall(visit, one) for one in recalls]
    asked_of = urlencode({"product": product, "lot": number})
    recall = (say("Recall this lot"), f"{TRACE}/recall?{asked_of}")
    lift = (say("Lift the recall"), f"{TRACE}/lift?{asked_of}")
    return Table(
        title=f"{name_of(visit, product)} {number}",
        headings=_headings(visit),
        fetch=searched(visit, records, "Immunization", asked, made),
        warning="" if open_ is None else tell_recall(visit, open_),
        lead="" if open_ else " ".join(told),
        filters=[
            Field(
                "product",
                say("Vaccine"),
                "select",
                product,
                [(code, name_of(visit, code)) for code in products()],
            ),
            Field("lot", say("Lot"), value=number),
        ],
        empty=say("Nobody was given this lot."),
        actions=[recall] if open_ is None else [lift] if offers_lifting else [],
    )


def tell_recall(visit: Visit, recall: Json) -> str:
    """A recall in words: since when and why, and when and why it was lifted."""
    values = {"day": recall.get("created", ""), "reason": recall.get("code", {}).get("text", "")}
    told = visit.say("Recalled on %(day)s: %(reason)s") % values
    if is_recalled(recall):
        return told
    day, reason = lifted(recall)
    ended = visit.say("Lifted on %(day)s: %(reason)s") % {"day": day, "reason": reason}
    return f"{told} {ended}"


def asked_lot(visit: Visit) -> tuple[str, str]:
    """The product and lot that the address names. Raises Invalid."""
    product, number = visit.asked("product"), visit.asked("lot").strip()
    if product not in products() or not number:
        raise Invalid("name product and lot in the address: begin from the page that traces")
    return product, number


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    words = (say("Person"), say("Born"), say("Day"), say("Institution"), say("Lot"), say("Package"))
    return [Heading(one) for one in words]


async def _rows(
    visit: Visit, records: DeclaredRecords, found: Sequence[Stored], since: datetime | None = None
) -> list[list[Cell]]:
    """The doses that were found; those entered since a recall are marked, for who has called the
    others already.
    """
    doses = [(one, decode(one.body or b"{}")) for one in found]
    ids = {patient_of(dose) for _, dose in doses} - {""}
    people: dict[str, Json] = {}
    if ids:
        hits = await records.find("Patient", ("_id", ",".join(sorted(ids))), count=len(ids))
        people = {one.id: decode(one.body or b"{}") for one in hits.matches}
    senders = await sender_words(visit, records, [one for one, _ in doses])
    zone, late = visit.house.settings.zone, visit.say("entered after the recall")
    rows = []
    for stored, dose in doses:
        told = tell_patient(people.get(patient_of(dose), {}), visit.language, visit.today)
        rows.append(
            [
                Cell(told.name or visit.say("not open to you")),
                Cell(told.birth, is_number=True),
                Cell(
                    short_fhir(str(dose.get("occurrenceDateTime", "")), zone),
                    is_number=True,
                    tag=late if since is not None and is_entered_since(dose, since) else "",
                ),
                Cell(senders.get(stored.facts.sender, "")),
                _lot_cell(visit, dose),
                Cell(package_of(dose), is_number=True),
            ]
        )
    return rows


def _lot_cell(visit: Visit, dose: Json) -> Cell:
    product, number = product_of(dose), str(dose.get("lotNumber", ""))
    link = lot_address(product, number) if product in products() and number else ""
    return Cell(f"{name_of(visit, product)} {number}".strip(), link)


PAGES: Final[tuple[Page, ...]] = (trace, *persons)
