"""Which certificates their authorities have taken back: by lists (CRL, RFC 5280 5) and by answers
about single ones (OCSP, RFC 6960), both as they were handed in. Nothing is asked of anyone here.

A certificate is asked about at a moment: one that was revoked later was still good then. What is
said before that moment counts only as long as its author lets it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import msgspec
from asn1crypto import ocsp
from cryptography import x509

from quanmin.base.certificates import (
    CHAIN_MAX,
    Certificate,
    comparable,
    is_signed_by,
    may_be_issued_by,
    read_certificate,
    utc,
)
from quanmin.base.crypto import Tampered
from quanmin.base.der import refuse_bombs
from quanmin.base.signing import KeyUnusable
from quanmin.base.verifying import digest_name, hashed, scheme_of, verify


class Status(Enum):
    """What is known of a certificate at a moment."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class StatusUnreadable(Exception):  # noqa: N818 - names the finding
    """These bytes are no list of revoked certificates, or no answer about any."""


class Said(msgspec.Struct, frozen=True):
    """What one source says: the moments it was made and lasts to, and since when the certificate
    is revoked, if it is.
    """

    since: datetime
    until: datetime | None
    revoked: datetime | None
    is_known: bool = True

    def at(self, certificate: Certificate, moment: datetime, now: datetime) -> Status:
        """What follows from it for that moment."""
        if self.since > now or not self.is_known:
            return Status.UNKNOWN
        if self.revoked is not None and self.revoked <= moment:
            return Status.REVOKED
        # A list need not name what has expired, so one that is later than that tells nothing by
        # its silence (RFC 5280, 3.3).
        if self.revoked is None and self.since > certificate.not_after:
            return Status.UNKNOWN
        is_current = moment <= self.since or (self.until is not None and moment <= self.until)
        return Status.GOOD if is_current else Status.UNKNOWN


class RevocationList:
    """One list of an authority."""

    def __init__(self, der: bytes) -> None:
        """Raises StatusUnreadable."""
        try:
            self._list = x509.load_der_x509_crl(der)
            self.issuer = comparable(self._list.issuer.public_bytes())
            self.since = self._list.last_update_utc
            self._until = self._list.next_update_utc
            self._scheme = scheme_of(self._list.signature_algorithm_oid.dotted_string)
            self._scope = _Scope.of(self._list.extensions)
        except Exception as error:
            # Foreign bytes: whatever goes wrong, they are no list.
            raise StatusUnreadable from error
        self._authors: dict[str, bool] = {}

    def about(self, certificate: Certificate, issuer: Certificate) -> Said | None:
        """What it says; None where it is not this issuer's or not about such certificates."""
        if self.issuer != certificate.issuer or not self._scope.holds(certificate):
            return None
        if not self._is_by(issuer):
            return None
        entry = self._list.get_revoked_certificate_by_serial_number(certificate.serial)
        return Said(self.since, self._until, None if entry is None else _revoked(entry))

    def is_of(self, issuer: Certificate) -> bool:
        """Whether this authority made it."""
        return self.issuer == issuer.subject and self._is_by(issuer)

    def _is_by(self, issuer: Certificate) -> bool:
        # A list is long and asked often: its signature is verified once for each key.
        known = self._authors.get(issuer.fingerprint)
        if known is None:
            known = issuer.may("crl_sign") and self._verifies(issuer)
            self._authors[issuer.fingerprint] = known
        return known

    def _verifies(self, issuer: Certificate) -> bool:
        if self._scheme is None:
            return False
        try:
            text, signature = self._list.tbs_certlist_bytes, self._list.signature
            verify(self._scheme, issuer.key, text, signature)
        except (Tampered, KeyUnusable):
            return False
        return True


def _revoked(entry: x509.RevokedCertificate) -> datetime:
    """Since when: what is said to have gone wrong before the day of the entry counts from then."""
    try:
        extension = entry.extensions.get_extension_for_class(x509.InvalidityDate)
    except (x509.ExtensionNotFound, ValueError):
        return entry.revocation_date_utc
    return min(entry.revocation_date_utc, extension.value.invalidity_date_utc)


class _Scope(msgspec.Struct, frozen=True):
    """Which certificates a list is about (RFC 5280 5.2.5)."""

    places: frozenset[str] | None = None
    is_of_users_only: bool = False
    is_of_authorities_only: bool = False

    def holds(self, certificate: Certificate) -> bool:
        """Whether its silence means anything for this one."""
        if self.places is not None and not self.places & certificate.list_places:
            return False
        if certificate.is_authority:
            return not self.is_of_users_only
        return not self.is_of_authorities_only

    @classmethod
    def of(cls, extensions: x509.Extensions) -> _Scope:
        """Raises ValueError for lists of parts, of changes and of others' certificates."""
        found = cls()
        for extension in extensions:
            value = extension.value
            if isinstance(value, x509.IssuingDistributionPoint):
                if (
                    value.indirect_crl
                    or value.only_some_reasons
                    or value.only_contains_attribute_certs
                    or value.relative_name
                ):
                    raise ValueError("a list of a part")
                found = cls(
                    None if value.full_name is None else frozenset(map(_place, value.full_name)),
                    value.only_contains_user_certs,
                    value.only_contains_ca_certs,
                )
            elif extension.critical:
                raise ValueError("a list that means something else")
        return found


def _place(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DirectoryName):
        return comparable(name.value.public_bytes())
    return str(name.value)


