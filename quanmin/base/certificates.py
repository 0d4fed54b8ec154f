"""Certificates (X.509, RFC 5280; GM/T 0015 for SM2) as the rest of the program needs them: read
once, whole or not at all, and held against the key that is said to have issued them.

Which authorities are believed is `authorities.py`'s matter, what was taken back `revocation.py`'s.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from asn1crypto import pem, x509

from quanmin.base.crypto import Tampered
from quanmin.base.der import refuse_bombs
from quanmin.base.naming import Limits, Name, read_limits, read_names
from quanmin.base.signing import KeyUnusable
from quanmin.base.verifying import Scheme, scheme_of, verify

# What this program takes into account; a certificate with another critical extension is refused, as
# RFC 5280 4.2 demands. Of policies none is required, so any will do.
_UNDERSTOOD: Final = frozenset(
    {
        *("basic_constraints", "key_usage", "extended_key_usage", "crl_distribution_points"),
        *("key_identifier", "authority_key_identifier", "subject_alt_name", "issuer_alt_name"),
        *("certificate_policies", "authority_information_access", "ocsp_no_check"),
        "name_constraints",
    }
)
# Certificates come from strangers, are kept at hand once verified, and have one or two KiB.
CHAIN_BYTES_MAX: Final = 64 << 10
_NAME_BYTES_MAX: Final = 4 << 10
CHAIN_MAX: Final = 10


class CertificateUnreadable(Exception):  # noqa: N818 - names the finding
    """These bytes are no certificate."""


class Certificate(msgspec.Struct, frozen=True, eq=False):
    """One certificate. Two are the same when their bytes are.

    Names are in the form in which RFC 5280 7.1 compares them. `usages` is None where the
    certificate does not limit them; `purposes` is empty then. `names` are all that it gives its
    subject, `limits` for which names it may certify others. `list_places` are the addresses and
    names of the lists that would name it once it is revoked, `status_urls` whom to ask instead.
    """

    der: bytes
    fingerprint: str
    subject: str
    issuer: str
    issuer_name: bytes
    attributes: tuple[tuple[str, str], ...]
    serial: int
    not_before: datetime
    not_after: datetime
    key: bytes
    key_bits: bytes
    key_id: bytes | None
    issuer_key_id: bytes | None
    names: tuple[Name, ...]
    limits: Limits | None
    is_authority: bool
    path_length: int | None
    usages: frozenset[str] | None
    purposes: frozenset[str]
    is_purpose_critical: bool
    list_places: frozenset[str]
    status_urls: tuple[str, ...]
    is_understood: bool
    scheme: Scheme | None
    signed: bytes
    signature: bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def is_self_issued(self) -> bool:
        """Whether issuer and subject are the same name."""
        return self.subject == self.issuer

    def attribute(self, kind: str) -> tuple[str, ...]:
        """The subject's values of one kind, such as `common_name` or `serial_number`."""
        return tuple(value for name, value in self.attributes if name == kind)

    def may(self, usage: str) -> bool:
        """Whether its key may be used so; one that limits nothing may."""
        return self.usages is None or usage in self.usages


def read_certificate(der: bytes) -> Certificate:
    """The certificate in these bytes. Raises CertificateUnreadable."""
    try:
        refuse_bombs(der, CHAIN_BYTES_MAX)
        return _read(der)
    except Exception as error:
        # Foreign bytes, taken apart only as they are asked for: whatever goes wrong on the way,
        # they are no certificate.
        raise CertificateUnreadable from error


def read_certificates(content: bytes) -> list[Certificate]:
    """Those of a file: one in DER, or any number in PEM. Raises CertificateUnreadable."""
    return [read_certificate(der) for der in unarmoured(content, "CERTIFICATE")]


def unarmoured(content: bytes, kind: str) -> list[bytes]:
    """The DER in a file of DER or PEM; other kinds of PEM in it are left out.

    Raises CertificateUnreadable.
    """
    if not pem.detect(content):
        return [content]
    try:
        blocks = list(pem.unarmor(content, multiple=True))
    except (ValueError, TypeError) as error:
        raise CertificateUnreadable from error
    return [der for name, _, der in blocks if name == kind]


