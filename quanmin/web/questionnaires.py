"""Shows a form (`quanmin.workflow.forms`) as a page, and takes what was filled in.

Everything works without a script: a button looks again at what is asked, adds an occurrence of a
group or takes one away, and what was typed stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from quanmin.fhir.dates import local_text
from quanmin.fhir.json import Json, decode
from quanmin.fhir.path import Terminology
from quanmin.web.buttons import ADD, DROP, SEND, pressed
from quanmin.web.drafting import form_page_of
from quanmin.web.forms import Cell
from quanmin.web.pickers import Pick, chosen_of, pick_of, settled
from quanmin.web.records import DeclaredRecords
from quanmin.web.text import LANGUAGES
from quanmin.web.uploads import FileShown, shown_files
from quanmin.web.visit import Visit
from quanmin.workflow.forms import (
    Around,
    Fault,
    Filling,
    Form,
    Item,
    documents,
    extract,
    fill,
    label,
    prefill,
    questions,
    words_of,
)
from quanmin.workflow.forms.checking import faults
from quanmin.workflow.forms.filling import Place
from quanmin.workflow.forms.model import FaultCode, Members, Option
from quanmin.workflow.forms.sending import offered

# Beyond so many options a list is easier to use than buttons beside each other.
_BUTTONS_MAX: Final = 6
_HITS_MAX: Final = 200
# What is said whatever the button: the page that follows does not show the file any more.
_OF_FILES: Final = frozenset({"file-empty", "file-size", "file-kind", "file-gone"})


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A question as the page shows it. `texts` are what stands in it; of `choices` (code, words)
    those in `chosen` are chosen.
    """

    key: str
    label: str
    kind: str
    texts: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    chosen: frozenset[str] = frozenset()
    units: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    other: str | None = None
    hint: str = ""
    faults: tuple[str, ...] = ()
    is_needed: bool = False
    length_max: int = 4000
    pick: Pick | None = None
    is_many: bool = False
    files: tuple[FileShown, ...] = ()
    accepts: str = ""
    count_max: int | None = None

    @property
    def boxes(self) -> tuple[str, ...]:
        """What stands in each box for typing: of what may be answered often each answer has one,
        and there is an empty one while there may be more.
        """
        if not self.is_many:
            return (" ".join(self.texts),)
        is_full = self.count_max is not None and len(self.texts) >= self.count_max
        return self.texts if is_full and self.texts else (*self.texts, "")


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A group, or a question with what is asked beneath it (`field`), in the order of the form.

    `more` is the button's value that adds an occurrence after this one, `less` takes it away;
    `start` is what it goes on from.
    """

    key: str
    label: str = ""
    field: Field | None = None
    parts: tuple[Section, ...] = ()
    faults: tuple[str, ...] = ()
    more: str = ""
    less: str = ""
    start: str = ""


class Answered(msgspec.Struct, frozen=True):
    """What came of a form that was sent: the filling, which button, what is wrong with it."""

    filling: Filling
    action: str
    faults: tuple[Fault, ...]

    @property
    def may_be_sent(self) -> bool:
        """Whether the button was to send it, and nothing stops that."""
        return self.action == SEND and all(fault.is_warning for fault in self.faults)


def around(visit: Visit, terminology: Terminology | None = None, **variables: Any) -> Around:
    """What the expressions of a form may ask on this page; `variables` launch it."""
    zone = visit.house.settings.zone
    moment = datetime.fromtimestamp(visit.house.guard.now() / 1_000_000, zone)
    return Around(now=moment, zone=zone, variables=variables, terminology=terminology)


async def opened(
    records: DeclaredRecords, form: Form, within: Around, head: Mapping[str, Json]
) -> Filling:
    """A new response, filled in from the records that the form asks for; `head` gives its subject
    and what else stands beside the answers. A query that finds more than 200 records is cut.
    """
    return prefill(form, await _recalled(records, form, within), head)


async def _recalled(records: DeclaredRecords, form: Form, within: Around) -> Around:
    """The same with what the form asks of the records."""
    found: dict[str, Json] = dict(within.variables)
    for name, search in questions(form, within).items():
        type_, _, asked = search.partition("?")
        pairs = [
            (part.partition("=")[0], part.partition("=")[2])
            for part in asked.split("&")
            if part and not part.startswith("_count=")
        ]
        hits = await records.find(type_, *_plain(pairs), count=_count(asked))
        entries = [{"resource": decode(hit.body)} for hit in hits.matches if hit.body]
        found[name] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    return msgspec.structs.replace(within, variables=found)


def taken(visit: Visit, form: Form, within: Around, start: Json) -> Answered:
    """What was sent of a form's fields, over the response it began with. A form that asks for codes
    of a terminology needs `with_codes` first.

    Raises Malformed for a button that the page did not have.
    """
    button = pressed(visit)
    action = button.action
    fields = settled(form, within, button)
    filling = fill(form, within, fields, start)
    found = tuple(faults(filling))
    if action != SEND:  # what is missing may still come
        found = tuple(one for one in found if one.code in _OF_FILES)
    return Answered(filling, action, found)


def transaction(filling: Filling, response: Json) -> Json:
    """A transaction Bundle of the finished response, all that is made of it, and its files."""
    request = {"method": "POST", "url": "QuestionnaireResponse"}
    if response.get("id"):
        request = {"method": "PUT", "url": f"QuestionnaireResponse/{response['id']}"}
    own = {"resource": response, "request": request}
    entries = [own, *extract(filling)["entry"], *documents(filling)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def questionnaire_page(
    visit: Visit,
    filling: Filling,
    *,
    back: str,
    found: Sequence[Fault] = (),
    template: str = "kit/questionnaire.html",
    **values: Any,
) -> Response:
    """The page of a form with what is wrong beside each field; 422 where that is anything.

    `template` may extend the kit's, `values` are what it needs beyond.
    """
    shown = _Showing(visit, filling, found)
    sections = shown.sections(filling.places)
    stops = [fault for fault in found if not fault.is_warning]
    title, subject = filling.form.title, filling.response().get("subject") or {}
    kind, _, patient = str(subject.get("reference", "")).partition("/")
    return form_page_of(
        visit,
        template,
        {language: title.told(language) for language in LANGUAGES},
        patient if kind == "Patient" else "",
        status=422 if stops else 200,
        title=title.told(visit.language),
        sections=sections,
        faults=[
            (one.place, label_of(filling.form, one, visit.language), told_fault(visit, one))
            for one in found
        ],
        back=back,
        has_more=_changes(filling.form) or shown.has_picks,
        has_picks=shown.has_picks,
        has_files=shown.has_files,
        **values,
    )


def side_by_side(
    visit: Visit,
    form: Form,
    responses: Sequence[Json],
    links: Sequence[str],
    members: Members | None = None,
) -> list[list[Cell]]:
    """The answers of several responses to the same questions, as rows of a table: what is asked,
    and a column for each. `members` gives the options of the application's own codes.
    """
    language, zone = visit.language, visit.house.settings.zone
    columns = [words_of(form, one, language, zone, members) for one in responses]
    return [
        [Cell(label(form, link, language)), *(Cell(one.get(link, "")) for one in columns)]
        for link in links
    ]


class _Showing:
    def __init__(self, visit: Visit, filling: Filling, found: Sequence[Fault]) -> None:
        self._visit, self._filling, self._found = visit, filling, found
        self._starts = filling.starts()
        self.has_picks = self.has_files = False

    def sections(self, places: Sequence[Place]) -> tuple[Section, ...]:
        counts: dict[str, int] = {}
        for place in places:
            counts[place.item.link_id] = counts.get(place.item.link_id, 0) + 1
        shown = []
        for index, place in enumerate(places):
            if place.item.is_hidden or not place.is_open:
                continue
            is_last = (
                index + 1 == len(places) or places[index + 1].item.link_id != place.item.link_id
            )
            shown.append(self._section(place, counts[place.item.link_id], is_last=is_last))
        return tuple(shown)

    def _section(self, place: Place, count: int, *, is_last: bool) -> Section:
        item = place.item
        label = f"{item.prefix} {item.words.told(self._visit.language)}".strip()
        is_group = item.kind == "group"
        repeats = is_group and item.repeats
        stem = place.key.rpartition(".")[0]
        most = item.count_max
        return Section(
            key=place.key,
            label=label if is_group or item.kind == "display" else "",
            field=None if is_group or item.kind == "display" else self._field(place, label),
            parts=self.sections(place.places),
            faults=self._faults_of(place) if is_group else (),
            more=f"{ADD} {stem}" if repeats and is_last and (most is None or count < most) else "",
            less=f"{DROP} {place.key}" if repeats and count > max(item.count_min or 0, 1) else "",
            start=self._starts.get(place.key, ""),
        )

    def _faults_of(self, place: Place) -> tuple[str, ...]:
        return tuple(told_fault(self._visit, one) for one in self._found if one.place == place.key)

    def _field(self, place: Place, label: str) -> Field:
        item, language = place.item, self._visit.language
        within = self._filling.around
        pick = pick_of(self._visit, self._filling.form, place, within)
        self.has_picks |= pick is not None
        options = offered(place, within)
        self.has_files |= item.kind == "attachment"
        typed = [value for one in place.answers for name, value in one.items()
                 if name == "valueString"]  # fmt: skip
        is_open_choice = item.kind == "open-choice"
        unit = place.value.get("code", "") if isinstance(place.value, dict) else ""
        told = tuple(texts_of(place, within.zone))
        return Field(
            key=place.key,
            label=label,
            kind=control_of(item, options) if pick is None or item.is_fixed else "pick",
            texts=(*told, *place.unread) if item.repeats else place.unread or told,
            choices=self._choices(place, options, is_picked=pick is not None),
            chosen=self._chosen(place, is_picked=pick is not None),
            units=tuple((one.code, one.words.told(language)) for one in item.units),
            unit=next((one.code for one in item.units if one.value.get("code") == unit), ""),
            other=(typed[0] if typed else "") if is_open_choice and options else None,
            hint=item.hint.told(language) if item.hint else "",
            faults=self._faults_of(place),
            is_needed=item.is_needed,
            length_max=item.length_max or 4000,
            pick=pick,
            is_many=item.repeats,
            count_max=item.count_max,
            files=shown_files(within.files, _attachments(place)),
            accepts=",".join(self._visit.house.settings.pages.upload_kinds),
        )  # fmt: skip

    def _chosen(self, place: Place, *, is_picked: bool) -> frozenset[str]:
        if is_picked:
            return frozenset(chosen_of(place, self._filling.around))
        return frozenset(
            str(code).lower() if code in {"True", "False"} else code for code in place.codes
        )

    def _choices(
        self, place: Place, options: Sequence[Option], *, is_picked: bool
    ) -> tuple[tuple[str, str], ...]:
        """What may be chosen (code, words); of what is looked for by typing what is chosen."""
        say = self._visit.say
        if place.item.kind == "boolean":
            return ("true", say("Yes")), ("false", say("No"))
        if is_picked:
            return tuple(chosen_of(place, self._filling.around).items())
        return tuple((one.code, one.words.told(self._visit.language)) for one in options)


def label_of(form: Form, fault: Fault, language: str) -> str:
    """The words of the item that a fault is of; of the form's own rules none."""
    item = form.by_link.get(fault.link_id)
    return item.words.told(language) if item else ""


