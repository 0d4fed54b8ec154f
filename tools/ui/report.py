"""The report: every page with its pictures and what is wrong with it."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from ui.looking import Seen
from ui.looks import Look
from ui.slow import Slow
from ui.walk import Found

_STYLE = (
    "body{font:16px sans-serif;margin:2rem;max-width:90rem}img{height:12rem;border:1px solid #999;"
    "margin:.2rem}li{color:#a00}summary{cursor:pointer}code{background:#eee}"
)


class Report:
    """What was seen; `write` makes a page of it in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.seen: list[Seen] = []
        self.slow: dict[tuple[str, Found], Slow] = {}
        self.never_seen: list[str] = []
        self.lost: list[str] = []

    def paths(self) -> set[str]:
        """The declared paths of all pages that were seen."""
        return {one.found.path for one in self.seen}

    def picture(self, account: str, found: Found, look: Look) -> Path:
        """Where the picture of a page goes."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", f"{account}{found.path}").strip("-")
        number = sum(one.found.path == found.path and one.look == look for one in self.seen)
        return self.folder / f"{name}-{number}-{look.name}.png"

    @property
    def fault_count(self) -> int:
        """How much is wrong in all."""
        return sum(len(one.faults) for one in self.seen) + sum(
            len(one.faults) for one in self.slow.values()
        )

    def summary(self) -> str:
        """One line."""
        return (
            f"{len(self.paths())} pages, {len(self.seen)} views, {self.fault_count} faults,"
            f" {len(self.never_seen)} pages never seen"
        )

    def write(self) -> None:
        """`index.html`: the faults first, then every page."""
        parts = [f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>"]
        parts.append(f"<h1>Pages</h1><p>{self.summary()}</p>")
        parts += [f"<p>never seen: <code>{escape(path)}</code></p>" for path in self.never_seen]
        parts += [f"<p>{escape(fault)}</p>" for fault in self.lost]
        groups: dict[tuple[str, Found], list[Seen]] = {}
        for one in self.seen:
            groups.setdefault((one.account, one.found), []).append(one)
        for (account, found), several in sorted(
            groups.items(), key=lambda item: -sum(len(one.faults) for one in item[1])
        ):
            count = sum(len(one.faults) for one in several)
            parts.append(f"<details{' open' if count else ''}><summary>{escape(found.path)}")
            parts.append(f" · {escape(account)} · {count}</summary>")
            slow = self.slow.get((account, found))
            if slow:
                parts.append(
                    f"<p>{slow.paint:.0f} ms first paint, {slow.blocked:.0f} ms blocked,"
                    f" {slow.shift:.3f} moved</p>"
                )
            for one in several:
                items = "".join(f"<li>{escape(fault)}</li>" for fault in one.faults)
                parts.append(f"<p>{one.look.name}</p><ul>{items}</ul>" if items else "")
            parts += [
                f'<a href="{one.picture}"><img src="{one.picture}" alt="{one.look.name}"'
                ' loading="lazy"></a>'
                for one in several
            ]
            parts.append("</details>")
        (self.folder / "index.html").write_text("\n".join(parts), encoding="utf-8")
