"""What strangers write as DER costs no more than reading it, and is refused where it is none."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import cms, tsp
from asn1crypto import x509 as asn1
from authority import NOW, Authority

from quanmin.base.certificates import CertificateUnreadable, read_certificate
from quanmin.base.der import NoDer, refuse_bombs
from quanmin.base.revocation import RevocationList, StatusAnswer, StatusUnreadable
from quanmin.base.signing import ECDSA_P256, SHA256
from quanmin.base.timestamps import Stamper, StampUnreadable, read_answer, read_stamp

ROOT = Authority(ECDSA_P256)
LEAF = ROOT.certify(ECDSA_P256.private_key(b"l" * 32).public)
SECONDS_MAX = 0.5
SIZE = 60_000  # below every limit of size, so that something else has to bound the cost
NO_END = b"\xff" * SIZE + b"\x01"
READERS: dict[str, Callable[[bytes], Any]] = {
    "certificate": read_certificate,
    "stamp": read_stamp,
    "answer with a stamp": lambda content: read_answer(content, 0),
    "status": StatusAnswer,
    "list": RevocationList,
    "request": lambda content: Stamper(ROOT.key, (ROOT.der,)).answer(content),
}
REFUSED = (CertificateUnreadable, StampUnreadable, StatusUnreadable)


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def nested(tag: int, depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = element(tag, content)
    return content


BOMBS = {
    "nothing": b"",
    "nested": nested(0x30, 9000),
    "nested in octet strings": nested(0x04, 9000),
    "indefinite": b"\x30\x80" * 20_000,
    "longer than there is": b"\x30\x84\x7f\xff\xff\xff",
    "of a length of 127 octets": b"\x30\xff" + b"\xff" * 127,
    "a tag without end": b"\x3f" + NO_END + b"\x00",
    "a tag without end inside": element(0x30, b"\x3f" + NO_END + b"\x00"),
    "an identifier without end": element(0x30, element(0x06, b"\x2b" + NO_END)),
    "many elements": element(0x30, b"\x05\x00" * (SIZE // 2)),
    "too much of it": element(0x04, bytes(1 << 20)),
    "a number without end": element(0x30, element(0x02, b"\x7f" * SIZE)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_at_no_cost(bomb: str, reader: str) -> None:
    begun = time.process_time()
    with pytest.raises(REFUSED):
        READERS[reader](BOMBS[bomb])
    assert time.process_time() - begun < SECONDS_MAX


def _certificate(**changed: bytes) -> bytes:
    parsed = asn1.Certificate.load(LEAF.der)
    body = parsed["tbs_certificate"]
    fields = ("version", "serial_number", "signature", "issuer", "validity", "subject")
    parts = {each: body[each].dump() for each in (*fields, "subject_public_key_info")}
    parts["extensions"] = body["extensions"].dump()
    ends = (parsed["signature_algorithm"].dump(), parsed["signature_value"].dump())
    return element(0x30, element(0x30, *(parts | changed).values()), *ends)


def _subject(value: bytes, oid: bytes = b"\x55\x04\x03") -> bytes:
    return element(0x30, element(0x31, element(0x30, element(0x06, oid), element(0x0C, value))))


def _extension(oid: bytes, value: bytes) -> bytes:
    return element(0xA3, element(0x30, element(0x30, element(0x06, oid), element(0x04, value))))


def test_the_certificate_that_is_changed_below_is_read() -> None:
    assert read_certificate(_certificate()) == LEAF


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": _subject("\ufdfa".encode() * (SIZE // 3))},
        {"subject": _subject(b"a" * SIZE)},
        {"subject": _subject(b"a", b"\x2b" + NO_END)},
        {"extensions": _extension(b"\x55\x1d\x0f", b"\x3f" + NO_END + b"\x00")},
        {"extensions": _extension(b"\x55\x1d\x25", element(0x30, element(0x06, NO_END)))},
        {"extensions": _extension(b"\x55\x1d\x25", b"\x30\x80" + element(0x06, NO_END))},
        {
            "extensions": _extension(
                b"\x55\x1d\x25", element(0x30, element(0x06, NO_END)) + b"\x04\x7f"
            )
        },
    ],
)
def test_a_bomb_within_a_certificate_is_refused_at_no_cost(changed: dict[str, bytes]) -> None:
    begun = time.process_time()
    with pytest.raises(CertificateUnreadable):
        read_certificate(_certificate(**changed))
    assert time.process_time() - begun < SECONDS_MAX


TIMES = [
    element(0x18, b"20260601120000"),
    element(0x18, b"20260601120000+0800"),
    element(0x18, b"00000101000000Z"),
]


@pytest.mark.parametrize("moment", TIMES)
def test_rfc_5280_4_1_2_5_a_time_that_is_not_in_utc_is_refused(moment: bytes) -> None:
    with pytest.raises(CertificateUnreadable):
        read_certificate(_certificate(validity=element(0x30, moment, moment)))


def _token(moment: bytes | None = None, *, is_ber: bool = False) -> bytes:
    """A stamp of `NOW`, or of another moment that its signature is then not of."""
    key = ECDSA_P256.private_key(b"t" * 32)
    stamps = ROOT.certify(key.public, "Stamps", purposes=("time_stamping",))
    token = Stamper(key, (stamps.der,)).stamp(SHA256, b"content", NOW)
    outer = cms.ContentInfo.load(token)
    body = outer["content"]
    info = tsp.TSTInfo.load(bytes(body["encap_content_info"]["content"]))
    names = ("version", "policy", "message_imprint", "serial_number")
    said = moment or info["gen_time"].dump()
    inner = element(0x04, element(0x30, *(info[each].dump() for each in names), said))
    content = element(0x30, body["encap_content_info"]["content_type"].dump(), element(0xA0, inner))
    parts = (body["version"].dump(), body["digest_algorithms"].dump(), content)
    more = (element(0xA0, stamps.der), body["signer_infos"].dump())
    if is_ber:
        within = b"\xa0\x80\x30\x80" + b"".join((*parts, *more)) + bytes(4)
        return b"".join((b"\x30\x80", outer["content_type"].dump(), within, bytes(2)))
    within = element(0xA0, element(0x30, *parts, *more))
    return element(0x30, outer["content_type"].dump(), within)


@pytest.mark.parametrize("moment", TIMES)
def test_rfc_3161_2_4_2_a_stamp_that_is_not_in_utc_is_refused(moment: bytes) -> None:
    assert read_stamp(_token()).moment == NOW
    with pytest.raises(StampUnreadable):
        read_stamp(_token(moment))


def test_rfc_5652_2_a_stamp_may_have_indefinite_lengths_and_a_certificate_none() -> None:
    assert read_stamp(_token(is_ber=True)).moment == NOW
    with pytest.raises(NoDer):
        refuse_bombs(_token(is_ber=True), 1 << 20)


def test_hashes_and_signatures_are_not_taken_for_bombs() -> None:
    chance = random.Random(7)  # noqa: S311 - the same ones each time
    refused = []
    for first in range(256):
        for size in (20, 32, 64, 256, 512):
            hashed = bytes([first]) + chance.randbytes(size - 1)
            try:
                refuse_bombs(element(0x30, element(0x04, hashed), element(0x03, hashed)), 1 << 20)
            except NoDer:
                refused.append(hashed.hex())
    assert refused == []
