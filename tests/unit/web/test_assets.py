from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
from starlette.applications import Starlette

from quanmin.web.assets import STATIC_FOLDER, Assets

STYLE_BYTES_MAX = 20 * 1024
PACKED_BYTES_MAX = 5 * 1024


def test_the_style_keeps_its_budget() -> None:
    style = (STATIC_FOLDER / "style.css").read_bytes()
    assert len(style) <= STYLE_BYTES_MAX
    assert len(gzip.compress(style, 9)) <= PACKED_BYTES_MAX, "what a phone has to load"


def test_sizes_are_in_rem_so_that_one_rule_makes_the_text_large() -> None:
    style = (STATIC_FOLDER / "style.css").read_text(encoding="utf-8")
    assert not re.search(r"font-size:\s*[\d.]+px", style)
    assert "@import" not in style
    assert "url(" not in style


def test_a_changed_file_has_another_address(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a {}")
    first = Assets(tmp_path).address("a.css")
    (tmp_path / "a.css").write_text("b {}")
    assert Assets(tmp_path).address("a.css") != first


async def test_a_file_is_kept_for_ever_and_sent_packed_to_whom_can_unpack(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a { color: red }\n" * 100)
    assets = Assets(tmp_path)
    transport = httpx.ASGITransport(Starlette(routes=[assets.route()]))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        address = assets.address("a.css")
        plain = await client.get(address, headers={"Accept-Encoding": "identity"})
        packed = await client.get(address, headers={"Accept-Encoding": "gzip"})
        assert (await client.get("/static/none.css")).status_code == 404
        assert (await client.get("/static/..%2f..%2fhouse.py")).status_code == 404
    assert "immutable" in plain.headers["cache-control"]
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.text == packed.text
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, 9, mtime=0))
