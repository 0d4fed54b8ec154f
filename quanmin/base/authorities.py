"""Which authorities a node believes, and whether they vouch for a certificate at a moment.

A certificate is led back to an accepted authority (RFC 5280 6), each link verified; every reason
against it is told, never a bare no. What is believed lies in a folder, so that nothing is asked of
anyone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from quanmin.base.certificates import (
    Certificate,
    CertificateUnreadable,
    is_signed_by,
    may_be_issued_by,
    read_certificates,
    unarmoured,
)
from quanmin.base.problems import Unusable
from quanmin.base.revocation import (
    RevocationList,
    Status,
    StatusAnswer,
    Statuses,
    StatusUnreadable,
)

Reason = Literal[
    "unknown-authority",
    "not-signed-by-authority",
    "not-yet-valid",
    "expired",
    "revoked",
    "revocation-unknown",
    "wrong-usage",
    "no-authority",
    "path-too-long",
    "name-not-permitted",
    "not-understood",
    "stamp-altered",
    "stamp-of-other-content",
]
Purpose = Literal["signature", "timestamp"]

_SIGNING: Final = ("digital_signature", "non_repudiation")
# For what a certificate may be that signs documents too; one for web servers alone does not.
_DOCUMENT_PURPOSES: Final = frozenset(
    {
        *("any_extended_key_usage", "client_auth", "email_protection"),
        *("1.3.6.1.5.5.7.3.36", "microsoft_document_signing"),  # RFC 9336, and before it
    }
)
_PATH_MAX: Final = 8
_STEPS_MAX: Final = 256


class Refusal(msgspec.Struct, frozen=True):
    """One reason against a certificate or what it vouches for, and what to do about it. Names
    nobody.
    """

    reason: Reason
    text: str


class Verdict(msgspec.Struct, frozen=True):
    """Whether a certificate is vouched for: by no refusal. `path` leads from it to the authority,
    as far as one was found.
    """

    path: tuple[Certificate, ...]
    refusals: tuple[Refusal, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether nothing stands against it."""
        return not self.refusals


class StatusPort(Protocol):
    """Tells what is known of a certificate."""

    def status(
        self,
        certificate: Certificate,
        issuer: Certificate,
        moment: datetime,
        now: datetime | None = None,
    ) -> Status:
        """See `Statuses`."""


class Authorities:
    """Accepted authorities, what they certified below them, and what they took back.

    Where `is_status_required` a certificate that says where it would be revoked is refused while
    nothing tells whether it was.
    """

    def __init__(
        self,
        roots: Iterable[Certificate],
        between: Iterable[Certificate] = (),
        statuses: StatusPort | None = None,
        *,
        is_status_required: bool = True,
    ) -> None:
        self._roots = frozenset(roots)
        self._between = tuple(between)
        self._statuses = statuses or Statuses()
        self._is_status_required = is_status_required

    def check(
        self,
        chain: Sequence[Certificate],
        moment: datetime,
        purpose: Purpose,
        *,
        statuses: StatusPort | None = None,
        now: datetime | None = None,
    ) -> Verdict:
        """Whether the first of the chain is vouched for, at that moment and for that purpose.

        The rest of the chain helps to find the way and is believed no more than any stranger.
        `statuses` are those handed in with it.
        """
        known = (*self._roots, *self._between, *chain[1 : _PATH_MAX + 1])
        best: Verdict | None = None
        for path in self._paths(chain[0], known):
            asked = _Asked(moment, now or datetime.now(UTC), purpose)
            refusals = (*_faults(path, asked), *self._taken_back(path, asked, statuses))
            if not refusals:
                return Verdict(path, ())
            if best is None or len(refusals) < len(best.refusals):
                best = Verdict(path, refusals)
        return best or Verdict((chain[0],), (_no_path(chain[0], known),))

    def certificate_of(self, key: bytes, moment: datetime) -> Certificate | None:
        """The certificate in the folder that was given to this key (SubjectPublicKeyInfo) and
        holds longest from this moment on; None without one.
        """
        given = [
            each
            for each in self._between
            if each.key == key and each.not_before <= moment <= each.not_after
        ]
        return max(given, key=lambda each: each.not_after, default=None)

    def issued(self, listed: RevocationList) -> bool:
        """Whether one of the authorities in the folder made the list."""
        return any(listed.is_of(each) for each in (*self._roots, *self._between))

    def _paths(
        self, leaf: Certificate, known: Sequence[Certificate]
    ) -> Iterator[tuple[Certificate, ...]]:
        """Ways to accepted authorities, the shortest first.

        Strangers' authorities may certify each other in any number of ways, so only so many steps
        are taken.
        """
        waiting: deque[tuple[Certificate, ...]] = deque([(leaf,)])
        for _ in range(_STEPS_MAX):
            if not waiting:
                return
            path = waiting.popleft()
            last = path[-1]
            if last in self._roots:
                yield path
            elif len(path) < _PATH_MAX:
                # The same name and key again would go round in circles.
                behind = {(each.subject, each.key) for each in path}
                waiting += (
                    (*path, issuer)
                    for issuer in known
                    if (issuer.subject, issuer.key) not in behind
                    and may_be_issued_by(last, issuer)
                    and is_signed_by(last, issuer)
                )

    def _taken_back(
        self, path: tuple[Certificate, ...], asked: _Asked, handed: StatusPort | None
    ) -> Iterator[Refusal]:
        for place, (certificate, issuer) in enumerate(pairwise(path)):
            said = {
                port.status(certificate, issuer, asked.moment, asked.now)
                for port in (self._statuses, handed)
                if port is not None
            }
            whose = _whose(place)
            if Status.REVOKED in said:
                yield Refusal("revoked", f"{whose} had been revoked by its authority by then")
            elif (
                Status.GOOD not in said
                and self._is_status_required
                and (certificate.list_places or certificate.status_urls)
            ):
                yield Refusal(
                    "revocation-unknown",
                    f"whether {whose.lower()} was revoked is not known: lay a current list (CRL) or"
                    " answer (OCSP) of its authority beside the accepted certificates",
                )


