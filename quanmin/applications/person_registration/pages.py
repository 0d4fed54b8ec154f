"""The form by which somebody is registered, and what came of it."""

from __future__ import annotations

from datetime import date
from typing import Final

from starlette.responses import Response

from quanmin.fhir.identity_number import judge
from quanmin.fhir.json import encode
from quanmin.trust import Role
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Field, Sent, form_page
from quanmin.web.labels import tell_code
from quanmin.web.person_box import IDENTITY, registrations

STAFF: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
REGISTERING: Final = Access(STAFF)
NEW: Final = "/registration"
_SEXES: Final = ("female", "male", "unknown")


@page(NEW, access=REGISTERING, methods=("GET", "POST"))
async def register(visit: Visit, records: DeclaredRecords) -> Response:
    """Register somebody; who is registered here already is not registered twice."""
    say, sent = visit.say, Sent(visit)
    words = [(code, tell_code("gender", code, visit.language)) for code in _SEXES]
    sexes = [(code, told.text) for code, told in words if told]
    fields = [
        Field("name", say("Name"), is_needed=True, length_max=100),
        Field("sex", say("Sex"), "select", choices=[("", ""), *sexes], is_needed=True),
        Field("born", say("Born"), "date", is_needed=True),
        Field("identity", say("Identity number"), is_needed=True, length_max=18),
    ]
    title, button = say("Register a person here"), say("Register")
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back="/")
    name = sent.text("name", is_needed=True, length_max=100)
    sex = sent.choice("sex", _SEXES, is_needed=True)
    born = sent.day("born", is_needed=True)
    number = sent.text("identity", is_needed=True, length_max=18).upper()
    if born is not None:
        _check(visit, sent, born, sex, number)
    if not sent.is_sound or born is None:
        return form_page(visit, title, fields, button=button, back="/", sent=sent)
    id_ = await _here(visit, records, number)
    if not id_:
        body = {
            "resourceType": "Patient",
            "active": True,
            "identifier": [{"system": IDENTITY, "value": number}],
            "name": [{"text": name}],
            "gender": sex,
            "birthDate": born.isoformat(),
        }
        id_ = (await records.create("Patient", encode(body))).stored.id
    return visit.go(f"{NEW}/{id_}")


def _check(visit: Visit, sent: Sent, born: date, sex: str, number: str) -> None:
    if born > visit.today:
        sent.faults["born"] = visit.say("This day lies in the future.")
    decision = judge(number, {"birthDate": born, "gender": sex})
    if decision.allowed or "identity" in sent.faults:
        return
    say = visit.say
    mended = say("The last character does not go with the others: look for a mistyped character.")
    faults = {
        "not-of-the-form": say("An identity number has 18 characters."),
        "check-character-wrong": mended,
        "birth-date-impossible": say("Characters 7 to 14 are no day of birth."),
        "a-dummy": say("This number is nobody's. Copy the one on the document."),
        "birth-date-disagrees": say("The number says another day of birth."),
        "sex-disagrees": say("The number says another sex."),
    }
    sent.faults["identity"] = faults[decision.reasons[-1]]


async def _here(visit: Visit, records: DeclaredRecords, number: str) -> str:
    """The registration that the asker's institution has under a number; "" for none."""
    here, _ = await registrations(visit, records, number)
    return here[0].id if here else ""


@page(f"{NEW}/{{id}}", access=REGISTERING)
async def registered(visit: Visit, records: DeclaredRecords) -> Response:
    """Who is registered, at how many institutions, and where one goes on from there."""
    stored = await records.read("Patient", visit.path("id"))
    counts = await records.registrations([stored])
    return visit.page("person_registration/registered.html", id=stored.id, number=counts[stored.id])


PAGES: Final[tuple[Page, ...]] = (register, registered)
