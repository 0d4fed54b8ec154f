"""A time stamp proves that something existed at a moment, or says why it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, pem, tsp
from authority import NOW, YEAR, Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from quanmin.base.authorities import Authorities
from quanmin.base.revocation import RevocationList, Statuses
from quanmin.base.signing import (
    ECDSA_P256,
    SHA256,
    SM2_SM3,
    Algorithm,
    read_public,
)
from quanmin.base.timestamps import (
    _SIGNED_DATA_GM,
    Stamper,
    StampUnreadable,
    read_answer,
    read_stamp,
    request,
)

SUITES = pytest.mark.parametrize("algorithm", [ECDSA_P256, SM2_SM3], ids=lambda each: each.name)
TEXT = b"an opinion"


class Stamping:
    """An authority, and below it one that stamps."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.root = Authority(algorithm)
        self.digest = algorithm.digest
        key = algorithm.private_key(b"t" * 32)
        self.certificate = self.root.certify(key.public, "Stamps", purposes=("time_stamping",))
        self.stamper = Stamper(key, (self.certificate.der,), policy="1.2.3.4")
        self.believed = Authorities([self.root.certificate])

    def reasons(self, token: bytes, content: bytes = TEXT) -> list[str]:
        stamp = read_stamp(token)
        return [each.reason for each in stamp.refusals(content, self.believed, now=NOW)]


@SUITES
def test_a_stamp_is_asked_for_and_believed(algorithm: Algorithm) -> None:
    stamping = Stamping(algorithm)
    asked, nonce = request(algorithm.digest, TEXT)
    stamp = read_answer(stamping.stamper.answer(asked, NOW), nonce)
    assert (stamp.moment, stamp.policy, stamp.is_own) == (NOW, "1.2.3.4", False)
    assert stamp.refusals(TEXT, stamping.believed, now=NOW) == ()


@SUITES
def test_a_stamp_of_other_content_is_told_apart(algorithm: Algorithm) -> None:
    stamping = Stamping(algorithm)
    token = stamping.stamper.stamp(algorithm.digest, TEXT, NOW)
    assert stamping.reasons(token, TEXT + b" changed") == ["stamp-of-other-content"]


@SUITES
def test_a_changed_stamp_is_refused_or_says_what_it_said(algorithm: Algorithm) -> None:
    stamping = Stamping(algorithm)
    token = stamping.stamper.stamp(algorithm.digest, TEXT, NOW)
    said = read_stamp(token)
    refused = 0
    for at in range(len(token)):
        changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        try:
            stamp = read_stamp(changed)
        except StampUnreadable:
            refused += 1
            continue
        if stamp.refusals(TEXT, stamping.believed, now=NOW):
            refused += 1
            continue
        # What stands outside of what is signed, such as the numbers of versions.
        assert (stamp.moment, stamp.signed) == (said.moment, said.signed)
        assert (stamp.signer, stamp.policy) == (said.signer, said.policy)
    assert refused > len(token) * 0.9


@SUITES
def test_a_stamp_is_held_to_its_authority_at_its_own_moment(algorithm: Algorithm) -> None:
    stamping = Stamping(algorithm)
    token = stamping.stamper.stamp(algorithm.digest, TEXT, NOW)
    stamp = read_stamp(token)
    # The stamp is read years later, when its certificate has expired: that is what it is for.
    assert stamp.refusals(TEXT, stamping.believed, now=NOW + 5 * YEAR) == ()
    late = stamping.stamper.stamp(algorithm.digest, TEXT, NOW + 2 * YEAR)
    reasons = read_stamp(late).refusals(TEXT, stamping.believed, now=NOW + 3 * YEAR)
    assert [each.reason for each in reasons] == ["expired"]
    stranger = Authorities([Authority(algorithm, "Another").certificate])
    reasons = stamp.refusals(TEXT, stranger, now=NOW)
    assert [each.reason for each in reasons] == ["unknown-authority"]
    listed = RevocationList(stamping.root.revocation_list([stamping.certificate]))
    reasons = stamp.refusals(TEXT, stamping.believed, statuses=Statuses([listed]), now=NOW)
    assert [each.reason for each in reasons] == ["revoked"]


def test_a_stamp_of_a_moment_to_come_is_refused() -> None:
    stamping = Stamping(ECDSA_P256)
    token = stamping.stamper.stamp(SHA256, TEXT, NOW + timedelta(hours=1))
    assert stamping.reasons(token) == ["stamp-altered"]


def test_an_answer_to_another_request_and_a_refusal_are_no_stamp() -> None:
    stamping = Stamping(ECDSA_P256)
    asked, nonce = request(SHA256, TEXT)
    answer = stamping.stamper.answer(asked, NOW)
    with pytest.raises(StampUnreadable):
        read_answer(answer, nonce + 1)
    with pytest.raises(StampUnreadable):
        read_answer(bytes.fromhex("30053003020102"), nonce)  # "rejection", without a token
    for wrong in (b"", answer, answer[:-1], b"x" * 200):
        with pytest.raises(StampUnreadable):
            read_stamp(wrong)


