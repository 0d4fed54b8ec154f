"""Scopes: what an application may do for whoever it works for (SMART App Launch 2.2, scopes).

`patient/Observation.rs?category=laboratory` reaches the records of the launch patient, of one type,
to read and search, with one category. Older forms (`.read`, `.write`, `.*`) mean the same as `rs`,
`cud` and `cruds`. Pure text: what a scope reaches among records is worked out by `trust.reach`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from quanmin.base.problems import GrantRefused, Problem
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import TokenOperand
from quanmin.fhir.table import load_table

LETTERS: Final = "cruds"
PLAIN: Final = frozenset(
    {
        "fhirUser",
        "launch",
        "launch/encounter",
        "launch/patient",
        "offline_access",
        "online_access",
        "openid",
        "profile",
    }
)
_OLD: Final = {"read": "rs", "write": "cud", "*": LETTERS}
_SCOPE: Final = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]*)\.(read|write|\*|[a-z]+)(?:\?(.+))?"
)
# RFC 6749 section 3.3.
_CHARACTERS: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPES_MAX: Final = 200
_TEXT_LENGTH_MAX: Final = 8192


class Reach(msgspec.Struct, frozen=True):
    """One scope on records. `letters` are in the order of `cruds`, `params` what records must have;
    `text` is how it was written.
    """

    context: str
    type: str
    letters: str
    params: tuple[tuple[str, str], ...]
    text: str

    def covers(self, other: Reach) -> bool:
        """Whether nothing that `other` reaches is beyond this."""
        return (
            self.context == other.context
            and self.type in {"*", other.type}
            and set(other.letters) <= set(self.letters)
            and set(self.params) <= set(other.params)
        )

    def meet(self, other: Reach) -> Reach | None:
        """What both reach; None for nothing."""
        letters = "".join(letter for letter in self.letters if letter in other.letters)
        types = {self.type, other.type} - {"*"}
        if self.context != other.context or not letters or len(types) > 1:
            return None
        if other.covers(self):
            return self
        type_ = types.pop() if types else "*"
        params = tuple(dict.fromkeys((*self.params, *other.params)))
        if type_ == "*" and params:
            return None
        return Reach(
            self.context, type_, letters, params, _written(self.context, type_, letters, params)
        )


class Scopes(msgspec.Struct, frozen=True):
    """What an application has, asks for or may ask for."""

    reaches: tuple[Reach, ...] = ()
    plain: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return " ".join([*sorted(self.plain), *(reach.text for reach in self.reaches)])

    def within(self, bound: Scopes) -> Scopes:
        """What is left of these within others: never more than either."""
        met = (mine.meet(theirs) for mine in self.reaches for theirs in bound.reaches)
        found = list(dict.fromkeys(reach for reach in met if reach is not None))
        wide = [
            reach
            for at, reach in enumerate(found)
            if not any(
                other.covers(reach) and (at > place or not reach.covers(other))
                for place, other in enumerate(found)
                if place != at
            )
        ]
        return Scopes(tuple(wide), self.plain & bound.plain)

    def cover(self, other: Scopes) -> bool:
        """Whether nothing of the other is beyond these."""
        return other.plain <= self.plain and all(
            any(mine.covers(theirs) for mine in self.reaches) for theirs in other.reaches
        )

    def may(self, letters: str, type_: str | None) -> bool:
        """Whether any record of this type (None: of some type) may be dealt with in these ways."""
        return any(
            set(letters) <= set(reach.letters) and (type_ is None or reach.type in {"*", type_})
            for reach in self.reaches
        )

    def show_what_changes(self, type_: str) -> bool:
        """Whether they let read whatever records of this type they let change."""
        return all(
            any(one.covers(msgspec.structs.replace(reach, letters="r")) for one in self.reaches)
            for reach in self.reaches
            if "u" in reach.letters and reach.type in {"*", type_}
        )

    def of_contexts(self, contexts: Iterable[str]) -> Scopes:
        """Those on records in these contexts, and all others."""
        wanted = frozenset(contexts)
        return Scopes(tuple(one for one in self.reaches if one.context in wanted), self.plain)

    def without(self, dropped: Iterable[str]) -> Scopes:
        """These but those written so."""
        gone = frozenset(dropped)
        reaches = tuple(reach for reach in self.reaches if reach.text not in gone)
        return Scopes(reaches, self.plain - gone)


@lru_cache(maxsize=2048)
def parse_scopes(text: str) -> Scopes:
    """The scopes of a text, parted by spaces; words that are no scope of SMART are left out.

    Raises GrantRefused (`invalid_scope`) for a scope on records that has no meaning.
    """
    words = list(dict.fromkeys(text.split(" "))) if text else []
    if len(text) > _TEXT_LENGTH_MAX or len(words) > _SCOPES_MAX:
        raise _invalid(f"ask for at most {_SCOPES_MAX} scopes of {_TEXT_LENGTH_MAX} characters")
    reaches = [
        _reach(word) for word in words if word and word not in PLAIN and _is_on_records(word)
    ]
    return Scopes(tuple(reaches), frozenset(words) & PLAIN)


def _is_on_records(word: str) -> bool:
    if not _CHARACTERS.fullmatch(word):
        raise _invalid("a scope has a character that none may have")
    return word.startswith(("patient/", "user/", "system/"))


def _reach(word: str) -> Reach:
    found = _SCOPE.fullmatch(word)
    if found is None:
        raise _invalid(f"{word!r} is not context/Type.cruds?parameter=value")
    context, type_, ways, query = found.groups()
    letters = _OLD.get(ways, ways)
    if "".join(letter for letter in LETTERS if letter in letters) != letters:
        raise _invalid(f"{word!r}: the interactions are letters of {LETTERS}, in this order")
    if type_ != "*" and type_ not in load_table().types:
        raise _invalid(f"{word!r}: there is no such type of record in R4")
    params = () if query is None else _params(word, type_, query)
    return Reach(context, type_, letters, params, word)


def _params(word: str, type_: str, query: str) -> tuple[tuple[str, str], ...]:
    """Parameters of codes alone: of these the index tells for any record whether it has one."""
    if type_ == "*":
        raise _invalid(f"{word!r}: name the type, parameters are of one")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise _invalid(f"{word!r}: what follows the ? is no query") from None
    for pair in pairs:
        _check_param(word, type_, pair)
    return tuple(pairs)


def _check_param(word: str, type_: str, pair: tuple[str, str]) -> None:
    try:
        query = parse_query(type_, [pair], strict=True, zone=UTC, limits=QueryLimits())
    except Problem:
        raise _invalid(f"{word!r}: {pair[0]!r} does not take this value") from None
    is_code = (
        len(query.clauses) == 1
        and not (query.links or query.filters or query.includes or query.revincludes)
        and query.clauses[0].param.kind == "token"
        and not query.clauses[0].param.is_custom
        and query.clauses[0].param.name not in {"_id", "identifier"}
        and query.clauses[0].modifier is None
        and all(
            isinstance(operand, TokenOperand) and operand.code is not None and operand.system != ""
            for operand in query.clauses[0].operands
        )
    )
    if not is_code:
        raise _invalid(
            f"{word!r}: only parameters of codes such as category, code, status or _security may"
            " narrow a scope, by system|code or code"
        )


def _written(context: str, type_: str, letters: str, params: tuple[tuple[str, str], ...]) -> str:
    query = "&".join(f"{name}={value}" for name, value in params)
    return f"{context}/{type_}.{letters}" + (f"?{query}" if query else "")


def _invalid(text: str) -> GrantRefused:
    return GrantRefused("invalid_scope", text)
