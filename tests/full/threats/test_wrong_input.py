"""Whatever an account of a demonstration sends to a page, it is answered: what was wrong with it is
said on the page, the node does not fail, and nothing of it comes into an address or the log.

Each page is asked once, by the first account that comes to it, with a few of the wrong values for
each of its names; which ones follows from the name, so that every run asks the same.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
from starlette.routing import compile_path
from ui.node import demonstration
from ui.tour import Tour
from ui.visitor import Form, Opened, Visitor
from ui.walk import Found

from quanmin.web.application import discover
from quanmin.web.whole import KIT_PAGES

MARK: Final = "龘標記4711"
"""Stands for what is personal: it may be shown on the page and nowhere else."""
WRONG: Final = (
    "0001-01-01",
    f"{MARK}\x01\u202e",
    "9" * 5000,
    "9999-12-31",
    "²",
    "2026-02-30T25:61",
    "x" * 3000,
    "-1",
    f"'\"|,\\$&;<b>{MARK}",
    "0.0.0",
    "",
    "1e999",
    "٣",
    "x." + "9" * 5000,
)
RAW: Final = ("%00", "%ff%fe", "%ed%a0%80")
ASKED_BY_ALL: Final = ("after", "sort", "sheet", "from", "lang", "large", "nonsense")
FORM: Final = "application/x-www-form-urlencoded"
TOLD: Final = re.compile(r'class="[^"]*(fault|error)|role="alert"|<summary')
# What ends the session by which everything else is asked, or is asked for in another test.
LEFT_OUT: Final = re.compile(r"/sign-out$|/acting-for$|^/sign-in|^/account($|/(factors|password))")
# They stop institutions and people: asked last.
LAST: Final = ("demo-centre", "demo-security")
SOME: Final = 2


def some(name: str, values: Sequence[str] = WRONG, number: int = SOME) -> Iterator[str]:
    begin = zlib.crc32(name.encode())
    return (values[(begin + step * 5) % len(values)] for step in range(number))


class Asking:
    """One account that asks, and what was wrong with the answers."""

    def __init__(self, code: str, visitor: Visitor) -> None:
        self.code, self.visitor = code, visitor
        self.faults: list[str] = []
        self._client = httpx.Client(
            base_url=visitor.base,
            headers={"Accept-Language": "en", "Origin": visitor.base.rstrip("/")},
            timeout=60.0,
            trust_env=False,
        )
        for one in visitor.cookies():
            self._client.cookies.set(one["name"], one["value"])

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, address: str, body: bytes | None = None, kind: str = FORM) -> None:
        headers = {} if body is None else {"Content-Type": kind}
        answer = self._client.request(method, address, content=body, headers=headers)
        self.faults += [
            f"{self.code} {method} {address[:120]} {(body or b'')[-120:]!r}: {fault}"
            for fault in wrong_with(method, answer)
        ]

    def pages(self, found: Iterable[Found], met: set[str]) -> None:
        """Everything wrong that each page may be asked by, and each of its forms be sent."""
        for page in found:
            opened = None if LEFT_OUT.search(page.path) else self.visitor.get(page.address)
            if opened is None:
                continue
            if page.path not in met:
                met.add(page.path)
                self._asked(page, opened)
            for form in opened.forms:
                place = path_of(form.action)
                key = f"{place} {sorted(form.fields)}"
                if form.method == "post" and key not in met and not LEFT_OUT.search(place):
                    met.add(key)
                    self._sent(form)

    def _asked(self, page: Found, opened: Opened) -> None:
        path = urlsplit(page.address).path
        for target in (path, f"{path}.csv") if f"{page.path}.csv" in PATHS else (path,):
            for name in names_of(page, opened):
                for value in some(f"{target}{name}", number=1 if name in ASKED_BY_ALL else SOME):
                    self.ask("GET", f"{target}?{urlencode({name: value})}")
            raw = next(some(target, RAW, 1))
            self.ask("GET", f"{target}?{next(some(target, ASKED_BY_ALL, 1))}={raw}")
        for method in ("HEAD", "OPTIONS", "POST", "DELETE"):
            self.ask(method, path)
        groups = compile_path(page.path)[0].match(path)
        for name, value in (groups.groupdict() if groups else {}).items():
            for wrong in (*map(quote, ("9" * 5000, "²", MARK)), *RAW):
                self.ask("GET", f"/{wrong}".join(path.rsplit(f"/{value}", 1)) if name else path)

    def _sent(self, form: Form) -> None:
        token = dict(form.sent).get("token", "")
        own = [(name, value) for name, value in form.sent if name != "token"]
        pressed = [one for one in form.buttons if one[0]][:1]
        names = sorted(form.fields - {"token"})

        def send(*pairs: tuple[str, str]) -> None:
            self.ask("POST", form.action, urlencode([("token", token), *pairs]).encode())

        for body in (b"", b"token=x", b"\xff", f"token={token}&a=%ff&b=%00".encode()):
            self.ask("POST", form.action, body)
        self.ask("POST", form.action, b"{}", "application/json")
        self.ask("POST", form.action, b"--x\r\n\r\n", "multipart/form-data; boundary=x")
        send()
        send(*[(f"f{number}", "") for number in range(5000)])
        for value in some(form.action):
            send(*[(name, value) for name in names], *pressed)
        for name in names:
            others = [one for one in own if one[0] != name] + pressed
            send(*others)
            send(*others, (name, "a"), (name, "b"))
            for value in some(f"{form.action}{name}", number=2):
                send(*others, (name, value))
        if ("do", "look") in form.buttons:
            for button in (f"drop x.{'9' * 5000}", f"add {MARK}", "find x", "more x 9.9.9", "burn"):
                send(*own, ("do", button))


def wrong_with(method: str, answer: httpx.Response) -> Iterator[str]:
    """What no answer may be."""
    if answer.status_code >= 500:
        yield f"{answer.status_code}: the node failed"
    where = answer.headers.get("location", "")
    if MARK in where or quote(MARK) in where:
        yield "what was sent stands in the address it sends on to"
    if "Traceback" in answer.text:
        yield "it shows how the program is made"
    is_page = answer.headers.get("content-type", "").startswith("text/html")
    if 400 <= answer.status_code < 500 and method != "HEAD":
        if not is_page or "<h1" not in answer.text:
            yield f"{answer.status_code} that says nothing"
        elif answer.status_code == 422 and not TOLD.search(answer.text):
            yield "422 that does not say what is wrong"


PATHS: Final = frozenset(
    page.path
    for pages in (KIT_PAGES, *(one.application.pages for one in discover()))
    for page in pages
)
_PATTERNS: Final = [(compile_path(path)[0], path) for path in PATHS]


def path_of(address: str) -> str:
    """The path under which the page at an address is declared, or the address."""
    here = urlsplit(address).path
    return next((path for pattern, path in _PATTERNS if pattern.match(here)), here)


def names_of(page: Found, opened: Opened) -> list[str]:
    """By what a page is asked: as its links and filters say, and by what it is not."""
    path = urlsplit(page.address).path
    links = [one for one in (page.address, *opened.links) if urlsplit(one).path == path]
    names = {name for one in links for name, _ in parse_qsl(urlsplit(one).query)}
    for form in opened.forms:
        if form.method == "get" and urlsplit(form.action).path == path:
            names |= form.fields
    return sorted(names | set(ASKED_BY_ALL))


def faults_of_log(folder: Path) -> list[str]:
    """Lines of the log that tell of a failure, or of what was sent."""
    spellings = (MARK, json.dumps(MARK)[1:-1], quote(MARK))
    return [
        f"log: {line[:600]}"
        for line in (folder / "node.log").read_text("utf-8").splitlines()
        if '"exception"' in line or any(one in line for one in spellings)
    ]


def test_wrong_input_is_told_and_breaks_no_page(passable_folder: Path) -> None:
    folder = passable_folder / "wrong-input"
    faults: list[str] = []
    with demonstration(folder) as base:
        tour, met = Tour(folder, base), set[str]()
        walked = [*tour.accounts(each_max=1)]
        for code, visitor, found in sorted(walked, key=lambda one: one[0] in LAST):
            asking = Asking(code, visitor)
            asking.pages(found, met)
            asking.close()
            faults += asking.faults
        tour.close()
        faults += faults_of_log(folder)
    assert len(met) > len(PATHS) // 2
    assert not faults, "\n".join(faults[:200])
