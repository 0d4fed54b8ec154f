"""A node's own authority: it certifies the keys that the node keeps for its actors, and stamps what
they sign.

Everything comes from the node's keys, so nothing has to be stored. It proves what this node vouches
for and no more; that a third party vouches is got by requests (`request_of`) and certificates laid
into the folder of accepted ones.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from quanmin.base.certificates import Certificate, read_certificate
from quanmin.base.issuing import Wanted, issue, issue_to_self, name, request
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import Unusable
from quanmin.base.signing import SUITES, PrivateKey, SignatureSuite
from quanmin.base.signing_keys import derived_key, signing_key
from quanmin.base.timestamps import Stamper

_AUTHORITY_USAGES: Final = frozenset({"key_cert_sign", "crl_sign"})
_BEGUN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_YEARS: Final = timedelta(days=30 * 365)
# A certificate is for signatures that are stamped at once; it need never be revoked. Making one
# costs more than signing, so one serves for the signatures of a few minutes.
_SLOT_SECONDS: Final = 300
_BEFORE: Final = timedelta(minutes=5)
_AFTER: Final = timedelta(minutes=15)
_CERTIFICATES_MAX: Final = 1024
AUTHORITY: Final = "signatures authority"
"""What the key of the authority is derived for."""


_Name = tuple[tuple[str, str], ...]


class _Seat(msgspec.Struct, frozen=True, eq=False):
    """The authority as it follows from one root of the node's keys."""

    number: int
    key: PrivateKey
    subject: _Name
    certificate: Certificate
    stamper: Stamper


class OwnAuthority:
    """The authority that a node is to itself."""

    def __init__(self, keys: KeyPort, suite: SignatureSuite) -> None:
        """Raises Unusable where this machine lacks the suite."""
        self.suite = suite
        self._keys = node_keys(keys)
        self._certified = lru_cache(maxsize=_CERTIFICATES_MAX)(self._certify)
        self._kept = self._begun(self._keys.roots()[-1])

    def _begun(self, root: int) -> _Seat:
        key = signing_key(self._keys, AUTHORITY, self.suite.algorithm, root)
        subject, certificate = _begin(key)
        stamps = self._key_for("stamps", root)
        return _Seat(root, key, subject, certificate, _stamper(stamps, key, subject))

    @property
    def _seat(self) -> _Seat:
        newest = self._keys.roots()[-1]
        if newest != self._kept.number:
            self._kept = self._begun(newest)
        return self._kept

    @property
    def root(self) -> Certificate:
        """Its certificate."""
        return self._seat.certificate

    @property
    def stamper(self) -> Stamper:
        """What stamps."""
        return self._seat.stamper

    @property
    def number(self) -> int:
        """The root of the node that its keys follow from."""
        return self._seat.number

    def roots(self) -> tuple[Certificate, ...]:
        """Its certificate and those by which the node may have signed before: of the other suites,
        of earlier roots of its keys, from before its module signed; without those that this machine
        lacks.
        """
        found = {self.root.key_id: self.root}
        for number in reversed(self._keys.roots_of(AUTHORITY)):
            for other in SUITES.values():
                with suppress(Unusable):
                    root = _begin(derived_key(self._keys, AUTHORITY, other.algorithm, number))[1]
                    found.setdefault(root.key_id, root)
        return tuple(found.values())

    def key_of(self, actor: str) -> PrivateKey:
        """The key that the node keeps for an actor, by the actor's code."""
        return self._key_for(f"actor {actor}", self.number)

    def certify(self, actor: str, title: str, identifier: str, moment: datetime) -> Certificate:
        """A certificate for what the actor signs at this moment."""
        slot = int(moment.timestamp()) // _SLOT_SECONDS
        return self._certified(self._seat, actor, title, identifier, slot)

    def _certify(
        self, seat: _Seat, actor: str, title: str, identifier: str, slot: int
    ) -> Certificate:
        begun = datetime.fromtimestamp(slot * _SLOT_SECONDS, UTC)
        wanted = Wanted(
            subject=_subject(title, identifier),
            not_before=begun - _BEFORE,
            not_after=begun + _AFTER,
        )
        public = self._key_for(f"actor {actor}", seat.number).public
        return read_certificate(issue(wanted, public, name(seat.subject), seat.key))

    def request_of(self, actor: str, title: str, identifier: str) -> bytes:
        """A request that another authority certify the actor's key (PKCS #10), in DER."""
        return request(_subject(title, identifier), self.key_of(actor))

    def _key_for(self, what: str, root: int) -> PrivateKey:
        return signing_key(self._keys, f"signatures {what}", self.suite.algorithm, root)


def _stamper(key: PrivateKey, authority: PrivateKey, subject: _Name) -> Stamper:
    wanted = Wanted(
        subject=(*subject[:2], ("common_name", "a node's own time stamps")),
        not_before=_BEGUN,
        not_after=_BEGUN + _YEARS,
        purposes=("time_stamping",),
    )
    return Stamper(key, (issue(wanted, key.public, name(subject), authority),))


def _begin(key: PrivateKey) -> tuple[_Name, Certificate]:
    """The authority's name and certificate."""
    subject = (
        ("organization_name", "quanmin"),
        ("organizational_unit_name", "a node's own authority"),
        ("common_name", f"quanmin node {key.public.key_id.hex()[:8]}"),
    )
    wanted = Wanted(
        subject=subject,
        not_before=_BEGUN,
        not_after=_BEGUN + _YEARS,
        usages=_AUTHORITY_USAGES,
        is_authority=True,
        path_length=0,
    )
    return subject, read_certificate(issue_to_self(wanted, key))


def _subject(title: str, identifier: str) -> _Name:
    return (("common_name", title[:64] or identifier[:64]), ("serial_number", identifier[:64]))
