"""Cuts the text of a FHIRPath expression into tokens."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from quanmin.fhir.path.problems import PathProblem

Sort = Literal["moment", "long", "number", "string", "quoted", "word", "variable", "sign", "end"]

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*|/\*.*?\*/)
    | (?P<long>\d+L\b)
    | (?P<number>\d+(?:\.\d+)?)
    | '(?P<string>(?:[^'\\]|\\.)*)'
    | `(?P<quoted>(?:[^`\\]|\\.)*)`
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<variable>\$(?:this|index|total)\b)
    | (?<=%)"(?P<constant>(?:[^"\\]|\\.)*)"
    | (?P<sign><=|>=|!=|!~|[-+*/&|=~<>().,\[\]{}%])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_MOMENT = re.compile(
    r"@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
    r"|\d{4}(?:-\d\d(?:-\d\d)?)?"
    r"(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?)",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class Token(msgspec.Struct, frozen=True):
    """One token; `text` without quotes and with its escapes resolved, `at` where it starts."""

    sort: Sort
    text: str
    at: int


def cut(expression: str) -> list[Token]:
    """The tokens, "end" last; comments and space are left out. Raises PathProblem."""
    tokens: list[Token] = []
    at = 0
    while at < len(expression):
        found = _MOMENT.match(expression, at) if expression[at] == "@" else None
        if found:
            tokens.append(Token("moment", found[0][1:], at))
            at = found.end()
            continue
        found = _TOKEN.match(expression, at)
        if found is None:
            raise PathProblem(_advice(expression[at]), expression=expression, at=at, fault="syntax")
        sort = found.lastgroup
        if sort in {"string", "quoted", "constant"}:
            tokens.append(Token(_sort(sort), _unescaped(found[sort]), at))
        elif sort != "space":
            tokens.append(Token(_sort(sort), found[0], at))
        at = found.end()
    tokens.append(Token("end", "", len(expression)))
    return tokens


def _sort(name: str | None) -> Sort:
    sorts: dict[str | None, Sort] = {
        "long": "long",
        "number": "number",
        "string": "string",
        "quoted": "quoted",
        # R4 fhirpath.html writes %"vs-name", which the grammar of 2.0 has in backticks.
        "constant": "quoted",
        "word": "word",
        "variable": "variable",
        "sign": "sign",
    }
    return sorts[name]


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    resolved = _ESCAPE.sub(_character, text)
    if resolved.isascii():
        return resolved
    # A character beyond the first plane is escaped as two halves.
    return resolved.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    if escape[0] == "u" and len(escape) == 5:
        return chr(int(escape[1:], 16))
    return _ESCAPED.get(escape, escape)


def _advice(character: str) -> str:
    return {
        "'": "a text begins here and does not end: close it with '",
        "`": "a name begins here and does not end: close it with `",
        "/": "a comment begins here and does not end: close it with */",
        '"': "texts stand in single quotes: '...'",
        "$": "there are $this, $index and $total only",
        "@": "a date is written @2015, @2015-02-04 or @2015-02-04T14:34:28+08:00, a time @T14:34",
        "!": "not equal is written !=, and not is the function not()",
    }.get(character, "this character means nothing here")
