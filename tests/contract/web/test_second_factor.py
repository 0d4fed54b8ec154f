"""Everybody proves a second factor, residents too: nobody comes in by a password alone, whichever
way they try, and whoever has none yet gets one and nothing else.
"""

from __future__ import annotations

import asyncio
import re
from importlib import resources

import asyncpg
import pytest
from clinic import Browser, Clinic
from entrance import PASSWORD

from quanmin.base.migrations import read_migrations
from quanmin.node.demonstration import open_account
from quanmin.trust import Actor
from quanmin.trust.sign_in import present_code

from .test_approving import Stage, app, went_back

NEW = Actor("zhao", "resident", "赵敏", "")


@pytest.fixture
async def stage(clinic: Clinic) -> Stage:
    opened = Stage(clinic)
    await opened.server.clients.add(app())
    return opened


async def invited(stage: Stage) -> Browser:
    """A resident who has just chosen a password."""
    person = await stage.clinic.pool.fetchval("select person from people.link limit 1")
    actor = Actor(NEW.code, NEW.role, NEW.name, "", str(person))
    invitation = await stage.clinic.sign_in.accounts.add(NEW.code, actor, real_name_level=2)
    browser = Browser(stage.pages)
    asked = await browser.get(stage.wish())
    assert asked.headers["location"] == "/sign-in"
    await browser.get("/invitation")
    answer = await browser.send("/invitation", code=invitation, password=PASSWORD, again=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/factors")
    return browser


async def test_a_resident_without_a_second_factor_is_nowhere_and_gets_no_token(
    stage: Stage,
) -> None:
    first = await invited(stage)
    again = Browser(stage.pages)
    await again.get("/sign-in")
    sent = await again.send("/sign-in", name=NEW.code, password=PASSWORD)
    assert sent.headers["location"] == "/account/factors"
    for browser in (first, again):
        cookie = browser.client.cookies["quanmin_session"]
        assert await stage.clinic.sign_in.sessions.of(cookie) is None
        for path in ("/", "/account", "/account/password", "/post", "/acting-for", "/notices"):
            assert (await browser.get(path)).headers["location"] == "/sign-in", path
        assert (await browser.get(stage.wish())).headers["location"] == "/sign-in"
        silent = went_back(await browser.get(stage.wish(prompt="none")))
        assert silent["error"] == "login_required"
        await browser.client.aclose()
    given = "select count(*) from trust.{}"
    for table in ("code", "token", "approval"):
        assert await stage.clinic.pool.fetchval(given.format(table)) == 0
    assert (
        await stage.clinic.pool.fetchval(
            "select count(*) from trust.access where actor = $1 and action = 'sign-in'"
            " and outcome = 'ok'",
            NEW.code,
        )
        == 0
    )


async def test_who_gets_the_first_factor_goes_on_to_the_application_that_asked(
    stage: Stage,
) -> None:
    browser = await invited(stage)
    page = (await browser.get("/account/factors")).text
    assert "Somebody of your family may sit with you" in page
    assert 'href="otpauth://totp/' in page
    kept = re.findall(r'name="secret" value="([^"]+)"', page)[0]
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", page)[0]
    fields = {"what": "authenticator", "secret": kept}
    wrong = await browser.send("/account/factors", **fields, code="000000")
    assert wrong.status_code == 422
    assert secret in wrong.text, "the authenticator has it already"
    forged = await browser.send("/account/factors", **(fields | {"secret": "x"}), code="000000")
    assert forged.status_code == 400
    done = await browser.send("/account/factors", **fields, code=present_code(secret))
    assert done.status_code == 200
    codes = re.findall(r"<li><code>([A-Z2-9-]{19})</code>", done.text)
    assert len(codes) == 10
    assert f"<dd><code>{NEW.code}</code></dd>" in done.text
    onward = re.findall(r'class="button" href="([^"]+)"', done.text)[0].replace("&amp;", "&")
    assert onward.startswith("/oauth/authorize?")
    back = went_back(await stage.approve(browser, onward))
    assert (await stage.exchange(back["code"])).status_code == 200
    lost = Browser(stage.pages)
    await lost.get("/sign-in")
    await lost.send("/sign-in", name=NEW.code, password=PASSWORD)
    assert "to the counter of your institution" in (await lost.get("/sign-in/factor")).text
    assert (await lost.send("/sign-in/factor", code=codes[3])).headers["location"] == "/"
    for one in (browser, lost):
        await one.client.aclose()


@pytest.mark.parametrize("is_linked", [False, True])
async def test_a_grant_is_renewed_only_while_there_is_a_second_factor(
    stage: Stage, *, is_linked: bool
) -> None:
    browser = await stage.clinic.enter("resident", stage.pages)
    told = await stage.tokens(browser)
    waiting = went_back(await stage.approve(browser, stage.wish()))["code"]
    await stage.clinic.pool.execute("delete from trust.totp where account = 'resident'")
    if is_linked:
        await stage.clinic.pool.execute(
            "insert into trust.external_link values ('https://login.example', 's', 'resident', 1)"
        )
    expected = 200 if is_linked else 400
    assert (await stage.renew(told["refresh_token"])).status_code == expected
    assert (await stage.exchange(waiting)).status_code == expected
    await browser.client.aclose()


async def test_a_resident_of_a_demonstration_signs_in_by_what_it_shows(clinic: Clinic) -> None:
    shown = await open_account(clinic.sign_in, Actor("demo-resident", "resident", "Resident", ""))
    browser = Browser(clinic.pages())
    await browser.get("/sign-in")
    await browser.send("/sign-in", name=shown.code, password=shown.password)
    await browser.get("/sign-in/factor")
    answer = await browser.send("/sign-in/factor", code=present_code(shown.secret))
    assert answer.headers["location"] == "/"
    await browser.client.aclose()


async def test_the_database_holds_no_session_by_a_password_alone(clinic: Clinic) -> None:
    (actor,) = await clinic.sign_in.actors.of_account("resident")
    with pytest.raises(asyncpg.CheckViolationError):
        await clinic.sign_in.sessions.begin("resident", "whole", ("pwd",), actor=actor)


async def test_what_a_password_alone_had_opened_has_ended_with_the_upgrade(stage: Stage) -> None:
    pool, clinic = stage.clinic.pool, stage.clinic
    browser = await clinic.enter("resident", stage.pages)
    told = await stage.tokens(browser)
    doctor = Actor("doctor", "doctor", "Doctor", "hospital-a")
    await clinic.add(doctor)
    desk = await clinic.enter("doctor", stage.pages)
    kept = await stage.tokens(desk, scope="user/Observation.rs offline_access")
    await pool.execute("delete from trust.totp where account = 'resident'")
    await pool.execute("alter table trust.session drop constraint session_by_two_factors")
    await pool.execute("update trust.session set methods = '{pwd}' where account = 'resident'")
    steps = read_migrations(resources.files("quanmin.node") / "migrations")
    (step,) = (one for one in steps if one.name == "second_factor_for_all")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(step.sql)
    assert (await browser.get("/account")).headers["location"] == "/sign-in"
    assert (await stage.renew(told["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await desk.get("/account")).status_code == 200
    assert (await stage.renew(kept["refresh_token"])).status_code == 200
    left = "select array_agg(actor) from trust.approval where withdrawn_at is null"
    assert await pool.fetchval(left) == ["doctor"]
    for one in (browser, desk):
        await one.client.aclose()


async def add_passkey(clinic: Clinic, account: str) -> None:
    await clinic.pool.execute(
        "insert into trust.passkey (id, account, public_key, sign_count, name, made_at)"
        " values ($1, $2, '', 0, 'key', 1)",
        f"id of {account}".encode(),
        account,
    )


async def test_of_two_factors_that_are_taken_away_at_once_one_stays(clinic: Clinic) -> None:
    factors, secret = clinic.sign_in.factors, clinic.secrets["resident"]
    await add_passkey(clinic, "resident")
    key = b"id of resident"
    assert await factors.take_away("resident", b"another's"), "nothing that is there goes"
    for _ in range(8):
        took = await asyncio.gather(
            factors.take_away("resident", key), factors.take_away("resident")
        )
        assert sorted(took) == [False, True]
        assert await factors.are_there("resident")
        await clinic.pool.execute("delete from trust.passkey")
        await add_passkey(clinic, "resident")
        await clinic.pool.execute("delete from trust.totp where account = 'resident'")
        await clinic.sign_in.totp.add("resident", secret, present_code(secret))


async def test_the_password_alone_proves_nobody_again_either(clinic: Clinic) -> None:
    await clinic.pool.execute("delete from trust.totp where account = 'resident'")
    await add_passkey(clinic, "resident")
    codes = await clinic.sign_in.recovery.renew("resident")
    browser = await clinic.enter("resident")
    page = await browser.get("/account/again")
    assert "Recovery code" in page.text
    alone = await browser.send("/account/again", password=PASSWORD)
    assert alone.status_code == 401
    both = await browser.send("/account/again", password=PASSWORD, code=codes[0])
    assert both.headers["location"] == "/account"
    await browser.client.aclose()
