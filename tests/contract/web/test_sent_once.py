"""A form that is sent again is answered as it was, or it is said that one has to look first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from clinic import Browser, Clinic
from starlette.applications import Starlette
from starlette.responses import Response

from quanmin.base.clock import Clock
from quanmin.base.problems import Unanswered
from quanmin.trust.sign_in import SentForms
from quanmin.web import Access, Application, DeclaredRecords, Text, Visit, page
from quanmin.web.application import Installed
from quanmin.web.page_settings import PageSettings

STAFF = Access(frozenset({"operator"}))
ROWS = "select count(*) from trust.sent_form"
Doing = Callable[[Visit], Awaitable[Response]]


class Trial:
    """A page that does what a test says, and how often it was done."""

    def __init__(self, clinic: Clinic, folder: Path) -> None:
        self.clinic, self.folder = clinic, folder
        self.count = 0
        (folder / "templates").mkdir()

    async def enter(self, does: Doing, wait_seconds: float = 10.0) -> Browser:
        """A browser on the page."""

        @page("/trial", access=STAFF, methods=("GET", "POST"))
        async def trial(visit: Visit, records: DeclaredRecords) -> Response:
            del records
            if visit.request.method == "GET":
                return visit.page("kit/confirm.html", title="", sentences=(), kept={}, back="/")
            self.count += 1
            return await does(visit)

        words = Text(zh="试用", en="Trial")
        application = Application(
            name="trial", title=words, summary=words, levels=frozenset({"county"}),
            roles=frozenset({"operator"}), reads=frozenset(), home="/trial", pages=(trial,),
        )  # fmt: skip
        pages: Starlette = self.clinic.pages(
            installed=(Installed(application, self.folder),),
            pages=PageSettings(sent_wait_seconds_max=wait_seconds),
        )
        browser = await self.clinic.enter("centre", pages)
        await browser.get("/trial")
        assert browser.token
        return browser


@pytest.fixture
def trial(clinic: Clinic, tmp_path: Path) -> Trial:
    (tmp_path / "trial").mkdir()
    return Trial(clinic, tmp_path / "trial")


async def test_what_is_sent_again_is_answered_as_before_and_another_page_is_another(
    trial: Trial,
) -> None:
    async def does(visit: Visit) -> Response:
        return visit.go(f"/done/{trial.count}/{visit.sent.get('words')}")

    browser = await trial.enter(does)
    answers = await browser.send_twice("/trial?of=1", words="张伟")
    assert [one.headers["location"] for one in answers] == ["/done/1/%E5%BC%A0%E4%BC%9F"] * 2
    kept = await trial.clinic.pool.fetchval("select t::text from trust.sent_form t")
    assert "done" not in kept, "where it leads may say of whom a page is"
    for path, words in (("/trial?of=2", "张伟"), ("/trial?of=1", "李敏")):
        await browser.send(path, words=words)
    assert trial.count == 3
    await browser.get("/trial")
    await browser.send("/trial?of=1", words="张伟")
    assert trial.count == 4
    await trial.clinic.pool.execute("update trust.sent_form set until_at = 1")
    await trial.clinic.sign_in.sweep()
    assert await trial.clinic.pool.fetchval(ROWS) == 0
    await browser.client.aclose()


async def test_what_was_refused_failed_or_only_looked_at_is_taken_the_next_time(
    trial: Trial,
) -> None:
    async def does(visit: Visit) -> Response:
        if trial.count == 1:
            raise ValueError
        if trial.count == 2:
            return visit.page("kit/confirm.html", title="", sentences=(), kept={}, back="/")
        return visit.go("/done")

    browser = await trial.enter(does)
    token = browser.token
    answers = [(await browser.send("/trial", token=token)).status_code for _ in range(4)]
    assert answers == [500, 200, 303, 303]
    assert trial.count == 3
    await browser.client.aclose()


async def test_who_comes_second_to_a_form_that_is_refused_is_heard_as_well(trial: Trial) -> None:
    async def does(visit: Visit) -> Response:
        await asyncio.sleep(0.05)
        return Response(status_code=422) if trial.count == 1 else visit.go("/done")

    browser = await trial.enter(does)
    assert sorted(one.status_code for one in await browser.send_twice("/trial")) == [303, 422]
    await browser.client.aclose()


async def test_of_a_form_that_nothing_came_of_it_is_said_to_look_first(trial: Trial) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def does(visit: Visit) -> Response:
        number = trial.count
        begun.set()
        if number == 1:
            await ended.wait()
        return visit.go(f"/done/{number}")

    browser = await trial.enter(does, wait_seconds=1)
    token = browser.token
    first = asyncio.create_task(browser.send("/trial", token=token))
    await begun.wait()
    doubted = await asyncio.gather(*(browser.send("/trial", token=token) for _ in range(3)))
    assert [one.status_code for one in doubted] == [409] * 3
    assert "Look whether what you sent is there" in doubted[0].text
    assert trial.count == 1
    # Whoever has looked sends it again; that the first came to something then changes nothing.
    again = await browser.send("/trial", token=token)
    ended.set()
    assert (again.headers["location"], (await first).headers["location"]) == ("/done/2", "/done/1")
    assert (await browser.send("/trial", token=token)).headers["location"] == "/done/2"
    await browser.client.aclose()


async def test_the_processes_of_a_node_know_of_each_others_forms(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    forms = [SentForms(pool, Clock().now) for _ in range(2)]
    turn = await forms[0].take(b"one", wait_seconds=5, kept_seconds=60)
    waiting = asyncio.create_task(forms[1].take(b"one", wait_seconds=5, kept_seconds=60))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await forms[0].answer(turn, "there")
    assert (await waiting).answer == "there"
    assert not (await forms[1].take(b"other", wait_seconds=5, kept_seconds=60)).answer
    with pytest.raises(Unanswered):
        await forms[0].take(b"other", wait_seconds=0, kept_seconds=60)
