"""Who gives a Consent, and for whom: what it says of its giver is held against what is known.

A Consent decides who sees a person's record, so it is the person's to give and to end. An
institution only records what its own Patients have signed, and nothing that the person has ended is
brought back by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Invalid, Sentence
from quanmin.fhir.json import decode
from quanmin.people import PersonIndex
from quanmin.records.context import ROW, Context
from quanmin.records.model import Stored
from quanmin.trust.deciding.consent_elements import elements, find_faults, is_privacy
from quanmin.trust.deciding.consent_reading import Statement, read_statements
from quanmin.trust.deciding.consents import codes_meant, current, institution_of, rid_of

_GIVERS: Final = frozenset({"Patient", "RelatedPerson"})
_ENDED: Final = frozenset({"inactive", "rejected"})
_OWN_CONSENT_YEARS: Final = 14
_BEFORE: Final = f"""
    select {ROW} from records.history r where r.type = $1 and r.rid = $2 and r.version = $3
"""  # noqa: S608 - constants of this program


class Giver(msgspec.Struct, frozen=True):
    """Who writes a Consent: `patients` are those that the writer is or answers for, None for an
    institution, which records what its own Patients have signed.
    """

    patients: frozenset[int] | None = None
    is_guardian: bool = False
    is_operator: bool = False


class Giving:
    """What is asked of Consents that are written, in the transaction that writes them."""

    def __init__(self, connection: Connection, context: Context, people: PersonIndex) -> None:
        self._connection = connection
        self._context = context
        self._people = people

    async def refuse(self, written: Sequence[Stored], giver: Giver, today: date) -> None:
        """Raises Invalid for a Consent about privacy that says what the node does not carry out, or
        names what it does not know, and Forbidden for one of who may not give, change or end it.
        """
        for stored in written:
            before = None if stored.version == 1 else await self._before(stored)
            if not giver.is_operator:
                _refuse_others(stored, before, giver)
                _refuse_reviving(before, giver)
            if stored.body is None:
                continue
            consent: dict[str, Any] = decode(stored.body)
            if is_privacy(consent):
                await self._refuse_said(stored, consent, giver, today)

    async def _refuse_said(
        self, stored: Stored, consent: dict[str, Any], giver: Giver, today: date
    ) -> None:
        faults = find_faults(consent)
        if faults:
            raise Invalid(
                "nothing of a Consent is ignored; this is not carried out", issues=tuple(faults)
            )
        said = read_statements(consent, self._context.zone)
        if not said:
            return
        if stored.facts.patient is None:
            raise Invalid("Consent.patient must name a Patient of this node: whose consent is it?")
        await self._refuse_unknown(said)
        if giver.is_operator:
            return
        if giver.patients is None:
            await self._refuse_unregistered(stored)
        await self._refuse_forged(stored, consent, giver)
        if giver.patients is None:
            _refuse_unsigned(consent, said)
        if not giver.is_guardian:
            await self._refuse_child(stored, giver, today)

    async def _before(self, stored: Stored) -> Stored | None:
        """The version that this one takes the place of."""
        number = self._context.definition(stored.type).number
        rows = await self._connection.fetch(_BEFORE, number, stored.rid, stored.version - 1)
        opened = await self._context.open(self._connection, rows)
        return opened[0] if opened else None

    async def _refuse_unknown(self, said: Sequence[Statement]) -> None:
        for one in said:
            for reference in (reference for choice in one.institutions for reference in choice):
                if await institution_of(self._connection, self._context, reference) is None:
                    raise Invalid(
                        "provision.actor names an institution that this node does not know: name"
                        " its Organization, or its code as identifier"
                    )
            if any(rid_of(self._context, record) is None for record in one.records or ()):
                raise Invalid("provision.data names no record of this node: give its address here")
            codes = await codes_meant(self._connection, self._context, one)
            if codes is not None and len(codes) > elements().limits.codes_max:
                raise Invalid(
                    Sentence(
                        "provision.code means %(count)s codes, with those below them; at most "
                        "%(codes_max)s are carried out: name narrower ones",
                        count=len(codes),
                        codes_max=elements().limits.codes_max,
                    )
                )

    async def _refuse_unregistered(self, stored: Stored) -> None:
        patient = await self._current("Patient", stored.facts.patient)
        if patient is None or patient.facts.sender != stored.facts.sender:
            raise Forbidden(
                "an institution records the consents of Patients that it has registered itself"
            )

    async def _refuse_forged(self, stored: Stored, consent: dict[str, Any], giver: Giver) -> None:
        """Who gives it, who verified it and what was signed are of the person whose it is (R4
        Consent.performer, verification.verifiedWith, source[x]).
        """
        for name, reference in _givers(consent):
            type_ = str(reference.get("reference") or "").removeprefix(self._context.base)
            type_ = type_.partition("/")[0] or str(reference.get("type") or "")
            if not type_ and giver.patients is not None:
                continue  # who signed in is known
            if type_ not in _GIVERS:
                raise Forbidden(
                    Sentence(
                        "Consent.%(name)s must be the Patient or a RelatedPerson of theirs",
                        name=name,
                    )
                )
            if reference.get("reference") and not await self._is_theirs(stored, reference, type_):
                raise Forbidden(
                    Sentence(
                        "Consent.%(name)s names a %(type)s who is not here, or of somebody else: "
                        "whoever consents is the Patient themselves or a RelatedPerson of theirs",
                        name=name,
                        type=type_,
                    )
                )
        signed = consent.get("sourceReference") or {}
        if signed.get("reference") and not await self._is_theirs(stored, signed):
            raise Forbidden(
                "Consent.sourceReference names a record that is not here, or of somebody else:"
                " name what the Patient has signed"
            )

    async def _is_theirs(
        self, stored: Stored, reference: dict[str, Any], type_: str | None = None
    ) -> bool:
        """Whether a record is about the person of a Consent's Patient."""
        address = str(reference["reference"]).removeprefix(self._context.base)
        named = address.partition("/")[0]
        rid = rid_of(self._context, address) if named in self._context.table.types else None
        found = None if rid is None else await self._current(type_ or named, rid)
        if found is None or found.facts.patient is None or stored.facts.patient is None:
            return False
        if found.facts.patient == stored.facts.patient:
            return True
        person = await self._people.person_of(self._connection, stored.facts.patient)
        other = await self._people.person_of(self._connection, found.facts.patient)
        return person is not None and person == other

    async def _refuse_child(self, stored: Stored, giver: Giver, today: date) -> None:
        """For a child under 14 the parents or another guardian consent (Personal Information
        Protection Law (2021) article 31).
        """
        patient = await self._current("Patient", stored.facts.patient)
        born = str(decode(patient.body).get("birthDate") or "") if patient and patient.body else ""
        if len(born) < len("2020") or today.year - int(born[:4]) > _OWN_CONSENT_YEARS:
            return
        # Of a date that is known in part its last day counts: in doubt it is a child.
        day = born[5:] + "12-31"[len(born[5:]) :]
        years = today.year - int(born[:4]) - (f"{today:%m-%d}" < day)
        if years >= _OWN_CONSENT_YEARS:
            return
        if giver.patients is not None:
            raise Forbidden("for a child under 14 a guardian consents, signed in as the guardian")
        consent = decode(stored.body or b"{}")
        performers = [str(one.get("reference") or "") for one in consent.get("performer") or ()]
        if not any(one.startswith("RelatedPerson/") for one in performers):
            raise Forbidden("for a child under 14 a guardian consents: name the RelatedPerson")

    async def _current(self, type_: str, rid: int | None) -> Stored | None:
        return await current(self._connection, self._context, type_, rid)


