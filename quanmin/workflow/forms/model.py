"""A form, compiled: what is asked, when, within which bounds, and what follows from the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal, Protocol

import msgspec

from quanmin.fhir.json import Json
from quanmin.fhir.path import Environment, Path, Terminology

Kind = Literal[
    "group", "display", "boolean", "decimal", "integer", "date", "dateTime", "time", "string",
    "text", "url", "choice", "open-choice", "quantity", "reference",
    "attachment",
]  # fmt: skip
Operator = Literal["exists", "=", "!=", ">", "<", ">=", "<="]

# R4 Questionnaire.item.type, and the element of an answer that holds such a value.
VALUE_OF: Mapping[str, str] = {
    "boolean": "valueBoolean",
    "decimal": "valueDecimal",
    "integer": "valueInteger",
    "date": "valueDate",
    "dateTime": "valueDateTime",
    "time": "valueTime",
    "string": "valueString",
    "text": "valueString",
    "url": "valueUri",
    "choice": "valueCoding",
    "open-choice": "valueCoding",
    "quantity": "valueQuantity",
    "reference": "valueReference",
    "attachment": "valueAttachment",
}


class Words(msgspec.Struct, frozen=True):
    """A text as the form says it, and its translations by language."""

    text: str
    translations: Mapping[str, str] = {}

    def told(self, language: str) -> str:
        """The text in a language; as the form says it where it is not translated."""
        return self.translations.get(language, self.text)


class Option(msgspec.Struct, frozen=True):
    """What may be answered: the element of the answer and its value, and the words for it.

    `is_alone` excludes every other answer (questionnaire-optionExclusive).
    """

    element: str
    value: Json
    words: Words
    is_alone: bool = False

    @property
    def code(self) -> str:
        """What stands for it in a field: of a Coding `system|code`, else the value itself."""
        return code_of(self.value)


def code_of(value: Json) -> str:
    """What stands for an answer in a field."""
    if not isinstance(value, dict):
        return str(value)
    if "reference" in value:
        return str(value["reference"])
    return f"{value.get('system', '')}|{value.get('code', '')}"


class Condition(msgspec.Struct, frozen=True):
    """One enableWhen: an answer of a question, compared. `value` is None for "exists"."""

    question: str
    operator: Operator
    value: Json


class Constraint(msgspec.Struct, frozen=True):
    """A rule of the form (questionnaire-constraint); one that warns does not refuse."""

    key: str
    path: Path
    words: Words
    is_warning: bool = False


class Variable(msgspec.Struct, frozen=True):
    """A name for what an expression finds, for those of the same item and below."""

    name: str
    path: Path


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a form. Bounds are None where the form sets none; lengths are in characters."""

    link_id: str
    kind: Kind
    words: Words
    prefix: str = ""
    hint: Words | None = None
    is_needed: bool = False
    repeats: bool = False
    is_fixed: bool = False
    is_hidden: bool = False
    control: str = ""
    options: tuple[Option, ...] = ()
    value_set: str = ""
    units: tuple[Option, ...] = ()
    conditions: tuple[Condition, ...] = ()
    is_any: bool = False
    enabled: Path | None = None
    initial: tuple[tuple[str, Json], ...] = ()
    prefilled: Path | None = None
    population: Variable | None = None
    calculated: Path | None = None
    variables: tuple[Variable, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    lowest: Json = None
    highest: Json = None
    length_max: int | None = None
    places_max: int | None = None
    pattern: str = ""
    count_min: int | None = None
    count_max: int | None = None
    bytes_max: int | None = None
    media_types: tuple[str, ...] = ()
    templates: tuple[Template, ...] = ()
    allocated: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()

    @property
    def is_coded(self) -> bool:
        """Whether it is answered by codes of a value set that the form does not list itself."""
        return bool(self.value_set) and self.kind in {"choice", "open-choice"} and not self.options

    @property
    def is_looked_for(self) -> bool:
        """Whether its code is looked for by typing however few there are."""
        return self.is_coded and self.control in {"autocomplete", "lookup"}


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that is made of the answers (SDC templateExtract), and the address it is sent to.

    The expressions give text; an empty one leaves its part of the request out.
    """

    resource: Json
    full_url: Path | None = None
    resource_id: Path | None = None
    if_none_exist: Path | None = None


class Question(msgspec.Struct, frozen=True):
    """What a form asks of the records before it is filled: the name and the search.

    The parts of the search are text, and between them expressions over what launches the form.
    """

    name: str
    parts: tuple[str | Path, ...]


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled form. `launched` names what it is opened with, and of which types."""

    url: str
    version: str
    title: Words
    language: str
    launched: Mapping[str, frozenset[str]]
    questions: tuple[Question, ...]
    variables: tuple[Variable, ...]
    constraints: tuple[Constraint, ...]
    templates: tuple[Template, ...]
    allocated: tuple[str, ...]
    items: tuple[Item, ...]
    by_link: Mapping[str, Item]
    source: Json

    @property
    def canonical(self) -> str:
        """What a response names as its Questionnaire."""
        return f"{self.url}|{self.version}" if self.version else self.url

    def contained(self, reference: str) -> Json | None:
        """The resource that the form holds under a reference (`#id`); None for none."""
        held = self.source.get("contained") or ()
        return next((one for one in held if f"#{one.get('id')}" == reference), None)


class Codes(Protocol):
    """What was asked of a terminology before a form is filled in: it answers of nothing else."""

    def is_here(self, value_set: str) -> bool:
        """Whether the codes of a value set are known."""

    def listed(self, value_set: str) -> Sequence[Option] | None:
        """The options of a value set; None for one that is too large to list."""

    def coding(self, value_set: str, code: str) -> Json | None:
        """A code (`system|code`) as the value set has it; None where it has it not."""


class Files(Protocol):
    """The files that a form is answered with."""

    def attachment(self, token: str) -> Json | None:
        """The Attachment that a field stands for; None for none that is here."""

    def content(self, url: str) -> bytes | None:
        """What is in a file that is to be stored; None for one that is stored."""


Members = Callable[[str], Sequence[Option] | None]
"""The options of a value set that an application knows itself, by its address; None for others."""


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What the expressions of a form may ask: the moment, what launched it, what was read for it.

    `members` gives the options of a value set that the application knows itself, None for others;
    `codes` knows those of the node's terminology.
    """

    now: datetime
    zone: tzinfo
    variables: Mapping[str, Any] = {}
    terminology: Terminology | None = None
    members: Members | None = None
    codes: Codes | None = None
    files: Files | None = None

    def environment(self, more: Mapping[str, Any]) -> Environment:
        """The environment of one evaluation."""
        return Environment(
            variables={**self.variables, **more},
            now=self.now,
            zone=self.zone,
            terminology=self.terminology,
        )


FaultCode = Literal[
    "needed", "unreadable", "not-an-option", "too-low", "too-high", "too-long", "wrong-form",
    "too-few", "too-many", "too-precise", "alone", "unit", "rule", "unchosen", "unknown-code",
    "no-list", "file-empty", "file-size", "file-kind", "file-gone",
]  # fmt: skip


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with an answer, and where. `place` is the name of the field; "" is the form.

    `limit` is the bound that was missed, in text; `words` is what a rule of the form says itself.
    """

    place: str
    link_id: str
    code: FaultCode
    limit: str = ""
    words: Words | None = None
    is_warning: bool = False
