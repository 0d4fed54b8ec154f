"""The door with a certificate of its own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from running import RunningNode

from quanmin.base.problems import Unusable
from quanmin.node.settings import NodeSettings
from quanmin.node.tls import DoorTls, open_tls

pytestmark = pytest.mark.slow


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that nobody but itself vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_the_door_speaks_tls_1_3_and_nothing_older(passable_folder: Path, tmp_path: Path) -> None:
    certificate, key = certify(tmp_path, "door")
    node = RunningNode(
        passable_folder / "tls",
        passable_folder / "programs",
        NODE_TLS_CERTIFICATE=str(certificate),
        NODE_TLS_KEY=str(key),
    )
    refused = node.run("node", "start", NODE_TLS_KEY=str(certificate))
    assert "cannot be used" in refused.stderr
    node.start()
    try:
        believed = ssl.create_default_context(cafile=certificate)
        address = f"https://127.0.0.1:{node.port}"
        assert address in node.run("node", "status").stdout
        answer = httpx.get(f"{address}/fhir/metadata", verify=believed, trust_env=False)
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=63072000"
        old = ssl.create_default_context(cafile=certificate)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.ConnectError, match="SSL"):
            httpx.get(address, verify=old, trust_env=False)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{node.port}/fhir/metadata", trust_env=False)
    finally:
        node.stop()
        shutil.rmtree(node.folder)


def shown(tls: DoorTls) -> str:
    """The name in the certificate that a client is shown."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = tls.context.wrap_bio(incoming, outgoing, server_side=True)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client = trusting.wrap_bio(outgoing, incoming)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = x509.load_der_x509_certificate(client.getpeercert(binary_form=True) or b"")
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path, "first")
    tls = DoorTls(certificate, key)
    assert (shown(tls), tls.refresh()) == ("first", False)
    renewed, its_key = certify(tmp_path, "second")
    shutil.copy(renewed, certificate)
    assert not tls.refresh()  # its key is not there yet
    assert shown(tls) == "first"
    shutil.copy(its_key, key)
    assert tls.refresh()
    assert shown(tls) == "second"
    certificate.unlink()
    assert not tls.refresh()
    assert shown(tls) == "second"


def test_half_a_setting_is_refused(tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path, "door")
    assert open_tls(NodeSettings()) is None
    with pytest.raises(Unusable, match="needs both"):
        open_tls(NodeSettings(tls_certificate=certificate))
