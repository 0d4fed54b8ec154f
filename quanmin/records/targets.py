"""Which records a set of operations concerns: criteria matched, references resolved, new records
numbered.

Locks are taken in one order everywhere (criteria, then records by key, then buckets by number), so
that writers wait for each other instead of deadlocking; what still collides is tried again from the
beginning.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import (
    Forbidden,
    Gone,
    Invalid,
    Issue,
    Malformed,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Sentence,
)
from quanmin.fhir.addresses import localized_query
from quanmin.fhir.custom import indexed_values
from quanmin.fhir.extraction import index_values
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import FromBase, conditional_references, decode, unresolved_references
from quanmin.fhir.query import OF_TERMS, Clause, Query
from quanmin.fhir.table import TypeDefinition
from quanmin.records.codec import ERASED
from quanmin.records.compartment import patient_in
from quanmin.records.context import DELETED, ROW, Context
from quanmin.records.draft import Current
from quanmin.records.model import Outcome, Stored
from quanmin.records.numbers import Numbers
from quanmin.records.operation import Operation, Sender
from quanmin.records.reading import seen
from quanmin.records.rid import assign, bucket_of, id_of, is_assigned
from quanmin.records.search import search
from quanmin.records.search.deciding import Values, are_met
from quanmin.records.search.reader import Statement
from quanmin.records.visibility import Both, OfSender, Visibility
from quanmin.records.visibility_sql import visibility_sql

_ABSOLUTE = re.compile(r"(https?://.+/)[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}\Z")

_NOT_THERE = Sentence("If-Match asks for a record that is there, and there is none")
_UNRESOLVED = Sentence(
    "no entry of the transaction has this fullUrl: add the entry, or refer to a record of"
    " this node by Type/id or Type?identifier=..."
)


class Target(msgspec.Struct):
    """The record an operation turns out to concern; `settled` or `is_nothing` when there is nothing
    left to write.

    `is_taken` says that a record which the sender may not know of has the id they chose. `names`
    are what the bundle calls it: a full URL, conditional references.
    """

    operation: Operation
    definition: TypeDefinition
    rid: int = 0
    id: str = ""
    bucket: int = -1
    current: Current | None = None
    settled: Outcome | None = None
    is_nothing: bool = False
    is_taken: bool = False
    names: list[str] = []

    @property
    def base(self) -> str:
        """The address of the server that the record comes from, "" when its full URL tells none."""
        found = _ABSOLUTE.match(self.operation.full_url or "")
        return found[1] if found else ""

    @property
    def is_open(self) -> bool:
        """Whether something is left to write."""
        return self.settled is None and not self.is_nothing


class _Written:
    """What a transaction writes, as it will be, asked by criteria."""

    def __init__(self, context: Context, targets: Sequence[Target]) -> None:
        self._context = context
        self._by_type: dict[str, list[Target]] = {}
        for target in targets:
            # What a patch will make is not known yet: until then the record counts as it is.
            if target.is_open and target.operation.patch is None:
                self._by_type.setdefault(target.definition.name, []).append(target)
        self._values: dict[str, list[tuple[Target, Values]]] = {}

    def rids(self, query: Query) -> set[int]:
        """The records that it changes or deletes, by key."""
        return {target.rid for target in self._by_type.get(query.type or "", ()) if target.rid}

    def meeting(self, query: Query) -> list[Target]:
        """Those of its records that meet the criteria."""
        type_ = query.type or ""
        if type_ not in self._values:
            self._values[type_] = [
                (target, self._found(target))
                for target in self._by_type.get(type_, ())
                if target.operation.body is not None
            ]
        clauses = localized_query(query, self._context.base).clauses
        return [target for target, values in self._values[type_] if are_met(clauses, values)]

    def _found(self, target: Target) -> Values:
        try:
            resource = decode(target.operation.body or b"")
        except Malformed:
            return {}  # validation will say what is wrong with it
        resource["id"] = target.id or None
        found = index_values(
            target.definition.name, resource, self._context.zone, base=self._context.base
        )
        customs = self._context.catalogue.customs.get(target.definition.name, ())
        found += indexed_values(customs, resource, self._context.zone, base=self._context.base)
        return {param.name: values for param, values in found}


class Targets:
    """Resolves operations of one sender inside the caller's transaction.

    `mapping` afterwards says what the references in the bodies stand for: full URLs and conditional
    references.
    """

    def __init__(
        self, context: Context, connection: Connection, sender: Sender, numbers: Numbers
    ) -> None:
        self._context = context
        self._connection = connection
        self._sender = sender
        self._numbers = numbers
        self.mapping: dict[str, str] = {}

    async def resolve(self, operations: Sequence[Operation]) -> list[Target]:
        """One target for each operation, its current version locked. Raises the Problem that stops
        them all.
        """
        await self._claim_criteria([op for op in operations if op.criteria is not None])
        targets = [await self._match(operation) for operation in operations]
        for target in targets:
            self._name(target)
        await self._resolve_references(targets)
        await self._number([target for target in targets if target.is_open and not target.rid])
        _refuse_repetition(targets)
        await self._lock([target for target in targets if target.is_open])
        return targets

    async def _claim_criteria(self, operations: Sequence[Operation]) -> None:
        """Two racing writers with the same criteria meet here; the second then finds what the first
        made.
        """
        claims = sorted(_claim(self._sender.number, operation) for operation in operations)
        if len(set(claims)) < len(claims):
            raise Invalid(
                "two entries of a transaction have the same conditional criteria: send one of them"
            )
        for claim in claims:
            await self._connection.execute("select pg_advisory_xact_lock($1)", claim)

    async def _match(self, operation: Operation) -> Target:
        target = Target(operation, self._context.definition(operation.type), id=operation.id or "")
        if operation.criteria is None:
            return target
        if not (
            operation.criteria.clauses or operation.criteria.links or operation.criteria.filters
        ):
            raise Invalid(
                Sentence(
                    "the criteria for %(type)s name no search parameter: they would match every"
                    " record of yours",
                    type=operation.type,
                )
            )
        matches = await self._own(operation.criteria)
        if len(matches) > 1:
            raise PreconditionFailed(
                Sentence(
                    "the criteria for %(type)s match more than one of your records: narrow them",
                    type=operation.type,
                )
            )
        if not matches:
            target.is_nothing = operation.kind == "delete"
            if target.is_nothing and operation.if_match is not None:
                raise PreconditionFailed(_NOT_THERE)
            if operation.kind == "patch":
                raise NotFound(
                    Sentence(
                        "no %(type)s of yours meets the criteria of the patch", type=operation.type
                    )
                )
            return target
        if operation.kind == "create":
            target.settled = Outcome(matches[0], unchanged=True)
        if target.id and target.id != matches[0].id:
            raise Invalid(
                "the resource's id is not that of the record its criteria match: leave the id out"
            )
        target.rid, target.id = matches[0].rid, matches[0].id
        return target

    async def _own(self, criteria: Query, count: int = 2) -> tuple[Stored, ...]:
        if criteria.links or criteria.filters or any(map(_is_of_more, criteria.clauses)):
            raise NotSupported(
                "conditional criteria look at the record itself: leave out what is asked of others"
                " (chains, _has, _list, :above and :below), _filter, composites, and what a"
                " terminology tells"
            )
        # Among the sender's own records only: a condition must not tell what others have.
        own = Both((OfSender(frozenset({self._sender.number})), self._sender.sought))
        few = msgspec.structs.replace(criteria, count=count, sort=(), total="none")
        return (await search(self._connection, self._context, few, own)).matches

    async def _resolve_references(self, targets: Sequence[Target]) -> None:
        bodies = [target.operation.body for target in targets]
        texts = sorted({t for body in bodies if body for t in conditional_references(body)})
        if not texts:
            return
        written = _Written(self._context, targets)
        for text in texts:
            type_, _, terms = text.partition("?")
            query = parse_query(
                type_,
                parse_qsl(terms, keep_blank_values=True),
                strict=True,
                zone=self._context.zone,
                limits=self._context.query_limits,
                table=self._context.table,
            )
            await self._resolve_reference(text, query, written)

    async def _resolve_reference(self, text: str, query: Query, written: _Written) -> None:
        """Conditional references come after the writes (R4 http.html 3.1.0.11.2, step 5): what the
        transaction writes counts as it will be, and what it replaces no more.
        """
        if not (query.clauses or query.links or query.filters):
            raise Invalid(
                Sentence(
                    "a conditional reference to %(type)s names no search parameter", type=query.type
                )
            )
        replaced = written.rids(query)
        here = written.meeting(query)
        there = [
            stored
            for stored in await self._own(query, 2 + len(replaced))
            if stored.rid not in replaced
        ]
        if len(here) + len(there) != 1:
            found = (
                Sentence("more than one of your records")
                if here or there
                else Sentence("none of your records")
            )
            raise PreconditionFailed(
                Sentence(
                    "a conditional reference to %(type)s matches %(found)s: send that record"
                    " first, or refer to it by its id",
                    type=query.type,
                    found=found,
                )
            )
        if there:
            self.mapping[text] = f"{there[0].type}/{there[0].id}"
            return
        here[0].names.append(text)
        self._tell(here[0])

    def _name(self, target: Target) -> None:
        """Give the target its record key where its id is known already."""
        if target.id and not target.rid:
            rid = self._context.rid_of(target.definition.name, target.id)
            if rid is None:
                raise Invalid(
                    Sentence(
                        "%(name)s cannot have the id of another type's record",
                        name=target.definition.name,
                    )
                )
            target.rid = rid
        if target.operation.full_url:
            target.names.append(target.operation.full_url)
        self._tell(target)

    def _tell(self, target: Target) -> None:
        """What others call the target stands for it, once it has an id."""
        if target.id:
            local = f"{target.definition.name}/{target.id}"
            self.mapping.update(dict.fromkeys(target.names, local))

    async def _number(self, fresh: list[Target]) -> None:
        numbers = await self._numbers.take(self._connection, self._sender.number, len(fresh))
        # Patients first: a new record lives in the bucket of its source Patient, which must have
        # its key by then.
        fresh.sort(key=lambda target: target.definition.name != "Patient")
        for target, number in zip(fresh, numbers, strict=True):
            name = target.definition.name
            patient = self._patient(target) if name != "Patient" else None
            target.bucket = _spread(number) if patient is None else bucket_of(patient)
            target.rid = assign(number, target.bucket, target.definition.number)
            target.id = id_of(target.rid, self._context.prefix)
            self._tell(target)

    def _patient(self, target: Target) -> int | None:
        body = target.operation.body
        if body is None:
            return None
        base = target.base
        mapping = FromBase(self.mapping, base) if base else self.mapping
        return patient_in(self._context, target.definition, body, mapping)

    async def _lock(self, targets: Sequence[Target]) -> None:
        """Lock the current versions and say for each whether the operation may go on."""
        known = sorted((t for t in targets if t.bucket < 0), key=lambda target: target.rid)
        there = await self._current(known) if known else {}
        for target in known:
            target.current = there.get(target.rid)
        await self._place([target for target in known if target.current is None])
        for target in known:
            if target.current is not None:
                target.bucket = target.current.bucket
                await self._refuse_unchangeable(target.operation, target.current)
        for target in targets:
            _check_conditions(target)

    async def _place(self, missing: Sequence[Target]) -> None:
        """Claim ids of the sender's choosing for records that are not there yet."""
        chosen = [target for target in missing if self._is_free_to_choose(target)]
        for target in missing:
            if target.operation.is_brought_back and is_assigned(target.rid):
                target.bucket = bucket_of(target.rid)
        for target in chosen:
            patient = self._patient(target)
            target.bucket = bucket_of(target.rid if patient is None else patient)
        if not chosen:
            return
        rows = await self._connection.fetch(
            "insert into records.place (home, rid, bucket)"
            " select * from unnest($1::smallint[], $2::bigint[], $3::smallint[])"
            " on conflict do nothing returning rid",
            [bucket_of(target.rid) for target in chosen],
            [target.rid for target in chosen],
            [target.bucket for target in chosen],
        )
        claimed = {row["rid"] for row in rows}
        lost = [target for target in chosen if target.rid not in claimed]
        if lost:  # another writer has just made them, or others have them
            there = await self._current(lost)
            for target in lost:
                target.current = there.get(target.rid)
                target.is_taken = target.current is None

    def _is_free_to_choose(self, target: Target) -> bool:
        if target.operation.kind != "update":
            return False
        if is_assigned(target.rid):
            if target.operation.is_brought_back:
                return False
            raise Invalid(
                Sentence(
                    "ids that begin with %(prefix)r in this form are given by this node and"
                    " there is no such record: choose another id, or create without one",
                    prefix=self._context.prefix,
                )
            )
        return True

    async def _refuse_unchangeable(self, operation: Operation, current: Current) -> None:
        changeable = self._sender.may(operation.kind)
        stored = current.stored
        if await seen(self._connection, changeable, stored.facts, stored.rid) is None:
            raise Forbidden("the record is not yours to change: you may only read it")

    async def _current(self, targets: Sequence[Target]) -> dict[int, Current]:
        """What is there, locked. Others' records that the sender may not read are neither locked
        nor opened: either would take a time that tells of them.
        """
        statement = Statement()
        types = statement.bind([target.definition.number for target in targets])
        rids = statement.bind([target.rid for target in targets])
        seen = visibility_sql(self._sender.readable, statement.bind, "r")
        # `is true` keeps the planner from fetching all that a small sender has by its index, and
        # the types, said once more, from planning for the tables of all others.
        rows = await self._connection.fetch(
            f"""
            select {ROW}, r.bucket
            from unnest({types}::smallint[], {rids}::bigint[]) as t (type, rid)
            join records.record r on r.type = t.type and r.rid = t.rid
            where r.type = any({types}::smallint[]) and ({seen}) is true
            order by r.rid for update of r
            """,
            *statement.arguments,
        )
        opened = {one.rid: one for one in await self._context.open(self._connection, rows)}
        erased = {row["rid"] for row in rows} - opened.keys()
        if erased:
            named = [t.operation.position for t in targets if t.rid in erased]
            raise Gone(ERASED, issues=gone_issues(named))
        return {
            row["rid"]: Current(opened[row["rid"]], row["bucket"], row["flags"]) for row in rows
        }


