"""Files come from where the operator allowed, and from nowhere else."""

from __future__ import annotations

import gzip
import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from quanmin.base.fetching import FetchPlaces
from quanmin.base.problems import Invalid, Malformed, Overloaded, TooLarge

CONTENT = b'{"resourceType":"Basic"}\n' * 3000


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = int(self.path.removeprefix("/") or 200)
        self.send_response(status)
        body = gzip.compress(CONTENT)
        # Some servers name the packing of the file as that of the transfer.
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def own_certificate(folder: Path) -> Path:
    """One that nobody but its maker trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def fetched(places: FetchPlaces, url: str, owner: str = "a", bytes_max: int = 1 << 30) -> bytes:
    return b"".join(places.chunks(url, owner, bytes_max=bytes_max))


def test_a_certificate_that_is_not_trusted_ends_the_fetching(tmp_path: Path) -> None:
    with (
        serving(own_certificate(tmp_path)) as origin,
        pytest.raises(Overloaded, match="certificate is not trusted"),
    ):
        fetched(FetchPlaces(None, origin), f"{origin}/200")


def test_what_is_packed_is_unpacked_whatever_is_said_of_it(tmp_path: Path) -> None:
    with serving() as origin:
        assert fetched(FetchPlaces(None, origin), f"{origin}/200") == CONTENT
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "plain.gz").write_bytes(CONTENT)
    (tmp_path / "a" / "packed").write_bytes(gzip.compress(CONTENT) * 2)
    (tmp_path / "a" / "cut").write_bytes(gzip.compress(CONTENT)[:-9])
    (tmp_path / "a" / "empty").write_bytes(b"")
    places = FetchPlaces(tmp_path, "")
    assert fetched(places, "plain.gz") == CONTENT
    assert fetched(places, "packed") == CONTENT * 2
    assert fetched(places, "empty") == b""
    with pytest.raises(Malformed, match="too early"):
        fetched(places, "cut")


def test_a_file_that_is_too_large_is_left_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(b" " * (64 << 20)))
    read = 0
    chunks = FetchPlaces(tmp_path, "").chunks("bomb", "", bytes_max=1 << 22)

    def read_on() -> None:
        nonlocal read
        for chunk in chunks:
            read += len(chunk)

    with pytest.raises(TooLarge):
        read_on()
    assert read <= 1 << 22


@pytest.mark.parametrize(
    ("status", "problem"), [(404, Invalid), (301, Invalid), (500, Overloaded), (204, Overloaded)]
)
def test_a_server_that_does_not_give_the_file_is_told_of(
    status: int, problem: type[Exception]
) -> None:
    said = "elsewhere" if status == 301 else str(status)
    with serving() as origin, pytest.raises(problem, match=said):
        fetched(FetchPlaces(None, origin), f"{origin}/{status}")


@pytest.mark.parametrize("path", ["a\nb", "\ud800"])
def test_an_address_that_is_none_is_told_of(path: str) -> None:
    with serving() as origin, pytest.raises((Malformed, Overloaded, Invalid)):
        fetched(FetchPlaces(None, origin), f"{origin}/{path}")


def test_a_server_that_is_away_is_worth_another_attempt() -> None:
    with serving() as origin:
        pass
    with pytest.raises(Overloaded, match="cannot be reached"):
        fetched(FetchPlaces(None, origin), f"{origin}/200")


def test_a_link_laid_after_the_path_was_looked_at_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    named = tmp_path / "a" / "file"
    named.write_bytes(CONTENT)
    places = FetchPlaces(tmp_path, "")
    looked_at = FetchPlaces._path

    def swapped(self: FetchPlaces, url: str, owner: str) -> Path:
        path = looked_at(self, url, owner)
        named.unlink()
        named.symlink_to(tmp_path / "secret")
        return path

    chunks = places.chunks("file", "a", bytes_max=1 << 20)
    monkeypatch.setattr(places, "check", lambda *_: None)
    monkeypatch.setattr(FetchPlaces, "_path", swapped)
    with pytest.raises(Invalid, match="no such file"):
        next(chunks)
