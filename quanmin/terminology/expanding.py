"""Expands a value set: its codes in order, filtered and in slices.

R4 valueset-operation-expand.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, Sentence, TooCostly
from quanmin.base.text import fold, is_han
from quanmin.terminology.catalogue import Pins, supplements
from quanmin.terminology.limits import TermLimits
from quanmin.terminology.selection import Composer

_INITIALS_MIN: Final = 2


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What of an expansion is asked for; the names are those of the operation's parameters.

    `parameters` are those that were sent, as `expansion.parameter` repeats them.
    """

    filter: str | None = None
    offset: int = 0
    count: int | None = None
    include_designations: bool = False
    designations: tuple[str, ...] = ()
    include_definition: bool = False
    active_only: bool = False
    is_nested: bool = False
    without_abstract: bool = False
    display_language: str | None = None
    excluded_systems: tuple[str, ...] = ()
    pins: Pins = Pins()
    parameters: tuple[dict[str, Any], ...] = ()


async def expand(
    connection: Connection, limits: TermLimits, head: Mapping[str, Any], wanted: Wanted
) -> dict[str, Any]:
    """The ValueSet with its expansion.

    Raises TooCostly for one over `expansion_codes_max` that is not asked for in parts; NotFound,
    Conflict and Invalid as `Composer.select` does.
    """
    composer = Composer(connection, limits, wanted.pins)
    select = await composer.select(head)
    rows, total = await _fetch(connection, limits, composer, select, wanted)
    codes = [_contained(row) for row in rows]
    if wanted.include_designations or wanted.display_language is not None:
        given = await supplemented(connection, rows)
        for row, code in zip(rows, codes, strict=True):
            pair = row["url"], row["matched"]
            designations = [
                *composer.given.get(pair, ()),
                *own_designations(row),
                *given.get(pair, ()),
            ]
            _speak(code, designations, wanted)
    if wanted.is_nested:
        codes = _nest(rows, codes)
    expansion: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid4()}",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "total": total,
    }
    if wanted.offset or wanted.count is not None:
        expansion["offset"] = wanted.offset
    expansion["parameter"] = _parameters(composer, wanted)
    if codes:
        expansion["contains"] = codes
    shown = {"resourceType": "ValueSet", **head, "expansion": expansion}
    if not wanted.include_definition:
        shown.pop("compose", None)
    return {name: value for name, value in shown.items() if value != []}


async def _fetch(
    connection: Connection, limits: TermLimits, composer: Composer, select: str, wanted: Wanted
) -> tuple[list[asyncpg.Record], int]:
    bind = composer.binding.bind
    conditions = [*_conditions(composer, wanted)] or ["true"]
    asked = limits.expansion_codes_max if wanted.count is None else wanted.count
    chosen = (
        f"from ({each_once(select)}) m left join terminology.concept c"
        " on c.resource = m.resource and c.concept = m.concept"
        f" where {' and '.join(conditions)}"
    )
    counting, counted = f"select count(*) {chosen}", list(composer.binding.arguments)
    # One pass finds the slice and counts the whole; what is shown is fetched for the slice alone.
    fetching = (
        "select h.*, c.display, c.is_abstract, c.is_inactive, c.parents, c.more from ("
        f"select m.*, count(*) over () as total {chosen} order by m.part, m.place"
        f" offset {bind(wanted.offset)} limit {bind(asked)}) h"
        " left join terminology.concept c on c.resource = h.resource and c.concept = h.concept"
        " order by h.part, h.place"
    )
    try:
        rows = await connection.fetch(fetching, *composer.binding.arguments)
    except asyncpg.InvalidRegularExpressionError as error:
        raise Invalid("a filter of the ValueSet holds no regular expression") from error
    # Behind the end there is no row to tell the total.
    total = rows[0]["total"] if rows else int(await connection.fetchval(counting, *counted))
    if total - wanted.offset > limits.expansion_codes_max and asked >= limits.expansion_codes_max:
        raise TooCostly(
            Sentence(
                "the expansion has %(total)s codes, more than %(expansion_codes_max)s (setting"
                " terminology.expansion_codes_max): ask for it in parts with count and offset,"
                " or narrow it with filter",
                total=total,
                expansion_codes_max=limits.expansion_codes_max,
            )
        )
    return rows, total


def each_once(select: str) -> str:
    """The select of a composition with each code once, where it stands first."""
    if " union all " not in select and "unnest" not in select:
        return select
    return (
        f"select distinct on (u.url, u.matched) u.* from ({select}) u"
        " order by u.url, u.matched, u.part, u.place"
    )


