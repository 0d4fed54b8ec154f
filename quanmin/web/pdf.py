"""PDFs of pages made for it: tagged for those who hear them (PDF/UA-1), their fonts inside.

Each document is made by a process of its own, bounded in time, memory and pages. Processes wait
ready, as loading what sets type takes longer than setting a page of it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Invalid, Overloaded, Problem, Sentence
from quanmin.web import pdf_process
from quanmin.web.page_settings import PageSettings

_PROGRAM: Final = Path(pdf_process.__file__)
_STYLE: Final = Path(__file__).parent / "paper.css"
_AGAIN_SECONDS: Final = 5
_LOOK_SECONDS: Final = 0.05

Child = subprocess.Popen[bytes]


class PdfMaker:
    """Makes PDFs, some at a time; its processes end with it."""

    def __init__(self, limits: PageSettings) -> None:
        self._limits = limits
        self._turns = threading.BoundedSemaphore(limits.pdf_processes)
        self._threads = ThreadPoolExecutor(limits.pdf_processes, "pdf")
        self._waiting: list[Child] = []
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _end, self._waiting)

    async def make(self, html: str) -> bytes:
        """The page as a PDF. Raises Invalid for one that has too many pages or needs too much
        memory, Overloaded when its time is over or this machine cannot make any.
        """
        content = html.encode()
        if len(content) > self._limits.pdf_html_bytes_max:
            raise Invalid(
                Sentence(
                    "the page has %(count)s bytes, a PDF is made of at most "
                    "%(pdf_html_bytes_max)s: ask for less of it",
                    count=len(content),
                    pdf_html_bytes_max=self._limits.pdf_html_bytes_max,
                )
            )
        await self._take_turn()
        # What runs gives the turn back, as an asker who is gone does not.
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._make, content)

    def close(self) -> None:
        """End the processes that wait."""
        self._finalizer()
        self._threads.shutdown()

    async def _take_turn(self) -> None:
        """Wait without a thread: those are for whoever has a turn."""
        until = time.monotonic() + self._limits.pdf_seconds_max
        while not self._turns.acquire(blocking=False):
            if time.monotonic() > until:
                raise _busy("other PDFs are being made; ask again in a moment")
            await asyncio.sleep(_LOOK_SECONDS)

    def _make(self, content: bytes) -> bytes:
        seconds = self._limits.pdf_seconds_max
        try:
            child = self._next()
            try:
                made, _ = child.communicate(content, timeout=seconds)
            except subprocess.TimeoutExpired:
                raise _busy(f"the PDF was not made in {seconds:g} seconds; ask for less") from None
            finally:
                child.kill()
                child.wait()
                _close(child)
            if child.returncode:
                raise self._problem(child.returncode, made)
            self._make_ready()
            return made
        finally:
            self._turns.release()

    def _problem(self, code: int, told: bytes) -> Problem:
        if code == pdf_process.TOO_MANY_PAGES:
            return Invalid(
                Sentence(
                    "the PDF would have %(told)s pages, at most %(pdf_pages_max)s: ask for less "
                    "of it",
                    told=int(told),
                    pdf_pages_max=self._limits.pdf_pages_max,
                )
            )
        if code == pdf_process.NO_LIBRARY:
            return _busy("this node cannot make PDFs: its machine has no Pango; print the page")
        return Invalid(
            "the PDF needs more memory than one may take, or could not be made: ask for less of it"
        )

    def _next(self) -> Child:
        """One that waits and is alive, else a new one."""
        with self._lock:
            while self._waiting:
                child = self._waiting.pop()
                if child.poll() is None:
                    return child
                _close(child)
        return self._started()

    def _make_ready(self) -> None:
        """Have one wait for the next document."""
        with self._lock:
            if self._finalizer.alive and len(self._waiting) < self._limits.pdf_processes:
                self._waiting.append(self._started())

    def _started(self) -> Child:
        limits = self._limits
        numbers = (limits.pdf_pages_max, limits.pdf_mebibytes_max, int(limits.pdf_seconds_max) + 10)
        # Isolated: neither the folder of this module nor the environment adds modules.
        command = [sys.executable, "-I", str(_PROGRAM), *map(str, numbers)]
        return subprocess.Popen(  # noqa: S603 - this program and numbers
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )


def _busy(words: str) -> Overloaded:
    return Overloaded(words, retry_after_seconds=_AGAIN_SECONDS)


def _end(children: list[Child]) -> None:
    while children:
        child = children.pop()
        child.kill()
        child.wait()
        _close(child)


def _close(child: Child) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


async def pdf_of(visit: Any, template: str, **values: Any) -> bytes:
    """A template that extends `kit/paper.html`, as a PDF; raises as `PdfMaker.make` does."""
    style = _STYLE.read_text(encoding="utf-8")
    html = visit.house.render(
        template,
        visit.language,
        {
            "language": visit.language,
            "is_large": visit.is_large,
            "site": visit.house.settings.title.told(visit.language),
            "is_fictional": visit.house.settings.is_fictional,
            "style": style,
            **values,
        },
    )
    made: bytes = await visit.house.pdf_maker.make(html)
    return made


async def pdf_page(visit: Any, template: str, *, file_name: str, **values: Any) -> Response:
    """The same as an answer.

    `file_name` goes into the download's name: letters, digits and hyphens, and nothing of a person.
    """
    made = await pdf_of(visit, template, **values)
    disposition = f'inline; filename="{file_name}.pdf"'
    return Response(
        made, media_type="application/pdf", headers={"Content-Disposition": disposition}
    )
