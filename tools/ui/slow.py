"""How pages come on a slow line: 150 ms there and back, 1.6 Mbit/s, a processor four times slower.

A machine that does other things too gives longer times, never shorter ones: what counts is the best
of a few.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from playwright.sync_api import Browser

_LINE: Final = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
_WATCH: Final = """(() => {
  window.quanminSlow = {paint: 0, blocked: 0, shift: 0};
  const watch = (type, take) => new PerformanceObserver(
    (list) => list.getEntries().forEach(take)).observe({type, buffered: true});
  watch("paint", (one) => {
    if (one.name === "first-contentful-paint") window.quanminSlow.paint = one.startTime; });
  watch("longtask", (one) => { window.quanminSlow.blocked += Math.max(0, one.duration - 50); });
  watch("layout-shift", (one) => {
    if (!one.hadRecentInput) window.quanminSlow.shift += one.value; });
})()"""
# What was seen a while after the first picture, which may come after all is loaded; without one,
# after ten seconds.
_SEEN: Final = """new Promise((told) => {
  const slow = window.quanminSlow, look = () => {
    const now = performance.now();
    if (!slow.paint && now < 10000) setTimeout(look, 50);
    else setTimeout(() => told({...slow, paint: slow.paint || now}), 300);
  };
  look();
})"""


class Slow(msgspec.Struct, frozen=True):
    """First paint and blocking in milliseconds, and how much of the page moved."""

    paint: float
    blocked: float
    shift: float

    @property
    def faults(self) -> list[str]:
        """Where it is beyond what people put up with."""
        bounds = (("first paint", self.paint, 1500), ("blocking", self.blocked, 200))
        faults = [f"{name} after {took:.0f} ms" for name, took, most in bounds if took > most]
        return faults + ([f"it moves by {self.shift:.2f}"] if self.shift > 0.1 else [])

    def or_better(self, other: Slow) -> Slow:
        """The best of both."""
        return Slow(
            min(self.paint, other.paint),
            min(self.blocked, other.blocked),
            min(self.shift, other.shift),
        )


def timed(browser: Browser, address: str, cookies: list[Any]) -> Slow:
    """The page as somebody sees it who comes for the first time, on a telephone."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    try:
        context.add_cookies(cookies)
        page = context.new_page()
        cdp = context.new_cdp_session(page)
        cdp.send("Network.enable")
        cdp.send("Network.emulateNetworkConditions", dict(_LINE))
        cdp.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        cdp.send("Page.enable")
        cdp.send("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        page.goto(address, wait_until="load")
        asked = {"expression": _SEEN, "awaitPromise": True, "returnByValue": True}
        found = cdp.send("Runtime.evaluate", asked)["result"]["value"]
        return Slow(found["paint"], found["blocked"], found["shift"])
    finally:
        context.close()