async def beyond_reach(
    connection: Connection, context: Context, writable: Visibility, operations: Sequence[Operation]
) -> list[tuple[int, int | None]]:
    """The records that operations name by id and that are not the sender's to change, for the
    access log alone: key and source Patient of each. One statement, whatever is there.
    """
    named = [(op.type, context.rid_of(op.type, op.id)) for op in operations if op.id]
    keyed = [(context.definition(type_).number, rid) for type_, rid in named if rid is not None]
    if not keyed:
        return []
    statement = Statement()
    types = statement.bind([number for number, _ in keyed])
    rids = statement.bind([rid for _, rid in keyed])
    changeable = visibility_sql(writable, statement.bind, "r")
    rows = await connection.fetch(
        f"""
        select r.rid, r.patient
        from unnest({types}::smallint[], {rids}::bigint[]) as t (type, rid)
        join records.record r on r.type = t.type and r.rid = t.rid
        where r.type = any({types}::smallint[]) and ({changeable}) is not true
        """,
        *statement.arguments,
    )
    return [(row["rid"], row["patient"]) for row in rows]


def unresolved_issues(body: bytes) -> list[Issue]:
    """An entry's URN means something within its bundle only (R4 bundle.html#references)."""
    return [Issue("error", "not-found", _UNRESOLVED, at) for at in unresolved_references(body)]


