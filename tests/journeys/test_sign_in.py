"""The way in, in a real browser: by password and code without script, by passkeys with it, in both
languages and on the narrowest phone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from clinic import Clinic
from entrance import PASSWORD
from playwright.sync_api import Browser, CDPSession, Page, expect

from quanmin.trust import Actor
from quanmin.trust.sign_in import present_code

pytestmark = pytest.mark.browser


@contextmanager
def visited(
    chromium: Browser, served: Any, path: str = "/sign-in", *, width: int = 1280, **more: Any
) -> Iterator[Page]:
    lang, large = more.pop("lang", "en"), more.pop("large", 0)
    context = chromium.new_context(viewport={"width": width, "height": 800}, **more)
    try:
        page = context.new_page()
        page.goto(f"{served.address}{path}?lang={lang}&large={large}")
        yield page
    finally:
        context.close()


def with_authenticator(page: Page) -> tuple[CDPSession, str]:
    """A passkey device in the browser, which makes sure of its user."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    made = session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
            }
        },
    )
    return session, made["authenticatorId"]


def invited(served: Any, code: str) -> str:
    async def invite(clinic: Clinic) -> str:
        actor = Actor(code, "institution", "hospital-a desk", "hospital-a")
        return await clinic.sign_in.accounts.add(code, actor, document=f"x:{code}")

    return str(served.ask(invite))


def accept(page: Page, served: Any, code: str) -> None:
    page.fill("#code", invited(served, code))
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("main button")


def in_one_period() -> None:
    """Wait for the next period of one-time codes where this one is nearly over: a code that was
    shown before it is by then too old.
    """
    left = 30 - time.time() % 30
    if left < 12:
        time.sleep(left)


def answered(page: Page, name: str, password: str = PASSWORD) -> None:
    page.fill("#name", name)
    page.fill("#password", password)
    with page.expect_navigation():
        page.click("main form:not([data-passkey]) button >> nth=0")


def test_staff_get_in_without_script_by_invitation_password_and_code(
    chromium: Browser, served: Any
) -> None:
    with visited(chromium, served, "/invitation", java_script_enabled=False) as page:
        accept(page, served, "zhao")
        expect(page.locator("form[data-passkey]")).to_be_hidden()
        secret = page.locator("code").filter(has_text=re.compile("^[A-Z2-7]{32}$")).inner_text()
        in_one_period()
        page.fill("#code", present_code(secret, periods_ago=1))
        page.get_by_role("button", name="Add the authenticator").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
        page.get_by_role("link", name="Go on").click()
        page.get_by_role("button", name="Sign out").click()
        answered(page, "zhao", "wrong")
        expect(page.get_by_role("alert").first).to_contain_text("is wrong")
        answered(page, "zhao")
        page.fill("#code", present_code(secret))
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("footer")).to_contain_text("hospital-a desk")


def test_a_passkey_is_made_and_lets_in_by_itself(chromium: Browser, served: Any) -> None:
    with visited(chromium, served, "/invitation") as page:
        session, device = with_authenticator(page)
        accept(page, served, "qian")
        page.fill("#passkey-name", "My device")
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
        page.get_by_role("link", name="Go on").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.locator("footer")).to_contain_text("hospital-a desk")
        page.goto(f"{served.address}/account")
        expect(page.locator("main")).to_contain_text("My device")
        page.get_by_role("button", name="Sign out", exact=True).click()
        answered(page, "qian")
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.locator("footer")).to_contain_text("hospital-a desk")
        held = session.send("WebAuthn.getCredentials", {"authenticatorId": device})
        assert [one["isResidentCredential"] for one in held["credentials"]] == [True]


def test_an_answer_of_a_passkey_is_taken_once(chromium: Browser, served: Any) -> None:
    with visited(chromium, served, "/invitation") as page:
        with_authenticator(page)
        accept(page, served, "sun")
        page.get_by_role("button", name="Add a passkey").click()
        page.get_by_role("link", name="Go on").click()
        page.get_by_role("button", name="Sign out").click()
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.post_data or ""))
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.locator("footer")).to_contain_text("hospital-a desk")
        caught = next(text for text in sent if "answer=" in text and "challenge=" in text)
        mark = next(
            str(one["value"]) for one in page.context.cookies() if one["name"] == "quanmin_browser"
        )
        page.context.clear_cookies()
        page.context.add_cookies(
            [{"name": "quanmin_browser", "value": mark, "url": served.address}]
        )
        answer = page.context.request.post(
            f"{served.address}/sign-in",
            data=caught,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": served.address,
            },
            max_redirects=0,
        )
        assert answer.status == 401
        page.goto(f"{served.address}/account")
        assert page.url.endswith("/sign-in")
