"""Checks codes: whether they are of a code system or in a value set, and rightly named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, NotFound, Sentence
from quanmin.base.text import fold
from quanmin.terminology.catalogue import Canonical, Entry, Pins, find, supplements
from quanmin.terminology.expanding import in_language
from quanmin.terminology.limits import TermLimits
from quanmin.terminology.selection import Composer
from quanmin.terminology.systems import is_case_sensitive, matched, read_system

_ABSTRACT: Final = "the code is abstract: it groups others and is not used itself"


class Check(msgspec.Struct, frozen=True):
    """A code to check, as it was given."""

    system: str
    code: str
    display: str | None = None
    version: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """Whether a code holds, why not, and its display."""

    result: bool
    message: str | None = None
    display: str | None = None


async def check_in_system(
    connection: Connection,
    entry: Entry,
    codes: Sequence[Check],
    *,
    language: str | None = None,
    allows_abstract: bool = True,
) -> Verdict:
    """Whether the system has one of the codes, and the first such rightly named.

    Raises NotFound for a system that is here without its concepts: it cannot tell.
    """
    if not entry.has_concepts:
        raise NotFound(
            Sentence(
                "the code system %(canonical)s is here without its concepts, so its codes"
                " cannot be checked: store it as a CodeSystem with its concepts",
                canonical=entry.canonical,
            )
        )
    reasons = [_not_in(entry)]
    for code in codes:
        row = await concept_row(connection, entry, code.code)
        if row is not None and (allows_abstract or not row["is_abstract"]):
            return _named(code, *await _displays(connection, entry.url, row, language))
        if row is not None:
            reasons = [_ABSTRACT]
    return Verdict(result=False, message=reasons[0])


def check_in_sent_system(
    system: Mapping[str, Any],
    limits: TermLimits,
    codes: Sequence[Check],
    *,
    language: str | None = None,
    allows_abstract: bool = True,
) -> Verdict:
    """The same of a CodeSystem that is not stored here. Raises as `read_system` does."""
    rows = {row[1]: row for row in read_system(system, limits).concepts}
    sensitive = is_case_sensitive(system)
    reason = f"the code is not in {system.get('url') or 'the CodeSystem that was sent'}"
    for code in codes:
        row = rows.get(matched(code.code, case_sensitive=sensitive))
        if row is None:
            continue
        display, is_abstract, more = row[3], row[4], row[-1]
        if is_abstract and not allows_abstract:
            reason = _ABSTRACT
            continue
        designations = msgspec.json.decode(more).get("designation", ()) if more else ()
        return _named(code, *_called(display, designations, language))
    return Verdict(result=False, message=reason)


async def check_in_value_set(
    connection: Connection,
    limits: TermLimits,
    head: Mapping[str, Any],
    codes: Sequence[Check],
    *,
    language: str | None = None,
    allows_abstract: bool = True,
    date: str = "",
) -> Verdict:
    """Whether one of the codes is in the value set, and the first such rightly named.

    Raises NotFound, Conflict and Invalid as `Composer.select` does.
    """
    reasons = []
    for code in codes:
        versions = {code.system: code.version} if code.version else {}
        composer = Composer(connection, limits, Pins(versions=versions, date=date))
        row = await _member(connection, composer, head, code)
        if row is None:
            reasons.append(await _absence(connection, head, code))
        elif row["is_abstract"] and not allows_abstract:
            reasons.append(_ABSTRACT)
        else:
            given = composer.given.get((code.system, row["matched"]), [])
            own = await designations_of(connection, code.system, row)
            shown = row["shown"] or row["display"]
            display, names = _called(shown, [*given, *own], language)
            return _named(code, display, [*names, *filter(None, [row["display"]])])
    return Verdict(result=False, message="; ".join(dict.fromkeys(reasons)) or "no code was given")


async def member(
    connection: Connection, limits: TermLimits, head: Mapping[str, Any], code: Check
) -> asyncpg.Record | None:
    """The code's row in the value set; None when it is not in it."""
    return await _member(connection, Composer(connection, limits), head, code)


