"""Conditions on other records: those that a record refers to (chains), and those that refer to it
(`_has`).

The other end is a search of its own under the same visibility, so that nothing is found by what the
asker may not see. What it finds is put to the near side as keys while there are few. Beyond that,
or where few near records are left in any case, near records are decided as they come: each batch of
them is asked at the other end at once. Either way the cost follows the smaller side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, Protocol

from quanmin.base.problems import Sentence, TooCostly
from quanmin.fhir.query import Chain, Condition, Has, Linkage
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import Link, SearchParameter
from quanmin.records.context import Context
from quanmin.records.index import link_name
from quanmin.records.model import Stored
from quanmin.records.search.arm import Write
from quanmin.records.search.coded import of_walk
from quanmin.records.search.deciding import hits_among, values_of
from quanmin.records.search.key_lists import has_key, keys_arm, patients_term
from quanmin.records.search.linked import is_owner, is_sole_owner, takes
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.selection import Selected
from quanmin.records.search.term import (
    Judge,
    Scope,
    Term,
    Walk,
    among_rids,
    any_rid,
    either,
    is_present,
    never,
)
from quanmin.records.visibility_sql import Bind, of_patients

# So many records of the far end are put to the near side as keys.
KEYS_MAX: Final = 10_000
# So many are decided after decryption for that; it costs a tenth of a millisecond each.
DECIDED_MAX: Final = 2_000
# So many are read for the patients they are of, which are fewer.
READ_MAX: Final = 50_000
# So many by a code alone, since its index tells the patients: a fifth of a microsecond each.
INDEXED_MAX: Final = 200_000
# So many are read all the same where the record must say more: so near records need not be decided.
READ_EASILY: Final = 1_000
# So many records with a code are looked at first. Are they of half as many patients, then so many
# patients have it that near records which do are soon met, and it need not be known who they are.
SEEN_FIRST: Final = 2_000
# So many patients are put to the near side, where each row that is met is looked up among them.
PATIENTS_MAX: Final = 50_000


class Select(Protocol):
    """Makes the search at the other end of a reference ready, under the asker's visibility: in
    parts, none of which has a record of another.
    """

    def __call__(
        self,
        type_: str,
        condition: Condition,
        among: Write | None = None,
        *,
        is_few: bool = False,
    ) -> Awaitable[tuple[Selected, ...]]:
        """Among all records of the type, or those for which `among` holds of the row `r`; `is_few`
        says that they are no more than the near records that are being decided.
        """


async def link_term(
    reader: Reader, scope: Scope, link: Linkage, select: Select, *, is_driven: bool
) -> Term:
    """The condition made ready; `is_driven` says that other conditions leave few near records."""
    return await _linked(reader, scope, link, select).term(is_driven=is_driven)


def link_judge(reader: Reader, scope: Scope, link: Linkage, select: Select) -> Judge:
    """Decides records by the condition, however many there are at its end."""
    return _linked(reader, scope, link, select)


def _linked(reader: Reader, scope: Scope, link: Linkage, select: Select) -> _Referred | _Referring:
    if isinstance(link, Has):
        return _Referring(reader, scope, link, select)
    return _Referred(reader, scope, link, select)


class _Referred:
    """A chain: the far end is what the record refers to."""

    def __init__(self, reader: Reader, scope: Scope, chain: Chain, select: Select) -> None:
        self._reader = reader
        self._scope = scope
        self._context = scope.context
        self._chain = chain
        self._select = select

    async def term(self, *, is_driven: bool) -> Term:
        """See `link_term`."""
        rids = None if is_driven else await self._all()
        if rids is None:
            row = is_present(self._scope, self._chain.param.name)
            return Term((), row=row, is_exact=False, judges=(self,))
        if not rids:
            return Term((), row=never, drives=True)
        definition, param = self._scope.definitions[0], self._chain.param
        ends = {end.type for end in self._chain.ends}
        keys = set(_keys(self._context, definition, param, rids).values())
        if ends == {"Patient"} and is_owner(definition, param):
            refers = None if is_sole_owner(definition, param) else has_key("refs", keys)
            return patients_term(definition.number, (), rids, refers)
        arm = keys_arm(definition.number, "refs", keys)
        return Term((), found=(arm,), probe=has_key("refs", keys))

    async def meeting(self, stored: Sequence[Stored]) -> set[int]:
        """Those of the records, by key, that refer to one for which the condition holds."""
        targets: dict[str, dict[int, set[int]]] = {}
        for one in stored:
            for type_, rid in self._targets(one):
                targets.setdefault(type_, {}).setdefault(rid, set()).add(one.rid)
        found: set[int] = set()
        for end in self._chain.ends:
            by_target = targets.get(end.type)
            if by_target:
                among = any_rid(set(by_target))
                for selected in await self._select(end.type, end.condition, among, is_few=True):
                    rows = await selected.all(self._reader, len(by_target))
                    for rid in await _decided(self._reader, self._context, selected, rows):
                        found |= by_target[rid]
        return found

    def _targets(self, stored: Stored) -> Iterable[tuple[str, int]]:
        return [
            (type_, rid)
            for type_, rid in _links_of(self._context, stored, self._chain.param)
            if takes(self._chain.param, type_)
        ]

    async def _all(self) -> set[int] | None:
        """Everything at the far ends for which the condition holds; None when it is too much."""
        found: set[int] = set()
        for end in self._chain.ends:
            if not takes(self._chain.param, end.type):
                continue
            for selected in await self._select(end.type, end.condition):
                rids = await _few(self._reader, self._context, selected)
                if rids is None or len(found) + len(rids) > KEYS_MAX:
                    return None
                found.update(rids)
        return found


class _Referring:
    """`_has`: the far end is what refers to the record."""

    def __init__(self, reader: Reader, scope: Scope, has: Has, select: Select) -> None:
        self._reader = reader
        self._scope = scope
        self._context = scope.context
        self._near = scope.definitions[0].name
        self._param = has.param
        self._condition = has.condition
        self._select = select
        self._source = scope.context.definition(has.param.type)
        self._is_owner = self._near == "Patient" and is_owner(self._source, has.param)
        # Whether what is found is referred to indeed, and not another patient of the same record.
        self._is_certain = True
        # The codes by whose index the database looks up near records itself.
        self._coded: list[Walk] = []

    async def term(self, *, is_driven: bool) -> Term:
        """See `link_term`."""
        if not takes(self._param, self._near):
            return Term((), row=never, drives=True)
        rids = None if is_driven else await self._all()
        if rids is None:
            return Term((), is_exact=False, judges=(self,))
        is_few = not self._coded and len(rids) <= DECIDED_MAX
        ways = [_of_coded(walk) for walk in self._coded]
        if rids or not ways:
            ways.append(any_rid(rids) if is_few else among_rids(rids))
        return Term(
            (),
            row=either(*ways),
            is_exact=self._is_certain,
            drives=is_few,
            judges=() if self._is_certain else (self,),
        )

    async def meeting(self, stored: Sequence[Stored]) -> set[int]:
        """Those of the records, by key, to which one refers for which the condition holds."""
        rids = {one.rid for one in stored}
        keys = _keys(self._context, self._source, self._param, rids)
        found: set[int] = set()
        for selected in await self._among(keys):
            if not selected.undecided and not selected.judges:
                return await self._pointed_at(keys)
            found |= await self._decided(selected)
        return found & rids

    async def _decided(self, selected: Selected) -> set[int]:
        limit = self._context.limits.sort_rows_max
        rows = await selected.all(self._reader, limit + 1)
        if len(rows) > limit:
            raise TooCostly(
                Sentence(
                    "more than %(limit)s records that refer to a few others would have to be"
                    " decided one by one: narrow the search, or what _has:%(name)s asks for",
                    limit=limit,
                    name=self._source.name,
                )
            )
        return await self._targets(selected, rows)

    async def _among(self, keys: dict[int, int]) -> tuple[Selected, ...]:
        among = set(keys.values())
        if not self._is_owner:
            arm = keys_arm(self._source.number, "refs", among)
            return await self._select(
                self._source.name,
                self._condition,
                lambda bind: f"r.rid = any(array({arm.whole(bind)}))",
            )
        patients, refers = sorted(keys), has_key("refs", among)

        def owned(bind: Bind) -> str:
            return f"({of_patients('r', patients, bind)} and {refers(bind)})"

        return await self._select(self._source.name, self._condition, owned)

    async def _pointed_at(self, keys: dict[int, int]) -> set[int]:
        """Ask for one record that refers to each: a near record may have a million of them."""
        place = "r.refs @> array[n.key]"
        if self._is_owner:
            # By patient there is a B-tree; the key tells one reference to the patient from another.
            place = f"r.patient = n.rid and (case when {place} then true else false end)"
        parts = await self._select(self._source.name, self._condition, lambda _: place)
        statement = Statement()
        rids, values = statement.bind(list(keys)), statement.bind(list(keys.values()))
        there = [
            f"(select true from records.record r where {' and '.join(conditions)} limit 1)"
            for conditions in ([one(statement.bind) for one in part.reading] for part in parts)
        ]
        rows = await self._reader.rows(
            f"select n.rid from unnest({rids}::bigint[], {values}::bigint[]) as n (rid, key)"
            f" where {' or '.join(there)}",
            statement,
        )
        return {row["rid"] for row in rows}

    async def _all(self) -> set[int] | None:
        """Everything that is referred to so; None when too much refers."""
        found: set[int] = set()
        for selected in await self._select(self._source.name, self._condition):
            rids = await self._all_of(selected)
            if rids is None:
                return None
            found |= rids
        return found

    async def _all_of(self, selected: Selected) -> set[int] | None:
        is_plain = not selected.uncounted and not selected.judges
        if is_plain and self._is_owner:
            return await self._patients(selected)
        rows = await selected.all(self._reader, DECIDED_MAX + 1)
        return None if len(rows) > DECIDED_MAX else await self._targets(selected, rows)

    async def _patients(self, selected: Selected) -> set[int] | None:
        """The patients of the records, which no body must be opened for; none where `_coded` tells
        of them.
        """
        is_sole = is_sole_owner(self._source, self._param)
        # Those of hidden records are found too, and decided against when they are met.
        walk = selected.only_walk if is_sole else selected.around
        limit = READ_MAX if walk is None else INDEXED_MAX
        # What is more than is read is not begun: for very many a plan would prepare all of them.
        expected = await selected.estimate(self._reader)
        if expected > limit:
            return None
        if walk is not None and (is_sole or expected > READ_EASILY):
            self._is_certain = self._is_certain and is_sole
            number, patients = await selected.patients(self._reader, SEEN_FIRST)
            if number == SEEN_FIRST and len(patients) >= SEEN_FIRST // 2:
                self._coded.append(walk)
                return set()
            if number == SEEN_FIRST:
                number, patients = await selected.patients(self._reader, limit + 1)
            return None if number > limit or len(patients) > PATIENTS_MAX else patients
        if is_sole:
            number, patients = await selected.values(self._reader, "r.patient", READ_MAX + 1)
            return None if number > READ_MAX or len(patients) > KEYS_MAX else patients
        # The row's patient may come from another element, where this one points at none, or at
        # somebody elsewhere: the reference itself must be there.
        number, rows = await selected.references(self._reader, READ_MAX + 1)
        if number > READ_MAX:
            return None
        keys = _keys(self._context, self._source, self._param, {rid for rid, _ in rows})
        found = {rid for rid, refs in rows if keys[rid] in refs}
        return None if len(found) > KEYS_MAX else found

    async def _targets(self, selected: Selected, rows: Sequence[object]) -> set[int]:
        found: set[int] = set()
        opened = await self._reader.open(rows)
        asked = (selected.undecided, selected.judges)
        for one in await hits_among(opened, *asked, self._context):
            links = _links_of(self._context, one, self._param)
            found.update(rid for type_, rid in links if type_ == self._near)
        return found


def _of_coded(walk: Walk) -> Write:
    """The row is a patient with a record that the index on codes has for the walk. The patients are
    read once, and each row that is met is looked up among them.
    """

    def write(bind: Bind) -> str:
        where = of_walk(walk, bind)
        patients = f"select s.patient from records.keyed s where {where} and s.patient is not null"
        return f"(r.rid in ({patients})) is true"

    return write


async def _few(reader: Reader, context: Context, selected: Selected) -> set[int] | None:
    """The keys of all records selected; None when they are many."""
    if not selected.uncounted and not selected.judges:
        number, rids = await selected.values(reader, "r.rid", KEYS_MAX + 1)
        return None if number > KEYS_MAX else rids
    rows = await selected.all(reader, DECIDED_MAX + 1)
    if len(rows) > DECIDED_MAX:
        return None
    return set(await _decided(reader, context, selected, rows))


async def _decided(
    reader: Reader, context: Context, selected: Selected, rows: Sequence[object]
) -> list[int]:
    """The keys of those rows that are what is selected."""
    if not selected.undecided and not selected.judges:
        return [row["rid"] for row in rows]  # type: ignore[index]  # a row of the database
    opened = await reader.open(rows)
    hits = await hits_among(opened, selected.undecided, selected.judges, context)
    return [one.rid for one in hits]


def _keys(
    context: Context, definition: TypeDefinition, param: SearchParameter, rids: Iterable[int]
) -> dict[int, int]:
    """For each record the key of a reference to it."""
    link = link_name(definition.name, param.name)
    return {rid: context.keying.reference(definition.name, link, rid) for rid in rids}


def _links_of(
    context: Context, stored: Stored, param: SearchParameter
) -> Iterable[tuple[str, int]]:
    """What a record refers to by a parameter: types and record keys."""
    for link in values_of(stored, context, (param,)).get(param.name, []):
        if isinstance(link, Link) and link.type is not None and link.id is not None:
            rid = context.rid_of(link.type, link.id)
            if rid is not None:
                yield link.type, rid
