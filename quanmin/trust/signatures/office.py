"""Signing and verifying records of a node, in the eyes of the actor who asks: whatever is read or
written on the way goes through the guard.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from quanmin.base.authorities import Authorities, read_folder
from quanmin.base.certificates import Certificate
from quanmin.base.problems import Gone, Invalid, NotFound, Overloaded, Sentence, Unusable
from quanmin.base.stamping import StampServer
from quanmin.base.timestamps import StampUnreadable, read_stamp
from quanmin.fhir.json import decode
from quanmin.records.model import Outcome
from quanmin.trust.signatures import provenance
from quanmin.trust.signatures.content import CONTENT, Ambiguous, canonical
from quanmin.trust.signatures.detached import sign
from quanmin.trust.signatures.judging import Judgement, Judging
from quanmin.trust.signatures.own import OwnAuthority

if TYPE_CHECKING:
    from quanmin.trust.guard import GuardedRecords

log = logging.getLogger("quanmin.trust.signatures")

# Whoever is named by a reference is looked up in the directory, to hold the certificate to it.
_RETRY_SECONDS: Final = 60
_PEOPLE: Final = frozenset({"Practitioner", "Organization"})


class SignatureSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is believed of signatures."""

    folder: Annotated[
        Path | None,
        Meta(
            description="The folder of accepted authorities' certificates (.pem, .crt, .cer), of "
            "what they revoked (.crl, .ocsp), and of certificates they gave to keys of this node. "
            "A change counts at once. Without it only the node's own authority is believed."
        ),
    ] = None
    lists: Annotated[
        str,
        Meta(
            description="The addresses, separated by spaces, of lists of revoked certificates that "
            "`quanmin signature fetch` copies into the folder; empty: nothing is fetched from "
            "anywhere."
        ),
    ] = ""
    stamp_required: Annotated[
        bool, Meta(description="Whether a signature without a time stamp is refused.")
    ] = True
    stamper_url: Annotated[
        str,
        Meta(
            description="The address of a time stamping authority (RFC 3161) that what is signed "
            "here is stamped by. Its certificate, or that of its authority, has to lie in the "
            "folder. Empty: the node stamps itself, and says so.",
            pattern=r"^(https?://[^\s?#]+)?$",
        ),
    ] = ""
    stamper_policy: Annotated[
        str,
        Meta(
            description="The policy that its stamps must have, as an OID; empty: any.",
            pattern=r"^([0-2](\.[0-9]+)+)?$",
        ),
    ] = ""
    stamper_seconds_max: Annotated[
        float, Meta(description="How long it is waited for.", gt=0, le=60)
    ] = 10.0
    stamper_down: Annotated[
        Literal["refuse", "own"],
        Meta(
            description="What happens while it does not answer, or its stamps are not believed: "
            "nothing is signed (503), or the node stamps itself, which whoever verifies is told, "
            "and a job brings the authority's stamp when it answers again."
        ),
    ] = "refuse"
    stamper_retry_seconds: Annotated[
        float,
        Meta(description="How long that job lets pass before it asks the authority again.", gt=0),
    ] = 600.0
    stamper_waiting_max: Annotated[
        int,
        Meta(
            description="How many signatures of one actor may wait for a stamp; beyond, those that "
            "follow keep the node's own.",
            ge=0,
        ),
    ] = 10_000
    status_required: Annotated[
        bool,
        Meta(
            description="Whether a certificate that says where it would be revoked is refused "
            "while the folder holds no current word on it."
        ),
    ] = True


