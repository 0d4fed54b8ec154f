"""Signatures as FHIR carries them: a JSON Web Signature beside what it is over (RFC 7515, appendix
F), with the certificate and those above it in its header (x5c).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from quanmin.base.certificates import (
    CHAIN_BYTES_MAX,
    CHAIN_MAX,
    Certificate,
    CertificateUnreadable,
    read_certificate,
)
from quanmin.base.signing import PrivateKey
from quanmin.base.verifying import Scheme, scheme_of_jws, verify_jws
from quanmin.trust.signatures.content import CONTENT

_OID: Final = "urn:oid:"


class SignatureUnreadable(Exception):  # noqa: N818 - names the finding
    """These bytes are no detached JSON Web Signature that this program understands."""


class _Hash(msgspec.Struct, frozen=True):
    """The hash of what is signed, by which a changed document is told from a changed signature."""

    alg: str
    value: str


class _Act(msgspec.Struct, frozen=True):
    id: str


class _Commitment(msgspec.Struct, frozen=True, rename={"act": "commId"}):
    """To what the signer commits by it (ETSI TS 119 182-1, 5.2.3)."""

    act: _Act


class _Header(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"moment": "sigT", "commitments": "srCms"},
):
    alg: str
    x5c: list[str] = []
    canon: str = ""
    digest: _Hash | None = None
    moment: str = ""
    commitments: list[_Commitment] = []
    crit: list[str] = []


_HEADER = msgspec.json.Decoder(_Header)


class Detached(msgspec.Struct, frozen=True):
    """One signature, read and not yet verified. `form` is that of the content; `moment` is when
    the signer says it was made, and nobody else does; `kinds` are the codes of what it is for (as
    an author, as a witness), where the signer said so.
    """

    scheme: Scheme
    chain: tuple[Certificate, ...]
    form: str
    digest: str
    hashed: bytes | None
    moment: str
    kinds: frozenset[str]
    head: bytes
    value: bytes

    def verify(self, content: bytes) -> None:
        """Raises Tampered, KeyUnusable unless the first certificate's key signed the content."""
        message = self.head + b"." + _written(content)
        verify_jws(self.scheme, self.chain[0].key, message, self.value)


def sign(
    content: bytes,
    key: PrivateKey,
    chain: Sequence[bytes],
    moment: datetime,
    form: str = CONTENT,
    *,
    kind: str = "",
) -> bytes:
    """A signature of the content, which is in the given form already; `chain` begins with the
    key's certificate in DER. `kind` is the code of what it is for.
    """
    algorithm = key.public.algorithm
    digest = algorithm.digest
    header = _Header(
        alg=algorithm.jws,
        x5c=[base64.b64encode(der).decode() for der in chain],
        canon=form,
        digest=_Hash(digest.name, _written(digest.of(content)).decode()),
        moment=moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commitments=[_Commitment(_Act(f"{_OID}{kind}"))] if kind else [],
    )
    head = _written(msgspec.json.encode(header))
    return head + b".." + _written(key.sign_bare(head + b"." + _written(content)))


def read(data: bytes) -> Detached:
    """The signature in these bytes. Raises SignatureUnreadable."""
    try:
        head, payload, value = data.split(b".")
        header = _HEADER.decode(_bytes(head))
        scheme = scheme_of_jws(header.alg)
        # A header that must be understood is not (RFC 7515 4.1.11); none that this program writes.
        if payload or header.crit or scheme is None or not 0 < len(header.x5c) <= CHAIN_MAX:
            raise SignatureUnreadable
        chain = [base64.b64decode(each, validate=True) for each in header.x5c]
        if sum(map(len, chain)) > CHAIN_BYTES_MAX:
            raise SignatureUnreadable
        return Detached(
            scheme=scheme,
            chain=tuple(map(read_certificate, chain)),
            form=header.canon,
            digest=header.digest.alg if header.digest else "",
            hashed=_bytes(header.digest.value.encode()) if header.digest else None,
            moment=header.moment,
            kinds=frozenset(each.act.id.removeprefix(_OID) for each in header.commitments),
            head=head,
            value=_bytes(value),
        )
    except (ValueError, msgspec.MsgspecError, CertificateUnreadable) as error:
        raise SignatureUnreadable from error


def _written(plain: bytes) -> bytes:
    return base64.urlsafe_b64encode(plain).rstrip(b"=")


def _bytes(written: bytes) -> bytes:
    """What was written in base64url. Raises ValueError for any other spelling of the same."""
    try:
        plain = base64.urlsafe_b64decode(written + b"=" * (-len(written) % 4))
    except binascii.Error as error:
        raise ValueError from error
    if _written(plain) != written:
        raise ValueError("another spelling")
    return plain
