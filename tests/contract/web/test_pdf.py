"""PDFs are made in processes of their own: tagged, bounded, and of nothing but their page."""

from __future__ import annotations

import asyncio
import http.server
import re
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from quanmin.base.problems import Invalid, Overloaded
from quanmin.web import pdf_process
from quanmin.web.page_settings import PageSettings
from quanmin.web.pdf import PdfMaker

PAGE = "<!doctype html><html lang='zh-CN'><title>档案</title><style>{}</style><main>{}</main>"
FONT = "html { font-family: 'Noto Sans CJK SC', sans-serif }"


@pytest.fixture
def maker() -> Iterator[PdfMaker]:
    made = PdfMaker(PageSettings())
    yield made
    made.close()


def inside(pdf: bytes) -> bytes:
    """The PDF with its packed streams unpacked."""
    found = [pdf]
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(packed))
        except zlib.error:
            continue
    return b"\n".join(found)


async def test_a_pdf_is_tagged_has_its_language_and_its_fonts_inside(maker: PdfMaker) -> None:
    made = await maker.make(PAGE.format(FONT, "<h1>居民健康档案</h1><p>青霉素</p>"))
    told = inside(made)
    assert made.startswith(b"%PDF-1.7")
    assert b"pdfuaid" in told
    assert re.search(rb"/Marked true", told)
    assert re.search(rb"/Lang \(zh-CN\)", told)
    assert b"/FontFile" in told


async def test_nothing_is_fetched_from_anywhere(maker: PdfMaker, tmp_path: Any) -> None:
    asked: list[str] = []

    class Watching(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    (tmp_path / "a.css").write_text("main { color: #123456 }")
    server = http.server.HTTPServer(("127.0.0.1", 0), Watching)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        at = f"http://127.0.0.1:{server.server_port}"
        body = f"<img src='{at}/a.png'><link rel=stylesheet href='{at}/a.css'>"
        body += f"<link rel=stylesheet href='file://{tmp_path}/a.css'>text"
        style = f"@import '{at}/b.css'; main {{ background: url({at}/c.png) }}"
        made = await maker.make(PAGE.format(style, body))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert made.startswith(b"%PDF")
    assert asked == []


async def test_too_many_pages_are_refused_with_their_number() -> None:
    maker = PdfMaker(PageSettings(pdf_pages_max=2))
    body = "<p style='break-after: page'>x</p>" * 5
    with pytest.raises(Invalid, match="would have 5 pages, at most 2"):
        await maker.make(PAGE.format("", body))
    maker.close()


async def test_a_page_that_is_too_large_is_refused_before_anything_is_started() -> None:
    maker = PdfMaker(PageSettings(pdf_html_bytes_max=100))
    with pytest.raises(Invalid, match="at most 100"):
        await maker.make("x" * 101)
    assert maker._waiting == []


async def test_what_takes_too_long_is_ended_with_its_process() -> None:
    maker = PdfMaker(PageSettings(pdf_seconds_max=0.3))
    began = time.monotonic()
    with pytest.raises(Overloaded, match=r"not made in 0\.3 seconds"):
        await maker.make(PAGE.format("", "<p>x</p>" * 20_000))
    assert time.monotonic() - began < 5
    maker.close()


async def test_what_needs_too_much_memory_is_refused() -> None:
    maker = PdfMaker(PageSettings(pdf_mebibytes_max=200, pdf_seconds_max=120))
    with pytest.raises(Invalid, match="more memory"):
        await maker.make(PAGE.format("", "<table>" + "<tr><td>x<td>y" * 60_000))
    maker.close()


async def test_who_finds_no_turn_in_time_is_asked_to_come_again() -> None:
    maker = PdfMaker(PageSettings(pdf_seconds_max=0.2))
    maker._turns.acquire()
    with pytest.raises(Overloaded, match="other PDFs are being made"):
        await maker.make("x")
    maker._turns.release()
    maker.close()


async def test_a_machine_without_pango_says_so(maker: PdfMaker) -> None:
    problem = maker._problem(pdf_process.NO_LIBRARY, b"")
    assert isinstance(problem, Overloaded)
    assert "no Pango" in str(problem.issues[0])


async def test_each_document_has_a_process_of_its_own_and_one_waits(maker: PdfMaker) -> None:
    await maker.make(PAGE.format("", "a"))
    (first,) = maker._waiting
    await asyncio.gather(*(maker.make(PAGE.format("", "b")) for _ in range(2)))
    assert first.poll() is not None
    (second,) = maker._waiting
    assert second.pid != first.pid
    second.kill()
    second.wait()
    assert (await maker.make(PAGE.format("", "c"))).startswith(b"%PDF")
    (third,) = maker._waiting
    maker.close()
    assert third.poll() is not None