def test_a_request_for_a_hash_that_is_none_is_not_answered() -> None:
    stamping = Stamping(ECDSA_P256)
    for name, size in (("sha1", 20), ("sha256", 31), ("md5", 16)):
        imprint = {"hash_algorithm": {"algorithm": name}, "hashed_message": b"x" * size}
        asked = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint}).dump()
        with pytest.raises(StampUnreadable):
            stamping.stamper.answer(asked, NOW)


def test_a_certificate_for_documents_gives_no_stamps() -> None:
    root = Authority(SM2_SM3)
    key = SM2_SM3.private_key(b"t" * 32)
    stamper = Stamper(key, (root.certify(key.public).der,))
    stamp = read_stamp(stamper.stamp(SM2_SM3.digest, TEXT, NOW))
    reasons = stamp.refusals(TEXT, Authorities([root.certificate]), now=NOW)
    assert [each.reason for each in reasons] == ["wrong-usage"]


def test_rfc_5816_another_certificate_of_the_same_key_is_not_put_in_the_place() -> None:
    stamping = Stamping(ECDSA_P256)
    key = ECDSA_P256.private_key(b"t" * 32)
    longer = stamping.root.certify(
        key.public, "Stamps", purposes=("time_stamping",), not_after=NOW + 5 * YEAR
    )
    outer = cms.ContentInfo.load(stamping.stamper.stamp(SHA256, TEXT, NOW))
    other = cms.ContentInfo.load(Stamper(key, (longer.der,)).stamp(SHA256, TEXT, NOW))
    body, foreign = outer["content"], other["content"]
    body["certificates"] = foreign["certificates"]
    body["signer_infos"][0]["sid"] = foreign["signer_infos"][0]["sid"]
    assert stamping.reasons(outer.dump(force=True)) == ["stamp-altered"]


def test_gbt_35275_a_stamp_under_the_national_name_of_signed_data_is_read() -> None:
    stamping = Stamping(SM2_SM3)
    token = stamping.stamper.stamp(SM2_SM3.digest, TEXT, NOW)
    body = cms.ContentInfo.load(token)["content"].untag().dump()
    oid = cms.ContentType(_SIGNED_DATA_GM).dump()
    tagged = b"\xa0\x82" + len(body).to_bytes(2, "big") + body
    national = b"\x30\x82" + (len(oid) + len(tagged)).to_bytes(2, "big") + oid + tagged
    assert stamping.reasons(national) == []


# ---- the other side is OpenSSL -------------------------------------------------------------------

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl command on this machine")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [OPENSSL or "", "ts", *arguments]
    return subprocess.run(
        command, cwd=folder, check=False, capture_output=True, env={"PATH": os.environ["PATH"]}
    )


@needs_openssl
def test_openssl_believes_our_stamp(tmp_path: Path) -> None:
    stamping = Stamping(ECDSA_P256)
    asked, _ = request(SHA256, TEXT)
    (tmp_path / "answer").write_bytes(stamping.stamper.answer(asked, NOW))
    (tmp_path / "root.pem").write_bytes(pem.armor("CERTIFICATE", stamping.root.der))
    at = ["-CAfile", "root.pem", "-attime", str(int(NOW.timestamp()))]
    for text, code in ((TEXT, 0), (TEXT + b".", 1)):
        (tmp_path / "text").write_bytes(text)
        found = run(tmp_path, "-verify", "-in", "answer", "-data", "text", *at)
        assert found.returncode == code, found.stderr


@needs_openssl
def test_we_believe_openssls_stamp(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, form = serialization.Encoding, serialization.PublicFormat.SubjectPublicKeyInfo
    root = Authority(ECDSA_P256)
    public = read_public(key.public_key().public_bytes(encoding.DER, form))
    certificate = root.certify(
        public, "Stamps", purposes=("time_stamping",), not_after=NOW + 20 * YEAR
    )
    private = key.private_bytes(
        encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "signer.pem").write_bytes(pem.armor("CERTIFICATE", certificate.der))
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "settings").write_text(
        "[tsa]\ndefault_tsa = us\n[us]\nserial = serial\ndigests = sha256\n"
        "default_policy = 1.2.3.4\nsigner_digest = sha256\ness_cert_id_alg = sha256\n"
    )
    asked, nonce = request(SHA256, TEXT)
    (tmp_path / "query").write_bytes(asked)
    made = run(
        tmp_path,
        "-reply",
        "-queryfile",
        "query",
        "-out",
        "answer",
        "-config",
        "settings",
        "-signer",
        "signer.pem",
        "-inkey",
        "key.pem",
    )
    assert made.returncode == 0, made.stderr
    stamp = read_answer((tmp_path / "answer").read_bytes(), nonce)
    believed = Authorities([root.certificate])
    assert stamp.refusals(TEXT, believed) == ()
    assert [each.reason for each in stamp.refusals(TEXT + b".", believed)] == [
        "stamp-of-other-content"
    ]
