"""The certificate of vaccination, on a page and on paper, and the check of whole lists on entry to
a nursery or school.
"""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.immunization.children import (
    READING,
    VACCINATORS,
    Child,
    read_child,
    stating,
)
from quanmin.applications.immunization.rules import may_enter
from quanmin.base.decision import Decision
from quanmin.base.problems import Invalid, Malformed
from quanmin.web import Access, DeclaredRecords, Page, Text, Visit, page
from quanmin.web.dates import tell_date
from quanmin.web.pdf import pdf_page
from quanmin.web.person_box import IDENTITY
from quanmin.web.qr import qr_code
from quanmin.web.route import Charge
from quanmin.web.sheet import sheet
from quanmin.web.stocks import name_of
from quanmin.web.verifying import Fact, Paper, address_of
from quanmin.workflow.vaccination import given, standings, word

CHECKING: Final = Access(
    VACCINATORS, Charge(frozenset({"immunization", "school_entry"}), VACCINATORS)
)
SCHOOLS: Final = "/school-entry"
_LIST_MAX: Final = 200
_FOUND_MAX: Final = 50
_NUMBER: Final = re.compile(r"\d{17}[\dXx]")


def _entry(visit: Visit, child: Child) -> Decision:
    """Whether the certificate is complete; without a date of birth nobody can say so."""
    if child.known is None:
        return Decision(allowed=False, reasons=("born",))
    return may_enter({one.series: one.status for one in standings(child.known, visit.today)})


def _paper(visit: Visit, child: Child) -> Paper:
    """What the code on a certificate tells: no dose, and of the name its first character."""
    decision, told = _entry(visit, child), child.person.told
    number = len(decision.reasons)
    name = f"{told.name[:1]}{'*' * (len(told.name) - 1)}"
    result = (
        Text(zh="无逾期未种", en="no course is overdue")
        if decision.allowed
        else Text(zh=f"逾期 {number} 种", en=f"{number} courses are overdue")
    )
    by = visit.house.settings.title
    return Paper(
        title=Text(zh="预防接种证明查验", en="Certificate of vaccination"),
        day=visit.today.isoformat(),
        facts=(
            Fact(Text(zh="姓名", en="Name"), Text(zh=name, en=name)),
            Fact(Text(zh="出生日期", en="Born"), Text(zh=told.birth, en=told.birth)),
            Fact(Text(zh="接种情况", en="How it stood"), result),
            Fact(Text(zh="签发", en="By"), by),
        ),
    )


async def _told(visit: Visit, records: DeclaredRecords) -> dict[str, Any]:
    """What stands on a certificate."""
    child = await read_child(visit, stating(visit, records), visit.path("patient"))
    if child.known is None:
        raise Invalid("without a whole date of birth there is no certificate")
    language = visit.language
    doses = given(child.known, child.doses, visit.today, records.zone, language=language)
    decision = _entry(visit, child)
    verified_at = address_of(visit, _paper(visit, child))
    return {
        "person": child.person,
        "day": tell_date(visit.today, language),
        "rows": [
            [one.on, name_of(visit, one.product), one.counted, one.lot, child.places[one.id]]
            for one in doses
            if not one.is_again
        ],
        "missing": [word("reason", one, language) for one in decision.reasons],
        "code": qr_code(verified_at, visit.say("Verify")),
        "verified_at": verified_at,
    }


@page("/vaccination/of/{patient}/certificate", access=READING)
async def certificate(visit: Visit, records: DeclaredRecords) -> Response:
    """The certificate, with a code by which anybody who is shown it can verify it."""
    return visit.page("immunization/certificate.html", **await _told(visit, records))


@page("/vaccination/of/{patient}/certificate.pdf", access=READING)
async def on_paper(visit: Visit, records: DeclaredRecords) -> Response:
    """The same as a PDF."""
    told = await _told(visit, records)
    return await pdf_page(visit, "immunization/paper.html", file_name="vaccination", **told)


@page(SCHOOLS, access=CHECKING, methods=("GET", "POST"))
async def schools(visit: Visit, records: DeclaredRecords) -> Response:
    """Check a list of children by identity number: complete, or what is missing; no dose is
    shown, and no number stands in an address.
    """
    if visit.request.method == "GET":
        return visit.page("immunization/schools.html", rows=None, fault="", text="", kept="")
    text = visit.sent.get("numbers", "")
    numbers = list(dict.fromkeys(one.upper() for one in re.split(r"[\s,，;；]+", text) if one))
    fault = ""
    if not 1 <= len(numbers) <= _LIST_MAX:
        fault = visit.say("Give 1 to %(n)s identity numbers.") % {"n": _LIST_MAX}
    elif any(not _NUMBER.fullmatch(one) for one in numbers):
        fault = visit.say("An identity number has 18 characters; one stands on each line.")
    rows = None if fault else await _rows(visit, records, numbers)
    return visit.page(
        "immunization/schools.html",
        status=422 if fault else 200,
        rows=rows,
        fault=fault,
        text=text,
        kept=visit.keep("certificate", {"numbers": numbers}) if rows else "",
        day=tell_date(visit.today, visit.language),
    )


@page(f"{SCHOOLS}.csv", access=CHECKING, methods=("POST",), is_taken_once=False)
async def schools_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The same list as a sheet."""
    numbers = visit.kept("certificate", visit.sent.get("kept", "")).get("numbers")
    if not isinstance(numbers, list):
        raise Malformed("check the list first, then ask for its sheet")
    rows = await _rows(visit, records, numbers)

    async def every() -> Any:
        for row in rows:
            yield row

    return sheet("school-entry", headings(visit), every())


def headings(visit: Visit) -> list[str]:
    """The columns of the check."""
    return [visit.say("Name"), visit.say("Born"), visit.say("Result"), visit.say("What is missing")]


async def _rows(visit: Visit, records: DeclaredRecords, numbers: list[str]) -> list[list[str]]:
    rows = []
    for number in numbers:
        asked = ("identifier", f"{IDENTITY}|{number}")
        hits = await records.find("Patient", asked, count=_FOUND_MAX)
        if not hits.matches:
            ending = f"{number[:3]}…{number[-4:]}"
            rows.append([ending, "", visit.say("not registered"), ""])
            continue
        child = await read_child(visit, records, hits.matches[0].id)
        decision, told = _entry(visit, child), child.person.told
        reasons = (word("reason", one, visit.language) for one in decision.reasons)
        missing = visit.semicolon.join(reasons)
        result = visit.say("complete") if decision.allowed else visit.say("missing")
        rows.append([told.name, told.birth, result, missing])
    return rows


PAGES: Final[tuple[Page, ...]] = (certificate, on_paper, schools, schools_sheet)
