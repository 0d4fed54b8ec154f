"""Time stamps (RFC 3161): proof by a third party that something existed at a moment.

Whose stamps are believed is `authorities.py`'s matter. A node that stands alone may stamp itself;
such a stamp carries a policy of its own, so that nobody takes it for a third party's.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from asn1crypto import algos, cms, core, tsp, x509

from quanmin.base.authorities import Authorities, Refusal, StatusPort
from quanmin.base.certificates import (
    CHAIN_MAX,
    Certificate,
    comparable,
    read_certificate,
    utc,
)
from quanmin.base.crypto import Tampered
from quanmin.base.der import refuse_bombs
from quanmin.base.issuing import signature_algorithm, signed
from quanmin.base.signing import Digest, KeyUnusable, PrivateKey
from quanmin.base.verifying import Scheme, digest_name, digest_oid, hashed, scheme_of, verify

# Under the arc for UUIDs (ITU-T X.667), as it needs nobody's leave.
OWN_POLICY: Final = "2.25.183764519283746519283746519283746519283"
_SIGNED_DATA_GM: Final = "1.2.156.10197.6.1.4.2.2"  # GB/T 35275
_NONCE_BITS: Final = 64
# A token with its chain has some ten KiB.
BYTES_MAX: Final = 128 << 10
_SKEW_MAX: Final = timedelta(minutes=5)  # no two clocks are the same


class StampUnreadable(Exception):  # noqa: N818 - names the finding
    """These bytes are no time stamp, or the stamping authority refused to give one."""


class Stamp(msgspec.Struct, frozen=True):
    """A stamp as it says itself; nothing of it is believed before `refusals` is asked."""

    token: bytes
    moment: datetime
    policy: str
    digest: str
    imprint: bytes
    nonce: int | None
    certificates: tuple[Certificate, ...]
    signer: Certificate
    scheme: Scheme | None
    signed: bytes
    signature: bytes
    is_whole: bool

    @property
    def is_own(self) -> bool:
        """Whether it says of itself that a node stamped its own."""
        return self.policy == OWN_POLICY

    def refusals(
        self,
        content: bytes,
        authorities: Authorities,
        *,
        statuses: StatusPort | None = None,
        now: datetime | None = None,
    ) -> tuple[Refusal, ...]:
        """Everything that stands against believing that the content existed at `moment`."""
        imprint = hashed(self.digest, content)
        if imprint is None or not hmac.compare_digest(imprint, self.imprint):
            return (Refusal("stamp-of-other-content", "The time stamp is of other content"),)
        if not (self.is_whole and self._is_signed()):
            return (Refusal("stamp-altered", "The time stamp was changed after it was given"),)
        if self.moment > (now or datetime.now(UTC)) + _SKEW_MAX:
            return (Refusal("stamp-altered", "The time stamp is of a moment to come"),)
        chain = (self.signer, *self.certificates)
        verdict = authorities.check(chain, self.moment, "timestamp", statuses=statuses, now=now)
        return verdict.refusals

    def _is_signed(self) -> bool:
        if self.scheme is None:
            return False
        try:
            verify(self.scheme, self.signer.key, self.signed, self.signature)
        except (Tampered, KeyUnusable):
            return False
        return True


def request(digest: Digest, content: bytes, policy: str = "") -> tuple[bytes, int]:
    """A request for a stamp of the content, under a policy if one is named, in DER, and the number
    that the answer must repeat.
    """
    nonce = secrets.randbits(_NONCE_BITS)
    wanted = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": _imprint(digest, content),
            "req_policy": policy or None,
            "nonce": nonce,
            "cert_req": True,
        }
    )
    return bytes(wanted.dump()), nonce


def read_answer(answer: bytes, nonce: int) -> Stamp:
    """The stamp in an authority's answer to the request with this number.

    Raises StampUnreadable, also where the authority refused and where the answer is to another
    request.
    """
    try:
        refuse_bombs(answer, BYTES_MAX, may_be_ber=True)
        parsed = tsp.TimeStampResp.load(answer, strict=True)
        status = parsed["status"]["status"].native
        token = parsed["time_stamp_token"].dump() if status.startswith("granted") else b""
    except Exception as error:
        # Foreign bytes: whatever goes wrong, they are no answer.
        raise StampUnreadable from error
    stamp = read_stamp(token)
    if stamp.nonce != nonce:
        raise StampUnreadable
    return stamp


def read_stamp(token: bytes) -> Stamp:
    """The stamp in these bytes (a TimeStampToken). Raises StampUnreadable."""
    try:
        refuse_bombs(token, BYTES_MAX, may_be_ber=True)
        return _read(token)
    except Exception as error:
        # Foreign bytes, taken apart only as they are asked for.
        raise StampUnreadable from error


def _read(token: bytes) -> Stamp:
    outer = cms.ContentInfo.load(token, strict=True)
    body = outer["content"]
    if outer["content_type"].dotted == _SIGNED_DATA_GM:
        body = body.parse(cms.SignedData)
    content = body["encap_content_info"]
    inner = bytes(content["content"])
    info = tsp.TSTInfo.load(inner, strict=True)
    (by,) = body["signer_infos"]
    listed = [each for each in body["certificates"] or () if each.name == "certificate"]
    if len(listed) > CHAIN_MAX:
        raise StampUnreadable
    certificates = tuple(read_certificate(each.chosen.dump()) for each in listed)
    signer = next(each for each in certificates if _is_by(by["sid"], each))
    digest = digest_name(by["digest_algorithm"])
    attributes = {each["type"].native: each["values"] for each in by["signed_attrs"]}
    imprint = info["message_imprint"]
    return Stamp(
        token=token,
        moment=utc(info["gen_time"].native),
        policy=info["policy"].dotted,
        digest=digest_name(imprint["hash_algorithm"]),
        imprint=imprint["hashed_message"].native,
        nonce=info["nonce"].native,
        certificates=tuple(each for each in certificates if each is not signer),
        signer=signer,
        scheme=scheme_of(by["signature_algorithm"]["algorithm"].dotted, digest),
        # What is signed has the tag of a set, not the one it stands under (RFC 5652 5.4).
        signed=by["signed_attrs"].untag().dump(),
        signature=by["signature"].native,
        is_whole=content["content_type"].native == "tst_info"
        and attributes["content_type"].native == ["tst_info"]
        and attributes["message_digest"].native == [hashed(digest, inner)]
        and _names(attributes, signer),
    )


def _is_by(sid: Any, certificate: Certificate) -> bool:
    if sid.name == "subject_key_identifier":
        return bool(sid.native == certificate.key_id)
    told = sid.chosen
    return bool(
        told["serial_number"].native == certificate.serial
        and comparable(told["issuer"].dump()) == certificate.issuer
    )


def _names(attributes: dict[str, Any], signer: Certificate) -> bool:
    """Whether what was signed names the signer's certificate, so that none can be put in its place
    (RFC 5816).
    """
    if "signing_certificate_v2" in attributes:
        first = attributes["signing_certificate_v2"][0]["certs"][0]
        return bool(
            first["cert_hash"].native == hashed(digest_name(first["hash_algorithm"]), signer.der)
        )
    first = attributes["signing_certificate"][0]["certs"][0]
    # The older form has SHA-1; it only adds to a signature that is verified by another hash.
    return bool(
        first["cert_hash"].native == hashlib.sha1(signer.der, usedforsecurity=False).digest()
    )


def _imprint(digest: Digest, content: bytes) -> tsp.MessageImprint:
    return tsp.MessageImprint(
        {"hash_algorithm": _algorithm(digest), "hashed_message": digest.of(content)}
    )


def _algorithm(digest: Digest) -> algos.DigestAlgorithm:
    return algos.DigestAlgorithm({"algorithm": digest_oid(digest)})


# ---- giving stamps -------------------------------------------------------------------------------


class Stamper:
    """Stamps with a key of its own, under a certificate for stamps alone."""

    def __init__(self, key: PrivateKey, chain: tuple[bytes, ...], policy: str = OWN_POLICY) -> None:
        """The chain begins with the key's own certificate, in DER."""
        self._key = key
        self._chain = [x509.Certificate.load(der) for der in chain]
        self._policy = policy

    def stamp(self, digest: Digest, content: bytes, moment: datetime | None = None) -> bytes:
        """A token that the content existed at this moment, which is now unless a test says else."""
        return self._token(_imprint(digest, content), None, moment)

    def answer(self, request: bytes, moment: datetime | None = None) -> bytes:
        """The answer to a request in DER (RFC 3161 2.4.2). Raises StampUnreadable."""
        try:
            refuse_bombs(request, BYTES_MAX)
            wanted = tsp.TimeStampReq.load(request, strict=True)
            imprint, nonce = wanted["message_imprint"], wanted["nonce"].native
            size = len(imprint["hashed_message"].native)
            empty = hashed(digest_name(imprint["hash_algorithm"]), b"")
        except Exception as error:
            # Foreign bytes: whatever goes wrong, they are no request.
            raise StampUnreadable from error
        if empty is None or len(empty) != size:
            raise StampUnreadable
        token = self._token(imprint, nonce, moment)
        granted = {"status": {"status": "granted"}, "time_stamp_token": cms.ContentInfo.load(token)}
        return bytes(tsp.TimeStampResp(granted).dump())

    def _token(
        self, imprint: tsp.MessageImprint, nonce: int | None, moment: datetime | None
    ) -> bytes:
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": self._policy,
                "message_imprint": imprint,
                "serial_number": secrets.randbits(_NONCE_BITS),
                "gen_time": (moment or datetime.now(UTC)).replace(microsecond=0),
                "nonce": nonce,
            }
        )
        digest = self._key.public.algorithm.digest
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [digest.of(info.dump())]},
                {"type": "signing_certificate_v2", "values": [self._named(digest)]},
            ]
        )
        by = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                {
                    "issuer": self._chain[0].issuer,
                    "serial_number": self._chain[0].serial_number,
                },
            ),
            "digest_algorithm": _algorithm(digest),
            "signed_attrs": attributes,
            "signature_algorithm": signature_algorithm(self._key.public),
            "signature": signed(self._key, attributes.dump()),
        }
        body = {
            "version": "v3",
            "digest_algorithms": [_algorithm(digest)],
            "encap_content_info": {
                "content_type": "tst_info",
                "content": core.ParsableOctetString(info.dump()),
            },
            "certificates": self._chain,
            "signer_infos": [by],
        }
        wrapped = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(body)})
        return bytes(wrapped.dump())

    def _named(self, digest: Digest) -> tsp.SigningCertificateV2:
        named = {
            "hash_algorithm": _algorithm(digest),
            "cert_hash": digest.of(self._chain[0].dump()),
        }
        return tsp.SigningCertificateV2({"certs": [named]})
