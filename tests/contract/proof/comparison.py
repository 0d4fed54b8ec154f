"""R4's comparisons (search.html 3.1.1.4), written from the specification alone, plain and slow.

`holds` is true or false where R4 decides, and None where R4 leaves the server a choice: it may then
find the record or not.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")

_CONTACTS = {"phone", "fax", "email", "pager", "url", "sms", "other"}
_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?(.*)", re.DOTALL)
_EARLY, _LATE = -(10**30), 10**30

Span = tuple[int, int]
Coded = tuple[str | None, str | None, bool]


def holds(kind: str, modifier: str, asked: str, elements: list[Any]) -> bool | None:
    """Whether `asked` (one value, unescaped) is what one of the elements says."""
    judge = {
        "token": _token,
        "string": _string,
        "date": _date,
        "number": _number,
        "quantity": _quantity,
        "reference": _reference,
        "uri": _uri,
    }[kind]
    verdicts = [judge(modifier, asked, element) for element in elements]
    if modifier == "not":
        return not any(verdicts)
    if any(verdicts):
        return True
    return None if None in verdicts else False


# Tokens


def codes(element: Any) -> Iterator[Coded]:
    """(system, code, whether the element can have no system) of whatever a token may look at."""
    if isinstance(element, bool):
        yield None, str(element).lower(), True
    elif isinstance(element, str):
        yield None, element, True
    elif isinstance(element, dict) and not _is_plain_coding(element):
        if "value" in element:
            is_contact = element.get("system") in _CONTACTS
            yield None if is_contact else element.get("system"), element["value"], is_contact
        for coding in element.get("coding", ()):
            yield coding.get("system"), coding.get("code"), False
    elif isinstance(element, dict):
        yield element.get("system"), element.get("code"), False


def _is_plain_coding(element: dict[str, Any]) -> bool:
    return not element.keys() & {"coding", "value", "text"}


def said(element: Any) -> list[str]:
    """The texts along with the codes of an element: of a concept, a Coding, or an Identifier."""
    if not isinstance(element, dict):
        return []
    if "value" in element or isinstance(element.get("type"), dict):
        kind = element.get("type")
        return [kind["text"]] if isinstance(kind, dict) and "text" in kind else []
    displays = [coding.get("display") for coding in element.get("coding", ())]
    own = [element.get("display"), element.get("text")]
    return [text for text in (*own, *displays) if text]


def typed(element: Any) -> Iterator[str]:
    """`system|code|value` of an Identifier, for each code of its type."""
    kind = element.get("type") if isinstance(element, dict) else None
    if isinstance(kind, dict) and "value" in element:
        for coding in kind.get("coding", ()):
            yield f"{coding.get('system', '')}|{coding.get('code', '')}|{element['value']}"


def _token(modifier: str, asked: str, element: Any) -> bool | None:
    if modifier == "text":
        verdicts = [_string("", asked, text) for text in said(element)]
        return True if True in verdicts else None if None in verdicts else False
    if modifier == "of-type":
        return asked in typed(element)
    system, bar, code = asked.rpartition("|")
    verdicts = [_same_code(system, bar, code, coded) for coded in codes(element)]
    if any(verdicts):
        return True
    return None if None in verdicts else False


def _same_code(system: str, bar: str, code: str, coded: Coded) -> bool | None:
    its_system, its_code, is_alone = coded
    if code and code != its_code:
        # R4 leaves it to the server to treat codes as case sensitive or not.
        return None if its_code and code.casefold() == its_code.casefold() else False
    if not bar:
        return True
    if is_alone:
        return None  # the system of a bare code is the one its binding implies
    return system == (its_system or "") and (bool(code) or bool(system))


# Texts


def texts(element: Any) -> list[str]:
    """The strings of a string, a HumanName or an Address."""
    if isinstance(element, str):
        return [element]
    if not isinstance(element, dict):
        return []
    names = ("text", "family", "given", "prefix", "suffix")
    places = ("line", "city", "district", "state", "postalCode", "country")
    found: list[str] = []
    for name in names + places:
        value = element.get(name, [])
        found += [value] if isinstance(value, str) else value
    return found


def fold(text: str) -> str:
    """Without case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _string(modifier: str, asked: str, element: Any) -> bool | None:
    mine = texts(element)
    if modifier == "exact":
        # A HumanName may also be matched as a whole.
        return asked in mine or (None if _is_whole(asked, mine) else False)
    wanted = fold(asked)
    if modifier == "contains":
        if any(wanted in fold(text) for text in mine):
            return True
    elif any(fold(text).startswith(wanted) for text in mine):
        return True
    # Servers may look into the parts of a text, over its parts, and past its punctuation.
    return None if _letters(wanted) in _letters(fold(" ".join(mine * 2))) else False


def _is_whole(asked: str, mine: list[str]) -> bool:
    return sorted(asked.split()) == sorted(" ".join(mine).split())


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


# Dates


def span(text: str) -> Span:
    """The half-open interval a date covers, in microseconds; what has no zone is read in China."""
    if len(text) <= 10:
        year, month, day = ([int(part) for part in text.split("-")] + [0, 0])[:3]
        first = datetime(year, month or 1, day or 1, tzinfo=ZONE)
        days = (
            1
            if day
            else calendar.monthrange(year, month)[1]
            if month
            else 365 + calendar.isleap(year)
        )
        naive = first.replace(tzinfo=None) + timedelta(days=days)
        return _micros(first), _micros(naive.replace(tzinfo=ZONE))
    low = datetime.fromisoformat(text)
    low = low if low.tzinfo else low.replace(tzinfo=ZONE)
    fraction = re.search(r"\.(\d+)", text)
    if fraction:
        return _micros(low), _micros(low) + 10 ** (6 - min(len(fraction[1]), 6))
    return _micros(low), _micros(low) + 1_000_000