def told_fault(visit: Visit, fault: Fault) -> str:
    """What is wrong, in the language of the page."""
    said = fault.words.told(visit.language) if fault.words else ""
    if said:
        return said
    return _wrong(visit.say, fault.code).replace("{limit}", fault.limit)


_KINDS: Final[Mapping[str, str]] = {
    "date": "date",
    "dateTime": "datetime-local",
    "time": "time",
    "text": "area",
    "integer": "number",
    "decimal": "number",
    "quantity": "number",
    "boolean": "buttons",
    "attachment": "files",
}


_TYPED: Final = frozenset({"text", "area", "number", "date", "datetime-local", "time"})


def _wrong(say: Callable[[str], str], code: FaultCode) -> str:
    return {
        "needed": say("Fill this in."),
        "unreadable": say("This is not understood: write it as the hint or the field says."),
        "not-an-option": say("Choose one of the list."),
        "too-low": say("At least {limit}."),
        "too-high": say("At most {limit}."),
        "too-long": say("At most {limit} characters."),
        "wrong-form": say("This is not in the form that is asked for."),
        "too-few": say("At least {limit} are needed."),
        "too-many": say("At most {limit} may be given."),
        "too-precise": say("At most {limit} digits after the point."),
        "alone": say("One of these excludes the others."),
        "unit": say("The unit is one of {limit}."),
        "rule": say("This does not fit the other answers."),
        "file-empty": say("This file is empty."),
        "file-size": say("A file has at most {limit}."),
        "file-kind": say("A file is one of {limit}, whole and nothing else."),
        "file-gone": say("This file is not here any more: choose it again."),
        "unchosen": say("Choose one of what is found, or empty the box."),
        "unknown-code": say("The code {limit} is not one of the list: look for another."),
        "no-list": say(
            "The list of codes is not on this node: leave this empty, and tell whoever"
            " runs the node."
        ),
    }[code]


