"""What is loaded and imported becomes requests, each line for itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quanmin.node.loading import Reader, Refusal
from quanmin.node.pieces import Piece, as_bundle, as_requests
from quanmin.node.settings import LoadSettings

ORGANIZATION = b'{"resourceType":"Organization","id":"c1","type":[{"text":"centre"}]}'


def test_a_resource_is_written_at_its_id_or_as_a_new_one() -> None:
    bodies = (ORGANIZATION, b'{"resourceType":"Basic"}', b"[]", b'{"resourceType":"Basic","id":7}')
    requests, refused = as_requests(bodies, (1, 2, 5, 6))
    assert [(each.line, each.method, each.url) for each in requests] == [
        (1, "PUT", "Organization/c1"),
        (2, "POST", "Basic"),
        (6, "POST", "Basic"),
    ]
    assert refused == [5]


def test_a_bundle_holds_the_bodies_as_they_are() -> None:
    body = b'{"resourceType":"Basic","valueDecimal":1.50}'
    requests, _ = as_requests((body,), (1,))
    bundle = as_bundle("transaction", requests)
    assert body in bundle
    assert json.loads(bundle)["entry"][0]["request"] == {"method": "POST", "url": "Basic"}


@pytest.mark.parametrize(
    ("name", "content", "kinds"),
    [
        ("one.json", ORGANIZATION, [("resources", (0,))]),
        ("lines.ndjson", ORGANIZATION + b"\n\n" + ORGANIZATION, [("resources", (1, 3))]),
        (
            "bundle.json",
            b'{"resourceType":"Bundle","type":"transaction"}',
            [("requests", (0,))],
        ),
        (
            "collection.json",
            b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":%b}]}'
            % ORGANIZATION,
            [("resources", (1,))],
        ),
        ("odd.json", b'{"resourceType":"Bundle","type":["x"]}', [("resources", (0,))]),
    ],
)
def test_files_are_cut_by_what_they_are(
    tmp_path: Path, name: str, content: bytes, kinds: list[tuple[str, tuple[int, ...]]]
) -> None:
    (tmp_path / name).write_bytes(content)
    refused: list[Refusal] = []
    pieces: list[Piece] = [
        *Reader(LoadSettings(), refused.append).pieces([tmp_path / name], lambda _: None)
    ]
    assert [(piece.kind, piece.lines) for piece in pieces] == kinds
    assert refused == []
