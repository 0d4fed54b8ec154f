"""Consents as grants, in the transaction that writes them: what a person has permitted, refused or
taken back holds from the next read on, in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Invalid
from quanmin.fhir.json import decode
from quanmin.people import PersonIndex
from quanmin.records.context import DELETED, ROW, Context
from quanmin.records.model import Stored
from quanmin.records.operation import Change
from quanmin.trust.deciding.consent_reading import Statement, read_statements
from quanmin.trust.deciding.grantees import ANY, Grantees
from quanmin.trust.deciding.granting import Grounded, replace_grants

CONSENT: Final = "Consent"
_BY_KEY: Final = f"""
    select {ROW} from records.record r where r.type = $1 and r.rid = $2 and r.flags & {DELETED} = 0
"""  # noqa: S608 - constants of this program
_INSTITUTION: Final = """
    select s.sender from records.sender s
    where s.code = (
        select e.sender from trust.institution_entry e where e.organization = $1 or e.code = $2
        limit 1
    ) or s.code = $2 and $2 <> ''
    order by s.code = $2 limit 1
"""
_GIVERS: Final = frozenset({"Patient", "RelatedPerson"})
_OWN_CONSENT_YEARS: Final = 14


class ConsentIndex:
    """The projection of Consents onto grants."""

    types = frozenset({CONSENT})
    is_early = False

    def __init__(self, people: PersonIndex, context: Context) -> None:
        self._people = people
        self._context = context
        self._grantees = Grantees(context.keying)

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        grounded = []
        for change in changes:
            resource = change.resource
            if resource is None or change.patient is None:
                continue
            rows: list[tuple[int, int, int, int]] = []
            for said in read_statements(resource, self._context.zone):
                senders = await institutions(connection, self._context, said)
                rows += self._rows(said, senders)
            if rows:
                grounded.append(Grounded(change.rid, change.patient, tuple(rows)))
        earlier = [change.rid for change in changes if change.version > 1]
        now = max(change.updated for change in changes)
        await replace_grants(connection, self._people, earlier, grounded, now)

    def _rows(
        self, said: Statement, senders: Iterable[int | str]
    ) -> list[tuple[int, int, int, int]]:
        if said.since >= said.until:
            return []
        numbers = {name: one.number for name, one in self._context.table.types.items()}
        types = [numbers[name] for name in said.types] or [0]
        return [
            (grantee, type_, said.since, said.until)
            for sender in senders
            for purpose in said.purposes or (ANY,)
            for kind in said.kinds or ("",)
            for grantee in [self._grantee(said.effect, sender, purpose, kind)]
            for type_ in types
        ]

    def _grantee(self, effect: str, sender: int | str, purpose: str, kind: str) -> int:
        match effect:
            case "permit":
                return self._grantees.permit(sender, purpose, kind)
            case "deny":
                return self._grantees.refuse(sender, purpose, kind)
            case "lift":
                return self._grantees.lift(sender, purpose, kind)
            case _:
                return self._grantees.withdraw(sender, purpose)


async def institutions(
    connection: Connection, context: Context, said: Statement
) -> list[int | str]:
    """The institutions that a statement names, by their sender number; those that this node does
    not know are left out.
    """
    if said.institutions is None:
        return [ANY]
    found = [await institution_of(connection, context, one) for one in said.institutions]
    return [one for one in found if one is not None]


async def institution_of(
    connection: Connection, context: Context, reference: dict[str, Any]
) -> int | None:
    """The institution that a reference means: by an identifier that is its code in the register or
    at this node, or by its Organization: its entry in the register, else whoever sent it.
    """
    code = str((reference.get("identifier") or {}).get("value") or "")
    type_, _, id_ = str(reference.get("reference") or "").removeprefix(context.base).partition("/")
    rid = context.rid_of(type_, id_.partition("/")[0]) if type_ == "Organization" else None
    known = await connection.fetchval(_INSTITUTION, rid, code)
    if known is None and rid is not None:
        organization = await _current(connection, context, type_, rid)
        known = None if organization is None else organization.facts.sender
    return None if known is None else int(known)


async def refuse_ungiven(
    connection: Connection,
    context: Context,
    written: Sequence[Stored],
    *,
    asker: frozenset[int] | None,
    today: date,
) -> None:
    """Raises Forbidden for a Consent of one who may not give it, Invalid for one that names an
    institution which is not known. `asker` are the Patients that the writer is or answers for, None
    for an institution, which records what its own Patients have signed.
    """
    for stored in written:
        if stored.body is None:
            continue
        consent: dict[str, Any] = decode(stored.body)
        said = read_statements(consent, context.zone)
        if not said:
            continue
        if stored.facts.patient is None:
            raise Invalid("Consent.patient must name a Patient of this node: whose consent is it?")
        await _refuse_unknown(connection, context, said)
        if asker is not None:
            if stored.facts.patient not in asker:
                raise Forbidden(
                    "a consent is given by the person themselves or who answers for them"
                )
        else:
            await _refuse_unsigned(connection, context, stored, consent, said)
        await _refuse_child(connection, context, stored, consent, today)


async def _refuse_unknown(
    connection: Connection, context: Context, said: Sequence[Statement]
) -> None:
    for one in said:
        for reference in one.institutions or ():
            if await institution_of(connection, context, reference) is None:
                raise Invalid(
                    "provision.actor names an institution that this node does not know: name its"
                    " Organization, or its code as identifier"
                )


async def _refuse_unsigned(
    connection: Connection,
    context: Context,
    stored: Stored,
    consent: dict[str, Any],
    said: Sequence[Statement],
) -> None:
    patient = await _current(connection, context, "Patient", stored.facts.patient)
    if patient is None or patient.facts.sender != stored.facts.sender:
        raise Forbidden(
            "an institution records the consents of Patients that it has registered itself"
        )
    for performer in consent.get("performer") or ():
        if str(performer.get("reference") or "").partition("/")[0] not in _GIVERS:
            raise Forbidden("Consent.performer must be the Patient or a RelatedPerson of theirs")
    is_opening = any(one.effect in {"permit", "lift"} for one in said)
    is_signed = "sourceAttachment" in consent or "sourceReference" in consent
    is_verified = any(one.get("verified") for one in consent.get("verification") or ())
    if is_opening and not (is_signed or is_verified):
        raise Invalid(
            "a consent that opens records needs what was signed: send source[x] or a verification"
        )


async def _refuse_child(
    connection: Connection,
    context: Context,
    stored: Stored,
    consent: dict[str, Any],
    today: date,
) -> None:
    """For a child under 14 the parents or another guardian consent (Personal Information Protection
    Law (2021) article 31).
    """
    patient = await _current(connection, context, "Patient", stored.facts.patient)
    born = str(decode(patient.body).get("birthDate") or "") if patient and patient.body else ""
    if len(born) < len("2020") or today.year - int(born[:4]) > _OWN_CONSENT_YEARS:
        return
    # Of a date that is known in part its last day counts: in doubt it is a child.
    day = born[5:] + "12-31"[len(born[5:]) :]
    years = today.year - int(born[:4]) - (f"{today:%m-%d}" < day)
    performers = [str(one.get("reference") or "") for one in consent.get("performer") or ()]
    if years < _OWN_CONSENT_YEARS and not any(
        one.startswith("RelatedPerson/") for one in performers
    ):
        raise Forbidden("for a child under 14 a guardian consents: name the RelatedPerson")


async def _current(
    connection: Connection, context: Context, type_: str, rid: int | None
) -> Stored | None:
    rows = await connection.fetch(_BY_KEY, context.definition(type_).number, rid)
    opened = await context.open(connection, rows)
    return opened[0] if opened else None
