"""All accounts of a demonstration, with the pages that each finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from quanmin.demo.guide import find_hints
from quanmin.demo.numbering import identity_number
from quanmin.demo.province import Province
from quanmin.node.places import Places
from ui.node import PEOPLE, SEED, visiting
from ui.visitor import Visitor
from ui.walk import Found, walk
from ui.ways import go, ways

NOBODY = ""


class Tour:
    """Goes all ways when it begins: what one account sends is another's work."""

    def __init__(self, folder: Path, base: str) -> None:
        self._visitors = {NOBODY: Visitor(base)}
        for shown in Places(folder).accounts():
            self._visitors[shown.code] = visiting(base, shown)
        self._signed = self._visitors.keys() - {NOBODY}
        self._begins = {code: ["/"] for code in self._visitors}
        known = _known(folder)
        self.faults: list[str] = []
        for way in ways():
            visitor = self._visitors.setdefault(way.account, Visitor(base))
            begins = self._begins.setdefault(way.account, [])
            try:
                begins.append(go(visitor, way, known))
            except LookupError as error:
                self.faults.append(f"the way to {way.to}: {error}")

    def accounts(self, *, each_max: int) -> Iterator[tuple[str, Visitor, list[Found]]]:
        """Each with its visitor, signed in, and so many addresses of each page. Who is between two
        steps of signing in comes first: that state does not last.
        """
        for code, visitor in sorted(self._visitors.items(), key=lambda one: one[0] in self._signed):
            found: dict[str, list[Found]] = {}
            for page in walk(visitor, self._begins[code]):
                found.setdefault(page.path, []).append(page)
            yield code, visitor, [page for several in found.values() for page in several[:each_max]]

    def close(self) -> None:
        """Leave."""
        for visitor in self._visitors.values():
            visitor.close()


def _known(folder: Path) -> dict[str, str]:
    """What ways may speak of."""
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    known = {
        "today": f"{now:%Y-%m-%d}",
        "week_ago": f"{now - timedelta(days=7):%Y-%m-%d}",
        "new_child": identity_number("580101", date(2024, 3, 1), 871, male=False),
        "man": next(
            one.term
            for one in find_hints(Province(seed=SEED, people=PEOPLE))
            if len(one.term) == len("580101198005030031")
        ),
    }
    for shown in Places(folder).accounts():
        known[f"{shown.code} password"] = shown.password
    return known
