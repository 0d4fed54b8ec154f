"""Whether a signature of a document holds, and if not, why: nothing is asked of anyone, so this
works offline and years later.
"""

from __future__ import annotations

import hmac
import re
import tomllib
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec

from quanmin.base import authorities
from quanmin.base.authorities import Authorities, StatusPort
from quanmin.base.certificates import Certificate
from quanmin.base.crypto import Tampered
from quanmin.base.signing import DIGESTS, KeyUnusable
from quanmin.base.timestamps import Stamp, StampUnreadable, read_stamp
from quanmin.trust.signatures.content import FORMS, Ambiguous, canonical
from quanmin.trust.signatures.detached import Detached, SignatureUnreadable, read
from quanmin.trust.signatures.provenance import Statement

Reason = (
    authorities.Reason
    | Literal[
        "unreadable-signature",
        "unreadable-document",
        "unknown-form",
        "altered-document",
        "altered-signature",
        "altered-document-or-signature",
        "altered-statement",
        "wrong-algorithm",
        "wrong-signer",
        "unknown-signer",
        "no-stamp",
        "unreadable-stamp",
    ]
)

# The kinds of identifiers in certificates are told by a prefix (ETSI EN 319 412-1, 5.1.3).
_PREFIX: Final = re.compile(r"^[A-Z]{3}[A-Z]{2}-")
# One is of the whole second; programs that note both take them one after the other.
_APART_MAX: Final = timedelta(minutes=1)
_DIGESTS: Final = {digest.name: digest for digest in DIGESTS.values()}


class Refusal(msgspec.Struct, frozen=True):
    """One reason against a signature, and what to do about it. Names nobody."""

    reason: Reason
    text: str


class Judgement(msgspec.Struct, frozen=True):
    """What was found of one signature: it holds when nothing stands against it.

    `claimed` is when the signer says it was made, `stamped` when a believed stamp proves it was
    there; `is_stamp_own` when that was the signing node's own.
    """

    refusals: tuple[Refusal, ...]
    algorithm: str = ""
    signer: Certificate | None = None
    claimed: str = ""
    stamped: datetime | None = None
    is_stamp_own: bool = False

    @property
    def holds(self) -> bool:
        """Whether nothing stands against it."""
        return not self.refusals


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """What signatures are judged by."""

    authorities: Authorities
    is_stamp_required: bool = True
    statuses: StatusPort | None = None

    def judge(
        self,
        document: bytes,
        signature: bytes,
        stamp: bytes | None,
        signer: Collection[str] | None,
        now: datetime | None = None,
        *,
        statement: Statement | None = None,
    ) -> Judgement:
        """Everything that stands against the signature of this document by whoever has one of
        these identifiers; None where it is not known who should have signed. `statement` is what is
        said of it beside it, where anything is.

        The certificate is asked about at the moment of the stamp; without one, now.
        """
        now = now or datetime.now(UTC)
        try:
            found = read(signature)
        except SignatureUnreadable:
            return Judgement((_refusal("unreadable-signature"),))
        refusals = [*_content_faults(found, document), *_signer_faults(found.chain[0], signer)]
        if statement is not None and not _says_the_same(found, statement):
            refusals.append(_refusal("altered-statement"))
        moment, stamped = now, None
        if stamp is None:
            if self.is_stamp_required:
                refusals.append(_refusal("no-stamp"))
        else:
            stamped, faults = self._stamp(stamp, signature, now)
            refusals += faults
            if stamped is not None and not faults:
                moment = stamped.moment
        verdict = self.authorities.check(
            found.chain, moment, "signature", statuses=self.statuses, now=now
        )
        refusals += (Refusal(each.reason, each.text) for each in verdict.refusals)
        is_proven = stamped is not None and moment == stamped.moment
        return Judgement(
            tuple(refusals),
            algorithm=found.scheme.jws,
            signer=found.chain[0],
            claimed=found.moment,
            stamped=moment if is_proven else None,
            is_stamp_own=stamped is not None and stamped.is_own,
        )

    def _stamp(
        self, token: bytes, signature: bytes, now: datetime
    ) -> tuple[Stamp | None, list[Refusal]]:
        try:
            stamp = read_stamp(token)
        except StampUnreadable:
            return None, [_refusal("unreadable-stamp")]
        found = stamp.refusals(signature, self.authorities, statuses=self.statuses, now=now)
        return stamp, [Refusal(each.reason, f"The time stamp: {each.text}") for each in found]


def _content_faults(found: Detached, document: bytes) -> list[Refusal]:
    if found.form not in FORMS:
        return [_refusal("unknown-form")]
    try:
        content = canonical(document, found.form)
    except Ambiguous:
        return [_refusal("unreadable-document")]
    digest = _DIGESTS.get(found.digest)
    is_same = None
    if digest is not None and found.hashed is not None:
        is_same = hmac.compare_digest(digest.of(content), found.hashed)
    try:
        found.verify(content)
    except KeyUnusable:
        return [_refusal("wrong-algorithm")]
    except Tampered:
        reasons: dict[bool | None, Reason] = {
            True: "altered-signature",
            False: "altered-document",
            None: "altered-document-or-signature",
        }
        return [_refusal(reasons[is_same])]
    # A signer's own mistake: what is signed holds, and says of itself that it is other content.
    return [_refusal("altered-document")] if is_same is False else []


def _says_the_same(found: Detached, statement: Statement) -> bool:
    """Whether what is said of a signature is what its signer signed of it, as far as that goes."""
    if found.kinds and not found.kinds & statement.kinds:
        return False
    if not (found.moment and statement.when):
        return True
    try:
        moments = [datetime.fromisoformat(each) for each in (found.moment, statement.when)]
        return abs(moments[0] - moments[1]) <= _APART_MAX
    except (ValueError, TypeError):  # no moments, or one without its offset
        return False


def _signer_faults(certificate: Certificate, signer: Collection[str] | None) -> list[Refusal]:
    if not signer:
        return [_refusal("unknown-signer")]
    wanted = {_plain(identifier) for identifier in signer}
    carried = {_plain(value) for kind in _carriers() for value in certificate.attribute(kind)}
    return [] if wanted & carried else [_refusal("wrong-signer")]


def _plain(identifier: str) -> str:
    return _PREFIX.sub("", identifier.strip()).casefold()


@cache
def _carriers() -> tuple[str, ...]:
    """The attributes of a certificate's subject that say by an identifier who it is."""
    file = resources.files("quanmin") / "definitions" / "signers.toml"
    return tuple(tomllib.loads(file.read_text("utf-8"))["subject_attributes"])


_TEXTS: Final[dict[Reason, str]] = {
    "unreadable-signature": "The signature is no detached JSON Web Signature with certificates"
    " (x5c), or by an algorithm that is not trusted",
    "unreadable-document": "The document is no JSON object, or has a member twice",
    "unknown-form": "The signature is over a form of the document that this program does not know",
    "altered-document": "The document was changed after it was signed: get it anew from its author",
    "altered-signature": "The signature was changed, or is not by its certificate's key",
    "altered-document-or-signature": "The document or its signature was changed",
    "altered-statement": "What is said of the signature, why or when it was made, is not what its"
    " signer signed",
    "wrong-algorithm": "The signature names another algorithm than its certificate's key has",
    "wrong-signer": "The certificate is not that of who is said to have signed",
    "unknown-signer": "Who is said to have signed has no identifier to hold the certificate to",
    "no-stamp": "No time stamp proves when it was signed",
    "unreadable-stamp": "The time stamp cannot be read",
}


def _refusal(reason: Reason) -> Refusal:
    return Refusal(reason, _TEXTS[reason])
