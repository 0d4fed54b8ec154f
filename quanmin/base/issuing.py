"""Makes certificates and requests for certificates over the keys of `signing.py`.

A node that stands alone vouches for its own keys by a certificate of its own; an authority's
certificate for the same key is got by a request. Which authorities are believed is
`certificates.py`'s matter.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from asn1crypto import core, csr, keys, x509

from quanmin.base.signing import ECDSA_P256, ED25519, SM2_SM3, PrivateKey, PublicKey
from quanmin.base.verifying import SM2_WITH_SM3

_OIDS: Final = {
    ECDSA_P256.number: "1.2.840.10045.4.3.2",
    ED25519.number: "1.3.101.112",
    SM2_SM3.number: SM2_WITH_SM3,
}
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,./:=?-]+")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate is to say, beside whose key it is. Names are X.520 attributes, the widest
    first: `(("country_name", "CN"), ("organization_name", "..."), ("common_name", "..."))`.

    `usages` and `purposes` are asn1crypto's names of RFC 5280's key usages and extended ones.
    """

    subject: tuple[tuple[str, str], ...]
    not_before: datetime
    not_after: datetime
    usages: frozenset[str] = frozenset({"digital_signature", "non_repudiation"})
    purposes: tuple[str, ...] = ()
    is_authority: bool = False
    path_length: int | None = None
    list_url: str = ""
    more: tuple[tuple[str, bool, Any], ...] = ()  # further extensions: name, critical, value


def signature_algorithm(key: PublicKey) -> x509.SignedDigestAlgorithm:
    """What certificates call the algorithm that this key signs by."""
    return x509.SignedDigestAlgorithm({"algorithm": _OIDS[key.algorithm.number]})


def signed(key: PrivateKey, message: bytes) -> bytes:
    """A signature as certificates carry it."""
    return key.public.algorithm.to_der(key.sign_bare(message))


def issue(
    wanted: Wanted, subject_key: PublicKey, issuer_name: x509.Name, issuer_key: PrivateKey
) -> bytes:
    """The certificate in DER (RFC 5280 4.1), with a serial number of 120 random bits."""
    body = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": secrets.randbits(120) | 1,
            "signature": signature_algorithm(issuer_key.public),
            "issuer": issuer_name,
            "validity": {
                "not_before": time(wanted.not_before),
                "not_after": time(wanted.not_after),
            },
            "subject": name(wanted.subject),
            "subject_public_key_info": keys.PublicKeyInfo.load(subject_key.encoded),
            "extensions": _extensions(wanted, subject_key, issuer_key.public),
        }
    )
    certificate = x509.Certificate(
        {
            "tbs_certificate": body,
            "signature_algorithm": signature_algorithm(issuer_key.public),
            "signature_value": signed(issuer_key, body.dump()),
        }
    )
    return bytes(certificate.dump())


def issue_to_self(wanted: Wanted, key: PrivateKey) -> bytes:
    """A certificate that its own key signed."""
    return issue(wanted, key.public, name(wanted.subject), key)


def request(subject: Sequence[tuple[str, str]], key: PrivateKey) -> bytes:
    """A request that an authority certify this key (PKCS #10, RFC 2986), in DER."""
    body = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": name(subject),
            "subject_pk_info": keys.PublicKeyInfo.load(key.public.encoded),
            "attributes": [],
        }
    )
    wanted = csr.CertificationRequest(
        {
            "certification_request_info": body,
            "signature_algorithm": signature_algorithm(key.public),
            "signature": signed(key, body.dump()),
        }
    )
    return bytes(wanted.dump())


def time(moment: datetime) -> x509.Time:
    """A moment as certificates and lists write it (RFC 5280 4.1.2.5)."""
    return x509.Time("general_time" if moment.year >= 2050 else "utc_time", moment)


def name(attributes: Sequence[tuple[str, str]]) -> x509.Name:
    """A distinguished name, in the order given."""
    sequence = [
        x509.RelativeDistinguishedName([{"type": kind, "value": _text(kind, value)}])
        for kind, value in attributes
    ]
    return x509.Name(name="", value=x509.RDNSequence(sequence))


def _text(kind: str, value: str) -> x509.DirectoryString | core.PrintableString:
    if kind == "country_name":
        return core.PrintableString(value)
    # RFC 5280 A.1 has a serial number in the smaller alphabet, where that is enough.
    if kind == "serial_number" and _PRINTABLE.fullmatch(value):
        return x509.DirectoryString("printable_string", core.PrintableString(value))
    return x509.DirectoryString("utf8_string", core.UTF8String(value))


def _extensions(wanted: Wanted, subject: PublicKey, issuer: PublicKey) -> list[dict[str, Any]]:
    listed: list[tuple[str, bool, Any]] = [
        ("key_identifier", False, subject.key_id),
        ("authority_key_identifier", False, {"key_identifier": issuer.key_id}),
        ("key_usage", True, set(wanted.usages)),
    ]
    if wanted.is_authority:
        limits = {"ca": True, "path_len_constraint": wanted.path_length}
        listed.append(("basic_constraints", True, limits))
    if wanted.purposes:
        # A stamp's certificate must be for nothing else, and say so critically (RFC 3161, 2.3).
        listed.append(("extended_key_usage", True, list(wanted.purposes)))
    if wanted.list_url:
        place = x509.GeneralName(name="uniform_resource_identifier", value=wanted.list_url)
        point = {"distribution_point": x509.DistributionPointName("full_name", [place])}
        listed.append(("crl_distribution_points", False, [point]))
    listed.extend(wanted.more)
    return [
        {"extn_id": kind, "critical": is_critical, "extn_value": value}
        for kind, is_critical, value in listed
    ]
