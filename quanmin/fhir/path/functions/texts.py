"""Functions over texts (FHIRPath 2.0, 5.6)."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import sys
import unicodedata
import warnings
from functools import lru_cache

from quanmin.fhir.path.arithmetic import kind
from quanmin.fhir.path.automaton import Automaton, ways
from quanmin.fhir.path.compiling import Application, Function, Step
from quanmin.fhir.path.environment import TEXT_LENGTH_MAX, Scope, fitting
from quanmin.fhir.path.functions.scalar import a_text, a_whole, scalar
from quanmin.fhir.path.nodes import EMPTY, Collection, computed
from quanmin.fhir.path.problems import Unfit

PATTERN_LENGTH_MAX = 2000
"""How long a regular expression may be."""

WAYS_MAX = 1_000_000
"""How many ways of matching Python may try; beyond, all are followed at once, which is slower."""

_PART = re.compile(r"\\[pP]\{\w+\}|\\.|.", re.DOTALL)
_NAMED = re.compile(r"\(\?<(?![=!])")
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_JSON_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_GROUP = re.compile(r"\$(?:(\d)|\{(\w+)\})|\\\$|\\\\")


def _substring(text: str, start: int | None, length: int | None = None) -> str | None:
    if start is None or not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


def _matches(text: str, pattern: str, flags: str = "") -> bool:
    found = _compiled(pattern, flags)
    if _is_costly(found, text):
        return _automaton(found).search(text)
    return found.search(text) is not None


def _matches_full(text: str, pattern: str, flags: str = "") -> bool:
    found = _compiled(pattern, flags)
    if _is_costly(found, text):
        return _automaton(found).fullmatch(text)
    return found.fullmatch(text) is not None


def _is_costly(pattern: re.Pattern[str], text: str) -> bool:
    """Whether Python may have to try more ways than anyone can wait for."""
    return ways(pattern.pattern, pattern.flags, len(text)) > WAYS_MAX


@lru_cache(maxsize=32)
def _automaton(pattern: re.Pattern[str]) -> Automaton:
    return Automaton(pattern.pattern, pattern.flags)


@lru_cache(maxsize=512)
def _compiled(pattern: str, flags: str) -> re.Pattern[str]:
    """A pattern of PCRE as FHIRPath has them: one line, dots match line ends."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise Unfit(f"a regular expression has at most {PATTERN_LENGTH_MAX} characters")
    options = re.DOTALL
    for flag in flags:
        if flag not in "im":
            raise Unfit("a regular expression takes the flags i and m only")
        options |= re.IGNORECASE if flag == "i" else re.MULTILINE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(_translated(pattern), options)
    except (re.error, RecursionError, OverflowError):
        raise Unfit("takes a regular expression, and this is none") from None


def _translated(pattern: str) -> str:
    """The pattern as Python writes it: named groups, and Unicode categories as their ranges."""
    pattern = _NAMED.sub("(?P<", pattern)
    if "\\p" not in pattern and "\\P" not in pattern:
        return pattern
    parts, is_inside = [], False
    for part in _PART.findall(pattern):
        if part[:2] in {"\\p", "\\P"} and len(part) > 2:
            ranges = _ranges(part[3:-1], is_outside=part[1] == "P")
            parts.append(ranges if is_inside else f"[{ranges}]")
            continue
        is_inside = part == "[" or (is_inside and part != "]")
        parts.append(part)
    return "".join(parts)


@lru_cache(maxsize=64)
def _ranges(category: str, *, is_outside: bool) -> str:
    """The characters of a Unicode category (L, Lu, Nd ...) as the inside of a class."""
    found: list[str] = []
    start = None
    for number in range(sys.maxunicode + 2):
        is_in = number <= sys.maxunicode and (
            unicodedata.category(chr(number)).startswith(category) != is_outside
        )
        if is_in and start is None:
            start = number
        elif not is_in and start is not None:
            found.append(f"\\U{start:08x}-\\U{number - 1:08x}")
            start = None
    if not found:
        raise Unfit("the regular expression names a category of Unicode that does not exist")
    return "".join(found)


def _replace(text: str, pattern: str, new: str) -> str:
    if (text.count(pattern) if pattern else len(text) + 1) * len(new) > TEXT_LENGTH_MAX:
        raise Unfit(f"this makes a text of more than {TEXT_LENGTH_MAX} characters")
    return text.replace(pattern, new)


