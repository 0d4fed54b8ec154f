"""Residents are enrolled at a counter: by a document, for an account that opens once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from clinic import MAN, WOMAN, Browser, Clinic, with_check_digit
from entrance import PASSWORD

from quanmin.trust import Actor

NUMBER = with_check_digit(WOMAN)


@pytest.fixture
async def desk(clinic: Clinic) -> AsyncIterator[Browser]:
    opened = await clinic.enter("hospital-a")
    yield opened
    await opened.client.aclose()


async def choose(desk: Browser, term: str) -> list[str]:
    await desk.get("/enrolment")
    page = await desk.send("/enrolment", term=term)
    assert page.status_code == 200, page.text
    return re.findall(r'name="chosen" value="([^"]+)"', page.text)


async def enrol(desk: Browser, number: str = NUMBER) -> tuple[str, str]:
    """The account, and the code that opens it."""
    (chosen,) = await choose(desk, number)
    page = await desk.send(
        "/enrolment/document", chosen=chosen, evidence="identity-card", number=number
    )
    assert page.status_code == 200, page.text
    code, invitation = re.findall(r"<dd><code>([^<]+)</code></dd>", page.text)[:2]
    return code, invitation


async def accept(clinic: Clinic, invitation: str) -> tuple[Browser, int]:
    browser = Browser(clinic.pages())
    await browser.get("/invitation")
    answer = await browser.send("/invitation", code=invitation, password=PASSWORD, again=PASSWORD)
    return browser, answer.status_code


async def test_a_name_of_many_says_that_there_are_more(desk: Browser) -> None:
    assert len(await choose(desk, "王")) == 10
    for term, is_cut in (("王", True), ("王春", False)):
        page = await desk.send("/enrolment", term=term)
        assert ("More than these 10 match" in page.text) is is_cut


async def test_a_resident_is_enrolled_and_sees_their_record(clinic: Clinic, desk: Browser) -> None:
    code, invitation = await enrol(desk)
    row = await clinic.pool.fetchrow("select * from trust.enrolment")
    assert row is not None
    assert (row["account"], row["level"], row["evidence"], row["decided_by"], row["sender"]) == (
        code,
        2,
        "identity-card",
        "hospital-a",
        "hospital-a",
    )
    noted = await clinic.pool.fetchrow("select * from trust.access where action = 'enrol'")
    assert noted is not None
    woman = clinic.guard.store.context.rid_of("Patient", clinic.ids["hospital-a crowd"])
    assert (noted["outcome"], noted["actor"], noted["patients"]) == ("ok", "hospital-a", [woman])
    resident, status = await accept(clinic, invitation)
    assert status == 303
    assert (await resident.add_authenticator()).status_code == 200
    page = await resident.get(f"/person/{clinic.ids['hospital-a crowd']}")
    assert page.status_code == 200
    mine = await resident.get("/account")
    assert "Identity document seen at a counter" in mine.text
    assert "Your identity was checked at a counter" in (await resident.get("/notices")).text
    _, again = await accept(clinic, invitation)
    assert again == 404, "used once"
    assert code in (await desk.get("/enrolment/list")).text
    sheet = (await desk.get("/enrolment/list.csv")).text
    assert code in sheet
    assert NUMBER not in sheet
    await clinic.pool.execute(
        "insert into trust.enrolment (account, person, level, evidence, at, decided_by, sender)"
        " select account, person, level, evidence, at - n / 3, decided_by, sender"
        " from trust.enrolment, generate_series(1, 219) as n"
    )
    assert (await desk.get("/enrolment/list.csv")).text.count(code) == 220
    listed, link = 0, "/enrolment/list?lang=en"
    while link:
        shown = (await desk.get(link)).text
        listed += shown.count(f'scope="row">{code}')
        following = re.search(r'<a href="([^"]+)">Next<', shown)
        link = following[1].replace("&amp;", "&") if following else ""
    assert listed == 220


async def test_who_has_lost_the_way_in_gets_it_back_and_nobody_else_keeps_it(
    clinic: Clinic, desk: Browser
) -> None:
    code, invitation = await enrol(desk)
    before, _ = await accept(clinic, invitation)
    await before.add_authenticator()
    assert (await before.get("/account")).status_code == 200
    same, fresh = await enrol(desk)
    assert same == code, "one account for one person"
    assert (await before.get("/account")).headers["location"] == "/sign-in", "out at once"
    kept = await clinic.pool.fetchval("select password from trust.account where code = $1", code)
    assert kept is None
    assert not await clinic.sign_in.factors.are_there(code), "what was lost proves nothing"
    assert await clinic.sign_in.recovery.count(code) == 0
    noted = "select count(*) from trust.access where action = 'enrol' and outcome = 'ok'"
    assert await clinic.pool.fetchval(noted) == 2
    after, status = await accept(clinic, fresh)
    assert status == 303
    assert (await after.get("/account")).headers["location"] == "/sign-in"
    await after.add_authenticator()
    told = await clinic.sign_in.notices.listed(code, count=20)
    assert [one.kind for one in told].count("enrolled") == 2
    await clinic.sign_in.accounts.lock(code)
    (chosen,) = await choose(desk, NUMBER)
    refused = await desk.send(
        "/enrolment/document", chosen=chosen, evidence="identity-card", number=NUMBER
    )
    assert refused.status_code == 422
    assert "locked" in refused.text


async def test_a_document_that_is_not_theirs_opens_nothing(clinic: Clinic, desk: Browser) -> None:
    (chosen,) = await choose(desk, NUMBER)
    for number in (with_check_digit(MAN), NUMBER[:-1], "0" * 40, "，", "1"):
        page = await desk.send(
            "/enrolment/document", chosen=chosen, evidence="identity-card", number=number
        )
        assert page.status_code == 422
        assert NUMBER not in page.text
    odd = await desk.send("/enrolment/document", chosen=chosen, evidence="a-letter", number=NUMBER)
    assert odd.status_code == 422
    forged = await desk.send(
        "/enrolment/document", chosen="x" * 60, evidence="identity-card", number=NUMBER
    )
    assert forged.status_code == 400
    assert await clinic.pool.fetchval("select count(*) from trust.enrolment") == 0
    refused = await clinic.pool.fetchval(
        "select count(*) from trust.access where action = 'enrol' and outcome <> 'ok'"
    )
    assert refused >= 5


async def test_only_whom_the_institution_sees_is_found_and_only_by_its_counter(
    clinic: Clinic, desk: Browser
) -> None:
    other = await clinic.enter("hospital-b")
    assert await choose(other, NUMBER) == []
    (chosen,) = await choose(desk, NUMBER)
    stolen = await other.send(
        "/enrolment/document", chosen=chosen, evidence="identity-card", number=NUMBER
    )
    assert stolen.status_code == 400, "what was sealed for another"
    for code in ("centre", "resident"):
        stranger = await clinic.enter(code)
        assert (await stranger.get("/enrolment")).status_code == 403
        assert (await stranger.get("/enrolment/list.csv")).status_code == 403
        await stranger.client.aclose()
    await clinic.add(Actor("nurse", "nurse", "A nurse", "hospital-a"))
    nurse = await clinic.enter("nurse")
    assert (await nurse.get("/enrolment")).status_code == 403, "without the duty"
    await nurse.client.aclose()
    await other.client.aclose()


async def test_nobody_enrols_themselves(clinic: Clinic) -> None:
    clerk = Actor("clerk", "institution", "A clerk", "hospital-a")
    accounts = clinic.sign_in.accounts
    await accounts.accept(await accounts.add("clerk", clerk, document=NUMBER), PASSWORD)
    browser = await clinic.enter("clerk")
    (chosen,) = await choose(browser, NUMBER)
    page = await browser.send(
        "/enrolment/document", chosen=chosen, evidence="identity-card", number=f" {NUMBER} "
    )
    assert page.status_code == 422
    assert "Nobody enrols themselves" in page.text
    await browser.client.aclose()


async def test_below_the_level_nobody_sees_their_record(clinic: Clinic) -> None:
    await clinic.pool.execute(
        "update trust.account set real_name_level = 1 where code = 'resident'"
    )
    browser = await clinic.enter("resident")
    assert (await browser.get(f"/person/{clinic.ids['hospital-a man']}")).status_code == 404
    page = await browser.get("/account")
    assert "take an identity document to the counter" in page.text
    await browser.client.aclose()


async def test_an_account_that_a_resident_has_already_becomes_theirs(
    clinic: Clinic, desk: Browser
) -> None:
    accounts = clinic.sign_in.accounts
    for code, role, sender in (("ming", "resident", ""), ("clerk", "institution", "hospital-b")):
        actor = Actor(code, role, code, sender)  # type: ignore[arg-type]  # two of the roles
        await accounts.accept(await accounts.add(code, actor), PASSWORD)
    hers = await clinic.enter("ming")
    record = f"/person/{clinic.ids['hospital-a crowd']}"
    assert (await hers.get(record)).status_code == 404

    async def bind(account: str) -> int:
        (chosen,) = await choose(desk, NUMBER)
        answer = await desk.send(
            "/enrolment/document",
            chosen=chosen,
            evidence="identity-card",
            number=NUMBER,
            account=account,
        )
        return answer.status_code

    for wrong in ("nobody", "clerk", "centre", "resident", "x" * 63):
        assert await bind(wrong) == 422, wrong
    assert await bind(" Ming ") == 200
    assert (await hers.get(record)).status_code == 200, "signed in as before"
    level = await clinic.pool.fetchval(
        "select real_name_level from trust.account where code = 'ming'"
    )
    assert level == 2
    assert await bind("ming") == 200, "again is no harm"
    code, _ = await enrol(desk)
    assert code == "ming", "one account for one person"
    await hers.client.aclose()