async def _member(
    connection: Connection, composer: Composer, head: Mapping[str, Any], code: Check
) -> asyncpg.Record | None:
    select = await composer.select(head)
    bind = composer.binding.bind
    statement = (
        "select m.shown, m.matched, m.code, c.display, c.is_abstract, c.more"
        f" from ({select}) m left join terminology.concept c"
        " on c.resource = m.resource and c.concept = m.concept"
        f" where m.url = {bind(code.system)} and m.matched = any({bind(forms_of(composer, code))})"
        " order by m.part limit 1"
    )
    try:
        return await connection.fetchrow(statement, *composer.binding.arguments)
    except asyncpg.InvalidRegularExpressionError as error:
        raise Invalid("a filter of the ValueSet holds no regular expression") from error


def forms_of(composer: Composer, code: Check) -> list[str]:
    """The code as it is compared: folded where its system does not tell upper from lower case."""
    entries = [e for e in composer.used.systems.values() if e.url == code.system]
    if entries and not all(entry.is_case_sensitive for entry in entries):
        return [code.code.casefold()]
    return [code.code]


async def concept_row(connection: Connection, entry: Entry, code: str) -> asyncpg.Record | None:
    """The concept of a code in its system."""
    return await connection.fetchrow(
        "select resource, concept, matched, code, display, is_abstract, is_inactive, parents, more"
        " from terminology.concept where resource = $1 and matched = $2",
        entry.number,
        code if entry.is_case_sensitive else code.casefold(),
    )


async def designations_of(connection: Connection, url: str, row: Any) -> list[dict[str, Any]]:
    """A concept's designations, those of supplements behind its own."""
    more = msgspec.json.decode(row["more"]) if row["more"] else {}
    found = list(more.get("designation", ()))
    numbers = await supplements(connection, url)
    if numbers:
        for added in await connection.fetch(
            "select more from terminology.concept where resource = any($1) and matched = any($2)"
            " and more is not null order by resource",
            numbers,
            # A supplement says nothing of case, so its codes stand as they were written.
            [row["matched"], row["code"]],
        ):
            found += msgspec.json.decode(added["more"]).get("designation", ())
    return found


async def _displays(
    connection: Connection, url: str, row: Any, language: str | None
) -> tuple[str | None, list[str]]:
    return _called(row["display"], await designations_of(connection, url, row), language)


def _called(
    display: str | None, designations: Sequence[Mapping[str, Any]], language: str | None
) -> tuple[str | None, list[str]]:
    """The display to show, and everything that the code may be called."""
    names = [each["value"] for each in designations if each.get("value")]
    shown = in_language(designations, language) or display
    return shown, [*filter(None, [display]), *names]


def _named(code: Check, display: str | None, names: Sequence[str]) -> Verdict:
    if code.display is None or not names:
        return Verdict(result=True, display=display)
    if fold(code.display) in {fold(name) for name in names}:
        return Verdict(result=True, display=display)
    message = "the display is not one of this code: it is shown in `display`"
    return Verdict(result=False, message=message, display=display)


def _not_in(entry: Entry) -> str:
    if entry.is_whole:
        return f"the code is not in {entry.canonical}"
    return (
        f"the code is not in the part of {entry.canonical} that is here (CodeSystem.content is"
        f" {entry.head.get('content')}); whether it is a code of the system cannot be told"
    )


async def _absence(connection: Connection, head: Mapping[str, Any], code: Check) -> str:
    """Why a code is not in a value set: another system, an unknown code, or left out."""
    name = head.get("url") or "the value set"
    if not code.system:
        return "the code has no system, so it cannot be told which code it is: give its system"
    entry = await find(connection, "CodeSystem", Canonical(code.system, code.version))
    if entry and entry.has_concepts and await concept_row(connection, entry, code.code) is None:
        return f"{_not_in(entry)}, so it is not in {name}"
    return f"the code is not in {name}"
