"""Reads what was sent of a form's fields back into answers.

A field is named by the key of its place; beside it `~unit` holds the unit of a quantity, `~other`
what was typed where an open choice allows it, `~find` what was typed to look for a code and led to
none, `~refused` why a file was not taken. An occurrence of a group has a field as well, its key and
`/`: what it goes on from (`Place.start`); empty, from what stands at its place. Of a value set that
is not listed a code stands as `system|code`, other words behind `~`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final

from quanmin.fhir.json import Json
from quanmin.workflow.forms.filling import (
    GROUPS_MAX,
    NEW,
    Filling,
    Place,
    open_response,
    quantity,
)
from quanmin.workflow.forms.model import VALUE_OF, Around, Form, Item, Option

UNIT, OTHER, TYPED, REFUSED, AS_TYPED = "~unit", "~other", "~find", "~refused", "~"
_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")
_MOMENT_LENGTH: Final = len("2026-01-31T08:00:00+08:00")
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９．－＋", "0123456789.-+")
# Tab, line feed and carriage return are taken by FHIR's string (R4 datatypes, string).
_CONTROLS: Final = {
    code: "\n" if chr(code) in "\v\f" else None for code in range(0x20) if chr(code) not in "\t\n\r"
}

Sent = Mapping[str, Sequence[str]]


def fill(form: Form, around: Around, sent: Sent, start: Json | None = None) -> Filling:
    """The settled filling of a form with what was sent; `start` is the response as it was before.

    A field that was not sent keeps what it held only where nobody can fill it in (read-only or
    hidden): an empty box sends nothing. What cannot be read stays in `Place.unread`.
    """
    head = {"resourceType": "QuestionnaireResponse", "status": "in-progress"}
    held = start if start is not None else head
    growing = _Growing(sent)
    items = growing.grown(form.items, held.get("item") or [])
    filling = open_response(form, around, {**held, "item": items})
    for place in filling.walk():
        if place.item.kind == "group":
            place.start = growing.starts.get(place.key, NEW) if place.item.repeats else ""
        elif place.item.kind != "display" and not _is_kept(place.item):
            _take(place, sent, around)
    filling.settle()
    return filling


def _is_kept(item: Item) -> bool:
    return item.is_fixed or item.is_hidden or item.calculated is not None


class _Growing:
    """Gives a response as many occurrences of each group as fields were sent for, each over the one
    that it goes on from; `starts` has which by key.
    """

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._keys = [name.split("~")[0].split("/") for name in sent]
        self.starts: dict[str, str] = {}

    def grown(
        self,
        items: Sequence[Item],
        held: Sequence[Json],
        above: str = "",
        keys: Sequence[Sequence[str]] | None = None,
    ) -> list[Json]:
        """What a response holds of these items, whose keys begin with `above` and go on with the
        parts of `keys`.
        """
        keys = self._keys if keys is None else keys
        links = {item.link_id for item in items}
        found: list[Json] = []
        for item in items:
            own = [one for one in held if one.get("linkId") == item.link_id]
            if item.kind != "group":
                found += own
                continue
            for name, one in self._occurrences(item, own, above, keys, links):
                inner = [key[1:] for key in keys if key[0] == name and len(key) > 1]
                below = self.grown(item.items, one.get("item") or [], f"{above}{name}/", inner)
                found.append({"linkId": item.link_id, **one, "item": below})
        return found

    def _occurrences(
        self,
        item: Item,
        own: Sequence[Json],
        above: str,
        keys: Sequence[Sequence[str]],
        links: set[str],
    ) -> Iterator[tuple[str, Json]]:
        stem = item.link_id
        if not item.repeats:
            if own or any(key[0] == stem for key in keys):
                yield stem, own[0] if own else {}
            return
        # With a "." in it the name of an occurrence may as well be that of another item.
        named = {key[0] for key in keys if len(key) > 1} - links
        there = {at for name in named if (at := _index(stem, name)) is not None}
        told = {at: text for at in there if (text := self._start(f"{above}{stem}.{at}/"))}
        count = max([0 if told else len(own), *(at + 1 for at in there)])
        left = {str(at): one for at, one in enumerate(own)}
        for at in range(min(count, GROUPS_MAX)):
            text = told.get(at, str(at))
            self.starts[f"{above}{stem}.{at}"] = text if text in left else NEW
            yield f"{stem}.{at}", left.pop(text, {})

    def _start(self, name: str) -> str:
        return next(iter(self._sent.get(name, ())), "")


def _index(stem: str, name: str) -> int | None:
    """Which occurrence of a group a part of a key names; None for none of it."""
    link, _, number = name.rpartition(".")
    is_one = link == stem and number.isascii() and number.isdecimal() and len(number) < 4
    return int(number) if is_one else None


def _take(place: Place, sent: Sent, around: Around) -> None:
    texts = [text for text in map(_plain, sent.get(place.key, ())) if text]
    answers: list[dict[str, Json]] = []
    unread: list[str] = []
    for text in texts:
        answer = _read(place, text, sent, around)
        if answer is None:
            unread.append(text)
        else:
            answers.append(answer)
    other = _plain(next(iter(sent.get(place.key + OTHER, ())), ""))
    if other and place.item.kind == "open-choice":
        answers.append({"valueString": other})
    if place.item.is_coded:
        unread += [text for text in sent.get(place.key + TYPED, ()) if text.strip()]
    if place.item.kind == "attachment":
        unread = ["file-gone" for _ in unread] + [*sent.get(place.key + REFUSED, ())]
    place.answers = answers
    place.unread = tuple(unread)


def _plain(text: str) -> str:
    """Without control characters, which no record may hold: programs paste some for the end of a
    line.
    """
    return text.translate(_CONTROLS).strip()


def _read(place: Place, text: str, sent: Sent, around: Around) -> dict[str, Json] | None:
    item = place.item
    if item.kind in {"choice", "open-choice", "reference"}:
        option = next((one for one in offered(place, around) if one.code == text), None)
        if option is not None:
            return {option.element: option.value}
        return _typed_code(item, text, around)
    if item.kind == "attachment":
        attachment = around.files.attachment(text) if around.files else None
        return None if attachment is None else {"valueAttachment": attachment}
    if item.kind == "quantity":
        number = _decimal(text)
        code = next(iter(sent.get(place.key + UNIT, ())), "")
        unit = next((one for one in item.units if one.code == code), None)
        unit = unit or (item.units[0] if item.units else None)
        return None if number is None else {"valueQuantity": quantity(number, unit)}
    if item.kind == "dateTime":
        return _date_time(text, around)
    value = _READERS.get(item.kind, str)(text)
    return None if value is None else {VALUE_OF[item.kind]: value}


def offered(place: Place, around: Around) -> Sequence[Option]:
    """The options of a place: its own, or the members of its value set where they can be listed."""
    item = place.item
    if item.options or not item.value_set:
        return item.options
    listed = around.members(item.value_set) if around.members else None
    if listed is None and around.codes is not None:
        listed = around.codes.listed(item.value_set)
    return listed or ()


def _typed_code(item: Item, text: str, around: Around) -> dict[str, Json] | None:
    """A code out of a value set too large to list, `system|code`: as the value set has it, else as
    it was sent, to be told of. An open choice takes other words; those with a bar stand behind a
    mark that no address begins with.
    """
    if not item.value_set:
        return None
    system, bar, code = text.removeprefix(AS_TYPED).rpartition("|")
    if item.kind == "open-choice" and (text.startswith(AS_TYPED) or not bar):
        words = text.removeprefix(AS_TYPED).strip()
        return {"valueString": words} if words else None
    if not bar or not code or text.startswith(AS_TYPED):
        return None
    known = around.codes.coding(item.value_set, text) if around.codes else None
    if known is not None:
        return {"valueCoding": known}
    return {"valueCoding": {"system": system, "code": code} if system else {"code": code}}


def _decimal(text: str) -> Decimal | None:
    """A number as people type it: full-width digits and a decimal point."""
    plain = text.translate(_FULL_WIDTH)
    try:
        return Decimal(plain) if _NUMBER.fullmatch(plain) else None
    except InvalidOperation:
        return None


def _integer(text: str) -> int | None:
    number = _decimal(text)
    return int(number) if number is not None and number == int(number) else None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _date(text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _time(text: str) -> str | None:
    try:
        return time.fromisoformat(text).replace(tzinfo=None).isoformat("seconds")
    except ValueError:
        return None


def _date_time(text: str, around: Around) -> dict[str, Json] | None:
    """A day, or a day and time, which is the node's where it names no zone."""
    day = _date(text)
    if day is not None:
        return {"valueDateTime": day}
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=around.zone)
    written = moment.isoformat(timespec="seconds")
    # Before zones there were, places had times of their own, to the second: FHIR writes none.
    return {"valueDateTime": written} if len(written) == _MOMENT_LENGTH else None


_READERS: Mapping[str, Callable[[str], Json]] = {
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer,
    "date": _date,
    "time": _time,
}
