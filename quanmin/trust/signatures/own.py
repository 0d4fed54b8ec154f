"""A node's own authority: it certifies the keys that the node keeps for its actors, and stamps what
they sign.

Everything comes from the node's keys, so nothing has to be stored. It proves what this node vouches
for and no more; that a third party vouches is got by requests (`request_of`) and certificates laid
into the folder of accepted ones.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from quanmin.base.certificates import Certificate, read_certificate
from quanmin.base.issuing import Wanted, issue, issue_to_self, name, request
from quanmin.base.keys import KeyPort
from quanmin.base.signing import PrivateKey, SignatureSuite
from quanmin.base.timestamps import Stamper

_AUTHORITY_USAGES: Final = frozenset({"key_cert_sign", "crl_sign"})
_BEGUN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_YEARS: Final = timedelta(days=30 * 365)
# A certificate is made for one signature, which is stamped at once; it need never be revoked.
_BEFORE: Final = timedelta(minutes=5)
_AFTER: Final = timedelta(minutes=10)


class OwnAuthority:
    """The authority that a node is to itself."""

    def __init__(self, keys: KeyPort, suite: SignatureSuite) -> None:
        self.suite = suite
        self._keys = keys
        self._key = self._key_for("authority")
        mark = self._key.public.key_id.hex()[:8]
        self._subject = (
            ("organization_name", "quanmin"),
            ("organizational_unit_name", "a node's own authority"),
            ("common_name", f"quanmin node {mark}"),
        )
        wanted = Wanted(
            subject=self._subject,
            not_before=_BEGUN,
            not_after=_BEGUN + _YEARS,
            usages=_AUTHORITY_USAGES,
            is_authority=True,
            path_length=0,
        )
        self.root = read_certificate(issue_to_self(wanted, self._key))
        self.stamper = self._stamper()

    def key_of(self, actor: str) -> PrivateKey:
        """The key that the node keeps for an actor, by the actor's code."""
        return self._key_for(f"actor {actor}")

    def certify(self, actor: str, title: str, identifier: str, moment: datetime) -> Certificate:
        """A certificate for one signature of the actor at this moment."""
        wanted = Wanted(
            subject=_subject(title, identifier),
            not_before=moment - _BEFORE,
            not_after=moment + _AFTER,
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
        return self.suite.algorithm.private_key(self._keys.derive(f"signatures {what}"))


def _subject(title: str, identifier: str) -> tuple[tuple[str, str], ...]:
    return (("common_name", title[:64] or identifier[:64]), ("serial_number", identifier[:64]))
