"""Each of the three administrators opens exactly their pages, and none shows them a person."""

from __future__ import annotations

import pytest
from clinic import MAN, PHONE, Browser, Clinic, with_check_digit

from quanmin.trust import Actor, Role
from quanmin.web.application import discover
from quanmin.web.whole import KIT_PAGES

ADMINISTRATORS: tuple[Role, ...] = (
    "system_administrator",
    "security_administrator",
    "audit_administrator",
)
OF_PERSONS = ("/person/", "/record/", "/people")
SECRETS = ("张伟", with_check_digit(MAN), MAN[:14], PHONE, "青霉素", "2型糖尿病", "欧阳明月")


def pages(clinic: Clinic) -> list[tuple[str, frozenset[Role] | None, bool]]:
    """Every page that is opened by GET, with what its path names filled in, who may, and whether
    it is of nobody in particular.
    """
    filled = {
        "{id}": clinic.ids["hospital-a man"],
        "{type}": "Patient",
        "{version:int}": "1",
        "{glass:int}": "1",
        "{code}": "none",
    }
    declared = [
        *KIT_PAGES,
        *(page for one in discover() for page in one.application.pages),
    ]
    found = []
    for page in declared:
        path = page.path
        for name, value in filled.items():
            path = path.replace(name, value)
        if "GET" in page.methods and "{" not in path:
            found.append((path, page.access.roles, path == page.path))
    return found


@pytest.mark.parametrize("role", ADMINISTRATORS)
async def test_an_administrator_opens_exactly_their_pages_and_sees_no_person(
    clinic: Clinic, role: Role
) -> None:
    await clinic.add(Actor("admin", role, "管理员", ""))
    browser: Browser = await clinic.enter("admin")
    opened: set[str] = set()
    closed: set[str] = set()
    for path, roles, is_plain in pages(clinic):
        if path == "/sign-out" or path.startswith("/oauth"):
            continue
        answer = await browser.get(path)
        assert answer.status_code < 500, path
        is_refused = answer.status_code == 403
        if roles is not None:
            assert is_refused or role in roles, path
            assert not is_plain or is_refused is (role not in roles), path
        (closed if is_refused else opened).add(path)
        text = answer.text
        assert not [secret for secret in SECRETS if secret in text], path
        assert not is_plain or clinic.ids["hospital-a man"] not in text, path
    assert {one for one in opened | closed if one.startswith(OF_PERSONS)} <= closed
    assert "/" in opened
    assert "/people" in closed
    assert {"/decisions", "/decisions/rules"} <= (opened if role != ADMINISTRATORS[0] else closed)
    assert ("/emergency-review" in opened) is (role == "security_administrator")
    await browser.client.aclose()