def _micros(moment: datetime) -> int:
    return int(Decimal(f"{moment.timestamp():.6f}") * 1_000_000)


def spans(element: Any) -> list[Span]:
    """The interval of a date, a Period or a Timing; none for what says no date."""
    if isinstance(element, str):
        return [span(element)] if re.match(r"\d{4}", element) else []
    if not isinstance(element, dict):
        return []
    if element.keys() & {"start", "end"}:
        return [
            (
                span(element["start"])[0] if "start" in element else _EARLY,
                span(element["end"])[1] if "end" in element else _LATE,
            )
        ]
    bounds = element.get("repeat", {}).get("boundsPeriod")
    several = [span(event) for event in element.get("event", ())]
    several += spans(bounds) if bounds else []
    if not several:
        return []
    return [(min(low for low, _ in several), max(high for _, high in several))]


def _date(_: str, asked: str, element: Any) -> bool | None:
    prefix, text = split_prefix(asked)
    low, high = span(text)
    verdicts = [
        _dates(prefix, low, high, its_low, its_high) for its_low, its_high in spans(element)
    ]
    return any(verdicts)


def _dates(prefix: str, low: int, high: int, its_low: int, its_high: int) -> bool:
    is_within = low <= its_low and its_high <= high
    return {
        "eq": is_within,
        "ne": not is_within,
        "gt": its_high > high,
        "lt": its_low < low,
        "ge": its_high > high or is_within,
        "le": its_low < low or is_within,
        "sa": its_low >= high,
        "eb": its_high <= low,
    }[prefix]


def split_prefix(asked: str) -> tuple[str, str]:
    """The comparison asked for, and with what."""
    found = _PREFIXED.fullmatch(asked)
    return (found[1] or "eq", found[2]) if found else ("eq", asked)


# Numbers and quantities


def _number(_: str, asked: str, element: Any) -> bool | None:
    if isinstance(element, dict):  # a Range: R4 says nothing of its comparison
        return None
    return _numbers(asked, Decimal(str(element)))


def _numbers(asked: str, mine: Decimal) -> bool:
    prefix, text = split_prefix(asked)
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    is_within = value - half <= mine < value + half
    return {
        "eq": is_within,
        "ne": not is_within,
        "gt": mine > value,
        "lt": mine < value,
        "ge": mine >= value,
        "le": mine <= value,
        "sa": mine > value,
        "eb": mine < value,
    }[prefix]


def _quantity(_: str, asked: str, element: Any) -> bool | None:
    number, _bar, unit = asked.partition("|")
    if not isinstance(element, dict) or "value" not in element or "comparator" in element:
        return None
    fits = _numbers(number, Decimal(str(element["value"])))
    if not unit:
        return fits
    system, _bar, code = unit.rpartition("|")
    is_money = "currency" in element
    mine = (
        ("urn:iso:std:iso:4217", element["currency"], None)
        if is_money
        else (element.get("system", ""), element.get("code"), element.get("unit"))
    )
    if system and system != mine[0]:
        return False
    if code in mine[1:]:
        return fits
    # Another unit of the same dimension may be converted.
    return None if "unitsofmeasure" in f"{mine[0]}{system}" or not system else False


# References and URIs


def _reference(modifier: str, asked: str, element: Any) -> bool | None:
    if modifier == "below":
        mine, _bar, version = str(element).partition("|")
        url, bar, part = asked.partition("|")
        return mine == url and (not bar or version == part or version.startswith(f"{part}."))
    text = element if isinstance(element, str) else None
    if isinstance(element, dict):
        text = element.get("reference") or element.get("id")
        if element.get("resourceType"):
            text = f"{element['resourceType']}/{element.get('id', '')}"
    if not text:
        return False
    plain = re.sub(r"/_history/[^/]+$", "", text)
    if "/" not in plain and ":" not in plain:
        return None  # neither an address nor Type/id: R4 gives it no meaning
    if asked in {text, plain}:
        return True
    if re.match(r"\w+:", text):
        # An absolute address: it may be this node's own under another name.
        return None if plain.endswith(f"/{asked}") else plain.split("|")[0] == asked
    return plain.rpartition("/")[2] == asked


def _uri(modifier: str, asked: str, element: Any) -> bool | None:
    if modifier == "below":
        return _is_below(element, asked)
    return _is_below(asked, element) if modifier == "above" else bool(asked == element)


def _is_below(url: str, top: str) -> bool | None:
    """By parts of the path; what a query, a fragment or a version is below of R4 does not say."""
    if url == top or url.startswith(top if top.endswith("/") else f"{top}/"):
        return True
    return None if url.startswith(top) and url[len(top)] in "?#|" else False


# The comparisons of _filter on texts


def filtered_text(operator: str, asked: str, elements: list[Any]) -> bool | None:
    """Whether a text of the elements compares so. What punctuation and the parts of a name put
    together come to is left to the server.
    """
    mine = [text for element in elements for text in texts(element)]
    wanted = fold(asked)
    answers: dict[str, Callable[[str], bool]] = {
        "eq": lambda text: text == wanted,
        "co": lambda text: wanted in text,
        "sw": lambda text: text.startswith(wanted),
        "ew": lambda text: text.endswith(wanted),
        "ne": lambda text: _letters(text) != _letters(wanted),
    }
    if any(answers[operator](fold(text)) for text in mine):
        return True
    together = _letters(fold(" ".join(mine * 2)))
    is_near = bool(mine) if operator == "ne" else _letters(wanted) in together
    return None if is_near else False
