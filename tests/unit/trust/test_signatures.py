"""A signature holds for its document by its signer, or each reason against it is told apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from authority import NOW, YEAR, Authority

from quanmin.base.authorities import Authorities
from quanmin.base.revocation import RevocationList, Statuses
from quanmin.base.signing import ECDSA_P256, SM2_SM3, Algorithm
from quanmin.base.timestamps import Stamper
from quanmin.trust.signatures.bundle import judge_files
from quanmin.trust.signatures.content import CONTENT, DATA, EXACT, STATIC, WHOLE, canonical
from quanmin.trust.signatures.detached import sign
from quanmin.trust.signatures.judging import Judgement, Judging
from quanmin.trust.signatures.provenance import AUTHOR, SYSTEM, Statement, write

SUITES = pytest.mark.parametrize("algorithm", [ECDSA_P256, SM2_SM3], ids=lambda each: each.name)
LICENCE = "110440000012345"
DOCUMENT = {
    "resourceType": "DiagnosticReport",
    "id": "r1",
    "meta": {"versionId": "1", "lastUpdated": "2026-06-01T10:00:00Z"},
    "text": {"status": "generated", "div": "<div>无异常</div>"},
    "status": "final",
    "code": {"text": "胸片"},
    "conclusion": "未见异常",
}


def raw(**changed: Any) -> bytes:
    return json.dumps(DOCUMENT | changed, ensure_ascii=False).encode()


class Desk:
    """A doctor with a certificate of an authority, and a third party that stamps."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.root = Authority(algorithm)
        self.key = algorithm.private_key(b"d" * 32)
        self.certificate = self.root.certify(self.key.public, **self.named(LICENCE))
        stamping = algorithm.private_key(b"t" * 32)
        stamps = self.root.certify(stamping.public, "Stamps", purposes=("time_stamping",))
        self.stamper = Stamper(stamping, (stamps.der,), policy="1.2.3.4")
        self.believed: list[Authority] = [self.root]
        self.sources: list[bytes] = []

    @staticmethod
    def named(identifier: str) -> dict[str, Any]:
        return {"subject": (("common_name", "Doctor"), ("serial_number", identifier))}

    def sign(self, document: bytes, form: str = CONTENT) -> bytes:
        content = canonical(document, form)
        return sign(content, self.key, [self.certificate.der], NOW, form, kind=AUTHOR)

    def stamp(self, signature: bytes) -> bytes:
        return self.stamper.stamp(self.algorithm.digest, signature, NOW)

    def judge(
        self,
        document: bytes,
        signature: bytes,
        stamp: bytes | None,
        signer: Iterable[str] = (LICENCE,),
        now: Any = NOW,
    ) -> Judgement:
        believed = Authorities(
            (each.certificate for each in self.believed),
            statuses=Statuses(map(RevocationList, self.sources)),
        )
        return Judging(authorities=believed).judge(document, signature, stamp, set(signer), now)

    def reasons(self, *asked: Any, **more: Any) -> list[str]:
        judgement = self.judge(*asked, **more)
        assert judgement.holds == (not judgement.refusals)
        return [refusal.reason for refusal in judgement.refusals]


@pytest.fixture(params=[ECDSA_P256, SM2_SM3], ids=lambda each: each.name)
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(request.param)


def test_a_signed_and_stamped_document_holds(desk: Desk) -> None:
    signature = desk.sign(raw())
    judgement = desk.judge(raw(), signature, desk.stamp(signature))
    assert judgement.holds
    assert judgement.algorithm == desk.algorithm.jws
    assert (judgement.stamped, judgement.is_stamp_own) == (NOW, False)
    assert judgement.signer == desk.certificate


def test_a_document_may_be_laid_out_and_labelled_otherwise(desk: Desk) -> None:
    signature = desk.sign(raw())
    stamp = desk.stamp(signature)
    turned = json.dumps(dict(reversed(DOCUMENT.items())), indent=4).encode()
    assert desk.reasons(turned, signature, stamp) == []
    labelled = raw(meta={"versionId": "1", "security": [{"code": "R"}]})
    assert desk.reasons(labelled, signature, stamp) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"conclusion": "肿块"},
        {"id": "r2"},
        {"text": {"status": "generated", "div": "<div>肿块</div>"}},
        {"status": "amended"},
        {"note": "more"},
        {"code": {"text": "胸片 "}},
    ],
)
def test_a_changed_document_is_told(desk: Desk, changed: dict[str, Any]) -> None:
    signature = desk.sign(raw())
    assert desk.reasons(raw(**changed), signature, desk.stamp(signature)) == ["altered-document"]


