"""An authority for tests: certifies, revokes, and tells of it by lists and answers, in either
suite. Everything it makes is invented.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import crl, ocsp, x509

from quanmin.base.certificates import Certificate, read_certificate
from quanmin.base.issuing import (
    Wanted,
    issue,
    issue_to_self,
    name,
    signature_algorithm,
    signed,
    time,
)
from quanmin.base.revocation import _fingerprint
from quanmin.base.signing import Algorithm, PrivateKey, PublicKey

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
AUTHORITY_USAGES = frozenset({"key_cert_sign", "crl_sign"})


def wanted(common_name: str, **changed: Any) -> Wanted:
    """A certificate's wording with nothing unusual in it but what is changed."""
    usual: dict[str, Any] = {
        "subject": (("country_name", "CN"), ("common_name", common_name)),
        "not_before": NOW - YEAR,
        "not_after": NOW + YEAR,
    }
    return Wanted(**(usual | changed))


class Authority:
    """One authority: a root, or below another."""

    def __init__(
        self,
        algorithm: Algorithm,
        common_name: str = "Root",
        *,
        above: Authority | None = None,
        **changed: Any,
    ) -> None:
        self.key = algorithm.private_key(common_name.encode().ljust(32)[:32])
        says = wanted(
            common_name,
            **{"usages": AUTHORITY_USAGES, "is_authority": True, "not_after": NOW + 9 * YEAR}
            | changed,
        )
        self.name = name(says.subject)
        if above is None:
            self.der = issue_to_self(says, self.key)
        else:
            self.der = issue(says, self.key.public, above.name, above.key)
        self.certificate = read_certificate(self.der)

    def certify(self, key: PublicKey, common_name: str = "Leaf", **changed: Any) -> Certificate:
        """A certificate for this key."""
        return read_certificate(issue(wanted(common_name, **changed), key, self.name, self.key))

    def revocation_list(
        self,
        revoked: Iterable[Certificate] = (),
        *,
        since: datetime = NOW - timedelta(days=1),
        until: datetime = NOW + timedelta(days=30),
        when: datetime = NOW - timedelta(days=10),
        by: PrivateKey | None = None,
        entry_extensions: Iterable[dict[str, Any]] = (),
        extensions: Iterable[dict[str, Any]] = (),
    ) -> bytes:
        """A list (CRL) of the revoked ones, in DER."""
        key = by or self.key
        entries = [
            {
                "user_certificate": each.serial,
                "revocation_date": time(when),
                "crl_entry_extensions": list(entry_extensions),
            }
            for each in revoked
        ]
        body = crl.TbsCertList(
            {
                "version": "v2",
                "signature": signature_algorithm(key.public),
                "issuer": self.name,
                "this_update": time(since),
                "next_update": time(until),
                "crl_extensions": [
                    {"extn_id": "crl_number", "critical": False, "extn_value": 1},
                    *extensions,
                ],
            }
        )
        if entries:
            body["revoked_certificates"] = entries
        return bytes(
            crl.CertificateList(
                {
                    "tbs_cert_list": body,
                    "signature_algorithm": signature_algorithm(key.public),
                    "signature": signed(key, body.dump()),
                }
            ).dump()
        )

    def status_answer(
        self,
        about: Certificate,
        *,
        revoked: datetime | None = None,
        is_known: bool = True,
        since: datetime = NOW - timedelta(hours=1),
        until: datetime | None = NOW + timedelta(days=1),
        by: PrivateKey | None = None,
        with_certificates: Iterable[Certificate] = (),
        digest: str = "sha1",
    ) -> bytes:
        """An answer (OCSP) about one certificate, in DER."""
        key = by or self.key
        status: Any = ocsp.CertStatus("good", ocsp.StatusGood())
        if revoked is not None:
            status = ocsp.CertStatus("revoked", {"revocation_time": revoked})
        elif not is_known:
            status = ocsp.CertStatus("unknown", ocsp.StatusUnknown())
        oid = {"sm3": "1.2.156.10197.1.401"}.get(digest, digest)
        body = ocsp.ResponseData(
            {
                "responder_id": ocsp.ResponderId("by_key", key.public.key_id),
                "produced_at": since,
                "responses": [
                    {
                        "cert_id": {
                            "hash_algorithm": {"algorithm": oid},
                            "issuer_name_hash": _fingerprint(digest, self.name.dump()),
                            "issuer_key_hash": _fingerprint(digest, self.certificate.key_bits),
                            "serial_number": about.serial,
                        },
                        "cert_status": status,
                        "this_update": since,
                        "next_update": until,
                    }
                ],
            }
        )
        basic = ocsp.BasicOCSPResponse(
            {
                "tbs_response_data": body,
                "signature_algorithm": signature_algorithm(key.public),
                "signature": signed(key, body.dump()),
                "certs": [x509.Certificate.load(each.der) for each in with_certificates],
            }
        )
        return bytes(
            ocsp.OCSPResponse(
                {
                    "response_status": "successful",
                    "response_bytes": {
                        "response_type": "basic_ocsp_response",
                        "response": basic,
                    },
                }
            ).dump()
        )