# ---- answers about single certificates -----------------------------------------------------------

_OCSP_SIGNING: Final = "ocsp_signing"
_SIGNING: Final = ("digital_signature", "non_repudiation")
_ANSWER_BYTES_MAX: Final = 128 << 10


class StatusAnswer:
    """One answer of an authority's responder."""

    def __init__(self, der: bytes) -> None:
        """Raises StatusUnreadable, also for an answer that tells of a failure."""
        try:
            refuse_bombs(der, _ANSWER_BYTES_MAX)
            answer = ocsp.OCSPResponse.load(der, strict=True)
            # One that tells of a failure has no bytes here.
            basic = answer["response_bytes"]["response"].parsed
            body = basic["tbs_response_data"]
            self._signed = body.dump()
            self._made = utc(body["produced_at"].native)
            self._signature = basic["signature"].native
            self._scheme = scheme_of(basic["signature_algorithm"]["algorithm"].dotted)
            embedded = list(basic["certs"] if basic["certs"].native else ())[:CHAIN_MAX]
            self._delegates = [read_certificate(each.dump()) for each in embedded]
            self._answers = [_Answered.of(each) for each in body["responses"]]
        except Exception as error:
            # Foreign bytes: whatever goes wrong, they are no answer.
            raise StatusUnreadable from error

    def about(
        self, certificate: Certificate, issuer: Certificate, lists: Sequence[RevocationList] = ()
    ) -> Said | None:
        """What it says; None where it is not about this one or not by whom it should be, or by
        somebody whom one of the lists names (RFC 6960 4.2.2.2.1).
        """
        answered = next((each for each in self._answers if each.means(certificate, issuer)), None)
        if answered is None or not self._is_by(issuer, lists):
            return None
        return answered.said

    def _is_by(self, issuer: Certificate, lists: Sequence[RevocationList]) -> bool:
        """By the issuer's own key, or by one that the issuer certified for this (RFC 6960
        4.2.2.2).
        """
        if self._verifies(issuer):
            return True
        return any(
            self._is_charged(delegate, issuer)
            and self._verifies(delegate)
            and not any(self._is_revoked(delegate, issuer, each) for each in lists)
            for delegate in self._delegates
        )

    def _is_charged(self, delegate: Certificate, issuer: Certificate) -> bool:
        return (
            _OCSP_SIGNING in delegate.purposes
            and any(delegate.may(usage) for usage in _SIGNING)
            and delegate.is_understood
            and delegate.not_before <= self._made <= delegate.not_after
            and may_be_issued_by(delegate, issuer)
            and is_signed_by(delegate, issuer)
        )

    def _is_revoked(
        self, delegate: Certificate, issuer: Certificate, listed: RevocationList
    ) -> bool:
        said = listed.about(delegate, issuer)
        return said is not None and said.revoked is not None and said.revoked <= self._made

    def _verifies(self, author: Certificate) -> bool:
        if self._scheme is None:
            return False
        try:
            verify(self._scheme, author.key, self._signed, self._signature)
        except (Tampered, KeyUnusable):
            return False
        return True


class _Answered(msgspec.Struct, frozen=True):
    digest: str
    issuer_name: bytes
    issuer_key: bytes
    serial: int
    said: Said

    @classmethod
    def of(cls, single: Any) -> _Answered:
        if any(each["critical"].native for each in single["single_extensions"] or ()):
            raise ValueError("an answer that means something else")
        about, status = single["cert_id"], single["cert_status"]
        until = single["next_update"].native
        revoked = None
        if status.name == "revoked":
            revoked = utc(status.chosen["revocation_time"].native)
        return cls(
            digest_name(about["hash_algorithm"]),
            about["issuer_name_hash"].native,
            about["issuer_key_hash"].native,
            about["serial_number"].native,
            Said(
                utc(single["this_update"].native),
                None if until is None else utc(until),
                revoked,
                is_known=status.name != "unknown",
            ),
        )

    def means(self, certificate: Certificate, issuer: Certificate) -> bool:
        return (
            self.serial == certificate.serial
            and self.issuer_name == _fingerprint(self.digest, certificate.issuer_name)
            and self.issuer_key == _fingerprint(self.digest, issuer.key_bits)
        )


def _fingerprint(digest: str, text: bytes) -> bytes | None:
    # SHA-1 only says which certificate is meant; whether the answer is to be believed is another
    # matter, and nothing else is in use yet.
    if digest == "sha1":
        return hashlib.sha1(text, usedforsecurity=False).digest()
    return hashed(digest, text)


class Statuses:
    """Everything that is known about revoked certificates."""

    def __init__(self, sources: Iterable[RevocationList | StatusAnswer] = ()) -> None:
        told = list(sources)
        self._lists = [each for each in told if isinstance(each, RevocationList)]
        self._answers = [each for each in told if isinstance(each, StatusAnswer)]

    def status(
        self,
        certificate: Certificate,
        issuer: Certificate,
        moment: datetime,
        now: datetime | None = None,
    ) -> Status:
        """What is known of the certificate at that moment, from all that is known by now."""
        now = now or datetime.now(UTC)
        told = (
            *(each.about(certificate, issuer) for each in self._lists),
            *(each.about(certificate, issuer, self._lists) for each in self._answers),
        )
        said = {each.at(certificate, moment, now) for each in told if each is not None}
        for status in (Status.REVOKED, Status.GOOD):
            if status in said:
                return status
        return Status.UNKNOWN