def _conditions(composer: Composer, wanted: Wanted) -> list[str]:
    bind = composer.binding.bind
    conditions = []
    if wanted.active_only:
        conditions.append("c.is_inactive is not true")
    if wanted.without_abstract:
        conditions.append("c.is_abstract is not true")
    if wanted.excluded_systems:
        conditions.append(f"m.url <> all({bind(list(wanted.excluded_systems))}::text[])")
    return [*conditions, *found_by_words(composer, wanted.filter or "")]


def found_by_words(composer: Composer, text: str) -> list[str]:
    """The conditions of a text filter: every word of it is found."""
    return [_found(composer.binding.bind, word) for word in _looked_for(text)]


def _looked_for(text: str) -> list[str]:
    """The words of a filter. One with digits is the beginning of a code, marks and all."""
    words: list[str] = []
    for word in text.casefold().split():
        is_code = word.isascii() and any(character.isdecimal() for character in word)
        words += [word] if is_code else fold(word).split()
    return words


def _found(bind: Any, word: str) -> str:
    """Whether a word of the filter is found: Chinese anywhere, other words from their beginning,
    letters in the pinyin and in its initials.
    """
    here = "coalesce(c.words, ' ' || lower(m.code || ' ' || coalesce(m.shown, '')))"
    if any(is_han(character) for character in word):
        return f"strpos({here}, {bind(word)}) > 0"
    found = f"strpos({here}, {bind(' ' + word)}) > 0"
    if not word.isascii() or not word.isalpha():
        return found
    found += f" or strpos(c.pinyin, {bind(word)}) > 0"
    if len(word) >= _INITIALS_MIN:
        found += f" or strpos(c.initials, {bind(word)}) > 0"
    return f"coalesce({found}, false)"


def _contained(row: Any) -> dict[str, Any]:
    code: dict[str, Any] = {"system": row["url"]}
    if row["is_abstract"]:
        code["abstract"] = True
    if row["is_inactive"]:
        code["inactive"] = True
    code["code"] = row["code"]
    display = row["shown"] or row["display"]
    if display:
        code["display"] = display
    return code


def own_designations(row: Any) -> list[dict[str, Any]]:
    """What a code system calls a concept, beside its display."""
    more = msgspec.json.decode(row["more"]) if row["more"] else {}
    return list(more.get("designation", ()))


async def supplemented(
    connection: Connection, rows: Sequence[Any]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What supplements add, by system and code."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for url in {row["url"] for row in rows}:
        numbers = await supplements(connection, url)
        if not numbers:
            continue
        # A supplement says nothing of case, so its codes stand as they were written.
        by_form = {
            form: row["matched"]
            for row in rows
            if row["url"] == url
            for form in (row["code"], row["matched"])
        }
        added = await connection.fetch(
            "select matched, more from terminology.concept"
            " where resource = any($1) and matched = any($2) and more is not null",
            numbers,
            list(by_form),
        )
        for row in added:
            given = msgspec.json.decode(row["more"]).get("designation", ())
            found.setdefault((url, by_form[row["matched"]]), []).extend(given)
    return found


def _speak(code: dict[str, Any], designations: list[dict[str, Any]], wanted: Wanted) -> None:
    """Give the code its designations, and its display in the language asked for."""
    said = in_language(designations, wanted.display_language)
    if said is not None:
        code["display"] = said
    if wanted.include_designations and designations:
        asked = wanted.designations
        kept = [each for each in designations if not asked or _is_asked_for(each, asked)]
        if kept:
            code["designation"] = kept


def _is_asked_for(designation: Mapping[str, Any], asked: Sequence[str]) -> bool:
    use = designation.get("use") or {}
    names = {
        f"urn:ietf:bcp:47|{designation.get('language', '')}",
        f"{use.get('system', '')}|{use.get('code', '')}",
    }
    return bool(names & set(asked))


def in_language(designations: Sequence[Mapping[str, Any]], language: str | None) -> str | None:
    """The first designation in a language: as it is said, else in the language without region."""
    if language is None:
        return None
    wanted = language.casefold()
    for narrow in (wanted, wanted.partition("-")[0]):
        for each in designations:
            given = (each.get("language") or "").casefold()
            if given == narrow or given.partition("-")[0] == narrow:
                return str(each["value"])
    return None


def _nest(rows: Sequence[Any], codes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each code below its first parent that is listed too."""
    by_place = {
        (row["resource"], row["concept"]): code for row, code in zip(rows, codes, strict=True)
    }
    top = []
    for row, code in zip(rows, codes, strict=True):
        places = ((row["resource"], parent) for parent in row["parents"] or ())
        parent = next((by_place[place] for place in places if place in by_place), None)
        if parent is None:
            top.append(code)
        else:
            parent.setdefault("contains", []).append(code)
    return top


def _parameters(composer: Composer, wanted: Wanted) -> list[dict[str, Any]]:
    used = [{"name": "version", "valueUri": name} for name in sorted(composer.used.systems)]
    return [*wanted.parameters, *used]
