"""How each primitive type is written in JSON: one table for the fast check and for explanations.

White space is that of ASCII throughout: a full-width space is a character like any other.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from quanmin.base.problems import Sentence

_MONTH_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = rf"(?:[0-9]{{4}}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)"
_MONTH = r"[0-9]{4}(?:-(?:0[1-9]|1[0-2]))?"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

ID = r"[A-Za-z0-9.-]{1,64}"
STRING_LENGTH_MAX = 1024 * 1024
INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1


class Primitive(msgspec.Struct, frozen=True):
    """How a primitive is written: its JSON kind, how to say so, what its whole text matches."""

    json: Literal["string", "integer", "decimal", "boolean"]
    hint: str
    pattern: str | None = None
    low: int = INTEGER_MIN


_URI = Primitive("string", Sentence("a URI without white space"), r"\S+")
_DATE = rf"(?!0000)(?:{_MONTH}|{_DAY})"
_DATE_TIME = rf"(?!0000)(?:{_MONTH}|{_DAY}(?:T{_TIME}{_ZONE})?)"
_BASE64 = r"(?:[0-9A-Za-z+/]{4})*+(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?"

PRIMITIVES: dict[str, Primitive] = {
    "base64Binary": Primitive("string", Sentence("base64 (groups of four characters)"), _BASE64),
    "boolean": Primitive("boolean", Sentence("true or false, without quotes")),
    "canonical": _URI,
    "code": Primitive(
        "string", Sentence("a code without white space at its ends"), r"\S+(?:\s\S+)*"
    ),
    "date": Primitive(
        "string", Sentence("a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD"), _DATE
    ),
    "dateTime": Primitive(
        "string",
        Sentence(
            "a date (YYYY, YYYY-MM, YYYY-MM-DD) or a time with seconds and zone, "
            "such as 2026-11-22T08:30:00+08:00"
        ),
        _DATE_TIME,
    ),
    "decimal": Primitive("decimal", Sentence("a number without quotes")),
    "id": Primitive("string", Sentence("an id: 1 to 64 of A-Z a-z 0-9 - ."), ID),
    "instant": Primitive(
        "string",
        Sentence("a time with seconds and zone, such as 2026-11-22T08:30:00+08:00"),
        rf"(?!0000){_DAY}T{_TIME}{_ZONE}",
    ),
    "integer": Primitive("integer", Sentence("a whole number of at most 32 bits, without quotes")),
    "markdown": Primitive("string", Sentence("text")),
    "oid": Primitive(
        "string", Sentence("urn:oid: and an OID"), r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"
    ),
    "positiveInt": Primitive("integer", Sentence("a whole number from 1, without quotes"), None, 1),
    "string": Primitive("string", Sentence("text")),
    "time": Primitive("string", Sentence("a time of day hh:mm:ss"), _TIME),
    "unsignedInt": Primitive("integer", Sentence("a whole number from 0, without quotes"), None, 0),
    "uri": _URI,
    "url": _URI,
    "uuid": Primitive(
        "string",
        Sentence("urn:uuid: and a UUID in lower case"),
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    "xhtml": Primitive("string", Sentence("an XHTML div")),
}


def whole(pattern: str) -> str:
    """`pattern` as one that a search finds only when it covers the whole text; ASCII only."""
    return rf"(?a)\A(?:{pattern})\Z"
