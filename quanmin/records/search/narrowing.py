"""Chooses how each clause is asked, by measuring first how many records it concerns.

The planner cannot know how common a code is within thousands of others, and the two good plans are
far apart: what few records have is fetched by record key; what many have is met soon by walking the
wanted order and asking the side index about each row. Counting a side index up to a limit costs
under two milliseconds and settles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Final

import msgspec

from quanmin.fhir.query import Clause
from quanmin.records.search.arm import SAMPLED, Arm, Write, record_arm
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import NOBODY, Judge, Term, Walk, any_rid, both, either
from quanmin.records.visibility_sql import Bind

# Fetched by key and handed back as an array.
FEW: Final = 1_000
# Up to here fetching all by key and sorting them (about 4 µs each) is quicker than walking until a
# slice is full: the two meet at the root of (slice x records), 14 thousand for ten million records.
MANY: Final = 8_000
# So many records of a patient are asked each for a code.
ASKED_MAX: Final = 1_000
# Up to here fetching and sorting all is no dearer than joining along an index.
SORTED_MAX: Final = 100
_WALKED_CODES_MAX = 32
# So many records of one key are counted in a sample.
_SAMPLED_OF_KEY = 64
# So many entries of the index on codes are passed in the time in which one record is fetched.
STEPS: Final = 32
# Deciding a record after decryption costs this many times what fetching its key from a set does.
_DECIDING_COST = 25
# The planner takes values for independent of the code that they are of, and so far too many for it.
_MISTAKEN = 10
# A large slice, as a walk must fill it.
_SHOWN = 50


class Size(msgspec.Struct, frozen=True):
    """How many records a term finds: their keys when few, else a number.

    The number stops above MANY, where the planner's is used.
    """

    rids: frozenset[int] | None
    number: int


class Narrowed(msgspec.Struct, frozen=True):
    """How the clauses are asked: for reading rows, for counting them, and what each leaves open.

    `walk` is the keyed codes by which rows may be walked in time order; `walked` are then the
    conditions on the rows, the walk's own left out, and `is_walk_short` says that it meets no more
    than would be fetched, `is_walk_near` that hardly any that it meets is decided against.
    `only_set` are the subselects of the only clause. `is_empty` says that nothing can be found.
    """

    reading: tuple[Write, ...] = ()
    counting: tuple[Write, ...] = ()
    undecided: tuple[Clause, ...] = ()
    uncounted: tuple[Clause, ...] = ()
    judges: tuple[Judge, ...] = ()
    walk: Walk | None = None
    walked: tuple[Write, ...] = ()
    is_walk_short: bool = False
    is_walk_near: bool = False
    only_set: tuple[Arm, ...] = ()
    only_walk: Walk | None = None
    is_empty: bool = False


async def narrow(
    reader: Reader,
    always: Sequence[Write],
    terms: Sequence[Term],
    *,
    is_driven: bool,
    is_open: bool,
    is_met: bool,
    is_timed: bool,
) -> Narrowed:
    """Measure the terms and choose.

    `always` are the conditions that hold whatever the terms. `is_driven` says that they leave few
    records, `is_open` that they leave all of the type, `is_met` that what they leave is met soon
    wherever one looks, `is_timed` that records are wanted in the order of their main date.
    """
    terms = [_with_own_arm(always, term) for term in terms]
    if is_timed and not is_driven:
        terms = await _weighed(reader, always, terms)
    is_driven = is_driven or any(leads(term) for term in terms)
    # What leaves few records needs no measuring: the rest is asked of each of them.
    measured = [term for term in terms if term.found and not is_driven]
    # A lone code in time order is walked in any case, so that its size need not be known.
    is_walked = is_timed and is_met and len(terms) == 1 and terms[0].walk is not None
    number_max = FEW if is_walked else MANY
    sizes_found = await _measure(reader, measured, number_max)
    sizes = dict(zip(map(id, measured), sizes_found, strict=True))
    # What is measured are the hidden records too: who does not see all is asked for nothing less,
    # so that the way a question is carried out does not tell of records that are hidden.
    if is_open and any(sizes[id(term)].number == 0 for term in measured if _wants(term)):
        return Narrowed(is_empty=True)
    if not is_driven and not any(_is_few(term, sizes) for term in terms):
        terms = [await _sharpened(reader, term) for term in terms]
    choice = _Choice(terms, sizes, is_driven=is_driven, number_max=number_max)
    if is_timed and is_met:
        await choice.look_beside(reader)
    huge = choice.huge()
    is_known = is_open and choice.is_size_known()
    of_type = await _expected(reader, _rows_of(always)) if huge or is_known else 0
    rare = {id(term) for term in huge if await _is_rare(reader, term, of_type)}
    many = _many(of_type) if is_known else MANY
    return choice.narrowed(rare, many, is_timed=is_timed)


def _wants(term: Term) -> bool:
    return not term.is_negative


def leads(term: Term) -> bool:
    """Whether a term leaves few records, as is known without measuring."""
    return _wants(term) and (term.drives or term.is_point)


async def _weighed(reader: Reader, always: Sequence[Write], terms: list[Term]) -> list[Term]:
    """A code of patients with very many records is walked: to ask each of their records would take
    the longer the fewer of them have it.
    """
    led = [term for term in terms if leads(term)]
    codes = [term for term in terms if term.walk is not None and _wants(term)]
    if len(led) != 1 or len(codes) != 1 or not led[0].owned or led[0].row is None:
        return terms
    statement = Statement()
    where = " and ".join(write(statement.bind) for write in (*always, led[0].row))
    rows = f"select 1 from records.record r where {where} limit {ASKED_MAX + 1}"
    number = (await reader.rows(f"select count(*) from ({rows}) c", statement))[0][0]
    if number <= ASKED_MAX:
        return terms
    replaced = {
        id(led[0]): msgspec.structs.replace(led[0], drives=False),
        id(codes[0]): msgspec.structs.replace(codes[0], walk=_within(codes[0].walk, led[0].owned)),
    }
    return [replaced.get(id(term), term) for term in terms]


def _within(walk: Walk | None, patients: frozenset[int]) -> Walk | None:
    return None if walk is None else msgspec.structs.replace(walk, patients=patients)


def _is_beside(term: Term, code: Term) -> bool:
    """Whether what a term finds is told by what stands beside the code."""
    return term.beside is not None and set(code.clauses) <= set(term.implied)


def _is_few(term: Term, sizes: dict[int, Size]) -> bool:
    size = sizes.get(id(term))
    return _wants(term) and size is not None and size.rids is not None


async def _sharpened(reader: Reader, term: Term) -> Term:
    if term.sharpen is None:
        return term
    return msgspec.structs.replace(term, row=await term.sharpen(reader))


def _many(of_type: int) -> int:
    """How many hits are better met by walking all records of a type than fetched one by one.

    A row that is walked costs a quarter of one that is fetched, since it lies beside the last.
    """
    return min(MANY, isqrt(_SHOWN * of_type // 4))


async def _is_rare(reader: Reader, term: Term, of_type: int) -> bool:
    """Whether a large set is read whole at less cost than a walk decides until a slice is full."""
    most = isqrt(_DECIDING_COST * _SHOWN * of_type)
    expected = await _expected(reader, _set_of(term))
    # The set has been counted up to MANY: once more is worth it only to go well beyond.
    if most < 2 * MANY or not most < expected <= most * _MISTAKEN:
        return most > MANY and expected <= most
    statement = Statement()
    union = " union all ".join(arm.first(statement.bind, most + 1) for arm in term.found)
    counted = f"select count(*) from (select 1 from ({union}) f limit {most + 1}) c"
    return bool((await reader.rows(counted, statement))[0][0] <= most)


def _with_own_arm(always: Sequence[Write], term: Term) -> Term:
    """A term that has both forms gets one: what its row condition finds becomes a subselect too."""
    if term.row is None or not term.found:
        return term
    row = term.row

    def condition(bind: Bind) -> str:
        return " and ".join(write(bind) for write in (*always, row))

    arms = (*term.found, record_arm(condition))
    probe = None if term.probe is None else either(term.probe, row)
    return msgspec.structs.replace(term, row=None, found=arms, probe=probe)


async def _measure(reader: Reader, terms: Sequence[Term], number_max: int) -> list[Size]:
    large = {id(term): size for term in terms if (size := await _sampled(reader, term))}
    rest = [term for term in terms if id(term) not in large]
    counted = iter(await _count(reader, rest, number_max))
    return [large.get(id(term)) or next(counted) for term in terms]


async def _sampled(reader: Reader, term: Term) -> Size | None:
    """A set by a list of keys that is beyond MANY, as every so manieth of the keys shows at less
    cost than counting; None where it may not be. No key counts for more than some, lest one speak
    for those that have nothing.
    """
    samples = [arm.sample for arm in term.found if arm.sample is not None]
    if len(samples) != 1:
        return None
    statement = Statement()
    sample = samples[0](statement.bind, _SAMPLED_OF_KEY)
    found = (await reader.rows(f"select count(*) from ({sample}) f", statement))[0][0]
    return Size(None, found * SAMPLED) if found * SAMPLED > 3 * MANY // 2 else None


async def _count(reader: Reader, terms: Sequence[Term], number_max: int) -> list[Size]:
    if not terms:
        return []
    statement = Statement()
    limit = number_max + 1
    columns = []
    for term in terms:
        union = " union all ".join(arm.first(statement.bind, limit) for arm in term.found)
        columns.append(
            f"(select array[count(*)] || (array_agg(m.rid))[1:{FEW + 1}]"
            f" from (select f.rid from ({union}) f limit {limit}) m)"
        )
    row = (await reader.rows(f"select {', '.join(columns)}", statement))[0]
    return [_size(number, rids) for number, *rids in row]


def _size(number: int, rids: list[int]) -> Size:
    return Size(frozenset(rids) if number <= FEW else None, number)


def _set_of(term: Term) -> tuple[str, Statement]:
    statement = Statement()
    return _union(term, statement.bind), statement


def _rows_of(always: Sequence[Write]) -> tuple[str, Statement]:
    statement = Statement()
    where = " and ".join(write(statement.bind) for write in always)
    return f"select 1 from records.record r where {where}", statement


async def _expected(reader: Reader, asked: tuple[str, Statement]) -> int:
    return (await reader.cost(*asked))[1]


def _union(term: Term, bind: Bind) -> str:
    return " union all ".join(arm.whole(bind) for arm in term.found)


def _in_set(term: Term) -> Write:
    return lambda bind: f"r.rid in ({_union(term, bind)})"


def _of_set(term: Term) -> Write:
    """Never leads the plan: the set is read once and each row that is met is looked up in it."""
    return lambda bind: f"(r.rid in ({_union(term, bind)})) is true"


def _fetched(term: Term) -> Write:
    """Leads the plan: an array is looked up by key, whatever the planner expects of its making."""
    return lambda bind: f"r.rid = any(array({_union(term, bind)}))"


def _not(write: Write) -> Write:
    return lambda bind: f"({write(bind)}) is not true"


class _Choice:
    """Goes through the terms once, the most selective first."""

    def __init__(
        self, terms: Sequence[Term], sizes: dict[int, Size], *, is_driven: bool, number_max: int
    ) -> None:
        self._sizes = sizes
        self._number_max = number_max
        self._many = MANY
        self._terms = sorted(terms, key=self._rank)
        self._is_led = is_driven
        self._is_driven = is_driven or any(_is_few(term, sizes) for term in terms)
        self._rare: set[int] = set()
        self._walked: Term | None = None
        self._beside: tuple[Term, ...] = ()
        self._has_lead = False
        self._reading: list[Write] = []
        self._counting: list[Write] = []
        self._walking: list[Write] = []
        self._undecided: list[Clause] = []
        self._uncounted: list[Clause] = []
        self._judges: list[Judge] = []

    def huge(self) -> list[Term]:
        """Terms beyond MANY that no index can be asked about for one row, with nothing to lead."""
        if self._is_driven:
            return []
        sets = [term for term in self._sets() if term not in self._beside]
        return [term for term in sets if term.probe is None and self._number(term) > MANY]

    async def look_beside(self, reader: Reader) -> None:
        """Leave to the walk of a code what it tells of the values beside it, where it meets enough
        of them sooner than all could be fetched.
        """
        code = self._code()
        if code is None or self._is_driven:
            return
        values = tuple(term for term in self._sets() if _is_beside(term, code))
        others = (term for term in self._sets() if term is not code and term not in values)
        if not values or any(self._number(term) <= MANY for term in others):
            return
        number = self._number(code)
        if number > MANY:
            number = await _expected(reader, _set_of(code))
        if all(self._number(term) > isqrt(_SHOWN * number // STEPS) for term in values):
            self._beside = values

    def _code(self) -> Term | None:
        """The one set that can be walked in time order."""
        walks = [term for term in self._sets() if term.walk is not None]
        if len(walks) != 1 or walks[0].walk is None:
            return None
        is_short = len(walks[0].walk.pairs) <= _WALKED_CODES_MAX
        return walks[0] if is_short and self._number(walks[0]) > SORTED_MAX else None

    def is_size_known(self) -> bool:
        """Whether one set gives the hits and hardly any other record.

        The hits of clauses that know nothing of each other may be any number.
        """
        sets = self._sets()
        implied = {clause for term in sets for clause in term.implied}
        apart = [term for term in sets if not implied.issuperset(term.clauses)]
        is_all = len(sets) == len(self._terms) and not self._is_driven
        return is_all and len(apart) == 1 and bool(apart[0].implied)

    def narrowed(self, rare: set[int], many: int, *, is_timed: bool) -> Narrowed:
        """The choice; `rare` are those of the huge that are read whole, sets up to `many` are
        fetched.
        """
        self._rare, self._many = rare, many
        self._walked = self._walkable() if is_timed and not self._is_led else None
        for term in self._terms:
            self._add(term)
        return Narrowed(
            tuple(self._reading),
            tuple(self._counting),
            tuple(self._undecided),
            tuple(self._uncounted),
            (*(judge for term in self._terms for judge in term.judges), *self._judges),
            walk=self._walk(),
            walked=tuple(self._walking),
            is_walk_short=self._walked is not None and self._is_short(self._walked),
            is_walk_near=bool(self._beside),
            only_set=self._only_set(),
            only_walk=self._terms[0].walk if self._only_set() else None,
        )

    def _rank(self, term: Term) -> int:
        size = self._sizes.get(id(term))
        return size.number if size is not None else -1

    def _sets(self) -> list[Term]:
        return [term for term in self._terms if id(term) in self._sizes and _wants(term)]

    def _number(self, term: Term) -> int:
        return self._sizes[id(term)].number

    def _walkable(self) -> Term | None:
        """The one set that can be walked in time order, when that is worth it and every other is so
        large that rows are met rather than fetched.
        """
        others = (t for t in self._sets() if t.walk is None and t not in self._beside)
        return None if any(self._number(term) <= self._many for term in others) else self._code()

    def _walk(self) -> Walk | None:
        walk = None if self._walked is None else self._walked.walk
        values = [term.beside for term in self._beside if term.beside is not None]
        if walk is None or not values:
            return walk
        return msgspec.structs.replace(walk, value=both(*values))

    def _is_short(self, walked: Term) -> bool:
        has_patients = walked.walk is not None and bool(walked.walk.patients)
        return has_patients or self._number(walked) <= self._number_max

    def _only_set(self) -> tuple[Arm, ...]:
        """The side table's own answer, when the search asks for nothing else."""
        if len(self._terms) == 1 and not self._terms[0].is_negative and self._terms[0].is_exact:
            return self._terms[0].found
        return ()

    def _add(self, term: Term) -> None:
        if not term.is_exact:
            self._undecided.extend(term.clauses)
            self._uncounted.extend(term.clauses)
            if term.is_negative:
                return  # what may be found too much must not be left out too much
        if not term.found:
            self._add_row(term)
        elif term.is_negative:
            self._add_negative(term)
        else:
            self._add_set(term)

    def _add_row(self, term: Term) -> None:
        if term.row is None:
            return
        self._ask(_not(term.row) if term.is_negative else term.row)

    def _add_negative(self, term: Term) -> None:
        size = self._sizes.get(id(term))
        if size is not None and size.rids is not None:
            self._ask(_not(any_rid(set(size.rids))))
        elif term.probe is not None:
            is_alone = size is not None
            self._ask(_not(term.probe), counting=_not(_in_set(term)) if is_alone else None)
        elif size is None or size.number > MANY:
            self._leave(term)
        else:
            self._ask(_not(_in_set(term)))

    def _add_set(self, term: Term) -> None:
        size = self._sizes.get(id(term))
        if size is not None and size.rids is not None:
            self._ask(any_rid(set(size.rids or NOBODY)), walked=term is not self._walked)
        elif term.is_point:
            # Of one identifier the planner knows how few records have it; of thousands it would
            # multiply what it does not know.
            is_list = term.walk is not None and len(term.walk.pairs) > _WALKED_CODES_MAX
            self._ask(_fetched(term) if is_list else _in_set(term), counting=_in_set(term))
        elif self._is_driven and term.probe is not None:
            self._ask(term.probe)
        elif self._is_driven:
            # Few records are left: to decide each costs less than a set of many.
            self._leave(term)
        else:
            self._add_large(term)

    def _add_large(self, term: Term) -> None:
        walked = term is not self._walked
        if term in self._beside:
            self._undecided.extend(term.clauses)
            self._counting.append(_in_set(term))
        elif self._number(term) <= self._many and not self._has_lead:
            self._has_lead = True
            self._ask(_fetched(term), counting=_in_set(term), walked=walked)
        elif term.probe is not None:
            self._ask(term.probe, counting=_in_set(term), walked=walked)
        elif self._number(term) <= MANY or id(term) in self._rare:
            self._ask(_of_set(term), counting=_in_set(term), walked=walked)
        else:
            # So many have it that a slice is soon full by deciding them as they come.
            self._undecided.extend(term.clauses)
            self._judges.extend(term.deciders)
            self._counting.append(_in_set(term))

    def _leave(self, term: Term) -> None:
        """To those who decide records one by one."""
        self._undecided.extend(term.clauses)
        self._uncounted.extend(term.clauses)
        self._judges.extend(term.deciders)

    def _ask(self, write: Write, *, counting: Write | None = None, walked: bool = True) -> None:
        self._reading.append(write)
        self._counting.append(counting or write)
        if walked:
            self._walking.append(write)
