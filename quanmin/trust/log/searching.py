"""Finds entries of the log by the search parameters of AuditEvent (FHIR R4), newest first.

No index orders entries by time but the coarse one of blocks: they are looked for in windows of
time that grow, from the newest back. So a search for little among much ends after its time with
what it has found, and says where to go on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Malformed, NotSupported, Sentence
from quanmin.fhir.query import (
    Clause,
    DateOperand,
    MissingOperand,
    Operand,
    Query,
    ReferenceOperand,
    StringOperand,
    TokenOperand,
    UriOperand,
)
from quanmin.records.search.reader import Statement
from quanmin.trust.log.audit_event import (
    ACTIONS,
    OUTCOMES,
    RULE,
    Reading,
    entry_of_id,
    readings,
    system_of_subtype,
)
from quanmin.trust.log.entry import Place
from quanmin.trust.log.rows import ENTRY, Kept, read_entry

Keying = Callable[[str, str], int | None]
"""The key of a record by its type and id."""

_FIRST_WINDOW: Final = 60 * 1_000_000
_GROWTH: Final = 4
_NOTHING: Final = "false"
_ALIAS: Final = re.compile(r"\ba\.")
_FOREVER: Final = (1 << 63) - 1
_SECONDS_MIN: Final = 0.2


class Asked(msgspec.Struct, frozen=True):
    """What is looked for: a condition on entries in SQL, and the bounds of their moments.

    `statement` holds the values that the condition binds.
    """

    condition: str
    statement: Statement
    low: int | None
    high: int | None


class Found(msgspec.Struct, frozen=True):
    """The first entries of the requests that were found, newest first, and where to go on: the
    moment and the place of the last one looked at. None: there are no more.
    """

    heads: tuple[Place, ...]
    next: str | None


def ask(query: Query, keying: Keying, patients: frozenset[int] | None) -> Asked:
    """What a search of AuditEvent asks of the log; of entries about these Patients alone, unless
    None. Raises NotSupported for what the log cannot answer.
    """
    if query.links or query.filters or query.includes or query.revincludes:
        raise NotSupported(
            "the access log is searched by parameters of AuditEvent alone, without chains, _has, "
            "_filter and _include"
        )
    for key in query.sort:
        if key.param.code not in {"date", "_lastUpdated"} or not key.descending:
            raise NotSupported("the access log is read newest first: leave _sort out, or -date")
    writer = _Writer(keying)
    parts = [writer.write(clause) for clause in query.clauses]
    if query.compartment is not None:
        parts.append(writer.of_record(*query.compartment))
    if patients is not None:
        parts.append(f"a.patients && {writer.bind(sorted(patients))}::bigint[]")
    return Asked(" and ".join(parts) or "true", writer.statement, writer.low, writer.high)


async def find(
    connection: Connection, asked: Asked, *, count: int, cursor: str | None, seconds: float
) -> Found:
    """The next events, for about so many seconds at most if there are few."""
    until = time.monotonic() + seconds
    newest = await connection.fetchval("select max(at) from trust.head")
    if newest is None or asked.condition == _NOTHING:
        return Found((), None)
    low = asked.low or 0
    newest = newest if asked.high is None else min(asked.high, newest)
    # An entry may be younger than the newest head, by as much as two clocks differ.
    after = (_FOREVER if asked.high is None else asked.high, -1, 0)
    if cursor is not None:
        after = _read_cursor(cursor)
        newest = min(newest, after[0])
    heads: list[Place] = []
    begin, window = newest, _FIRST_WINDOW
    while begin > low:
        begin = max(low, begin - window)
        # The first window is looked through whatever it takes, so that each answer gets on.
        left = None if window == _FIRST_WINDOW else max(until - time.monotonic(), _SECONDS_MIN)
        try:
            rows = await _window(connection, asked, begin, after, (count + 1 - len(heads), left))
        except TimeoutError:
            return Found(tuple(heads), _write_cursor(after))
        for row in rows[: count - len(heads)]:
            of = row["part_lane"], row["part_n"]
            heads.append(Place(row["lane"], row["n"]) if of[0] is None else Place(*of))
            after = (row["at"], row["lane"], row["n"])
        if len(rows) > count - len(heads) and len(heads) == count:
            return Found(tuple(heads), _write_cursor(after))
        after = (begin, -1, 0)
        window *= _GROWTH
        if time.monotonic() > until and begin > low:
            return Found(tuple(heads), _write_cursor(after))
    return Found(tuple(heads), None)


async def _window(
    connection: Connection,
    asked: Asked,
    begin: int,
    after: tuple[int, int, int],
    limits: tuple[int, float | None],
) -> list[Any]:
    """Entries of a window of time that come after a place in the order, newest first; so many, in
    so many seconds. Raises TimeoutError.

    Of the parts of one request that meet the condition only the first counts.
    """
    count, seconds = limits
    arguments = [*asked.statement.arguments, begin, *after, count]
    first = len(asked.statement.arguments) + 1
    begin_, at, lane, n, limit = (f"${first + place}" for place in range(5))
    earlier = _ALIAS.sub("p.", asked.condition)
    return await connection.fetch(
        f"""
        select a.at, a.lane, a.n, a.part_lane, a.part_n from trust.access a
        where a.at >= {begin_}::bigint and a.at <= {at}::bigint
            and (a.at, a.lane, a.n) < ({at}::bigint, {lane}::int, {n}::bigint)
            and ({asked.condition})
            and (a.part_lane is null or not exists (
                select from trust.access p
                where ((p.lane = a.part_lane and p.n = a.part_n)
                    or (p.part_lane = a.part_lane and p.part_n = a.part_n
                        and (p.at, p.lane, p.n) < (a.at, a.lane, a.n)))
                    and ({earlier})))
        order by a.at desc, a.lane desc, a.n desc limit {limit}::int
        """,
        *arguments,
        timeout=seconds,
    )


async def count_events(connection: Connection, asked: Asked, rows_max: int) -> int:
    """How many entries meet the condition, their parts counted once, up to a number."""
    arguments = [*asked.statement.arguments, rows_max, asked.low or 0, asked.high or 1 << 62]
    limit, low, high = (f"${len(asked.statement.arguments) + place}" for place in (1, 2, 3))
    found: int = await connection.fetchval(
        f"""
        select count(distinct (coalesce(part_lane, lane), coalesce(part_n, n))) from (
            select a.lane, a.n, a.part_lane, a.part_n from trust.access a
            where a.at >= {low}::bigint and a.at < {high}::bigint and ({asked.condition})
            limit {limit}::int) counted
        """,
        *arguments,
    )
    return found


async def parts_of(connection: Connection, heads: Sequence[Place]) -> list[list[Kept]]:
    """All entries of each of these requests, the first first; empty for one that is not there."""
    lanes, numbers = [one.lane for one in heads], [one.number for one in heads]
    rows = await connection.fetch(
        f"""
        select {ENTRY} from trust.access a
        join unnest($1::int[], $2::bigint[]) as t (lane, n) on a.lane = t.lane and a.n = t.n
        union all
        select {ENTRY} from trust.access a
        join unnest($1::int[], $2::bigint[]) as t (lane, n)
            on a.part_lane = t.lane and a.part_n = t.n
        order by at, lane, n
        """,
        lanes,
        numbers,
    )
    by_head: dict[Place, list[Kept]] = {place: [] for place in heads}
    for row in rows:
        kept = read_entry(row)
        of = kept.access.part_of
        if of is None:
            by_head[kept.place].insert(0, kept)
        else:
            by_head[of].append(kept)
    return [by_head[place] for place in heads]


def _read_cursor(text: str) -> tuple[int, int, int]:
    try:
        at, lane, number = map(int, text.split("."))
    except ValueError:
        raise Malformed("this link is damaged; begin the search anew") from None
    return at, lane, number


def _write_cursor(place: tuple[int, int, int]) -> str:
    return ".".join(map(str, place))


class _Writer:
    """Writes clauses as conditions on an entry `a`."""

    def __init__(self, keying: Keying) -> None:
        self.statement = Statement()
        self.bind = self.statement.bind
        self.low: int | None = None
        self.high: int | None = None
        self._keying = keying

    def write(self, clause: Clause) -> str:
        if clause.modifier not in {None, "not"}:
            raise NotSupported(
                Sentence(
                    "the access log does not know :%(modifier)s of %(code)s",
                    modifier=clause.modifier,
                    code=clause.param.code,
                )
            )
        self._narrow(clause)
        parts = [self._operand(clause.param.code, operand) for operand in clause.operands]
        joined = f"({' or '.join(dict.fromkeys(parts))})"
        return f"not coalesce({joined}, false)" if clause.modifier == "not" else joined

    def _operand(self, code: str, operand: Operand) -> str:
        match operand:
            case MissingOperand(missing):
                return self._missing(code, missing=missing)
            case DateOperand():
                return self._date(operand)
            case TokenOperand(system, text):
                return self._token(code, system, text)
            case ReferenceOperand(type_, id_, _) if code in {"patient", "entity"} and id_:
                return self.of_record(type_ or ("Patient" if code == "patient" else ""), id_)
            case UriOperand(value) if code == "policy":
                return self._policy(value.removeprefix(RULE))
            case StringOperand() | ReferenceOperand() | UriOperand():
                # Events of the log have none of the other elements.
                return _NOTHING
            case _:
                raise NotSupported(
                    Sentence("the access log cannot be searched by %(code)s", code=code)
                )

    def _policy(self, token: str) -> str:
        """Entries that a rule decided, in the version that the token names, or in any."""
        if ":" in token:
            return f"string_to_array(a.rules, ' ') @> array[{self.bind(token)}::text]"
        rules = "unnest(string_to_array(a.rules, ' ')) as rule"
        id_ = f"split_part(rule, ':', 1) = {self.bind(token)}::text"
        return f"exists (select from {rules} where {id_})"

    def of_record(self, type_: str, id_: str) -> str:
        """Entries that name this record."""
        rid = self._keying(type_, id_)
        if rid is None:
            return _NOTHING
        named = f"array[{self.bind(rid)}::bigint]"
        if type_ == "Patient":  # a Patient is in the compartment of their own
            return f"a.patients @> {named}"
        return f"a.records @> {named}"

    def _token(self, code: str, system: str | None, text: str | None) -> str:
        match code:
            case "_id":
                place = entry_of_id(text or "")
                if place is None:
                    return _NOTHING
                lane, number = self.bind(place.lane), self.bind(place.number)
                return f"(a.lane = {lane}::int and a.n = {number}::bigint)"
            case "altid":
                return f"a.actor = {self.bind(text)}::text" if not system else _NOTHING
            case "agent-role":
                return f"a.role = {self.bind(text)}::text" if not system else _NOTHING
            case "action" if system in {None, ACTIONS}:
                return self._actions(lambda one: one.action == text)
            case "subtype" if system in {None, system_of_subtype(text or "")}:
                return self._actions(lambda one: text in one.subtypes)
            case "type":
                named = readings().types.get(text or "")
                if named is None or system not in {None, named.system}:
                    return _NOTHING
                return self._actions(lambda one: one.type == text)
            case "outcome" if system in {None, OUTCOMES}:
                return self._outcome(text or "")
            case _:
                return _NOTHING

    def _actions(self, is_meant: Callable[[Reading], bool]) -> str:
        table = readings()
        named = [name for name, one in table.actions.items() if is_meant(one)]
        condition = f"a.action = any({self.bind(named)}::text[])"
        if is_meant(table.actions["operation"]):
            known = [*table.actions]
            return f"({condition} or a.action <> all({self.bind(known)}::text[]))"
        return condition

    def _outcome(self, code: str) -> str:
        table = readings()
        if code in table.outcomes:
            return f"a.outcome = any({self.bind([*table.outcomes[code]])}::text[])"
        if code == "4":
            others = [one for several in table.outcomes.values() for one in several]
            return f"a.outcome <> all({self.bind(others)}::text[])"
        return _NOTHING

    def _missing(self, code: str, *, missing: bool) -> str:
        column = {"patient": "a.patients", "entity": "a.records", "policy": "a.rules"}.get(code)
        if column is not None:
            return f"{column} is {'' if missing else 'not '}null"
        always = {"_id", "_lastUpdated", "date", "action", "outcome", "type", "subtype"}
        is_there = code in always | {"altid", "agent-role", "agent", "source", "entity-type"}
        return "true" if is_there != missing else _NOTHING

    def _date(self, operand: DateOperand) -> str:
        match operand.prefix:
            case "eq":
                return f"({self._since(operand.low)} and not {self._since(operand.high)})"
            case "ne":
                return f"not ({self._since(operand.low)} and not {self._since(operand.high)})"
            case "gt" | "sa":
                return self._since(operand.high)
            case "ge":
                return self._since(operand.low)
            case "lt" | "eb":
                return f"not {self._since(operand.low)}"
            case "le":
                return f"not {self._since(operand.high)}"
            case _:
                raise NotSupported("the access log knows no ap of date: name a span by ge and le")

    def _since(self, moment: int) -> str:
        return f"(a.at >= {self.bind(moment)}::bigint)"

    def _narrow(self, clause: Clause) -> None:
        """Bounds of time that the walk need not go beyond."""
        if clause.modifier is not None or len(clause.operands) != 1:
            return
        operand = clause.operands[0]
        if not isinstance(operand, DateOperand):
            return
        if operand.prefix in {"eq", "ge", "gt", "sa"}:
            bound = operand.high if operand.prefix in {"gt", "sa"} else operand.low
            self.low = bound if self.low is None else max(self.low, bound)
        if operand.prefix in {"eq", "le", "lt", "eb"}:
            bound = operand.low if operand.prefix in {"lt", "eb"} else operand.high
            self.high = bound if self.high is None else min(self.high, bound)
