"""Lists of revoked certificates are fetched from where the operator says, and never go back."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from authority import NOW, Authority

from quanmin.base.signing import ECDSA_P256, SM2_SM3, Algorithm
from quanmin.trust.signatures import fetch_lists

DAY = timedelta(days=1)


class Server:
    """Gives out the files that it is handed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        served = self.files

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = served.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.close()


def faults(folder: Path, addresses: str) -> list[str]:
    return [each.fault for each in fetch_lists(folder, addresses)]


@pytest.mark.parametrize("algorithm", [ECDSA_P256, SM2_SM3], ids=lambda each: each.name)
def test_a_list_takes_the_place_of_an_older_one_only(
    server: Server, tmp_path: Path, algorithm: Algorithm
) -> None:
    root = Authority(algorithm)
    (tmp_path / "root.cer").write_bytes(root.der)
    address = f"{server.address}/root.crl"
    first, second = (root.revocation_list(since=NOW - age * DAY) for age in (2, 1))
    for given, expected, kept in (
        (second, "", second),
        (first, "it is older than the one that is there", second),
        (second, "", second),
    ):
        server.files["/root.crl"] = given
        assert faults(tmp_path, address) == [expected]
        assert [each.read_bytes() for each in tmp_path.glob("*.crl")] == [kept]
    assert not list(tmp_path.glob("*.part"))


def test_what_is_no_list_of_an_accepted_authority_is_left(server: Server, tmp_path: Path) -> None:
    root, stranger = Authority(ECDSA_P256), Authority(ECDSA_P256, "Stranger")
    (tmp_path / "root.cer").write_bytes(root.der)
    server.files["/stranger"] = stranger.revocation_list()
    server.files["/forged"] = root.revocation_list(by=stranger.key)
    server.files["/page"] = b"<html>"
    addresses = [f"{server.address}/{name}" for name in ("stranger", "forged", "page", "none")]
    found = faults(tmp_path, " ".join(addresses))
    assert ["none of the authorities" in fault for fault in found[:2]] == [True, True]
    assert found[2] == "it is no list of revoked certificates"
    assert "404" in found[3]
    assert not list(tmp_path.glob("*.crl"))


def test_without_addresses_nothing_is_fetched(tmp_path: Path) -> None:
    assert faults(tmp_path, "") == []
