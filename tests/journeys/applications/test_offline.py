"""Offline forms in a real browser: people are taken along, the line goes, two forms are
filled in, the line comes back, one is stored and one is settled, and the device is revoked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chronic import COUNTY_OF_JOURNEYS, WORKER, ago, enrolled, registered, settle, today_of, visited
from clinic import Clinic
from looking import acting, faults_on
from playwright.sync_api import Browser, Page, Route, expect

from quanmin.fhir.json import encode
from quanmin.workflow.chronic import diagnosis_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.environ.get("QUANMIN_TESTS") != "full", reason="one of the long ones"),
]
PLAIN = """async name => {
  const base = await new Promise(go => {
    indexedDB.open(name).onsuccess = event => go(event.target.result);
  });
  const all = async store => new Promise(go => {
    const asked = base.transaction(store).objectStore(store).getAll();
    asked.onsuccess = () => go(asked.result);
  });
  const sealed = await all("sealed");
  const kept = [];
  for (const one of await caches.keys()) {
    const cache = await caches.open(one);
    for (const each of await cache.keys()) {
      kept.push(each.url, await (await cache.match(each)).text());
    }
  }
  const words = sealed.map(one => new TextDecoder().decode(one.sealed)).join("");
  const device = (await all("plain")).find(one => one.pair);
  return {
    text: words + kept.join("") + JSON.stringify(localStorage) + document.cookie,
    sealed: sealed.length,
    canLeave: device ? [device.seal.extractable, device.pair.privateKey.extractable] : [],
  };
}"""

# What the device last saw of its clock lies twenty minutes ahead: somebody has set it back.
SET_BACK = """async () => {
  const base = await new Promise(go => {
    indexedDB.open("quanmin-offline").onsuccess = event => go(event.target.result);
  });
  const change = base.transaction("plain", "readwrite"), plain = change.objectStore("plain");
  const name = "clock /chronic/offline";
  plain.get(name).onsuccess = event =>
    plain.put({ ...event.target.result, seen: Date.now() + 1_200_000 }, name);
  await new Promise(go => { change.oncomplete = go; });
}"""


@pytest.fixture(scope="module")
def cases(served: Any) -> list[str]:
    """The pages of two cases whose first visit is overdue."""

    async def begin(clinic: Clinic) -> list[str]:
        await settle(clinic, COUNTY_OF_JOURNEYS)
        worker = await clinic.enter(WORKER.code)
        records = clinic.guard.records(WORKER, purpose="CAREMGT", request_id="diagnosis")
        found = []
        for name, sequence in (("王秀英", "006"), ("李桂芳", "008")):
            patient = await registered(worker, name, "1970-03-01", sequence)
            known = diagnosis_of("hypertension", f"Patient/{patient}", today_of(clinic))
            await records.create("Condition", encode(known))
            begun = await enrolled(worker, patient, ago(clinic, 30))
            found.append(str(begun.headers["location"]))
        await worker.client.aclose()
        return found

    return list(served.ask(begin))


def filled(page: Page, name: str, pressure: str, day: str = "") -> None:
    """Fill a visit in, with what the form lacks told first."""
    page.get_by_role("button", name=name).click()
    page.get_by_role("button", name="Done: keep it").click()
    expect(page.get_by_role("alert")).to_contain_text("Upper pressure (mmHg): Fill this in.")
    page.get_by_label("At home").check()
    if day:
        page.fill("#day", day)
    page.get_by_label("Upper pressure").fill(pressure.split("/", maxsplit=1)[0])
    page.get_by_label("Lower pressure").fill(pressure.split("/")[1])
    page.get_by_label("Regular").first.check()
    for question in ("reaction", "complication"):
        page.locator(f'input[name="{question}"][value="false"]').check()
    expect(page.locator("#reaction-words")).to_be_hidden()
    page.locator('input[name="reaction"][value="true"]').check()
    expect(page.locator("#reaction-words")).to_be_visible()
    page.locator('input[name="reaction"][value="false"]').check()
    page.get_by_role("button", name="Done: keep it").click()
    expect(page.get_by_role("heading", name="Who was taken along")).to_be_visible()


def looked_at(page: Page, axe: str, name: str) -> Iterator[str]:
    yield from faults_on(page, name, axe)
    folder = os.environ.get("QUANMIN_PICTURES")
    if folder:
        page.set_viewport_size({"width": 360, "height": 780})
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def looked_at_form(page: Page, axe: str) -> list[str]:
    page.get_by_role("button", name="王秀英").click()
    page.get_by_role("button", name="Done: keep it").click()
    found = list(looked_at(page, axe, "form"))
    page.get_by_role("button", name="Back").click()
    return found


def sent_past_a_failure(page: Page, axe: str, case: str) -> list[str]:
    """Over one of them the node fails, in whatever order they are sent: the other goes on."""
    one = case.rpartition("/")[2]

    def fails(route: Route) -> None:
        is_it = one in (route.request.post_data or "")
        route.fulfill(status=500, body="<p>failed") if is_it else route.continue_()

    page.context.route("**/submission", fails)
    page.context.set_offline(False)  # by itself it is sent
    told = expect(page.get_by_role("status"))
    told.to_contain_text("To be settled or mended: 1. Open them in the list. The node failed over:")
    expect(page.get_by_text("To be sent (2)")).to_be_visible()
    expect(page.get_by_text("waits: the node failed over it").first).to_be_visible()
    page.get_by_role("button", name="王秀英").first.click()
    expect(page.get_by_text("(answer 500)")).to_be_visible()
    faults = list(looked_at(page, axe, "failed"))
    for begun, changed in (
        ("150", "151"),
        ("151", "152"),
    ):  # a change that was not finished goes on
        page.get_by_role("button", name="Change mine").click()
        expect(page.get_by_label("Upper pressure")).to_have_value(begun)
        page.get_by_label("Upper pressure").fill(changed)
        page.get_by_role("button", name="Back").click()
        page.get_by_role("button", name="王秀英").first.click()
    page.get_by_role("button", name="Change mine").click()
    expect(page.get_by_label("Upper pressure")).to_have_value("152")
    page.context.unroute("**/submission")
    page.get_by_role("button", name="Done: keep it").click()
    told.to_have_text("Stored: 1.")
    return faults


def test_a_village_doctor_works_without_a_line(
    served: Any, chromium: Browser, axe: str, cases: list[str]
) -> None:
    faults: list[str] = []
    with acting(chromium, served, WORKER.code, "en") as page:
        console: list[str] = []
        page.on("console", lambda one: console.append(one.text) if one.type == "error" else None)
        page.goto(f"{served.address}/chronic/offline")
        page.fill("#name", "诊室手机")
        faults += looked_at(page, axe, "take-along")
        page.get_by_role("button", name="Take along").click()
        expect(page.get_by_role("button", name="王秀英")).to_be_visible()
        faults += looked_at(page, axe, "list")
        # Wherever the phone thinks it is: the zone is the node's, and comes with the people.
        assert page.evaluate(
            """async () => moment(0, (await Store.all("package "))[0].zone)"""
        ) == ("1970-01-01 08:00")
        kept = page.evaluate(PLAIN, "quanmin-offline")
        assert kept["sealed"] >= 2
        assert kept["canLeave"] == [False, False]
        assert not [one for one in ("王秀英", "李桂芳", "5801") if one in kept["text"]]

        page.context.set_offline(True)
        page.reload()
        faults += looked_at_form(page, axe)
        filled(page, "王秀英", "150/95")
        filled(page, "李桂芳", "138/88")
        expect(page.get_by_text("To be sent (2)")).to_be_visible()
        faults += looked_at(page, axe, "queue")
        page.goto(f"{served.address}/offline/zh")
        expect(page.get_by_text("待发送（2）").or_(page.get_by_text("待发送 (2)"))).to_be_visible()
        faults += looked_at(page, axe, "queue-zh")
        page.goto(f"{served.address}/offline/en?large=1")
        page.get_by_role("button", name="Send now").click()
        expect(page.get_by_role("status")).to_contain_text("no connection")

        served.ask(lambda clinic: meanwhile(clinic, cases[1]))
        faults += sent_past_a_failure(page, axe, cases[0])
        page.get_by_role("button", name="李桂芳").first.click()
        expect(page.get_by_role("row", name="Upper pressure")).to_contain_text("138")
        expect(page.get_by_role("row", name="Upper pressure")).to_contain_text("162")
        faults += looked_at(page, axe, "conflict")
        page.get_by_role("button", name="Send mine all the same").click()
        expect(page.get_by_role("heading", name="Who was taken along")).to_be_visible()
        expect(page.get_by_role("heading", name="To be sent")).to_have_count(0)
        assert served.ask(visits_stored) == 3

        with acting(chromium, served, WORKER.code, "en") as elsewhere:
            elsewhere.goto(f"{served.address}/account/devices")
            faults += looked_at(elsewhere, axe, "devices")
            elsewhere.get_by_role("button", name="Revoke").click()
            expect(elsewhere.get_by_text("revoked").first).to_be_visible()
        page.reload()
        expect(page.get_by_role("status")).to_contain_text("revoked")
        kept = page.evaluate(PLAIN, "quanmin-offline")
        assert (kept["sealed"], kept["canLeave"]) == (0, [])
        assert [one for one in console if "Failed to load resource" not in one] == []
    assert faults == []


@pytest.mark.usefixtures("cases")
def test_a_line_that_breaks_two_tabs_and_a_clock_set_back_lose_and_double_nothing(
    served: Any, chromium: Browser
) -> None:
    before = served.ask(visits_stored)
    with acting(chromium, served, WORKER.code, "en") as page:
        page.goto(f"{served.address}/chronic/offline")
        page.get_by_role("button", name="Take along").click()
        expect(page.get_by_role("button", name="王秀英")).to_be_visible()
        page.context.set_offline(True)
        filled(page, "王秀英", "150/95", served.ask(some_day))
        other = page.context.new_page()
        other.goto(f"{served.address}/offline/en")
        expect(other.get_by_text("To be sent (1)")).to_be_visible()
        # The node stores it, and its answer does not arrive.
        lost: list[int] = []

        def breaks(route: Route) -> None:
            lost.append(route.fetch().status)
            route.abort()

        page.context.route("**/submission", breaks)
        page.context.set_offline(False)
        wait_until(page, lambda: bool(lost))
        expect(page.get_by_text("To be sent (1)")).to_be_visible()
        assert (lost[0], served.ask(visits_stored)) == (201, before + 1)
        page.context.unroute("**/submission")
        for tab in (page, other):
            tab.evaluate("void setTimeout(() => sync(true), 500)")
        for tab in (page, other):
            expect(tab.get_by_role("heading", name="To be sent")).to_have_count(0)
        assert served.ask(visits_stored) == before + 1
        other.close()

        page.get_by_role("button", name="王秀英").click()
        page.get_by_label("Upper pressure").fill("151")
        page.get_by_role("button", name="Back").click()
        page.evaluate(SET_BACK)
        page.reload()
        expect(page.get_by_role("status")).to_contain_text("The time is over")
        expect(page.get_by_role("heading", name="Begun and not finished")).to_be_visible()
        page.get_by_role("button", name="王秀英").click()
        expect(page.get_by_label("Upper pressure")).to_have_value("151")

        # A gateway answers in place of the node: the keys of what is not sent stay.
        page.goto(f"{served.address}/chronic/offline")
        page.context.route(
            "**/offline/contact*", lambda route: route.fulfill(status=503, body="<p>later")
        )
        page.get_by_role("button", name="Take along").click()
        expect(page.get_by_role("alert")).to_contain_text("This did not work")
        page.context.unroute("**/offline/contact*")
        page.goto(f"{served.address}/offline/en")
        page.get_by_role("button", name="王秀英").click()
        expect(page.get_by_label("Upper pressure")).to_have_value("151")


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("not in time")


async def some_day(clinic: Clinic) -> str:
    """One on which nobody was visited yet."""
    return ago(clinic, 9)


async def meanwhile(clinic: Clinic, case: str) -> None:
    """Somebody else visits the second person."""
    worker = await clinic.enter(WORKER.code)
    assert (await visited(worker, case, ago(clinic, 3), "162/99")).status_code == 303
    await worker.client.aclose()


async def visits_stored(clinic: Clinic) -> int:
    records = clinic.guard.records(WORKER, purpose="CAREMGT", request_id="count")
    batch = await records.history("QuestionnaireResponse", None, count=50)
    return sum(b"Questionnaire/hypertension-visit" in (one.body or b"") for one in batch.versions)