def control_of(item: Item, options: Sequence[Option]) -> str:
    """By what an item of these options is answered on a page."""
    if item.is_fixed or item.calculated is not None:
        return "fixed"
    if options:
        if item.repeats or item.control == "check-box":
            return "checks"
        is_few = len(options) <= _BUTTONS_MAX and item.control != "drop-down"
        return "buttons" if is_few or item.control == "radio-button" else "list"
    return _KINDS.get(item.kind, "text")


def _attachments(place: Place) -> dict[str, Json]:
    """The files of a question by their address."""
    found = (one.get("valueAttachment") for one in place.answers)
    return {str(one.get("url", "")): one for one in found if one is not None}


def texts_of(place: Place, zone: tzinfo) -> list[str]:
    """What stands in a field: a number, a day, a time of the zone, the words of a code."""
    found = []
    for answer in place.answers:
        for value in answer.values():
            if place.item.kind == "dateTime":
                found.append(local_text(str(value), zone)[:16])
            else:
                found.append(_text(value))
    return found


def _text(value: Json) -> str:
    if isinstance(value, dict):
        held = (value.get(name) for name in ("display", "value", "code"))
        value = next((one for one in held if one not in {None, ""}), "")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _changes(form: Form) -> bool:
    """Whether what is asked or shown depends on answers, so that one may want to look again; each
    look has a further box where another answer may be typed.
    """
    return any(
        item.conditions
        or item.enabled is not None
        or item.calculated is not None
        or (item.repeats and control_of(item, item.options) in _TYPED)
        for item in form.by_link.values()
    )


def _count(asked: str) -> int:
    found = re.search(r"(?:^|&)_count=(\d{1,3})(?:&|$)", asked)
    return min(int(found[1]), _HITS_MAX) if found else _HITS_MAX


def _plain(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, unquote(value)) for name, value in pairs]