@lru_cache(maxsize=1024)
def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key made the certificate's signature."""
    if certificate.scheme is None:
        return False
    try:
        verify(certificate.scheme, issuer.key, certificate.signed, certificate.signature)
    except (Tampered, KeyUnusable):
        return False
    return True


def may_be_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether names and key ids fit; the signature may be wrong still."""
    ids = (certificate.issuer_key_id, issuer.key_id)
    return certificate.issuer == issuer.subject and (None in ids or ids[0] == ids[1])


def comparable(name: bytes) -> str:
    """A name in DER in the form in which names are compared. Raises ValueError for one that is
    longer than names are: each character costs much.
    """
    if len(name) > _NAME_BYTES_MAX:
        raise ValueError("a name too long")
    return str(x509.Name.load(name).hashable)


def utc(value: Any) -> datetime:
    """A moment as it was read. Raises ValueError for one without its offset, or at another than
    UTC (RFC 5280 4.1.2.5, RFC 3161 2.4.2), and for one that no calendar has.
    """
    if not isinstance(value, datetime) or value.utcoffset() != timedelta(0):
        raise ValueError("a time that is not in UTC")
    return value


def _read(der: bytes) -> Certificate:
    parsed = x509.Certificate.load(der, strict=True)
    body = parsed["tbs_certificate"]
    extensions = _extensions(body)
    algorithm = parsed["signature_algorithm"]
    if body["signature"].dump() != algorithm.dump():
        raise ValueError("two algorithms")
    validity, key = body["validity"], body["subject_public_key_info"]
    limits = _value(extensions, "basic_constraints") or {}
    usages = _value(extensions, "key_usage")
    purposes = _value(extensions, "extended_key_usage")
    authority = _value(extensions, "authority_key_identifier") or {}
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        subject=comparable(body["subject"].dump()),
        issuer=comparable(body["issuer"].dump()),
        issuer_name=body["issuer"].dump(),
        attributes=_attributes(body["subject"]),
        serial=body["serial_number"].native,
        not_before=utc(validity["not_before"].native),
        not_after=utc(validity["not_after"].native),
        key=key.dump(),
        key_bits=key["public_key"].contents[1:],
        key_id=_value(extensions, "key_identifier"),
        issuer_key_id=authority.get("key_identifier"),
        names=read_names(body["subject"], _parsed(extensions, "subject_alt_name")),
        limits=read_limits(extensions.get("name_constraints")),
        is_authority=bool(limits.get("ca")),
        path_length=limits.get("path_len_constraint"),
        usages=None if usages is None else frozenset(usages),
        purposes=frozenset(purposes or ()),
        is_purpose_critical="extended_key_usage" in extensions
        and bool(extensions["extended_key_usage"]["critical"].native),
        list_places=_list_places(extensions),
        status_urls=_status_urls(extensions),
        is_understood=all(
            name in _UNDERSTOOD or not extension["critical"].native
            for name, extension in extensions.items()
        ),
        scheme=scheme_of(algorithm["algorithm"].dotted),
        signed=body.dump(),
        signature=parsed["signature_value"].native,
    )


def _extensions(body: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if body["extensions"].native is None:
        return found
    for extension in body["extensions"]:
        name = extension["extn_id"].native
        if name in found:
            raise ValueError("an extension twice")  # RFC 5280 4.2
        found[name] = extension
    return found


def _value(extensions: dict[str, Any], name: str) -> Any:
    parsed = _parsed(extensions, name)
    return None if parsed is None else parsed.native


def _parsed(extensions: dict[str, Any], name: str) -> Any:
    extension = extensions.get(name)
    return None if extension is None else extension["extn_value"].parsed


def _attributes(name: Any) -> tuple[tuple[str, str], ...]:
    return tuple(
        (attribute["type"].native, str(attribute["value"].native))
        for part in name.chosen
        for attribute in part
    )


def _list_places(extensions: dict[str, Any]) -> frozenset[str]:
    extension = extensions.get("crl_distribution_points")
    if extension is None:
        return frozenset()
    return frozenset(
        comparable(place.chosen.dump()) if place.name == "directory_name" else str(place.native)
        for point in extension["extn_value"].parsed
        if point["distribution_point"].name == "full_name"
        for place in point["distribution_point"].chosen
    )


def _status_urls(extensions: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        str(access["access_location"])
        for access in _value(extensions, "authority_information_access") or ()
        if access["access_method"] == "ocsp"
    )