def test_the_digits_of_a_number_are_signed(desk: Desk) -> None:
    first = b'{"resourceType":"Observation","valueQuantity":{"value":1.00}}'
    signature = desk.sign(first)
    stamp = desk.stamp(signature)
    assert desk.reasons(first, signature, stamp) == []
    assert desk.reasons(first.replace(b"1.00", b"1.0"), signature, stamp) == ["altered-document"]


def test_a_document_that_reads_in_two_ways_is_refused(desk: Desk) -> None:
    signature = desk.sign(raw())
    twice = raw()[:-1] + b', "conclusion": "\xe8\x82\xbf"}'
    for document in (twice, b"[]", b"{", b'{"a": NaN}', b"\xff", b'{"a":' * 100_000):
        found = desk.reasons(document, signature, desk.stamp(signature))
        assert found == ["unreadable-document"]


def test_a_changed_signature_is_told_from_a_changed_document(desk: Desk) -> None:
    signature = desk.sign(raw())
    value = signature.rsplit(b".", 1)[1]
    flipped = signature.replace(value, base64.urlsafe_b64encode(b"x" * 64).rstrip(b"="))
    assert desk.reasons(raw(), flipped, desk.stamp(flipped)) == ["altered-signature"]


def test_any_changed_byte_of_a_signature_is_refused(desk: Desk) -> None:
    signature = desk.sign(raw())
    stamp = desk.stamp(signature)
    for at in range(len(signature)):
        changed = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        assert desk.reasons(raw(), changed, stamp)
        # Even without its stamp.
        assert set(desk.reasons(raw(), changed, None)) - {"no-stamp"}


def test_a_missing_and_an_unreadable_stamp_are_told(desk: Desk) -> None:
    signature = desk.sign(raw())
    assert desk.reasons(raw(), signature, None) == ["no-stamp"]
    assert desk.reasons(raw(), signature, b"stamp") == ["unreadable-stamp"]
    other = desk.stamp(b"another signature")
    assert desk.reasons(raw(), signature, other) == ["stamp-of-other-content"]
    lenient = Judging(authorities=Authorities([desk.root.certificate]), is_stamp_required=False)
    assert lenient.judge(raw(), signature, None, {LICENCE}, NOW).holds


def test_another_persons_certificate_is_told(desk: Desk) -> None:
    signature = desk.sign(raw())
    stamp = desk.stamp(signature)
    assert desk.reasons(raw(), signature, stamp, ["110440000099999"]) == ["wrong-signer"]
    assert desk.reasons(raw(), signature, stamp, []) == ["unknown-signer"]
    # One of several identifiers is enough, and kinds of identifiers may be told by a prefix.
    assert desk.reasons(raw(), signature, stamp, ["x", f"IDCCN-{LICENCE}"]) == []


def test_a_name_alone_is_nobodys_identifier(desk: Desk) -> None:
    signature = desk.sign(raw())
    assert desk.reasons(raw(), signature, desk.stamp(signature), ["Doctor"]) == ["wrong-signer"]


def test_an_expired_certificate_is_told_unless_a_stamp_is_from_before(desk: Desk) -> None:
    signature = desk.sign(raw())
    later = NOW + 2 * YEAR
    assert desk.reasons(raw(), signature, desk.stamp(signature), now=later) == []
    late = desk.stamper.stamp(desk.algorithm.digest, signature, NOW + timedelta(days=300))
    assert desk.reasons(raw(), signature, late, now=later) == []
    assert desk.reasons(raw(), signature, None, now=later) == ["no-stamp", "expired"]
    desk.certificate = desk.root.certify(
        desk.key.public, **desk.named(LICENCE), not_after=NOW - timedelta(days=1)
    )
    signature = desk.sign(raw())
    assert desk.reasons(raw(), signature, desk.stamp(signature)) == ["expired"]


