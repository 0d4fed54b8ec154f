"""Which button of a form of questions was pressed, and the fields that were sent with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from quanmin.base.problems import Malformed
from quanmin.web.visit import Visit
from quanmin.workflow.forms.filling import NEW

ACTION: Final = "do"
SEND, LOOK, ADD, DROP, FIND, MORE = "send", "look", "add", "drop", "find", "more"
FORM: Final = "~form"
"""The field by which the kit knows a form of questions again, of whatever application."""
_INDEX: Final = "[0-9]{1,3}"
_OURS: Final = frozenset({"token", "lang", "large", ACTION, FORM})


class Pressed(msgspec.Struct, frozen=True):
    """The button and what it is for; the fields as they are to be read, which one that adds a group
    or takes one away has changed.
    """

    action: str
    where: str
    fields: dict[str, Sequence[str]]


def pressed(visit: Visit) -> Pressed:
    """What was sent of a form. Raises Malformed for a button that the page did not have."""
    action, _, where = visit.sent.get(ACTION, SEND).partition(" ")
    if action not in {SEND, LOOK, ADD, DROP, FIND, MORE}:
        raise Malformed("this page has no such button: open it again")
    fields: dict[str, Sequence[str]] = {**fields_of(visit)}
    if action == ADD:
        fields[f"{where}.{_after(fields, where)}/"] = (NEW,)
    elif action == DROP:
        fields = _without(fields, where)
    return Pressed(action, where, fields)


def fields_of(visit: Visit) -> dict[str, list[str]]:
    """What was sent of the form itself."""
    return {name: texts for name, texts in visit.sent_all.items() if name not in _OURS}


def _after(fields: Mapping[str, Sequence[str]], stem: str) -> int:
    """The index after the last occurrence of a group."""
    pattern = re.compile(rf"{re.escape(stem)}\.({_INDEX})/")
    found = [int(match[1]) for name in fields if (match := pattern.match(name))]
    return max(found, default=-1) + 1


def _without(fields: Mapping[str, Sequence[str]], key: str) -> dict[str, Sequence[str]]:
    """The fields without those of one occurrence; those after it move up."""
    stem, _, gone = key.rpartition(".")
    if re.fullmatch(_INDEX, gone) is None:
        raise Malformed("this page has no such button: open it again")
    pattern = re.compile(rf"{re.escape(stem)}\.({_INDEX})(/.*)")
    kept: dict[str, Sequence[str]] = {}
    for name, texts in fields.items():
        match = pattern.fullmatch(name)
        at = int(match[1]) if match else -1
        if match and at == int(gone):
            continue
        moved = f"{stem}.{at - 1}{match[2]}" if match and at > int(gone) else name
        kept[moved] = texts
    return kept
