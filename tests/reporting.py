"""Report cards of infectious diseases over a clinic: a hospital, the centres of two counties and of
their city, and customs; and cards as a browser sends them.
"""

from __future__ import annotations

import html
import json
import re
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from books import ADDRESS, CREDIT, Books, organization
from clinic import Browser, Clinic
from starlette.applications import Starlette

from quanmin.demo.numbering import credit_code
from quanmin.fhir.json import decode
from quanmin.trust import Actor
from quanmin.web import DeclaredRecords, build
from quanmin.web.application import discover
from quanmin.web.house import KitSettings
from quanmin.workflow import notifiable

ZONE: Final = ZoneInfo("Asia/Shanghai")
HERE, BESIDE = "580101", "580102"
DUTY: Final = frozenset({"infection_report"})
# Sender, credit code, level, kind (WS 218), name.
INSTITUTIONS: Final = (
    ("hospital-a", credit_code(HERE, 11), "county", "A", "青县人民医院"),
    ("hospital-b", credit_code(HERE, 16), "county", "A", "白市中心医院"),
    ("cdc-here", credit_code(HERE, 12), "county", "J", "青县疾控中心"),
    ("cdc-beside", credit_code(BESIDE, 13), "county", "J", "白县疾控中心"),
    ("cdc-city", credit_code("580100", 14), "city", "J", "青市疾控中心"),
    ("customs", credit_code(HERE, 15), "city", "P", "青市海关"),
)
CODES: Final = {sender: code for sender, code, *_ in INSTITUTIONS}
DOCTOR: Final = Actor("dr-li", "doctor", "李医生", "hospital-a")
STAFF: Final = (
    DOCTOR,
    Actor("pre-sun", "public_health_worker", "孙", "hospital-a"),
    Actor("dr-bai", "doctor", "白医生", "hospital-b"),
    Actor("pre-lin", "public_health_worker", "林", "hospital-b"),
    Actor("cdc-wu", "public_health_worker", "吴", "cdc-here"),
    Actor("cdc-qi", "public_health_worker", "齐", "cdc-beside"),
    Actor("cdc-gao", "public_health_worker", "高", "cdc-city"),
    Actor("port-he", "public_health_worker", "何", "customs"),
)
DISEASE = "https://quanmin.example/fhir/CodeSystem/notifiable-disease"
SUBTYPE = "https://quanmin.example/fhir/CodeSystem/notifiable-subtype"
SEX = "http://hl7.org/fhir/administrative-gender"
CLASS = "https://quanmin.example/fhir/CodeSystem/infection-case-class"
_OWN = "https://quanmin.example/fhir/CodeSystem"


async def settle(clinic: Clinic) -> Clinic:
    """The clinic with these institutions and their staff."""
    books = Books(clinic.guard, clinic.pool)
    for sender, code, level, kind, name in INSTITUTIONS:
        types = {ADDRESS.kind: kind, ADDRESS.level: level, ADDRESS.grade: "2"}
        names = ((CREDIT, code), (ADDRESS.sender, sender))
        body = organization(
            code,
            level,
            name=name,
            identifier=[{"system": system, "value": value} for system, value in names],
            type=[{"coding": [{"system": url, "code": one}]} for url, one in types.items()],
        )
        await books.enter(body)
    for actor in STAFF:
        await clinic.add(actor)
        if actor.role == "public_health_worker":
            await books.appoint(actor.code, duties=DUTY)
    return clinic


def pages_of(clinic: Clinic) -> Starlette:
    return Starlette(
        routes=build(clinic.guard, clinic.sign_in, KitSettings(secret=b"p" * 32, zone=ZONE))
    )


def now_of(clinic: Clinic) -> datetime:
    return datetime.fromtimestamp(clinic.guard.now() / 1e6, ZONE)


def records(clinic: Clinic, actor: Actor, application: str = "infectious_report") -> Any:
    found = {one.application.name: one.application for one in discover()}[application]
    guarded = clinic.guard.records(actor, purpose="PUBHLTH", request_id="r")
    return DeclaredRecords(guarded, found, ZONE)


def state_of(task: dict[str, Any]) -> str:
    """The code of the state that the case of a Task is in."""
    code: str = task["businessStatus"]["coding"][0]["code"]
    return code


async def task_of(clinic: Clinic, where: str) -> dict[str, Any]:
    """The Task of a card, as the hospital sees it."""
    stored = await records(clinic, DOCTOR).read("Task", where.rpartition("/")[2])
    return decode(stored.body or b"{}")


def answers(moment: datetime, disease: str = "measles", **more: str) -> dict[str, str]:
    """What is filled in beside what comes from the visit; the diagnosis was an hour ago."""
    diagnosed = moment - timedelta(hours=1)
    return {
        "person/belongs": f"{_OWN}/infection-belonging|1",
        "person/area": HERE,
        "person/address": "青县一路 1 号",
        "person/occupation": f"{_OWN}/infection-occupation|09",
        "person/phone": "15400001234",
        "case/class": f"{CLASS}|confirmed",
        "case/disease": f"{DISEASE}|{disease}",
        "case/onset": f"{diagnosed - timedelta(days=2):%Y-%m-%d}",
        "case/diagnosed": f"{diagnosed:%Y-%m-%dT%H:%M}",
        "do": "send",
        **{name.replace("__", "/"): value for name, value in more.items()},
    }


def shown(page: str) -> dict[str, str]:
    """What stands in the fields of a form."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name = re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        is_box = 'type="radio"' in tag or 'type="checkbox"' in tag
        if name and value and (not is_box or " checked" in tag):
            found[name[1]] = html.unescape(value[1])
    for name, inner in re.findall(
        r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL
    ):
        chosen = re.search(r'value="([^"]*)"[^>]*selected', inner)
        found[name] = html.unescape(chosen[1]) if chosen else ""
    for name, inner in re.findall(
        r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', page, re.DOTALL
    ):
        found[name] = html.unescape(inner)
    return {name: value for name, value in found.items() if name not in {"token", "do"}}


async def entered(
    clinic: Clinic, browser: Browser, hospital: str = "hospital-a", **more: str
) -> str:
    """A card that the doctor enters of the man, with what his record fills in; where it is."""
    where = f"/infectious/of/{clinic.ids[f'{hospital} Patient']}"
    page = await browser.get(where)
    fields = {**shown(page.text), **answers(now_of(clinic), **more)}
    answer = await browser.send(where, **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def step(browser: Browser, where: str, code: str, status: int = 303, **more: str) -> str:
    """Take a step on the page of a card; gives the page that comes of it."""
    page = await browser.get(where)
    assert page.status_code == 200, page.text
    answer = await browser.send(where, step=code, **more)
    assert answer.status_code == status, answer.text
    return answer.text


def counted_case(disease: str, area: str, sent: date, case_class: str = "confirmed") -> bytes:
    """A case as the engine leaves it, reported on a day."""
    label = {"system": notifiable.WORKFLOW, "code": "infectious_report"}
    facts = {
        "onset": ("valueDate", f"{sent - timedelta(days=1)}"),
        "area": ("valueCode", area),
        "class": ("valueCode", case_class),
        "sent": ("valueDateTime", f"{sent}T00:00:00+08:00"),
    }
    task = {
        "resourceType": "Task",
        "meta": {"security": [label]},
        "status": "accepted",
        "intent": "order",
        "code": {"coding": [label]},
        "reasonCode": {"coding": [notifiable.diseases()[disease].coding()]},
        "input": [notifiable.fact_of(code, *value) for code, value in facts.items()],
    }
    return json.dumps(task).encode()