def test_a_revoked_certificate_is_told_unless_a_stamp_is_from_before(desk: Desk) -> None:
    signature = desk.sign(raw())
    stamp = desk.stamp(signature)
    desk.sources = [desk.root.revocation_list([desk.certificate])]
    assert desk.reasons(raw(), signature, stamp) == ["revoked"]
    after = NOW + timedelta(days=5)
    desk.sources = [desk.root.revocation_list([desk.certificate], when=after, since=after)]
    assert desk.reasons(raw(), signature, stamp, now=NOW + timedelta(days=6)) == []


def test_a_stamp_that_is_not_believed_moves_no_moment(desk: Desk) -> None:
    """A thief of an expired key dates a stamp back by an authority of their own."""
    desk.certificate = desk.root.certify(
        desk.key.public, **desk.named(LICENCE), not_after=NOW - timedelta(days=1)
    )
    signature = desk.sign(raw())
    thief = Desk(desk.algorithm)
    thief.root = Authority(desk.algorithm, "Thief")
    key = desk.algorithm.private_key(b"x" * 32)
    stamps = thief.root.certify(key.public, "Stamps", purposes=("time_stamping",))
    stamper = Stamper(key, (stamps.der,))
    stamp = stamper.stamp(desk.algorithm.digest, signature, NOW - timedelta(days=30))
    judgement = desk.judge(raw(), signature, stamp)
    reasons = [refusal.reason for refusal in judgement.refusals]
    assert reasons == ["unknown-authority", "expired"]
    assert judgement.stamped is None


def test_several_authorities_are_believed_side_by_side() -> None:
    first, second = Desk(ECDSA_P256), Desk(SM2_SM3)
    second.root = Authority(SM2_SM3, "Second")
    second.certificate = second.root.certify(second.key.public, **second.named(LICENCE))
    signature = second.sign(raw())
    stamp = first.stamp(signature)
    assert first.reasons(raw(), signature, stamp) == ["unknown-authority"]
    first.believed.append(second.root)
    assert first.reasons(raw(), signature, stamp) == []


@pytest.mark.parametrize("form", [EXACT, WHOLE, DATA, STATIC, CONTENT])
def test_signatures_of_every_form_are_read(desk: Desk, form: str) -> None:
    signature = desk.sign(raw(), form)
    stamp = desk.stamp(signature)
    assert desk.reasons(raw(), signature, stamp) == []
    said = raw(text={"status": "generated", "div": "<div/>"})
    expected = [] if form in {DATA, STATIC} else ["altered-document"]
    assert desk.reasons(said, signature, stamp) == expected


# ---- attacks on the form -------------------------------------------------------------------------


def forged(signature: bytes, **header: Any) -> bytes:
    head, _, value = signature.split(b".")
    plain = json.loads(base64.urlsafe_b64decode(head + b"=="))
    written = json.dumps({**plain, **header}).encode()
    return base64.urlsafe_b64encode(written).rstrip(b"=") + b".." + value


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "unreadable-signature"),
        ({"alg": "HS256"}, "unreadable-signature"),
        ({"alg": "RS256"}, "wrong-algorithm"),
        ({"crit": ["b64"], "b64": False}, "unreadable-signature"),
        ({"x5c": []}, "unreadable-signature"),
        ({"x5c": ["AAAA"]}, "unreadable-signature"),
        ({"x5c": ["AAAA"] * 50_000}, "unreadable-signature"),
        ({"canon": "https://example.org/other"}, "unknown-form"),
        ({"digest": None}, "altered-document-or-signature"),
    ],
)
def test_a_header_is_not_taken_at_its_word(desk: Desk, header: dict[str, Any], reason: str) -> None:
    signature = forged(desk.sign(raw()), **header)
    assert reason in desk.reasons(raw(), signature, desk.stamp(signature))


def test_a_certificate_put_in_the_place_of_the_signers_is_refused(desk: Desk) -> None:
    other = desk.root.certify(desk.algorithm.private_key(b"o" * 32).public, **desk.named(LICENCE))
    signature = forged(desk.sign(raw()), x5c=[base64.b64encode(other.der).decode()])
    assert desk.reasons(raw(), signature, desk.stamp(signature)) == ["altered-signature"]


