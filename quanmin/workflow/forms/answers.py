"""What a response says, without what it was asked with: its answers by link id, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from quanmin.fhir.dates import row_text
from quanmin.fhir.json import Json
from quanmin.workflow.forms.compiling import option_words
from quanmin.workflow.forms.model import Form, Item, Members


def answers(response: Json) -> dict[str, Any]:
    """The first answer to each question, by link id; of groups that repeat, that of the first."""
    found: dict[str, Any] = {}

    def gather(held: Json) -> None:
        for one in held.get("item") or ():
            for answer in one.get("answer") or ():
                found.setdefault(one["linkId"], _value(answer))
                gather(answer)
            gather(one)

    gather(response)
    return found


def words_of(
    form: Form, response: Json, language: str, zone: tzinfo, members: Members | None = None
) -> dict[str, str]:
    """The answers in words, by link id in the order of the form; none for what was not answered.
    Several answers to a question stand behind each other; of a group that is there several times
    each occurrence has its place, `–` where it does not answer what another does. Times are those
    of the zone. Codes of which `members` gives the options are told in their words.
    """
    between = "；" if language == "zh" else "; "

    def texts(items: Sequence[Json]) -> dict[str, str]:
        found: dict[str, str] = {}
        for link in dict.fromkeys(one["linkId"] for one in items):
            asked = form.by_link.get(link)
            own = [one for one in items if one["linkId"] == link]
            given = [answer for one in own for answer in one.get("answer") or ()]
            values = [_value(one) for one in given]
            told = [
                _told(asked, value, language, zone, members)
                for value in values
                if asked is not None and value is not None
            ]
            if told:
                found[link] = between.join(told)
            each = [texts(one.get("item") or ()) for one in (*own, *given)]
            each = [one for one in each if one]
            for inner in dict.fromkeys(name for one in each for name in one):
                found[inner] = between.join(one.get(inner, "–") for one in each)
        return found

    said = texts(response.get("item") or ())
    return {link: said[link] for link in form.by_link if link in said}


def label(form: Form, link: str, language: str) -> str:
    """What the form calls a question."""
    item = form.by_link.get(link)
    return item.words.told(language) if item else link


def _value(answer: Json) -> Any:
    return next((answer[name] for name in answer if name.startswith("value")), None)


def _told(item: Item, value: Any, language: str, zone: tzinfo, members: Members | None) -> str:
    """An answer in words; of one that is looked for by its code the code as well."""
    own = members(item.value_set) if members is not None and item.value_set else None
    for option in own or ():
        if isinstance(value, dict) and option.value.get("code") == value.get("code"):
            return option.words.told(language)
    words = _words(value, language, zone)
    code = value.get("code", "") if isinstance(value, dict) and item.is_looked_for else ""
    return f"{code} {words}" if code and code != words else words


def _words(value: Any, language: str, zone: tzinfo) -> str:
    if isinstance(value, bool):
        zh, en = ("是", "Yes") if value else ("否", "No")
        return zh if language == "zh" else en
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict) and "value" in value:
        return f"{_words(value['value'], language, zone)} {value.get('unit') or ''}".strip()
    if isinstance(value, dict) and "contentType" in value:
        return str(value.get("title") or value["contentType"])
    if isinstance(value, dict):
        return option_words(value).told(language)
    return row_text(str(value), zone)
