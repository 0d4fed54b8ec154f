"""Holds an open page against the bar: one list of faults, empty when there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

from ui.looks import Look

BYTES_MAX: Final = 100 * 1024
TABS_MAX: Final = 250
_HEIGHT = 800
_BAR: Final = (Path(__file__).parent / "bar.js").read_text(encoding="utf-8")
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What has the focus, and whether one sees that: a ring, a shadow, or another ground than before.
_FOCUSED: Final = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const box = one.getBoundingClientRect();
  const words = (one.getAttribute("aria-label") || one.textContent || one.name || "").trim();
  window.quanminSeen = window.quanminSeen || new Set();
  const same = window.quanminLast === one;  // the parts of a date are stops of their own
  const again = window.quanminSeen.has(one);
  window.quanminLast = one;
  window.quanminSeen.add(one);
  return {again, same, ring: ring || style.boxShadow !== "none", isSkip: one.matches("a.skip"),
          isIn: box.bottom > 0 && box.top < innerHeight,
          name: `${one.tagName} ${words.slice(0, 40)}`};
}"""
# Opens what opens, and tells where the first of what can be pointed at is to be seen.
_OPENED: Final = """() => {
  document.querySelectorAll("details:not([open]) > summary").forEach(one => one.click());
  return [...document.querySelectorAll("main a, main button, figure svg *")].map(
    one => one.getBoundingClientRect()).filter(box => box.width && box.top > 0
    && box.bottom < innerHeight).slice(0, 12).map(box => ({
    x: box.left + box.width / 2, y: box.top + box.height / 2}));
}"""
_TABBED: Final = """() => [...document.querySelectorAll(
  "a[href], button:not([disabled]), input:not([type=hidden]):not([disabled]), select, textarea,"
  + " summary, [tabindex='0']")].filter(one => one.getClientRects().length
  && getComputedStyle(one).visibility !== 'hidden'
  && (one.type !== 'radio' || one.checked || !document.querySelector(
      `input[type=radio][name="${CSS.escape(one.name)}"]:checked`)
      && document.querySelector(`input[type=radio][name="${CSS.escape(one.name)}"]`) === one)
  ).length"""


class Judge:
    """One browser page, and what happens on it that nobody should have to look for."""

    def __init__(self, context: BrowserContext, base: str, look: Look, axe: str) -> None:
        self._look, self._axe, self._base = look, axe, urlsplit(base).netloc
        self.page: Page = context.new_page()
        self._said: list[str] = []
        self._bytes = 0
        self._cdp: CDPSession = context.new_cdp_session(self.page)
        self._cdp.send("Network.enable")
        self._cdp.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self._cdp.on("Network.loadingFinished", self._count)
        self._cdp.on("Network.requestWillBeSent", self._asked)
        self.page.on("console", lambda message: self._said.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self._said.append(f"script: {error}"))

    def open(self, address: str) -> list[str]:
        """Go there; what is wrong with the way there."""
        self._said, self._bytes = [], 0
        # The page's own scripts stay off; ours, once it is there, need them on.
        self._cdp.send("Emulation.setScriptExecutionDisabled", {"value": not self._look.has_script})
        answer = self.page.goto(address, wait_until="load")
        self._cdp.send("Emulation.setScriptExecutionDisabled", {"value": False})
        faults = []
        if answer is None or answer.status != 200:
            faults.append(f"it answers {answer.status if answer else 'nothing'}")
        if self._bytes > BYTES_MAX:
            faults.append(f"its first view takes {self._bytes:,} bytes")
        return faults

    def all_faults(self, address: str, *, is_whole: bool = True) -> list[str]:
        """What is wrong with the page at this address, in this look; if not whole, without the
        accessibility checker and the keyboard, to which fewer choices make a difference.
        """
        mark = "&" if "?" in address else "?"
        query = "&".join(f"{name}={value}" for name, value in self._look.query.items())
        found = [*self.open(address + mark + query), *self.seen()]
        return [*found, *self._accessibility(), *self.by_keyboard()] if is_whole else found

    def seen(self) -> Iterator[str]:
        """What one sees to be wrong, once everything on the page that opens is open."""
        self._press()
        for each in self._run(f"({_BAR})({json.dumps(self._kind())})"):
            yield str(each)
        yield from self._said

    def by_keyboard(self) -> Iterator[str]:
        """What cannot be reached by the tab key, or be seen to be."""
        expected = int(self._run(f"({_TABBED})()"))
        self._run(
            "document.activeElement?.blur(); scrollTo(0, 0);"
            " delete window.quanminSeen; delete window.quanminLast"
        )
        reached, left = 0, 3 * min(expected, TABS_MAX) + 5
        while reached < min(expected, TABS_MAX) and (left := left - 1):
            self.page.keyboard.press("Tab")
            found = self._run(f"({_FOCUSED})()")
            if found is None or (found["again"] and not found["same"]):
                break
            if found["same"]:
                continue
            reached += 1
            if reached == 1 and not found["isSkip"]:
                yield f"the first stop is {found['name']} and not the link to the content"
            if not found["ring"]:
                yield f"one does not see that {found['name']} has the focus"
            if not found["isIn"]:
                yield f"{found['name']} has the focus out of sight"
        if reached < min(expected, TABS_MAX):
            yield f"the tab key reaches {reached} of {expected}"

    def _press(self) -> None:
        """Open what opens on the page itself, and pass over what may say something."""
        for place in self._run(f"({_OPENED})()"):
            self.page.mouse.move(place["x"], place["y"])

    def _accessibility(self) -> Iterator[str]:
        self._run(self._axe)
        asked = f"axe.run({{runOnly: {json.dumps(_RULES)}}})"
        for one in self._run(asked)["violations"]:
            for node in one["nodes"]:
                yield f"{one['id']}: {node['target']} {node['failureSummary']}"

    def _kind(self) -> dict[str, bool]:
        return {"elder": self._look.is_large, "zh": self._look.language == "zh"}

    def _run(self, expression: str) -> Any:
        # Past the page's own rules on scripts, which stay in force for the page itself.
        found = self._cdp.send(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True},
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description"))
        return found["result"].get("value")

    def _count(self, event: dict[str, Any]) -> None:
        self._bytes += int(event["encodedDataLength"])

    def _asked(self, event: dict[str, Any]) -> None:
        there = urlsplit(event["request"]["url"])
        if there.scheme in {"http", "https"} and there.netloc != self._base:
            self._said.append(f"it asks {there.netloc}")


@contextmanager
def judging(
    browser: Browser, base: str, look: Look, cookies: list[Any], axe: str
) -> Iterator[Judge]:
    """A judge who sees the pages so, signed in by these cookies."""
    context = browser.new_context(
        viewport={"width": look.width, "height": _HEIGHT},
        has_touch=look.width < 768,
    )
    try:
        context.add_cookies(cookies)
        yield Judge(context, base, look, axe)
    finally:
        context.close()
