"""Finds codes of a value set for people who choose one by typing: what fits best first, some at a
time, however large the value set is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, Malformed
from quanmin.terminology.checking import Check, forms_of
from quanmin.terminology.expanding import (
    each_once,
    found_by_words,
    in_language,
    own_designations,
    supplemented,
)
from quanmin.terminology.limits import TermLimits
from quanmin.terminology.selection import Composer

_PLACE: Final = re.compile(r"([0-3])\.(\d{1,9})\.(\d{1,18})")


class Choice(msgspec.Struct, frozen=True):
    """A code that may be chosen: its display, and what it is called in the language asked for.
    `is_exact` says that what was typed is the code or its display.
    """

    system: str
    code: str
    display: str
    shown: str
    is_exact: bool = False


class Choices(msgspec.Struct, frozen=True):
    """Some codes, and the place after which there are more; "" where there are none."""

    listed: tuple[Choice, ...]
    after: str = ""


async def choose(
    connection: Connection,
    limits: TermLimits,
    head: Mapping[str, Any],
    *,
    words: str = "",
    after: str = "",
    count: int,
    language: str | None = None,
) -> Choices:
    """At most `count` codes in which all the words are found, from a place on: the code itself or
    its display first, then what begins so, then the rest in the order of the value set. Codes that
    only group others, and those out of use, are not listed.

    Raises Malformed for what is no place; NotFound, Conflict and Invalid as `Composer.select` does.
    """
    composer = Composer(connection, limits)
    select = await composer.select(head)
    bind = composer.binding.bind
    conditions = [
        "c.is_abstract is not true",
        "c.is_inactive is not true",
        *found_by_words(composer, words),
    ]
    rank = _rank(bind(" ".join(words.split()).casefold())) if words.strip() else "0"
    statement = (
        "select h.*, c.display, c.more from (select r.* from ("
        f"select m.*, {rank} as rank from ({each_once(select)}) m left join terminology.concept c"
        " on c.resource = m.resource and c.concept = m.concept"
        f" where {' and '.join(conditions)}) r{_behind(bind, after)}"
        f" order by r.rank, r.part, r.place limit {bind(count + 1)}) h"
        " left join terminology.concept c on c.resource = h.resource and c.concept = h.concept"
        " order by h.rank, h.part, h.place"
    )
    rows = await _fetched(connection, composer, statement)
    shown = rows[:count]
    added = await supplemented(connection, shown) if language is not None else {}
    listed = []
    for row in shown:
        pair = row["url"], row["matched"]
        said = [*composer.given.get(pair, ()), *own_designations(row), *added.get(pair, ())]
        listed.append(_choice(row, said, language, is_exact=_is_exact(row, words)))
    last = shown[-1] if len(rows) > count and shown else None
    place = f"{last['rank']}.{last['part']}.{last['place']}" if last else ""
    return Choices(tuple(listed), place)


async def chosen(
    connection: Connection,
    limits: TermLimits,
    head: Mapping[str, Any],
    codes: Sequence[Check],
    language: str | None = None,
) -> dict[tuple[str, str], Choice]:
    """Those of the codes that the value set has, by system and code as they were given. One that
    only groups others is not chosen. One statement, however large the value set is. Raises as
    `choose` does, also for no codes.
    """
    composer = Composer(connection, limits)
    select = await composer.select(head)
    if not codes:
        return {}
    forms = {code: forms_of(composer, code) for code in codes}
    bind = composer.binding.bind
    statement = (
        "select distinct on (m.url, m.matched) m.url, m.matched, m.code, m.shown, c.display, c.more"
        f" from ({select}) m left join terminology.concept c"
        " on c.resource = m.resource and c.concept = m.concept"
        f" where m.url = any({bind(list({code.system for code in codes}))}::text[])"
        f" and m.matched = any({bind(sorted({f for one in forms.values() for f in one}))}::text[])"
        " and c.is_abstract is not true order by m.url, m.matched, m.part, m.place"
    )
    rows = await _fetched(connection, composer, statement)
    added = await supplemented(connection, rows) if language is not None else {}
    by_form = {}
    for row in rows:
        pair = row["url"], row["matched"]
        said = [*composer.given.get(pair, ()), *own_designations(row), *added.get(pair, ())]
        by_form[pair] = _choice(row, said, language)
    return {
        (code.system, code.code): by_form[code.system, form]
        for code, listed in forms.items()
        for form in listed
        if (code.system, form) in by_form
    }


def _choice(
    row: Any, said: Sequence[Mapping[str, Any]], language: str | None, *, is_exact: bool = False
) -> Choice:
    display = row["shown"] or row["display"] or row["code"]
    shown = in_language(said, language) or display
    return Choice(row["url"], row["code"], display, shown, is_exact)


async def _fetched(connection: Connection, composer: Composer, statement: str) -> Sequence[Any]:
    try:
        return await connection.fetch(statement, *composer.binding.arguments)
    except asyncpg.InvalidRegularExpressionError as error:
        raise Invalid("a filter of the ValueSet holds no regular expression") from error


def _is_exact(row: Any, words: str) -> bool:
    return bool(words.strip()) and row["rank"] == 0


def _rank(text: str) -> str:
    """How well a code fits what was typed: the code or its name, the beginning of either, else."""
    name = "lower(coalesce(m.shown, c.display, ''))"
    return (
        f"case when lower(m.code) = {text} or {name} = {text} then 0"
        f" when starts_with(lower(m.code), {text}) then 1"
        f" when starts_with({name}, {text}) then 2 else 3 end"
    )


def _behind(bind: Any, after: str) -> str:
    if not after:
        return ""
    found = _PLACE.fullmatch(after)
    if found is None:
        raise Malformed("this is no place in a list of codes: look for them again")
    rank, part, place = (bind(int(number)) for number in found.groups())
    return f" where (r.rank, r.part, r.place) > ({rank}::int, {part}::int, {place}::bigint)"
