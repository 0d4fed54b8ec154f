"""Looks at the pages that were found: each account's in every look that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, Playwright

from ui.axe import axe_source
from ui.judge import judging
from ui.looks import Look, looks_at, openings
from ui.slow import Slow, timed
from ui.walk import Found

FLAGS: Final = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-sync", "--disable-background-networking"),
    "--disable-component-update",
]
TRIES_MAX: Final = 4
"""A page is timed again so often before it is called slow: what else a machine does slows it."""


class Seen(msgspec.Struct, frozen=True):
    """One page in one look."""

    account: str
    found: Found
    look: Look
    faults: tuple[str, ...]
    picture: str = ""


class Eyes:
    """A browser, the checker, and what is known to be without fault."""

    def __init__(self, playwright: Playwright, program: str, base: str) -> None:
        self._browser: Browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        self._base, self._axe = base, axe_source()
        self._held: set[Any] = set()
        self._turns: Counter[str] = Counter()

    def close(self) -> None:
        """Close the browser."""
        self._browser.close()

    def look(
        self,
        account: str,
        cookies: list[Any],
        pages: Iterable[Found],
        wanted: str,
        picture: Callable[[str, Found, Look], Path | None] = lambda *_: None,
        *,
        is_brief: bool = False,
    ) -> Iterable[Seen]:
        """Each page in the looks that are wanted of it; `picture` says where one goes, or None."""
        groups: dict[tuple[str, bool, bool], list[tuple[Found, tuple[Look, ...]]]] = {}
        for found in pages:
            turn = self._turns[found.path]
            self._turns[found.path] += 1
            for looks in openings(_looks_at(found, wanted, turn)):
                first = looks[0]
                key = first.language, first.is_large, not first.has_script
                groups.setdefault(key, []).append((found, looks))
        for key in sorted(groups):
            first = groups[key][0][1][0]
            with judging(self._browser, self._base, first, cookies, self._axe) as judge:
                for found, looks in groups[key]:
                    address = self._base + found.address
                    for look, faults in judge.views(address, looks, self._held, is_brief=is_brief):
                        file = picture(account, found, look)
                        if file is not None:
                            judge.page.screenshot(path=file, full_page=True)
                        name = file.name if file else ""
                        yield Seen(account, found, look, tuple(faults), name)

    def time(self, address: str, cookies: list[Any]) -> Slow:
        """How a page comes on a slow line: at best, of a few tries where one is too slow."""
        best = timed(self._browser, self._base + address, cookies)
        for _ in range(TRIES_MAX - 1):
            if not best.faults:
                break
            best = best.or_better(timed(self._browser, self._base + address, cookies))
        return best


def _looks_at(found: Found, wanted: str, turn: int) -> list[Look]:
    looks = looks_at(found.path, wanted, turn)
    if not found.path.endswith("/{language}"):
        return [*looks]
    # A page whose address says its language is kept for when no line is there, and has no other.
    own = found.address.rpartition("/")[2].partition("?")[0]
    return [*dict.fromkeys(msgspec.structs.replace(look, language=own) for look in looks)]