class _Asked(msgspec.Struct, frozen=True):
    moment: datetime
    now: datetime
    purpose: Purpose


def _whose(place: int) -> str:
    return "The certificate" if place == 0 else "The certificate of an authority above"


def _faults(path: tuple[Certificate, ...], asked: _Asked) -> Iterator[Refusal]:
    """What stands against a path by its certificates alone (RFC 5280 6.1)."""
    for place, certificate in enumerate(path):
        whose = _whose(place)
        if asked.moment < certificate.not_before:
            yield Refusal("not-yet-valid", f"{whose} was not valid yet")
        if asked.moment > certificate.not_after:
            yield Refusal("expired", f"{whose} had expired by then: a new one is needed")
        if not certificate.is_understood:
            yield Refusal(
                "not-understood",
                f"{whose} has a critical extension that this program does not know",
            )
        if place > 0:
            yield from _authority_faults(path, place)
    yield from _usage_faults(path[0], asked.purpose)


def _authority_faults(path: tuple[Certificate, ...], place: int) -> Iterator[Refusal]:
    authority = path[place]
    if not (authority.is_authority and authority.may("key_cert_sign")):
        yield Refusal("no-authority", "A certificate above is not one of an authority")
    below = sum(not each.is_self_issued for each in path[1:place])
    if authority.path_length is not None and below > authority.path_length:
        yield Refusal("path-too-long", "An authority above may not certify authorities so far down")
    # An authority's new certificate for itself is held to nothing, the last one always (6.1.3).
    named = (each for at, each in enumerate(path[:place]) if at == 0 or not each.is_self_issued)
    if authority.limits is not None and not all(
        authority.limits.allow(each.names) for each in named
    ):
        yield Refusal(
            "name-not-permitted", "An authority above may not certify anybody of such a name"
        )


def _usage_faults(certificate: Certificate, purpose: Purpose) -> Iterator[Refusal]:
    is_for_signing = any(certificate.may(usage) for usage in _SIGNING)
    if purpose == "timestamp":
        # For stamps and nothing else, and critically so (RFC 3161, 2.3).
        is_right = (
            certificate.purposes == frozenset({"time_stamping"}) and certificate.is_purpose_critical
        )
        if not (is_for_signing and is_right):
            yield Refusal("wrong-usage", "The certificate is not one for time stamps alone")
        return
    is_right = not certificate.purposes or bool(certificate.purposes & _DOCUMENT_PURPOSES)
    if not (is_for_signing and is_right):
        yield Refusal(
            "wrong-usage", "The certificate is not one for signing: take the one for signatures"
        )


def _no_path(certificate: Certificate, known: Sequence[Certificate]) -> Refusal:
    for issuer in known:
        if may_be_issued_by(certificate, issuer) and not is_signed_by(certificate, issuer):
            return Refusal(
                "not-signed-by-authority",
                "The certificate is not as the authority that it names has signed it, or signed by"
                " an algorithm that is no longer to be trusted",
            )
    return Refusal(
        "unknown-authority",
        "No accepted authority vouches for the certificate: its authority's own certificate has to"
        " lie among the accepted ones",
    )


# ---- the folder ----------------------------------------------------------------------------------

_CERTIFICATES: Final = frozenset({".pem", ".crt", ".cer"})
_FILE_BYTES_MAX: Final = 64 << 20


def read_folder(
    folder: Path, also: Iterable[Certificate] = (), *, is_status_required: bool = True
) -> Authorities:
    """What a folder says is believed: certificates (.pem, .crt, .cer), of which those that name
    themselves as issuer are the accepted authorities; lists (.crl) and answers (.ocsp). `also` are
    accepted beside these.

    Raises Unusable with the file that cannot be read.
    """
    certificates: list[Certificate] = []
    sources: list[RevocationList | StatusAnswer] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            if path.suffix in _CERTIFICATES:
                certificates += read_certificates(_content(path))
            elif path.suffix == ".crl":
                sources += map(RevocationList, unarmoured(_content(path), "X509 CRL"))
            elif path.suffix == ".ocsp":
                sources.append(StatusAnswer(_content(path)))
        except (CertificateUnreadable, StatusUnreadable, OSError) as error:
            raise Unusable(
                f"{path} is not what its name says: lay a certificate, list or answer in PEM or"
                " DER there, or remove it"
            ) from error
    return Authorities(
        (*also, *(each for each in certificates if each.is_self_issued)),
        (each for each in certificates if not each.is_self_issued),
        Statuses(sources),
        is_status_required=is_status_required,
    )


def _content(path: Path) -> bytes:
    if path.stat().st_size > _FILE_BYTES_MAX:
        raise OSError("too large")
    return path.read_bytes()
