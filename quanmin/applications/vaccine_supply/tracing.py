"""Where a lot and a package went: to whom, and what recalls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from quanmin.applications.vaccine_supply.pages import STAFF, STOCK
from quanmin.base.problems import Invalid
from quanmin.fhir.json import Json, decode, encode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.dates import short_fhir
from quanmin.web.forms import Cell, Field, Sent, choices, confirm_page, form_page, is_confirmed
from quanmin.web.persons import tell_patient
from quanmin.web.searches import searched
from quanmin.web.stocks import (
    RECALL_SYSTEM,
    name_of,
    now_of,
    recall_of,
)
from quanmin.web.tables import Heading, Table, table
from quanmin.workflow.stock import PRODUCT_SYSTEM, products
from quanmin.workflow.stock.lots import criteria_of
from quanmin.workflow.vaccination import LABEL, PACKAGE_SYSTEM, package_of

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
    say, (product, number) = visit.say, _asked(visit)
    asked = [
        ("vaccine-code", criteria_of(PRODUCT_SYSTEM, product)),
        ("lot-number:exact", number),
        ("status", "completed"),
        ("_sort", "date"),
    ]

    async def made(found: Sequence[Stored]) -> list[list[Cell] | None]:
        return list(await _rows(visit, records, found))

    recalled = await recall_of(records, product, number)
    warning = ""
    if recalled is not None:
        reason = recalled.get("code", {}).get("text", "")
        warning = say("Recalled on %(day)s: %(reason)s") % {
            "day": recalled.get("created", ""), "reason": reason
        }  # fmt: skip
    again = f"{TRACE}/recall?{urlencode({'product': product, 'lot': number})}"
    return Table(
        title=f"{name_of(visit, product)} {number}",
        headings=_headings(visit),
        fetch=searched(visit, records, "Immunization", asked, made),
        warning=warning,
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
        actions=[] if recalled else [(say("Recall this lot"), again)],
    )


def _asked(visit: Visit) -> tuple[str, str]:
    product, number = visit.asked("product"), visit.asked("lot").strip()
    if product not in products() or not number:
        raise Invalid("name product and lot in the address: begin from the page that traces")
    return product, number


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    words = (say("Person"), say("Born"), say("Day"), say("Institution"), say("Package"))
    return [Heading(one) for one in words]


async def _rows(
    visit: Visit, records: DeclaredRecords, found: Sequence[Stored]
) -> list[list[Cell]]:
    doses = [(one, decode(one.body or b"{}")) for one in found]
    ids = {_patient(dose) for _, dose in doses} - {""}
    people: dict[str, Json] = {}
    if ids:
        hits = await records.find("Patient", ("_id", ",".join(sorted(ids))), count=len(ids))
        people = {one.id: decode(one.body or b"{}") for one in hits.matches}
    senders = await records.senders([one for one, _ in doses])
    zone = visit.house.settings.zone
    rows = []
    for stored, dose in doses:
        told = tell_patient(people.get(_patient(dose), {}), visit.language, visit.today)
        rows.append(
            [
                Cell(told.name or visit.say("not open to you")),
                Cell(told.birth, is_number=True),
                Cell(short_fhir(str(dose.get("occurrenceDateTime", "")), zone), is_number=True),
                Cell(senders.get(stored.facts.sender, "")),
                Cell(package_of(dose), is_number=True),
            ]
        )
    return rows


def _patient(dose: Json) -> str:
    return str(dose.get("patient", {}).get("reference", "")).removeprefix("Patient/")


@page(f"{TRACE}/recall", access=STAFF, methods=("GET", "POST"))
async def recall(visit: Visit, records: DeclaredRecords) -> Response:
    """Recall a lot, with the reason: from then on nobody records a dose of it, wherever it is."""
    say, sent, (product, number) = visit.say, Sent(visit), _asked(visit)
    title = say("Recall %(lot)s") % {"lot": f"{name_of(visit, product)} {number}"}
    fields = [Field("why", say("Why it is recalled"), is_needed=True, length_max=500)]
    back = lot_address(product, number)
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=say("Recall this lot"), back=back)
    why = sent.text("why", is_needed=True, length_max=500)
    if not sent.is_sound:
        return form_page(visit, title, fields, button=say("Recall this lot"), back=back, sent=sent)
    if not is_confirmed(visit):
        sentences = [say("No dose of it can be recorded any more, at any institution.")]
        return confirm_page(visit, title, sentences, back=back)
    value = f"{product}|{number}"
    body = {
        "resourceType": "Basic",
        "meta": {"security": [LABEL]},
        "identifier": [{"system": RECALL_SYSTEM, "value": value}],
        "code": {"coding": [{"system": PRODUCT_SYSTEM, "code": product}], "text": why},
        "created": now_of(visit).date().isoformat(),
    }
    once = f"identifier={criteria_of(RECALL_SYSTEM, value)}"
    request = {"method": "POST", "url": "Basic", "ifNoneExist": once}
    await records.transact([{"resource": decode(encode(body)), "request": request}])
    return visit.go(back)


PAGES: Final[tuple[Page, ...]] = (trace, *persons, recall)
