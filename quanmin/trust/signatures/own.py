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

from quanmin.base.certificates import Certificate, read_certificate
from quanmin.base.issuing import Wanted, issue, issue_to_self, name, request
from quanmin.base.keys import KeyPort
from quanmin.base.problems import Unusable
from quanmin.base.signing import SUITES, PrivateKey, SignatureSuite
from quanmin.base.signing_keys import derived_key, signing_key, signs_inside
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
_AUTHORITY: Final = "signatures authority"


_Name = tuple[tuple[str, str], ...]


class OwnAuthority:
    """The authority that a node is to itself."""

    def __init__(self, keys: KeyPort, suite: SignatureSuite) -> None:
        """Raises Unusable where this machine lacks the suite."""
        self.suite = suite
        self._keys = keys
        self._key = signing_key(keys, _AUTHORITY, suite.algorithm)
        self._subject, self.root = _begin(self._key)
        self.stamper = self._stamper()
        self._certified = lru_cache(maxsize=_CERTIFICATES_MAX)(self._certify)

    def roots(self) -> tuple[Certificate, ...]:
        """Its certificate and those of the other suites, by which the node may have signed before,
        also before its module signed; without those that this machine lacks.
        """
        found = {self.root.der: self.root}
        for other in SUITES.values():
            with suppress(Unusable):
                root = _begin(derived_key(self._keys, _AUTHORITY, other.algorithm))[1]
                if other is not self.suite or signs_inside(self._keys):
                    found[root.der] = root
        return tuple(found.values())

    def key_of(self, actor: str) -> PrivateKey:
        """The key that the node keeps for an actor, by the actor's code."""
        return self._key_for(f"actor {actor}")

    def certify(self, actor: str, title: str, identifier: str, moment: datetime) -> Certificate:
        """A certificate for what the actor signs at this moment."""
        return self._certified(actor, title, identifier, int(moment.timestamp()) // _SLOT_SECONDS)

    def _certify(self, actor: str, title: str, identifier: str, slot: int) -> Certificate:
        begun = datetime.fromtimestamp(slot * _SLOT_SECONDS, UTC)
        wanted = Wanted(
            subject=_subject(title, identifier),
            not_before=begun - _BEFORE,
            not_after=begun + _AFTER,
        )
        public = self.key_of(actor).public
        return read_certificate(issue(wanted, public, name(self._subject), self._key))

    def request_of(self, actor: str, title: str, identifier: str) -> bytes:
        """A request that another authority certify the actor's key (PKCS #10), in DER."""
        return request(_subject(title, identifier), self.key_of(actor))

    def _stamper(self) -> Stamper:
        key = self._key_for("stamps")
        wanted = Wanted(
            subject=(*self._subject[:2], ("common_name", "a node's own time stamps")),
            not_before=_BEGUN,
            not_after=_BEGUN + _YEARS,
            purposes=("time_stamping",),
        )
        return Stamper(key, (issue(wanted, key.public, name(self._subject), self._key),))

    def _key_for(self, what: str) -> PrivateKey:
        return signing_key(self._keys, f"signatures {what}", self.suite.algorithm)


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