def _refuse_others(stored: Stored, before: Stored | None, giver: Giver) -> None:
    """A resident's Consents, whatever they say, are about themselves or whom they answer for now:
    before the change and after it.
    """
    if giver.patients is None:
        return
    versions = [one for one in (before, stored) if one is not None and one.body is not None]
    if any(one.facts.patient not in giver.patients for one in versions):
        raise Forbidden("a consent is given by the person themselves or who answers for them")


def _refuse_reviving(before: Stored | None, giver: Giver) -> None:
    if giver.patients is not None or before is None or before.body is None:
        return
    consent: dict[str, Any] = decode(before.body)
    if is_privacy(consent) and consent.get("status") in _ENDED:
        raise Forbidden(
            "this Consent was taken back or refused, and stays so: what the person has signed since"
            " is recorded as a Consent of its own"
        )


def _refuse_unsigned(consent: dict[str, Any], said: Sequence[Statement]) -> None:
    is_opening = any(one.effect == "permit" for one in said)
    is_signed = "sourceAttachment" in consent or "sourceReference" in consent
    is_verified = any(one.get("verified") for one in consent.get("verification") or ())
    if is_opening and not (is_signed or is_verified):
        raise Invalid(
            "a consent that opens records needs what was signed: send source[x] or a verification"
        )


def _givers(consent: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in consent.get("performer") or ():
        yield "performer", one
    for one in consent.get("verification") or ():
        if one.get("verifiedWith"):
            yield "verification.verifiedWith", one["verifiedWith"]
