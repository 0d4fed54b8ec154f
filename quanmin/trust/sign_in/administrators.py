"""Which persons the three administrators are: nobody is two of them (GB/T 22239-2019 8.1.5), by
whatever documents they show.

One document is one person: the database holds that. That two documents are of one person is known
where a Patient has both numbers, or an identity number and the other document lead to the same
person of the identity index.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.problems import Conflict, Invalid, Sentence
from quanmin.fhir.identity_number import judge
from quanmin.records.keying import Keying
from quanmin.trust.registers.definitions import Word

SEVERAL: Final = Sentence(
    "this person is an administrator of another kind already: system, security and audit are three"
    " persons (GB/T 22239-2019 8.1.5)"
)
_SAME: Final = """
    with known as (
        select k.code, p.person from trust.actor a
        join trust.account k on k.code = a.account
        cross join lateral (
            select n.person from people.number n where n.key = any(k.document_keys)
            union
            select l.person from records.keyed r join people.link l on l.patient = r.rid
            where r.key = any(k.document_keys)
        ) p
        where a.is_active and a.role = any($1::text[])
    )
    select distinct least(one.code, other.code) as one, greatest(one.code, other.code) as other
    from known one join known other using (person) where one.code <> other.code
    order by 1, 2
"""


class Document(Word, frozen=True):
    """A kind of identity document; without a `form` its number is an identity number."""

    form: str | None = None


@cache
def documents() -> dict[str, Document]:
    """The kinds by which an administrator is known, the usual one first."""
    found = msgspec.convert(_definition()["document"], list[Document])
    return {one.code: one for one in found}


@cache
def administrators() -> frozenset[str]:
    """The roles of which nobody has two."""
    return frozenset(_definition()["administrators"]["roles"])


@cache
def _definition() -> dict[str, Any]:
    file = files("quanmin.definitions").joinpath("registers", "administrators.toml")
    return tomllib.loads(file.read_text("utf-8"))


def refuse_misread(kind: str, number: str) -> None:
    """Raises Invalid for a number that a document of this kind cannot have; `number` has capital
    letters and digits only. A slip of the pen would be another person.
    """
    document = documents().get(kind)
    if document is None:
        raise Invalid(Sentence("the documents are %(known)s", known=", ".join(documents())))
    if document.form is None:
        is_right = judge(number, {}).allowed
    else:
        is_right = re.fullmatch(document.form, number) is not None
    if not is_right:
        raise Invalid(
            Sentence(
                "this is no number of a document of the kind %(kind)s: look for a mistyped "
                "character, or name the kind that it is (%(known)s)",
                kind=kind,
                known=", ".join(documents()),
            )
        )


def keys_of(keying: Keying, number: str) -> list[int]:
    """By what the identity index and Patients know this number."""
    return [
        keying.code("Person", "identity-number", number),
        *(keying.code("Patient", "identifier", one) for one in {number, number.lower()}),
    ]


async def hold_administrators(connection: Connection) -> None:
    """Whoever else makes administrators waits until the caller's transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(hashtextextended('administrators', 0))")


async def same_persons(database: Database) -> Sequence[tuple[str, str]]:
    """The accounts of administrators that are one person by the register of people, in pairs."""
    return [(row[0], row[1]) for row in await database.fetch(_SAME, sorted(administrators()))]


async def refuse_same_person(connection: Connection, account: str) -> None:
    """Raises Conflict when another administrator's account is of the same person."""
    if any(account in pair for pair in await same_persons(connection)):
        raise Conflict(SEVERAL)
