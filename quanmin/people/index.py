"""Links source Patients to persons, in the transaction that writes the Patient.

The smallest rule that is safe: a valid identity number that agrees with the Patient's birth date
and sex, under the name it was first seen with. Whatever is less certain stays unlinked. Links are
append-only events; no record is moved or rewritten, and an unlink is one more event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from quanmin.base.database import Connection
from quanmin.base.text import words
from quanmin.fhir.identity_number import judge, number_of
from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.operation import Change
from quanmin.records.rid import bucket_of
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql

_DECIDED_BY = "identity-number"


class _Claim(msgspec.Struct, frozen=True):
    """What a Patient says about who it is: keyed tokens of its number and name, and why the number
    counts.
    """

    number_key: int
    name_key: int
    reasons: tuple[str, ...]


class PersonIndex:
    """The projection of Patients onto persons, and the questions about it."""

    types = frozenset({"Patient"})
    is_early = False

    def __init__(self, keying: Keying) -> None:
        self._keying = keying

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Link, relink or unlink each changed Patient. See `Projection`."""
        claims = {change.rid: self._claim(change.resource) for change in changes}
        # Sorted, so that two bundles with the same two numbers wait for each other instead of
        # deadlocking.
        for change in sorted(changes, key=lambda change: _order(claims[change.rid])):
            await self._decide(connection, change, claims[change.rid])

    async def person_of(self, connection: Connection, patient: int) -> int | None:
        """The person a source Patient (its record key) is linked to."""
        found = await connection.fetchval(
            "select person from people.link where patient = $1 and bucket = $2",
            patient,
            bucket_of(patient),
        )
        return None if found is None else int(found)

    async def patients_of(self, connection: Connection, person: int) -> list[int]:
        """The record keys of the source Patients linked to a person."""
        rows = await connection.fetch(
            "select patient from people.link where person = $1 order by patient", person
        )
        return [row["patient"] for row in rows]

    async def hold(self, connection: Connection, patient: int) -> int | None:
        """Like `person_of`; nothing is linked to the person until the caller's transaction ends."""
        # Linking locks the person's row by its foreign key.
        found = await connection.fetchval(
            "select p.person from people.link l join people.person p using (person)"
            " where l.patient = $1 and l.bucket = $2 for update of p",
            patient,
            bucket_of(patient),
        )
        return None if found is None else int(found)

    async def forget(self, connection: Connection, person: int) -> None:
        """Keep of a person to whom nothing is linked any more only that there was one: whoever
        comes with the number again is a new person.
        """
        await connection.execute("delete from people.number where person = $1", person)
        await connection.execute("update people.person set name_key = 0 where person = $1", person)

    async def counts(
        self, connection: Connection, patients: Sequence[int], visibility: Visibility
    ) -> dict[int, int]:
        """For each source Patient that is linked: how many visible Patients its person has."""
        arguments: list[object] = [list(patients), load_table().types["Patient"].number]

        def bind(value: object) -> str:
            arguments.append(value)
            return f"${len(arguments)}"

        rows = await connection.fetch(
            f"""
            select l.patient, count(*) as size
            from people.link l
            join people.link o on o.person = l.person
            join records.record r on r.type = $2 and r.rid = o.patient and r.bucket = o.bucket
            where l.patient = any($1) and {visibility_sql(visibility, bind, "r")}
            group by l.patient
            """,  # noqa: S608 - composed from this program's own constants; every value is bound
            *arguments,
        )
        return {row["patient"]: row["size"] for row in rows}

    def _claim(self, resource: Mapping[str, Any] | None) -> _Claim | None:
        number = None if resource is None else number_of(resource)
        if resource is None or number is None:
            return None
        decision = judge(number, resource)
        name = _name(resource)
        if not decision.allowed or not name:
            return None
        return _Claim(
            self._keying.code("Person", "identity-number", number),
            self._keying.code("Person", "name", name),
            decision.reasons,
        )

    async def _decide(self, connection: Connection, change: Change, claim: _Claim | None) -> None:
        current = await connection.fetchrow(
            "select person, number_key from people.link where patient = $1 and bucket = $2",
            change.rid,
            bucket_of(change.rid),
        )
        person = None if claim is None else await self._person(connection, claim, change.updated)
        if current is not None and (claim is None or current["person"] != person):
            await self._unlink(connection, change, current["person"])
            current = None
        if current is None and claim is not None and person is not None:
            await self._link(connection, change, person, claim)

    async def _person(self, connection: Connection, claim: _Claim, now: int) -> int | None:
        """The person with this number, new when it is the first time; None under another name."""
        known = await connection.fetchrow(_BY_NUMBER, claim.number_key)
        if known is None:
            person = await connection.fetchval(
                "insert into people.person (name_key, since) values ($1, $2) returning person",
                claim.name_key,
                now,
            )
            won = await connection.fetchval(
                "insert into people.number (key, person) values ($1, $2)"
                " on conflict do nothing returning person",
                claim.number_key,
                person,
            )
            if won is not None:
                return int(person)
            known = await connection.fetchrow(_BY_NUMBER, claim.number_key)
        if known is None or known["name_key"] != claim.name_key:
            return None
        return int(known["person"])

    async def _link(
        self, connection: Connection, change: Change, person: int, claim: _Claim
    ) -> None:
        await connection.execute(
            "insert into people.link (bucket, patient, person, number_key) values ($1, $2, $3, $4)",
            bucket_of(change.rid),
            change.rid,
            person,
            claim.number_key,
        )
        reasons = [*claim.reasons, "name-agrees"]
        await self._note(connection, change, person, "link", reasons)

    async def _unlink(self, connection: Connection, change: Change, person: int) -> None:
        await connection.execute(
            "delete from people.link where patient = $1 and bucket = $2",
            change.rid,
            bucket_of(change.rid),
        )
        reason = "patient-deleted" if change.body is None else "details-changed"
        await self._note(connection, change, person, "unlink", [reason])

    async def _note(
        self,
        connection: Connection,
        change: Change,
        person: int,
        kind: str,
        reasons: list[str],
    ) -> None:
        await connection.execute(
            "insert into people.link_event"
            " (patient, person, kind, reasons, decided_at, decided_by)"
            " values ($1, $2, $3, $4, $5, $6)",
            change.rid,
            person,
            kind,
            reasons,
            change.updated,
            _DECIDED_BY,
        )


_BY_NUMBER = """
    select p.person, p.name_key from people.number n join people.person p using (person)
    where n.key = $1
"""


def _order(claim: _Claim | None) -> int:
    return 0 if claim is None else claim.number_key


def _name(patient: Mapping[str, Any]) -> str:
    """The first name of the Patient, normalised; "" when it has none."""
    for name in patient.get("name") or ():
        text = name.get("text") or "".join([name.get("family") or "", *(name.get("given") or ())])
        if text:
            return "".join(words(text))
    return ""