def test_the_payload_stays_outside(desk: Desk) -> None:
    head, _, value = desk.sign(raw()).split(b".")
    inside = base64.urlsafe_b64encode(canonical(raw(), CONTENT)).rstrip(b"=")
    attached = b".".join((head, inside, value))
    assert "unreadable-signature" in desk.reasons(raw(), attached, desk.stamp(attached))


# ---- in files ------------------------------------------------------------------------------------


def provenance(desk: Desk, document: bytes = b"", **who: Any) -> bytes:
    signature = desk.sign(document or raw())
    return write(
        "DiagnosticReport/r1/_history/1",
        AUTHOR,
        who=who or {"identifier": {"value": LICENCE}},
        moment=NOW,
        signature=signature,
        stamp=desk.stamp(signature),
    )


def found(desk: Desk, *contents: bytes) -> list[tuple[str, list[str]]]:
    judging = Judging(authorities=Authorities([desk.root.certificate]))
    return [
        (each.target, [refusal.reason for refusal in each.judgement.refusals])
        for each in judge_files(contents, judging, NOW)
    ]


TARGET = "DiagnosticReport/r1/_history/1"
WITNESS = "1.2.840.10065.1.12.1.5"


@pytest.mark.parametrize(
    ("element", "value", "reasons"),
    [
        ("type", [{"system": SYSTEM, "code": WITNESS}], ["altered-statement"]),
        ("type", [], ["altered-statement"]),
        ("when", "2026-06-02T12:00:00.000Z", ["altered-statement"]),
        ("when", "2026-06-01T12:00:00", ["altered-statement"]),
        ("when", "2026-06-01T20:00:30+08:00", []),
        ("who", {"identifier": {"value": "another"}}, ["wrong-signer"]),
    ],
)
def test_what_is_said_of_a_signature_is_what_was_signed(
    desk: Desk, element: str, value: Any, reasons: list[str]
) -> None:
    signed = json.loads(provenance(desk))
    assert found(desk, raw(), json.dumps(signed).encode()) == [(TARGET, [])]
    signed["signature"][0][element] = value
    assert found(desk, raw(), json.dumps(signed).encode()) == [(TARGET, reasons)]


def test_a_signature_that_says_nothing_of_itself_holds_for_what_it_signs(desk: Desk) -> None:
    signature = sign(canonical(raw(), CONTENT), desk.key, [desk.certificate.der], NOW)
    when = NOW.isoformat()
    told = Statement(frozenset({WITNESS}), when)
    judging = Judging(authorities=Authorities([desk.root.certificate]))
    stamp = desk.stamp(signature)
    assert judging.judge(raw(), signature, stamp, {LICENCE}, NOW, statement=told).holds


def test_signatures_are_found_in_files_of_every_kind(desk: Desk) -> None:
    signed = provenance(desk)
    entries = b",".join(b'{"resource":%s}' % each for each in (raw(), signed))
    bundle = b'{"resourceType":"Bundle","type":"collection","entry":[%s]}' % entries
    for contents in ((raw(), signed), (raw() + b"\n" + signed + b"\n",), (bundle,)):
        assert found(desk, *contents) == [(TARGET, [])]
    assert found(desk, raw()) == []


def test_a_document_that_is_missing_or_of_another_version_is_told(desk: Desk) -> None:
    signed = provenance(desk)
    assert found(desk, signed) == [(TARGET, ["unreadable-document"])]
    newer = raw(meta={"versionId": "2"}, conclusion="肿块")
    assert found(desk, newer, signed) == [(TARGET, ["altered-document"])]
    assert found(desk, newer, raw(), signed) == [(TARGET, [])]
    # The number of a version is whoever's who holds the record; its content is what counts.
    assert found(desk, raw(meta={"versionId": "7"}), signed) == [(TARGET, [])]


def test_whoever_is_referred_to_is_looked_up_among_the_files(desk: Desk) -> None:
    signed = provenance(desk, reference="Practitioner/p1")
    person = {"resourceType": "Practitioner", "id": "p1", "identifier": [{"value": LICENCE}]}
    assert found(desk, raw(), signed) == [(TARGET, ["unknown-signer"])]
    assert found(desk, raw(), signed, json.dumps(person).encode()) == [(TARGET, [])]
    person["identifier"] = [{"value": "another"}]
    assert found(desk, raw(), signed, json.dumps(person).encode()) == [(TARGET, ["wrong-signer"])]
