"""What a response says, without what it was asked with: its answers by link id, and in words."""

from __future__ import annotations

from datetime import tzinfo
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
                value = next((answer[name] for name in answer if name.startswith("value")), None)
                found.setdefault(one["linkId"], value)
                gather(answer)
            gather(one)

    gather(response)
    return found


def words_of(
    form: Form, response: Json, language: str, zone: tzinfo, members: Members | None = None
) -> dict[str, str]:
    """The answers in words, by link id in the order of the form; none for what was not answered.
    Times are those of the zone. Codes of which `members` gives the options are told in their words.
    """
    said = answers(response)
    asked = {link: item for link, item in form.by_link.items() if link in said}
    return {link: _told(item, said[link], language, zone, members) for link, item in asked.items()}


def label(form: Form, link: str, language: str) -> str:
    """What the form calls a question."""
    item = form.by_link.get(link)
    return item.words.told(language) if item else link


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
    if isinstance(value, dict) and "value" in value:
        return f"{value['value']} {value.get('unit') or ''}".strip()
    if isinstance(value, dict) and "contentType" in value:
        return str(value.get("title") or value["contentType"])
    if isinstance(value, dict):
        return option_words(value).told(language)
    return row_text(str(value), zone)
