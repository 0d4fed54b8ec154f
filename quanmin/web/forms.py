"""Forms of the kit: fields with what is wrong beside each, a form that shows them, and the question
that stands before what stops people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from quanmin.base.problems import Conflict, Invalid, Problem
from quanmin.web.visit import Visit, read_day

_CONFIRMED = "confirmed"
_NUMBER_MAX = (1 << 63) - 2  # a column holds the next one, too
_DIGITS_MAX = len(str(_NUMBER_MAX))
# A moment of any zone can be worked out of these, and of the days beside them.


class Field(msgspec.Struct, frozen=True):
    """A field of a form. Of `choices` (code and words) one is chosen; an empty code is none."""

    name: str
    label: str
    kind: Literal["text", "date", "select", "search"] = "text"
    value: str = ""
    choices: Sequence[tuple[str, str]] = ()
    hint: str = ""
    fault: str = ""
    is_needed: bool = False
    length_max: int = 200


class Sent:
    """What was filled into a form, read field by field; what is wrong gathers in `faults`."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.faults: dict[str, str] = {}
        self.general = ""
        self.exact: tuple[str, ...] = ()

    def text(self, name: str, *, is_needed: bool = False, length_max: int = 200) -> str:
        """The text of a field without blanks around it."""
        value = self._visit.sent.get(name, "").strip()
        if is_needed and not value:
            self.faults.setdefault(name, self._visit.say("Fill this in."))
        elif len(value) > length_max:
            self.faults.setdefault(name, self._visit.say("This is too long."))
        return value

    def choice(self, name: str, codes: Iterable[str], *, is_needed: bool = False) -> str:
        """The code that was chosen."""
        value = self.text(name, is_needed=is_needed)
        if value and value not in set(codes):
            self.faults[name] = self._visit.say("Choose one of the list.")
        return value

    def day(self, name: str, *, is_needed: bool = False) -> date | None:
        """The day that was chosen."""
        value = self.text(name, is_needed=is_needed)
        day = read_day(value)
        if value and day is None:
            self.faults[name] = self._visit.say("A day is written as 2026-01-31.")
        return day

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong so far."""
        return not (self.faults or self.general)

    def blame(self, problem: Problem, fields: Mapping[str, str]) -> None:
        """Say beside its field what a problem tells of it: `fields` gives the field for what an
        issue's expression ends with. What belongs to none is said above the form.
        """
        for issue in problem.issues:
            place = issue.expression.rpartition(".")[2].partition("[")[0]
            said = self._visit.say(issue.text)
            if place in fields:
                self.faults.setdefault(fields[place], said)
            else:
                self.exact = (*self.exact, said)
        if self.exact:
            self.general = self._visit.say("The register does not take this.")

    def blaming(self, fields: Mapping[str, str] | None = None, *also: type[Problem]) -> Blaming:
        """Tell on the form, as `blame` does, why what is done within is refused as invalid or as in
        conflict, or as `also`; then it goes on after it. What does more within ends with a return.
        """
        return Blaming(self, fields or {}, (Invalid, Conflict, *also))

    def shown(self, fields: Iterable[Field]) -> list[Field]:
        """The fields with what was filled in and what is wrong with it."""
        sent = self._visit.sent
        return [
            msgspec.structs.replace(
                field,
                value=sent.get(field.name, field.value),
                fault=self.faults.get(field.name, ""),
            )
            for field in fields
        ]


class Blaming:
    """What `Sent.blaming` gives."""

    def __init__(
        self, sent: Sent, fields: Mapping[str, str], told: tuple[type[Problem], ...]
    ) -> None:
        self._sent, self._fields, self._told = sent, fields, told

    def __enter__(self) -> None:
        """Nothing was refused yet."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        """Whether it was refused in a way that is told on the form."""
        if not isinstance(error, self._told):
            return False
        self._sent.blame(error, self._fields)
        return True


def form_page(
    visit: Visit,
    title: str,
    fields: Sequence[Field],
    *,
    button: str,
    back: str,
    sent: Sent | None = None,
    lead: str = "",
) -> Response:
    """A page with a form that is sent to its own address; with `sent` again, and what is wrong."""
    shown = fields if sent is None else sent.shown(fields)
    is_again = sent is not None
    return visit.page(
        "kit/form.html",
        status=422 if is_again else 200,
        title=title,
        lead=lead,
        fields=shown,
        general="" if sent is None else sent.general,
        exact=() if sent is None else sent.exact,
        button=button,
        back=back,
    )


def is_confirmed(visit: Visit) -> bool:
    """Whether the form comes from the question that `confirm_page` asked."""
    return visit.sent.get(_CONFIRMED) == "1"


def confirm_page(visit: Visit, title: str, sentences: Sequence[str], *, back: str) -> Response:
    """Ask whether what was filled in is meant, and say what follows from it. The answer comes as
    the same form once more.
    """
    asked = {"token", "lang", _CONFIRMED}
    kept = [(name, one) for name, every in visit.sent_all.items() if name not in asked
            for one in every]  # fmt: skip
    return visit.page(
        "kit/confirm.html",
        title=title,
        sentences=sentences,
        kept=[*kept, (_CONFIRMED, "1")],
        back=back,
    )


class Cell(msgspec.Struct, frozen=True):
    """What stands in a list: words, perhaps a link, and a mark in words beside them, perhaps a
    warning.
    """

    text: str
    link: str = ""
    is_number: bool = False
    tag: str = ""
    is_warning: bool = False

    @property
    def sheet_text(self) -> str:
        """All its words, as a sheet has them."""
        return f"{self.text} ({self.tag})" if self.tag and self.text else self.text or self.tag


def plain(rows: Iterable[Sequence[Cell]]) -> list[list[str]]:
    """The rows of a list as those of its sheet."""
    return [[cell.sheet_text for cell in row] for row in rows]


def asked_day(visit: Visit) -> tuple[date | None, str]:
    """The day that the address asks for, and what is wrong with it; None for today."""
    asked = visit.asked("day")
    day = read_day(asked)
    if asked and day is None:
        return None, visit.say("The day is written as 2026-01-31; shown is today.")
    return day, ""


def read_number(text: str) -> int | None:
    """The whole number that a text is; None for none, and for one that no column holds, or not
    the next.
    """
    is_one = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if is_one and int(text) <= _NUMBER_MAX else None


def choices(visit: Visit, words: Iterable[Any]) -> list[tuple[str, str]]:
    """The codes of a definition with their words in the language of the page."""
    return [(word.code, word.zh if visit.language == "zh" else word.en) for word in words]


def word_of(visit: Visit, words: Iterable[Any], code: str | None) -> str:
    """The words of a code; the code where there are none."""
    return dict(choices(visit, words)).get(code or "", code or "")
