"""Consents as grants, in the transaction that writes them: what a person has permitted, refused or
taken back holds from the next read on, in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import NotFound
from quanmin.people import PersonIndex
from quanmin.records.context import DELETED, ROW, Context
from quanmin.records.index import is_keyed, parts_of
from quanmin.records.model import Stored
from quanmin.records.operation import Change
from quanmin.trust.deciding.consent_elements import elements
from quanmin.trust.deciding.consent_reading import (
    AFTER_ALL,
    BEFORE_ALL,
    Code,
    Statement,
    moment_of,
    read_statements,
)
from quanmin.trust.deciding.grantees import ANY, Grantees
from quanmin.trust.deciding.granting import Granting, Grounded, replace_grants

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
_NUMBER: Final = """
    insert into records.sender (code)
    select known.sender from (
        select e.sender from trust.institution_entry e
        where e.organization = $1 or $2 in (e.code, e.sender)
        union all
        select a.sender from trust.actor a where a.sender = $2 and $2 <> '' and a.is_active
    ) known limit 1
    on conflict do nothing
"""


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
        earlier = [change.rid for change in changes if change.version > 1]
        await self.project(connection, changes, earlier)

    async def project(
        self, connection: Connection, changes: Sequence[Change], earlier: Sequence[int]
    ) -> None:
        """What these versions grant holds, and nothing of what the records `earlier` granted."""
        grounded = []
        for change in changes:
            grants = await self.said(connection, change)
            if grants and change.patient is not None:
                grounded.append(Grounded(change.rid, change.patient, tuple(grants)))
        now = max(change.updated for change in changes)
        await replace_grants(connection, self._people, earlier, grounded, now)

    async def said(self, connection: Connection, change: Change) -> list[Granting]:
        """What a version of a Consent grants."""
        resource = change.resource
        if resource is None or change.patient is None:
            return []
        moment = moment_of(resource, change.updated, self._context.zone)
        grants: list[Granting] = []
        for said in read_statements(resource, self._context.zone):
            senders = await institutions(connection, self._context, said)
            coded = await codes_meant(connection, self._context, said)
            for grant in self._grants(said, senders, coded, moment):
                grants.append(msgspec.structs.replace(grant, part=len(grants)))
        return grants

    def _grants(
        self,
        said: Statement,
        senders: Sequence[int | str],
        coded: frozenset[Code] | None,
        moment: int,
    ) -> Iterator[Granting]:
        word = _WORDS.get((said.effect, said.is_onward))
        # What is of a kind that is kept apart is closed again once nothing opens it by that kind.
        if word is None or (said.effect == "withdraw" and said.kinds):
            return
        for sender in senders:
            if said.is_partial:
                mark = self._grantees.mark(sender)
                yield Granting(mark, 0, said.since, said.until)
            for purpose in said.purposes or (ANY,):
                for kind in said.kinds or ("",):
                    grantee = self._grantees.named(
                        word, sender, purpose, kind, is_part=said.is_partial
                    )
                    for type_, codes in self._typed(said, coded):
                        yield Granting(
                            *(grantee, type_, said.since, said.until),
                            rank=said.rank(moment),
                            span=_span(said),
                            codes=codes,
                            rids=self._records(said),
                        )

    def _typed(
        self, said: Statement, coded: frozenset[Code] | None
    ) -> list[tuple[int, tuple[tuple[int, int | None], ...] | None]]:
        """The types that a statement is about, and for each the keys by which its codes are found
        in records of it.
        """
        types = self._context.table.types
        if coded is None:
            return [(types[name].number, None) for name in said.types or ()] or [(0, None)]
        wanted = elements().codes.keys()
        return [
            (types[name].number, tuple(keys_of(self._context, name, coded)))
            for name in sorted(wanted if said.types is None else wanted & said.types)
        ]

    def _records(self, said: Statement) -> tuple[int, ...] | None:
        if said.records is None:
            return None
        found = (rid_of(self._context, one) for one in said.records)
        return tuple(one for one in found if one is not None)


_WORDS: Final = {
    ("permit", False): "permit",
    ("deny", False): "refuse",
    ("withdraw", False): "withdraw",
    ("permit", True): "onward",
    ("deny", True): "no onward",
}


def _span(said: Statement) -> tuple[int, int] | None:
    span = said.low, said.high
    return None if span == (BEFORE_ALL, AFTER_ALL) else span


def rid_of(context: Context, reference: str) -> int | None:
    """The key of the record at an address of this node; None for any other."""
    type_, _, rest = reference.removeprefix(context.base).partition("/")
    id_ = rest.partition("/")[0]
    return context.rid_of(type_, id_) if id_ else None


def keys_of(
    context: Context, type_: str, coded: Iterable[Code]
) -> Iterator[tuple[int, int | None]]:
    """The keys by which records of a type are found that have one of these codes, and for those
    that are searched by time the narrowed system, None for any.
    """
    definition, keying = context.definition(type_), context.keying
    for param in elements().codes[type_]:
        for name in parts_of(definition, param):
            is_timed = is_keyed(definition, definition.params[name])
            for system, code in sorted(coded, key=str):
                if is_timed or system is None:
                    narrow = None if system is None else keying.narrow(system)
                    yield keying.code(type_, name, code), narrow
                else:
                    yield keying.coded(type_, name, system, code), None


async def codes_meant(
    connection: Connection, context: Context, said: Statement
) -> frozenset[Code] | None:
    """The codes that a statement names, and all below them in code systems that the node has; None
    when it names none.
    """
    if said.codes is None:
        return None
    found = set(said.codes)
    terms = None if context.terms is None else context.terms(connection)
    for system, code in said.codes:
        if terms is not None and system is not None:
            try:
                found |= await terms.descendants(system, code)
            except NotFound:
                continue  # no such code system here: the code means itself
    return frozenset(found)


async def institutions(
    connection: Connection, context: Context, said: Statement
) -> list[int | str]:
    """The institutions that a statement names, by their sender number; those that this node does
    not know are left out.
    """
    meant: set[int] | None = None
    for choice in said.institutions:
        found = [await institution_of(connection, context, one) for one in choice]
        known = {one for one in found if one is not None}
        meant = known if meant is None else meant & known
    return [ANY] if meant is None else sorted(meant)


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
    if known is None:
        # One of the register, or with an account, that has never asked anything has no number yet.
        await connection.execute(_NUMBER, rid, code)
        known = await connection.fetchval(_INSTITUTION, rid, code)
    if known is None and rid is not None:
        organization = await current(connection, context, type_, rid)
        known = None if organization is None else organization.facts.sender
    return None if known is None else int(known)


async def current(
    connection: Connection, context: Context, type_: str, rid: int | None
) -> Stored | None:
    """A record as it is now, whoever may see it; None when there is none."""
    rows = await connection.fetch(_BY_KEY, context.definition(type_).number, rid)
    opened = await context.open(connection, rows)
    return opened[0] if opened else None