def _replace_matches(text: str, pattern: str, new: str, flags: str = "") -> str:
    if not pattern:
        return text
    found = _compiled(pattern, flags)
    if _is_costly(found, text):
        raise Unfit("the regular expression may take too long on this text: make it simpler")
    if (len(text) + 1) * len(new) > TEXT_LENGTH_MAX * 10:
        raise Unfit(f"this may make a text of more than {TEXT_LENGTH_MAX} characters")

    def substitute(match: re.Match[str]) -> str:
        return _GROUP.sub(lambda group: _group(match, group), new)

    return fitting(found.sub(substitute, text))


def _group(match: re.Match[str], group: re.Match[str]) -> str:
    name = group[1] or group[2]
    if name is None:
        return group[0][1:]
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except (IndexError, ValueError):
        return group[0]


def _encode(text: str, form: str) -> str | None:
    raw = text.encode("utf-8", "replace")
    if form == "base64":
        return base64.b64encode(raw).decode()
    if form == "urlbase64":
        return base64.urlsafe_b64encode(raw).decode()
    return raw.hex() if form == "hex" else None


def _decode(text: str, form: str) -> str | None:
    try:
        if form == "base64":
            return base64.b64decode(text, validate=True).decode("utf-8", "replace")
        if form == "urlbase64":
            return base64.urlsafe_b64decode(text.encode("ascii")).decode("utf-8", "replace")
        return bytes.fromhex(text).decode("utf-8", "replace") if form == "hex" else None
    except (binascii.Error, ValueError):
        raise Unfit(f"the text is not {form}") from None


def _escape(text: str, form: str) -> str | None:
    if form == "html":
        return fitting(html.escape(text, quote=True).replace("&#x27;", "&#39;"))
    return json.dumps(text, ensure_ascii=False)[1:-1] if form == "json" else None


def _unescape(text: str, form: str) -> str | None:
    if form == "html":
        return html.unescape(text)
    return _JSON_ESCAPE.sub(_unescaped, text) if form == "json" else None


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _JSON_ESCAPED.get(found[2], found[2])


def _listing(pieces: int) -> Function:
    """split() and toChars(): from one text to several."""

    def build(application: Application) -> Step:
        def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
            try:
                text = application.lone(focus)
                separator = application.value(0, this, scope) if pieces else ""
                if text is None or separator is None:
                    return EMPTY
                parts = a_text(text).split(a_text(separator)) if separator else list(a_text(text))
                scope.spend(len(parts))
            except Unfit as fault:
                raise application.problem(str(fault)) from None
            return [node for part in parts for node in computed(part)]

        return apply

    return Function(pieces, pieces, build)


def _join(application: Application) -> Step:
    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        separator = application.value(0, this, scope) or ""
        values = [node.plain for node in focus]
        texts = [value for value in values if value is not None]
        for value in (separator, *texts):
            if type(value) is not str:
                raise application.problem(f"takes Strings, not {kind(value)}")
        if sum(map(len, texts)) + len(separator) * len(texts) > TEXT_LENGTH_MAX:
            raise application.problem(f"makes more than {TEXT_LENGTH_MAX} characters")
        return computed(separator.join(texts)) if texts else EMPTY

    return apply


TEXTS: dict[str, Function] = {
    "indexOf": scalar(lambda text, part: text.find(part), a_text, a_text),
    "lastIndexOf": scalar(lambda text, part: text.rfind(part), a_text, a_text),
    "substring": scalar(_substring, a_text, a_whole, a_whole, optional=1, needs_all=False),
    "startsWith": scalar(lambda text, part: text.startswith(part), a_text, a_text),
    "endsWith": scalar(lambda text, part: text.endswith(part), a_text, a_text),
    "contains": scalar(lambda text, part: part in text, a_text, a_text),
    "upper": scalar(lambda text: text.upper(), a_text),
    "lower": scalar(lambda text: text.lower(), a_text),
    "replace": scalar(_replace, a_text, a_text, a_text),
    "matches": scalar(_matches, a_text, a_text, a_text, optional=1),
    "matchesFull": scalar(_matches_full, a_text, a_text, a_text, optional=1),
    "replaceMatches": scalar(_replace_matches, a_text, a_text, a_text, a_text, optional=1),
    "length": scalar(len, a_text),
    "trim": scalar(lambda text: text.strip(), a_text),
    "encode": scalar(_encode, a_text, a_text),
    "decode": scalar(_decode, a_text, a_text),
    "escape": scalar(_escape, a_text, a_text),
    "unescape": scalar(_unescape, a_text, a_text),
    "split": _listing(1),
    "toChars": _listing(0),
    "join": Function(0, 1, _join),
}
"""Functions over texts."""