class Office:
    """Signs with the keys that the node keeps for its actors, and judges signatures."""

    def __init__(self, own: OwnAuthority, settings: SignatureSettings) -> None:
        """Raises Unusable for a file in the folder that cannot be read."""
        self.own = own
        self.settings = settings
        self._lock = threading.Lock()
        self._seen: object
        self._roots: tuple[Certificate, ...] = ()
        self._begin()
        if settings.folder is not None:
            self._read(settings.folder, _look(settings.folder))

    def _begin(self) -> None:
        # Of a root that is gone by now too, which this process has seen.
        known = {each.key_id: each for each in (*self.own.roots(), *self._roots)}
        self._number, self._roots = self.own.number, tuple(known.values())
        self._authorities, self._seen = Authorities(self._roots), None

    def judging(self) -> Judging:
        """What signatures are judged by at this moment."""
        return Judging(authorities=self._believed(), is_stamp_required=self.settings.stamp_required)

    def sign(
        self, document: bytes, who: Signer, kind: str, target: str, *, is_own_enough: bool = True
    ) -> bytes:
        """The Provenance of a signature of this document by whom it names. Raises Invalid, and
        Overloaded where no stamp is to be had; the node's own may stand for one where the settings
        say so and `is_own_enough`.
        """
        moment = datetime.now(UTC)
        key = self.own.key_of(who.actor)
        try:
            content = canonical(document, CONTENT)
        except Ambiguous:
            raise Invalid("the record has a member twice: write it anew, then sign it") from None
        given = self._believed().certificate_of(key.public.encoded, moment)
        if given is None:
            chain = [self.own.certify(who.actor, who.title, who.identifier, moment).der]
        else:
            # Whoever accepts the authority need not know those between.
            path = self._believed().check([given], moment, "signature").path
            chain = [each.der for each in path if not each.is_self_issued]
        signature = sign(content, key, chain, moment, kind=kind)
        stamp = self._stamp(signature) if is_own_enough else self.stamp_of_authority(signature)
        return provenance.write(
            target, kind, who=who.reference, moment=moment, signature=signature, stamp=stamp
        )

    def _stamp(self, signature: bytes) -> bytes:
        """A time stamp of the signature, by the authority of the settings if there is one. Raises
        Overloaded where that gives none, unless the node's own may stand for it.
        """
        digest, settings = self.own.suite.digest, self.settings
        if not settings.stamper_url:
            return self.own.stamper.stamp(digest, signature)
        try:
            return self.stamp_of_authority(signature)
        except Overloaded as problem:
            if settings.stamper_down == "refuse":
                raise
            log.warning("%s. The node stamped it itself.", problem.text)
            return self.own.stamper.stamp(digest, signature)

    def owes_stamp(self, body: bytes) -> bool:
        """Whether a Provenance carries the node's own stamp where the authority's should be."""
        if not self.settings.stamper_url:
            return False
        stamp = provenance.read(body).stamp
        try:
            return stamp is not None and read_stamp(stamp).is_own
        except StampUnreadable:
            return False

    def stamp_of_authority(self, signature: bytes) -> bytes:
        """A stamp of the signature by the authority of the settings, which is believed here. Raises
        Overloaded where there is none.
        """
        settings = self.settings
        server = StampServer(
            settings.stamper_url, settings.stamper_policy, settings.stamper_seconds_max
        )
        stamp = server.stamp(self.own.suite.digest, signature)
        refusals = stamp.refusals(signature, self._believed())
        if stamp.is_own or refusals:
            # What nobody here believes would be found out when it is too late for another.
            reasons = ", ".join(sorted({each.reason for each in refusals})) or "another node's own"
            raise Overloaded(
                Sentence(
                    "the stamp of the authority of `signatures.stamper_url` is not believed here "
                    "(%(reasons)s): lay the certificate of its authority into `signatures.folder`",
                    reasons=reasons,
                ),
                retry_after_seconds=_RETRY_SECONDS,
            )
        return stamp.token

    def _believed(self) -> Authorities:
        folder = self.settings.folder
        with self._lock:
            if self.own.number != self._number:
                self._begin()
            if folder is None:
                return self._authorities
            # A certificate may be taken back at any time, so the folder is looked at each time and
            # read when anything in it is not as it was.
            seen = _look(folder)
            if seen != self._seen:
                try:
                    self._read(folder, seen)
                except Unusable as problem:
                    # A file that is just being copied: what was known before holds until it is
                    # whole.
                    log.warning("%s What was read before holds meanwhile.", problem.text)
            return self._authorities

    def _read(self, folder: Path, seen: object) -> None:
        self._authorities = read_folder(
            folder, self._roots, is_status_required=self.settings.status_required
        )
        self._seen = seen


def _look(folder: Path) -> list[tuple[str, int, int]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries
        )


class Signer(msgspec.Struct, frozen=True):
    """Who signs: the actor whose key it is, and what the certificate says of them."""

    actor: str
    title: str
    identifier: str

    @property
    def reference(self) -> dict[str, Any]:
        """As a Reference by identifier."""
        return {"identifier": {"value": self.identifier}, "display": self.title}


async def sign_record(
    office: Office, records: GuardedRecords, type_: str, id_: str, kind: str
) -> Outcome:
    """Sign the current version of a record in the name of the institution or person who asks; the
    Provenance is stored when this returns. Raises NotFound, Gone, Forbidden.
    """
    actor = records.actor
    await records.refuse_unless_writing("Provenance")
    current = await records.read(type_, id_)
    # The whole record, not the form in which a directory shows it.
    stored = await records.version(type_, id_, current.version)
    who = Signer(actor.code, actor.name, actor.sender or actor.code)
    target = f"{type_}/{id_}/_history/{stored.version}"
    body = await asyncio.to_thread(office.sign, stored.body or b"", who, kind, target)
    return await records.create("Provenance", body)


async def judge_record(
    office: Office, records: GuardedRecords, id_: str, body: bytes | None = None
) -> Judgement:
    """Whether the signature that a Provenance carries, or would with this body, holds for the
    version that it names. Raises NotFound, Gone, Invalid.
    """
    if body is None:
        body = (await records.read("Provenance", id_)).body
    signed = provenance.read(body or b"")
    type_, target, version = read_target(signed.target)
    document = await records.version(type_, target, version)
    signer = await _identifiers(records, signed.who)
    judging = await asyncio.to_thread(office.judging)
    return await asyncio.to_thread(
        judging.judge,
        document.body or b"",
        signed.signature,
        signed.stamp,
        signer,
        statement=signed.statement,
    )


def read_target(reference: str) -> tuple[str, str, int]:
    """Type, id and version of what was signed. Raises Invalid."""
    match reference.split("/")[-4:]:
        case [type_, id_, "_history", version] if version.isascii() and version.isdecimal():
            return type_, id_, int(version[:18])
    raise Invalid(
        "Provenance.target names no version of a record (Type/id/_history/1), so it is not known"
        " what was signed"
    )


async def _identifiers(records: GuardedRecords, who: dict[str, Any]) -> frozenset[str]:
    """What whoever signed is known by: the identifier in the Provenance, and those that the
    directory has for whom it refers to.
    """
    reference = str(who.get("reference", "")).split("/")[-2:]
    if len(reference) != 2 or reference[0] not in _PEOPLE:
        return provenance.identifiers(who)
    try:
        found = await records.read(*reference)
    except (NotFound, Gone):
        return frozenset()
    return provenance.identifiers(decode(found.body or b"{}"))
