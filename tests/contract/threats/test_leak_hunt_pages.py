"""The leak hunt on pages: a secret of another hospital changes no page of who may not see it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
from clinic import MAN, PHONE, Browser, with_check_digit
from hunting import HIDDEN_CODE, ICD
from stores import coded
from whole import Whole

from quanmin.trust import Actor, Role
from quanmin.web.application import discover
from quanmin.web.whole import KIT_PAGES

SECRET = "secret-of-the-other-hospital"
# Of those who see records and of those who run the node one each; other roles see no more.
STAFF: tuple[Role, ...] = ("doctor", "security_administrator")
# It shows a new secret of an authenticator each time.
ALWAYS_NEW = {"/account/factors"}
# What changes of itself: what is sealed, numbers of requests, moments.
CHANGING = re.compile(
    r'(?:value|data-options|data-codes)="[^"]*"|"token":"[^"]*"|[?&]from=[\w.~-]+|[0-9a-f]{32}'
    r"|\d{4}-\d\d-\d\d[ T][\d:.]+"
)


def addresses(ids: dict[str, str]) -> Iterator[str]:
    """Every page that is opened by GET, at each id that could tell."""
    pages = [*KIT_PAGES, *(page for found in discover() for page in found.application.pages)]
    meant = (SECRET, ids["hospital-a man"], ids["hospital-b man"])
    for page in pages:
        if "GET" not in page.methods or page.path in ALWAYS_NEW:
            continue
        path = re.sub(r"\{\w+:int\}", "1", page.path)
        types = ("Condition", "Patient") if "{type}" in path else ("",)
        for type_ in types:
            typed = path.replace("{type}", type_)
            for id_ in meant if "{" in typed else meant[:1]:
                filled = re.sub(r"\{\w+(:\w+)?\}", id_, typed)
                yield filled


def told(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
    kept = ("location", "etag", "last-modified", "content-type", "content-disposition")
    headers = {name: answer.headers[name] for name in kept if name in answer.headers}
    return answer.status_code, CHANGING.sub("", answer.text), headers


async def walked(browser: Browser, paths: list[str]) -> dict[str, object]:
    """What each page says, and each list that a search finds."""
    found: dict[str, object] = {path: told(await browser.get(path)) for path in paths}
    for term in ("张伟", with_check_digit(MAN), PHONE, HIDDEN_CODE, SECRET):
        await browser.get("/")
        hits = await browser.send("/people", term=term)
        found[f"search {term}"] = told(hits)
        for state in re.findall(r'name="state" value="([^"]+)"', hits.text)[:1]:
            found[f"sheet {term}"] = told(await browser.send("/people.csv", state=state))
    return found


async def test_a_secret_changes_no_page_of_who_may_not_see_it(whole: Whole) -> None:
    front = whole.front()
    browsers = {}
    for role in STAFF:
        actor = Actor(f"a-{role.replace('_', '-')}", role, role, "hospital-a")
        await whole.clinic.add(actor)
        browsers[role] = await whole.entered(actor.code, front)
    paths = sorted(set(addresses(whole.clinic.ids)))
    assert len(paths) > 30
    before = {role: await walked(browser, paths) for role, browser in browsers.items()}
    theirs = await whole.entered("hospital-b", front)
    about = [path for path in paths if path.startswith(("/record/", "/person/"))]
    seen = await walked(theirs, about)
    body = {
        "resourceType": "Condition",
        "id": SECRET,
        "code": coded(HIDDEN_CODE, ICD, text="hidden words"),
        "subject": {"reference": f"Patient/{whole.clinic.ids['hospital-b man']}"},
        "recordedDate": "2026-04-01",
    }
    planted = await whole.asking("program-b", front).put(
        f"/fhir/Condition/{SECRET}", content=json.dumps(body)
    )
    assert planted.status_code == 201, planted.text
    leaks = []
    for role, browser in browsers.items():
        after = await walked(browser, paths)
        leaks += [(role, what) for what, said in after.items() if said != before[role][what]]
    assert leaks == []
    noticed = await walked(theirs, about)
    assert sum(said != seen[what] for what, said in noticed.items()) >= 3, "the hunt sees nothing"
