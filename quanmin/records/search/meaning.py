"""What clauses mean that name not what a record holds but what others say of it: codes by a
terminology, records by what they are parts of, and by the List that they are in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from quanmin.base.problems import Sentence, TooCostly
from quanmin.fhir.addresses import localized
from quanmin.fhir.extraction import index_values
from quanmin.fhir.hierarchies import parents, types_with_parts
from quanmin.fhir.json import Json, decode
from quanmin.fhir.query import (
    AllOf,
    AnyOf,
    Clause,
    Condition,
    Filtering,
    Not,
    ReferenceOperand,
    Tested,
    TokenOperand,
)
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import Link, SearchParameter
from quanmin.records.context import ROW, Context
from quanmin.records.index import link_name
from quanmin.records.model import Stored
from quanmin.records.rid import id_of
from quanmin.records.search.concepts import in_codes
from quanmin.records.search.deciding import values_of
from quanmin.records.search.linked import takes
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.simplifying import seen_of_type
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql

Named = tuple[str, str]
"""The type and the id of a record."""


class Meaning:
    """Tells it as one asker may know it: by the records that they may see."""

    def __init__(self, reader: Reader, context: Context, visibility: Visibility) -> None:
        self._reader = reader
        self._context = context
        self._visibility = visibility

    async def of_all(
        self, definition: TypeDefinition, clauses: Iterable[Clause]
    ) -> tuple[Clause, ...]:
        """The clauses on records of a type, with what they mean.

        Raises NotSupported where the node has no terminology, TooCostly for what means too much.
        """
        told = [await self._of(definition, clause) for clause in clauses]
        return await in_codes(self._reader, told)

    async def of_filter(self, definition: TypeDefinition, filtering: Filtering) -> Filtering:
        """A filter with what its clauses mean; what it asks of other records is told where they
        are searched.
        """
        match filtering:
            case AllOf(parts):
                return AllOf(tuple([await self._part(definition, part) for part in parts]))
            case AnyOf(parts):
                return AnyOf(tuple([await self._part(definition, part) for part in parts]))
            case Not(part):
                return Not(await self._part(definition, part))
            case Tested():
                return filtering

    async def _part(self, definition: TypeDefinition, condition: Condition) -> Condition:
        if isinstance(condition, Clause):
            return (await self.of_all(definition, [condition]))[0]
        if isinstance(condition, Filtering):
            return await self.of_filter(definition, condition)
        return condition

    async def _of(self, definition: TypeDefinition, clause: Clause) -> Clause:
        if clause.param.name == "_list":
            return await self._in_lists(definition, clause)
        is_hierarchical = clause.param.kind == "reference" and clause.modifier in {"above", "below"}
        return await self._in_hierarchy(clause) if is_hierarchical else clause

    # ---- lists -----------------------------------------------------------------------------------

    async def _in_lists(self, definition: TypeDefinition, clause: Clause) -> Clause:
        """Records by the ids that the Lists name; one that is not there or not seen names none."""
        named = {
            operand.id
            for operand in clause.operands
            if isinstance(operand, ReferenceOperand) and operand.id is not None
        }
        members = await self._members(sorted(named))
        ids = dict.fromkeys(id_ for type_, id_ in members if type_ == definition.name)
        return Clause(definition.params["_id"], None, tuple(TokenOperand(None, one) for one in ids))

    async def _members(self, lists: Sequence[str]) -> list[Named]:
        key = ("members", *lists)
        known = self._reader.meant.get(key)
        if known is None:
            rids = (self._context.rid_of("List", id_) for id_ in lists)
            known = [
                (link.type, link.id)
                for stored in await self._read("List", {rid for rid in rids if rid is not None})
                for link in self._entries(stored)
                if link.type is not None and link.id is not None
            ]
            self._reader.meant[key] = known
        return known

    def _entries(self, stored: Stored) -> list[Link]:
        """What a List holds; an entry that is marked as deleted is no more in it."""
        body: dict[str, Json] = decode(stored.body or b"{}")
        entries = body.get("entry")
        kept: Json = [
            entry
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and entry.get("deleted") is not True
        ]
        others = frozenset(self._context.definition("List").params) - {"item"}
        resource: dict[str, Json] = {"resourceType": "List", "entry": kept}
        found = index_values("List", resource, self._context.zone, others)
        values = localized([value for _, each in found for value in each], self._context.base)
        return [value for value in values if isinstance(value, Link)]

    # ---- hierarchies -----------------------------------------------------------------------------

    async def _in_hierarchy(self, clause: Clause) -> Clause:
        found: dict[ReferenceOperand, None] = {}
        is_below = clause.modifier == "below"
        for operand in clause.operands:
            if not isinstance(operand, ReferenceOperand):
                continue
            if operand.id is None:
                found[operand] = None
                continue
            types = types_with_parts(clause.param) if operand.type is None else (operand.type,)
            for type_ in types:
                if takes(clause.param, type_):
                    family = await self._family(type_, operand.id, is_below=is_below)
                    found |= dict.fromkeys(ReferenceOperand(*named) for named in family)
        # What is left of the modifier is about the versions of canonicals.
        is_versioned = any(operand.url is not None for operand in found)
        modifier = clause.modifier if is_versioned else None
        return msgspec.structs.replace(clause, modifier=modifier, operands=tuple(found))

    async def _family(self, type_: str, id_: str, *, is_below: bool) -> list[Named]:
        """A record, and what it is a part of, or with `is_below` what are its parts."""
        key = ("parts" if is_below else "wholes", type_, id_)
        known = self._reader.meant.get(key)
        if known is None:
            rid = self._context.rid_of(type_, id_)
            known = [(type_, id_)]
            if rid is not None:
                known += await (self._below if is_below else self._above)(type_, rid)
            self._reader.meant[key] = known
        return known

    async def _below(self, type_: str, top: int) -> list[Named]:
        """The visible records that are parts of a record, and their parts."""
        definition, param = self._context.definition(type_), parents()[type_]
        keying, name = self._context.keying, link_name(type_, param.name)
        seen, fresh, found = {top}, {top}, list[Named]()
        for _ in range(self._context.limits.hierarchy_depth_max):
            keys = sorted(keying.reference(type_, name, rid) for rid in fresh)
            statement = Statement()
            bind, limit = statement.bind, self._room(found)
            # Key by key, as each has few: for many at once the planner would read the table.
            rows = await self._reader.rows(
                f"select f.* from unnest({bind(keys)}::bigint[]) as w (key) cross join lateral"
                f" (select {ROW} from records.record r where r.refs @> array[w.key]"
                f" and {self._conditions(definition, statement)} limit {bind(limit)}::bigint) f"
                f" limit {bind(limit)}::bigint",
                statement,
            )
            new = {row["rid"]: row for row in rows if row["rid"] not in seen}
            if not new:
                return found
            fresh = set(new)
            seen |= fresh
            found += await self._named(type_, list(new.values()))
            self._check(type_, found)
        raise self._too_deep(type_)

    async def _above(self, type_: str, start: int) -> list[Named]:
        """What a record is a part of, and what that is a part of, as far as it is seen."""
        param = parents()[type_]
        seen, fresh, found = {start}, {start}, list[Named]()
        for _ in range(self._context.limits.hierarchy_depth_max):
            named = {
                (type_, id_): rid
                for stored in await self._read(type_, fresh)
                for id_, rid in self._parents(stored, param)
            }
            new = {one: rid for one, rid in named.items() if rid not in seen}
            if not new:
                return found
            fresh = set(new.values())
            seen |= fresh
            found += new
            self._check(type_, found)
        raise self._too_deep(type_)

    def _parents(self, stored: Stored, param: SearchParameter) -> list[tuple[str, int]]:
        found = []
        for link in values_of(stored, self._context, (param,)).get(param.name, []):
            if isinstance(link, Link) and link.type == stored.type and link.id is not None:
                rid = self._context.rid_of(link.type, link.id)
                if rid is not None:
                    found.append((link.id, rid))
        return found

    def _room(self, found: Sequence[Named]) -> int:
        return self._context.limits.hierarchy_rows_max + 2 - len(found)

    def _check(self, type_: str, found: Sequence[Named]) -> None:
        limit = self._context.limits.hierarchy_rows_max
        if len(found) > limit:
            raise TooCostly(
                Sentence(
                    ":above and :below mean more than %(limit)s records of type %(type)s: name"
                    " one that has fewer parts",
                    limit=limit,
                    type=type_,
                )
            )

    def _too_deep(self, type_: str) -> TooCostly:
        limit = self._context.limits.hierarchy_depth_max
        return TooCostly(
            Sentence(
                "parts of %(type)s are within each other more than %(limit)s deep",
                type=type_,
                limit=limit,
            )
        )

    async def _named(self, type_: str, rows: Sequence[object]) -> list[Named]:
        """The rows by id; only of ids that a client chose the bodies must be opened."""
        own = [row["rid"] for row in rows if row["rid"] > 0]  # type: ignore[index]  # a row
        chosen = [row for row in rows if row["rid"] < 0]  # type: ignore[index]  # a row
        ids = [id_of(rid, self._context.prefix) for rid in own]
        ids += [stored.id for stored in await self._reader.open(chosen)]
        return [(type_, id_) for id_ in ids]

    # ---- records ---------------------------------------------------------------------------------

    def _conditions(self, definition: TypeDefinition, statement: Statement) -> str:
        seen = seen_of_type(self._visibility, definition.name)
        return (
            f"r.type = {statement.bind(definition.number)}::smallint and r.flags & 1 <> 1"
            f" and {visibility_sql(seen, statement.bind, 'r')}"
        )

    async def _read(self, type_: str, rids: Iterable[int]) -> list[Stored]:
        statement = Statement()
        conditions = self._conditions(self._context.definition(type_), statement)
        rows = await self._reader.rows(
            f"select {ROW} from records.record r"
            f" where r.rid = any({statement.bind(sorted(rids))}::bigint[]) and {conditions}",
            statement,
        )
        return await self._reader.open(rows)
