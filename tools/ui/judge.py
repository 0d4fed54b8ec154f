"""Holds a page against the bar: a list of faults for each look, empty when there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

from ui.looks import Look

BYTES_MAX: Final = 100 * 1024
TABS_MAX: Final = 2000
RING_CONTRAST_MIN: Final = 3.0
_HEIGHT: Final = 800
# A4 upright between margins of a centimetre, in pixels of CSS.
_PAPER: Final = {"width": 718, "height": 1047}
_HERE: Final = Path(__file__).parent
_BAR, _FOCUS, _TOUCH, _PRINT, _WRONG, _REFUSED = (
    (_HERE / f"{name}.js").read_text(encoding="utf-8")
    for name in ("bar", "focus", "touch", "print", "wrong", "refused")
)
_TAB: Final = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OPEN: Final = (
    'document.querySelectorAll("details:not([open])").forEach(one => { one.open = true; })'
)
# The document as it stands, with the size of text in it, but for what is made anew each time it is
# asked for.
_MARKUP: Final = (
    "document.documentElement.outerHTML"
    '.replace(/name="(token|state)" value="[^"]*"|data-codes="[^"]*"/g, "")'
)
_TABBED: Final = """[...document.querySelectorAll(
  "a[href], button:not([disabled]), input:not([type=hidden]):not([disabled]), select, textarea,"
  + " summary, [tabindex='0']")].filter(one => one.tabIndex >= 0 && one.getClientRects().length
  && getComputedStyle(one).visibility !== 'hidden'
  && (one.type !== 'radio' || one.checked || !document.querySelector(
      `input[type=radio][name="${CSS.escape(one.name)}"]:checked`)
      && document.querySelector(`input[type=radio][name="${CSS.escape(one.name)}"]`) === one)
  ).length"""


class Judge:
    """One browser page in one language, size of text, with script or none, and what happens on it
    that nobody should have to look for.
    """

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

    def views(
        self, address: str, looks: Sequence[Look], held: set[Any], *, is_brief: bool = False
    ) -> Iterator[tuple[Look, list[str]]]:
        """What is wrong with the page at this address in each of these looks, which differ by
        width alone, and then with what a form of it answers that is sent with nothing in what it
        wants. What was found to be without fault is in `held`: it is not asked again of the same
        document, which it is without script where the page brings none. Pages are touched with
        normal text alone. If brief, nothing is touched nor printed, and where a form is refused,
        the checker and the keyboard are asked of that alone: all of the page is there as well.
        """
        mark = "&" if "?" in address else "?"
        whole = (
            address + mark + "&".join(f"{name}={here}" for name, here in self._look.query.items())
        )
        narrow, wide = _ends(looks)
        self._widen(looks[0])
        once = [*self.open(whole)]
        if self._look.has_script and not self._look.is_large and not is_brief:
            once += self.when_touched()
            self.open(whole)
        markup = self._markup()
        if not is_brief and ("printed", markup) not in held:
            printed = self.when_printed()
            once += printed
            held |= set() if printed else {("printed", markup)}
        wants = self._run(f"({_WRONG})(false)")
        if wants and is_brief:
            once += self._seen(looks[0])
        else:
            checked = {wide} if wants else {narrow, wide}
            tabbed = {narrow if (self._look.language == "zh") == self._look.is_large else wide}
            yield from self._views(looks, held, once, checked, tabbed)
            once = []
        if wants and ("refused", markup) not in held:
            once += self.when_refused()
            held |= set() if once else {("refused", markup)}
            yield from self._views(looks, held, once, {narrow}, {narrow} if is_brief else set())

    def _views(
        self,
        looks: Sequence[Look],
        held: set[Any],
        once: list[str],
        checked: set[Look],
        tabbed: set[Look],
    ) -> Iterator[tuple[Look, list[str]]]:
        """What is wrong in each look: by the checker in those that are `checked`, by the keyboard
        in those that are `tabbed`.
        """
        for look in looks:
            self._widen(look)
            key = (look.width, self._markup())
            found: list[str] = []
            if key not in held:
                found += self._seen(look)
                found += self.accessibility() if look in checked else ()
                found += self.by_keyboard() if look in tabbed else ()
            found += self._said
            held |= set() if found else {key}
            yield look, once + found
            once, self._said = [], []

    def _markup(self) -> int:
        return hash(self._run(_MARKUP))

    def open(self, address: str) -> list[str]:
        """Go there; what is wrong with the way there."""
        self._said, self._bytes = [], 0
        # The page's own scripts stay off; ours, once it is there, need them on.
        self._let_scripts(are_run=self._look.has_script)
        # What a page's script asks and draws after that has come when nothing is asked any more.
        wanted: Literal["load", "networkidle"] = "networkidle" if "/offline/" in address else "load"
        answer = self.page.goto(address, wait_until=wanted)
        self._let_scripts(are_run=True)
        faults = []
        if answer is None or answer.status != 200:
            faults.append(f"it answers {answer.status if answer else 'nothing'}")
        if self._bytes > BYTES_MAX:
            faults.append(f"its first view takes {self._bytes:,} bytes")
        return faults

    def _seen(self, look: Look) -> list[str]:
        """What is wrong once everything on the page that opens is open."""
        self._run(_OPEN)
        return self.by_bar(look)

    def by_bar(self, look: Look) -> list[str]:
        """What one sees to be wrong."""
        kind = {"elder": look.is_large, "zh": look.language == "zh", "width": look.width}
        return [str(each) for each in self._run(f"({_BAR})({json.dumps(kind)})")]

    def accessibility(self) -> Iterator[str]:
        """What the checker finds."""
        self._run(f"void (window.axe || eval({json.dumps(self._axe)}))")
        asked = f"axe.run({{runOnly: {json.dumps(_RULES)}, resultTypes: ['violations']}})"
        for one in self._run(asked)["violations"]:
            for node in one["nodes"]:
                yield f"{one['id']}: {node['target']} {node['failureSummary']}"

    def by_keyboard(self) -> Iterator[str]:
        """What cannot be reached by the tab key, or be seen to be."""
        expected = min(int(self._run(_TABBED)), TABS_MAX)
        self._run(f"({_FOCUS})()")
        found: list[dict[str, Any]] = []
        pressed, ends = 0, 3 * expected + 5  # the parts of a date are stops of their own
        while len(found) < expected and pressed < ends:
            for _ in range(max(expected - len(found), 1)):
                self._cdp.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **_TAB})
                pressed += 1
            told = self._run("window.quanminFocus.stops()")
            found = told["stops"]
            if told["isRound"]:
                break
        if found and not found[0]["isSkip"]:
            yield f"the first stop is {found[0]['name']} and not the link to the content"
        for stop in found[:expected]:
            yield from _faults_of_focus(stop)
        if len(found) < expected:
            yield f"the tab key reaches {len(found)} of {expected}"

    def when_refused(self) -> list[str]:
        """What is wrong with what a form answers that is sent with nothing in what it wants."""
        with self.page.expect_navigation(wait_until="load") as gone:
            self._run(f"({_WRONG})(true)")
            self._let_scripts(are_run=self._look.has_script)
        self._let_scripts(are_run=True)
        status = gone.value.status
        self._said = [one for one in self._said if f"status of {status} " not in one]
        faults = [] if 400 <= status < 500 else [f"it answers {status}"]
        faults += [str(each) for each in self._run(f"({_REFUSED})()")]
        return [f"sent with nothing in it, {fault}" for fault in faults]

    def when_printed(self) -> list[str]:
        """What is wrong with it on paper."""
        before = self.page.viewport_size
        self.page.emulate_media(media="print")
        self.page.set_viewport_size(_PAPER)  # type: ignore[arg-type] # playwright's own shape
        faults = [str(each) for each in self._run(f"({_PRINT})()")]
        self.page.emulate_media(media="screen")
        if before:
            self.page.set_viewport_size(before)
        return faults

    def when_touched(self) -> list[str]:
        """What it says when one points at what is on it, and clicks."""
        for place in self._run(f"({_TOUCH})()"):
            self._run(f"scrollTo(0, {place['y'] - _HEIGHT / 2})")
            self.page.mouse.move(place["x"], min(place["y"], _HEIGHT / 2))
        return self._said

    def _widen(self, look: Look) -> None:
        self.page.set_viewport_size({"width": look.width, "height": _HEIGHT})

    def _let_scripts(self, *, are_run: bool) -> None:
        self._cdp.send("Emulation.setScriptExecutionDisabled", {"value": not are_run})

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


def _faults_of_focus(found: dict[str, Any]) -> Iterator[str]:
    name = found["name"]
    if not found["ring"] or found["contrast"] < RING_CONTRAST_MIN:
        yield f"one does not see that {name} has the focus ({found['contrast']} to 1)"
    if not found["isIn"]:
        yield f"{name} has the focus out of sight"
    if found["isCovered"]:
        yield f"{name} has the focus behind something else"


def _ends(looks: Sequence[Look]) -> tuple[Look, Look]:
    """The narrowest and the widest. Between them the style lays out what is in one or the other:
    the menu folded, tables whole.
    """
    return min(looks, key=lambda look: look.width), max(looks, key=lambda look: look.width)


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
