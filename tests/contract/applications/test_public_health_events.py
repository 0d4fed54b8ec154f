"""Public health events over the real guard: reported, verified, followed and closed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from clinic import Browser, Clinic
from reporting import DISEASE, HERE, now_of, pages_of, settle, shown, step

from quanmin.web.application import discover
from quanmin.web.clocks import Clocks

OWN = "https://quanmin.example/fhir/CodeSystem"
HOUR = 3_600_000_000
LATER: dict[str, Any] = {
    "course": "新增 3 例", "assessment": "可控", "measures": "应急接种", "phone": "1",
}  # fmt: skip
SAID: dict[str, Any] = {
    "cause": "输入病例", "measures": "应急接种", "advice": "查验接种证", "phone": "1",
}  # fmt: skip


def first_report(clinic: Clinic, **more: str) -> dict[str, str]:
    """Measles at a school, noticed an hour ago."""
    noticed = now_of(clinic) - timedelta(hours=1)
    return {
        "event/name": "青县一小麻疹", "event/kind": f"{OWN}/event-kind|infectious",
        "event/disease": f"{DISEASE}|measles", "event/setting": f"{OWN}/event-setting|school",
        "event/place": "青县第一小学", "event/area": HERE,
        "event/began": f"{noticed - timedelta(days=4):%Y-%m-%dT%H:%M}",
        "event/newest": f"{noticed:%Y-%m-%d}", "event/noticed": f"{noticed:%Y-%m-%dT%H:%M}",
        "numbers/cases": "9", "numbers/deaths": "0", "found/symptoms": "发热、皮疹",
        "found/measures": "隔离治疗", "by/reporter": "李医生", "by/phone": "15400001234",
        "do": "send", **{name.replace("__", "/"): value for name, value in more.items()},
    }  # fmt: skip


async def reported(clinic: Clinic, browser: Browser, **more: str) -> str:
    await browser.get("/events/new")
    fields = first_report(clinic, **more)
    answer = await browser.send("/events/new", **fields)
    assert answer.status_code == 303, answer.text
    again = await browser.send("/events/new", **fields)
    assert again.headers["location"] == answer.headers["location"], "the second click"
    return answer.headers["location"]


async def sent(browser: Browser, where: str, status: int = 303, **fields: Any) -> str:
    """A form of the centre with what it is filled in with and these."""
    page = await browser.get(where)
    assert page.status_code == 200, page.text
    said = {name.replace("__", "/"): value for name, value in fields.items()}
    answer = await browser.send(where, **{**shown(page.text), **said, "do": "send"})
    assert answer.status_code == status, answer.text
    return answer.text


def set_clock(clinic: Clinic, moment: float) -> None:
    clinic.guard.now = lambda: round(moment)


async def test_an_event_is_reported_verified_followed_and_closed(clinic: Clinic) -> None:
    county = await settle(clinic)
    pages = pages_of(county)
    doctor, centre = await county.enter("dr-li", pages), await county.enter("cdc-wu", pages)
    await doctor.get("/events/new?disease=measles&area=580101")
    for more, words in (
        ({"event__noticed": "2099-01-01T08:00"}, "noticed in the future"),
        ({"numbers__deaths": "10"}, "More deaths than cases"),
        ({"event__area": "999999"}, "no centre for disease control"),
        ({"numbers__cases": "-1"}, "At least 0"),
    ):
        answer = await doctor.send("/events/new", **first_report(county, **more))
        assert answer.status_code == 422, words
        assert words in answer.text
    where = await reported(county, doctor)
    page = (await doctor.get(where)).text
    assert "in time" in page
    assert "10 or more cases in 7 days" in page
    assert "not reached" in page  # nine of ten
    # The hospital and the centre of its county see it, no one else; only the centre goes on.
    assert where in (await centre.get("/events?state=reported")).text
    for code in ("dr-bai", "cdc-qi", "cdc-gao"):
        other = await county.enter(code, pages)
        assert (await other.get(where)).status_code == 404, code
    assert (await doctor.get(f"{where}/verify")).status_code == 403
    assert "grade the event is" in await sent(centre, f"{where}/verify", 422)
    grade = f"{OWN}/event-level|3"
    await sent(centre, f"{where}/verify", event__level=grade, numbers__cases="12")
    page = (await doctor.get(where)).text
    assert "III (considerable)" in page
    assert page.count('tag warn">reached') == 1
    # A grade III is told to the city.
    city = await county.enter("cdc-gao", pages)
    assert (await city.get(where)).status_code == 200
    assert "with another institution" in await step(city, where, "end", status=422)
    as_of = f"{now_of(county) - timedelta(days=1):%Y-%m-%dT%H:%M}"
    assert "later than" in await sent(centre, f"{where}/follow", 422, **LATER, **{"as-of": as_of})
    await sent(centre, f"{where}/follow", **LATER, cases="15", deaths="1")
    rows = re.findall(r"<tr.*?</tr>", (await city.get(where)).text, re.DOTALL)
    assert sum(">15<" in one for one in rows) == 1
    await step(centre, where, "end")
    await step(centre, where, "resume", words="新发病例")
    await step(centre, where, "end")
    tomorrow, today = (f"{now_of(county) + timedelta(days=n):%Y-%m-%d}" for n in (1, 0))
    assert "still to come" in await sent(centre, f"{where}/close", 422, **SAID, ended=tomorrow)
    await sent(centre, f"{where}/close", **SAID, ended=today)
    page = (await centre.get(where)).text
    assert "Closing report" in page
    assert "查验接种证" in page
    sheet = (await centre.get("/events.csv")).text
    assert "青县一小麻疹" in sheet
    assert "Closed" in sheet


async def test_who_is_late_is_told(clinic: Clinic) -> None:
    county = await settle(clinic)
    pages, clocks = pages_of(county), Clocks(county.guard, discover())
    doctor, centre = await county.enter("dr-li", pages), await county.enter("cdc-wu", pages)
    three = now_of(county) - timedelta(hours=3)
    where = await reported(county, doctor, event__noticed=f"{three:%Y-%m-%dT%H:%M}")
    assert "late" in (await doctor.get(where)).text
    begun = county.guard.now()
    for hours, fired in ((1.4, 0), (1.6, 1), (2.1, 1)):
        set_clock(county, begun + hours * HOUR)
        assert await clocks.fire() == fired, hours
    centre = await county.enter("cdc-wu", pages)
    assert "waits to be verified" in (await centre.get("/notices")).text
    # Grave: the next report is due in a day, and it goes up to the province as well.
    await sent(centre, f"{where}/verify", event__level=f"{OWN}/event-level|2")
    verified = county.guard.now()
    for hours, fired in ((23.9, 0), (24.1, 1)):
        set_clock(county, verified + hours * HOUR)
        assert await clocks.fire() == fired, hours
    centre = await county.enter("cdc-wu", pages)
    assert "progress report of a public health event is due" in (await centre.get("/notices")).text