def gone_issues(positions: Iterable[int | None]) -> tuple[Issue, ...]:
    """One issue for each entry, by its place in the bundle, that is about an erased person."""
    return tuple(
        Issue("error", Gone.code, ERASED, "" if place is None else f"Bundle.entry[{place}]")
        for place in positions
    )


def _check_conditions(target: Target) -> None:
    operation, current = target.operation, target.current
    is_there = current is not None and not current.flags & DELETED
    if operation.if_match is not None:
        if current is None or not is_there:
            raise PreconditionFailed(_NOT_THERE)
        if operation.if_match not in {"*", current.stored.version}:
            raise PreconditionFailed(
                Sentence(
                    "If-Match names version %(if_match)s, the record is at version %(version)s:"
                    " read it again and repeat your change",
                    if_match=operation.if_match,
                    version=current.stored.version,
                )
            )
    if operation.if_none_match and is_there:
        raise PreconditionFailed(
            "If-None-Match: * asks that there be no such record, and there is one"
        )
    if operation.kind == "patch" and current is None:
        raise NotFound(Sentence("there is no %(type)s with this id to patch", type=operation.type))
    if operation.kind == "patch" and not is_there:
        raise Gone(
            Sentence(
                "this %(type)s has been deleted: nothing is left to patch", type=operation.type
            )
        )
    if operation.kind == "delete" and not is_there:
        target.is_nothing = True


def _is_of_more(clause: Clause) -> bool:
    """Whether the values of single parameters do not tell if a clause holds."""
    is_of_more = clause.param.kind == "composite" or clause.param.name == "_list"
    return is_of_more or clause.modifier in OF_TERMS


def _claim(sender: int, operation: Operation) -> int:
    query = operation.criteria
    pairs = sorted(query.pairs) if query is not None else []
    text = f"{sender}\x00{operation.type}\x00{pairs!r}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _refuse_repetition(targets: Sequence[Target]) -> None:
    seen: set[int] = set()
    for target in targets:
        if target.rid and target.rid in seen:
            raise Invalid(
                Sentence(
                    "the transaction names %(name)s with the same identity twice: an entry may"
                    " change a record once",
                    name=target.definition.name,
                )
            )
        seen.add(target.rid)


def _spread(number: int) -> int:
    """A bucket for a record of its own; consecutive numbers land far apart."""
    return number * 0x9E3779B1 >> 12 & 1023
