"""Guardians and proxies are entered at a counter, by documents of both, and ended there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
import pytest
from clinic import MAN, WOMAN, Browser, Clinic, with_check_digit
from persons import asking
from stores import patient

from quanmin.trust import Actor

MOTHER, FATHER = with_check_digit(WOMAN), with_check_digit(MAN)
CHILD, YOUTH = with_check_digit("58010120200229002"), with_check_digit("58010120110301002")
LIST = "/enrolment/proxies"


@pytest.fixture
async def desk(clinic: Clinic) -> AsyncIterator[Browser]:
    hospital = asking(clinic.guard, "institution", "hospital-a")
    for number, name, born in ((CHILD, "欧阳小月", "2020-02-29"), (YOUTH, "张少年", "2011-03-01")):
        await hospital.create("Patient", patient(number, name, birthDate=born))
    opened = await clinic.enter("hospital-a")
    yield opened
    await opened.client.aclose()


async def send(desk: Browser, path: str = f"{LIST}/new", **more: str) -> httpx.Response:
    """What the counter answers when what was filled in is confirmed."""
    usual = {
        "number": MOTHER,
        "for_number": CHILD,
        "kind": "parent",
        "evidence": "birth-certificate",
        "confirmed": "1",
    }
    await desk.get(path)
    return await desk.send(path, **usual | more)


async def test_a_mother_is_entered_told_and_ended(clinic: Clinic, desk: Browser) -> None:
    woman = clinic.ids["hospital-a crowd"]
    person = await clinic.guard.people.person_of(
        clinic.pool,  # type: ignore[arg-type]  # a single statement
        clinic.guard.store.context.rid_of("Patient", woman) or 0,
    )
    await clinic.add(Actor("mother", "resident", "欧阳明月", "", str(person)))
    asked = await send(desk, confirmed="")
    assert asked.status_code == 200
    assert "欧阳小月" in asked.text
    assert await clinic.pool.fetchval("select count(*) from trust.proxy") == 0, "asked once more"
    assert (await send(desk, number=f" {MOTHER[:6]} {MOTHER[6:]} ")).status_code == 303
    row = await clinic.pool.fetchrow("select * from trust.proxy")
    assert row is not None
    assert (row["person"], row["kind"], row["evidence"], row["decided_by"]) == (
        *(person, "parent", "birth-certificate"),
        "hospital-a",
    )
    ends = datetime.fromtimestamp(row["until"] / 1e6, ZoneInfo("Asia/Shanghai"))
    assert ends.isoformat() == "2034-03-01T00:00:00+08:00", "born on a leap day"
    noted = await clinic.pool.fetchrow("select * from trust.access where action = 'enter-proxy'")
    assert noted is not None
    assert (noted["outcome"], len(noted["patients"])) == ("ok", 2)
    mother = await clinic.enter("mother")
    assert "You act for another person from now on" in (await mother.get("/notices")).text
    assert "欧阳小月" not in (await desk.get(LIST)).text
    sheet = (await desk.get(f"{LIST}.csv")).text
    assert (CHILD in sheet, "End it" in sheet, len(sheet.splitlines())) == (False, False, 2)
    number = row["proxy"]
    for query, is_there in (("", True), (f"after={number + 1}", True), (f"after={number}", False),
                            (f"sort=number&after={number - 1}", True),
                            (f"sort=number&after={number}", False)):  # fmt: skip
        shown = (await desk.get(f"{LIST}?{query}")).text
        assert (f"{LIST}/{number}/end" in shown) is is_there, query
    again = await send(desk)
    assert again.status_code == 422
    assert "acts for the other already" in again.text
    other = await clinic.enter("hospital-b")
    path = f"{LIST}/{row['proxy']}/end"
    assert (await other.get(path)).status_code == 404
    await desk.get(path)
    assert (await desk.send(path)).status_code == 200, "asked once more"
    assert (await desk.send(path, confirmed="1")).status_code == 303
    assert "Your acting for another person has ended" in (await mother.get("/notices")).text
    for browser in (mother, other):
        await browser.client.aclose()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"for_number": YOUTH}, "they decide for themselves"),
        ({"number": YOUTH}, "18 or older"),
        ({"for_number": MOTHER}, "for themselves"),
        ({"for_number": "580101202002290030"}, "Nobody is found"),
        ({"number": "x,y|$\\"}, "Nobody is found"),
        ({"evidence": ""}, "Fill this in"),
        ({"evidence": "power-of-attorney"}, "For this kind one of"),
        ({"kind": "king"}, "Choose one of the list"),
        ({"until": "2020-01-01"}, "ends after it begins"),
    ],
)
async def test_what_cannot_be_is_told_and_changes_nothing(
    clinic: Clinic, desk: Browser, sent: dict[str, str], told: str
) -> None:
    answer = await send(desk, **sent)
    assert answer.status_code == 422
    assert told in answer.text
    assert await clinic.pool.fetchval("select count(*) from trust.proxy") == 0


@pytest.mark.usefixtures("desk")
async def test_nobody_lets_themselves_act_and_only_the_counter_enters(clinic: Clinic) -> None:
    clerk = Actor("clerk", "institution", "A clerk", "hospital-a")
    accounts = clinic.sign_in.accounts
    await accounts.accept(
        await accounts.add("clerk", clerk, document=MOTHER), "long enough and hard to guess"
    )
    browser = await clinic.enter("clerk")
    refused = await send(browser)
    assert refused.status_code == 422
    assert "ask a colleague" in refused.text
    assert (await send(browser, number=FATHER)).status_code == 303
    for code in ("centre", "resident"):
        stranger = await clinic.enter(code)
        for path in (LIST, f"{LIST}.csv", f"{LIST}/new", f"{LIST}/1/end"):
            assert (await stranger.get(path)).status_code == 403, path
        await stranger.client.aclose()
    other = await clinic.enter("hospital-b")
    assert "Nobody is found" in (await send(other)).text, "of those that one sees"
    for one in (browser, other):
        await one.client.aclose()
