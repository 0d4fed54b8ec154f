"""Compiles a Questionnaire to a Form, or says everything that is wrong with it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, get_args

import msgspec

from quanmin.base.problems import Invalid, Issue
from quanmin.fhir.json import Json
from quanmin.fhir.path import Path, PathProblem, compile_path
from quanmin.fhir.translations import translations
from quanmin.workflow.forms import extensions as known
from quanmin.workflow.forms.extensions import extensions, foreign, parts, value_of, valued
from quanmin.workflow.forms.model import (
    Condition,
    Constraint,
    Form,
    Item,
    Kind,
    Operator,
    Option,
    Question,
    Template,
    Variable,
    Words,
)

_KINDS: frozenset[str] = frozenset(get_args(Kind))
_OPERATORS: frozenset[str] = frozenset(get_args(Operator))
_HOLE = re.compile(r"\{\{(.*?)\}\}")
_DEPTH_MAX = 12
_IS_NAME = re.compile(r"[^/~\s]{1,255}")


def compile_form(questionnaire: Json) -> Form:
    """The form that a Questionnaire of R4 describes.

    Raises Invalid with an issue for each fault: what R4 forbids (twice the same linkId, conditions
    that wait for each other), an expression that cannot be read, and what is not carried out here.
    """
    return _Compiler(questionnaire).form()


class _Compiler:
    def __init__(self, source: Json) -> None:
        self._source = source if isinstance(source, dict) else {}
        self._issues: list[Issue] = []
        self._by_link: dict[str, Item] = {}
        self._contained = {
            str(one.get("id")): one
            for one in self._source.get("contained", [])
            if isinstance(one, dict)
        }

    def form(self) -> Form:
        source, place = self._source, "Questionnaire"
        if source.get("resourceType") != "Questionnaire":
            self._blame("this is no Questionnaire", place)
        if not source.get("url"):
            self._blame("give the form a url: its responses name it by that", f"{place}.url")
        self._refuse_foreign(source, place)
        items = tuple(self._items(source, place, 0))
        self._refuse_circles(items)
        questions, variables = self._variables(source, place)
        form = Form(
            url=str(source.get("url", "")),
            version=str(source.get("version", "")),
            title=words(source, "title"),
            language=str(source.get("language", "")),
            launched=self._launched(),
            questions=questions,
            variables=variables,
            constraints=self._constraints(source, place),
            templates=self._templates(source, place),
            allocated=_allocated(source),
            items=items,
            by_link=self._by_link,
            source=source,
        )
        if self._issues:
            raise Invalid("the form cannot be used", issues=tuple(self._issues))
        return form

    def _items(self, held: Json, place: str, depth: int) -> Iterator[Item]:
        listed = held.get("item", [])
        if depth > _DEPTH_MAX:
            self._blame(f"a form is at most {_DEPTH_MAX} levels deep", place)
            return
        for index, one in enumerate(listed if isinstance(listed, list) else []):
            if not isinstance(one, dict):
                self._blame("an item is an object", f"{place}.item[{index}]")
                continue
            item = self._item(one, f"{place}.item[{index}]", depth)
            if item is not None:
                yield item

    def _item(self, one: Json, place: str, depth: int) -> Item | None:
        link, kind = str(one.get("linkId", "")), one.get("type")
        if not link or link in self._by_link:
            self._blame("an item needs a linkId of its own", f"{place}.linkId")
            return None
        if not _IS_NAME.fullmatch(link):
            self._blame(
                "a linkId has neither / nor ~ nor blanks: it names a field", f"{place}.linkId"
            )
            return None
        if kind not in _KINDS:
            self._blame(f"items of type {kind} are not carried out", f"{place}.type")
            return None
        self._refuse_foreign(one, place)
        questions, variables = self._variables(one, place)
        if questions:
            self._blame("records are asked for at the form itself, not at an item", place)
        lowest, highest = valued(one, known.LOWEST), valued(one, known.HIGHEST)
        item = Item(
            link_id=link,
            kind=kind,
            words=words(one, "text"),
            prefix=str(one.get("prefix", "")),
            hint=_hint(one),
            is_needed=one.get("required") is True,
            repeats=one.get("repeats") is True,
            is_fixed=one.get("readOnly") is True,
            is_hidden=valued(one, known.HIDDEN) is True,
            control=_control(one),
            options=tuple(self._options(one, kind, place)),
            value_set=str(one.get("answerValueSet", "")),
            units=tuple(self._unit_options(one, place)),
            conditions=tuple(self._conditions(one, place)),
            is_any=one.get("enableBehavior") == "any",
            enabled=self._extension_path(one, known.ENABLED, place),
            initial=tuple(_initial(one)),
            prefilled=self._extension_path(one, known.INITIAL, place),
            population=self._population(one, place),
            calculated=self._extension_path(one, known.CALCULATED, place),
            variables=variables,
            constraints=self._constraints(one, place),
            lowest=lowest,
            highest=highest,
            length_max=_whole(one.get("maxLength")),
            places_max=_whole(valued(one, known.PLACES_MAX)),
            pattern=self._pattern(one, place),
            count_min=_whole(valued(one, known.COUNT_MIN)),
            count_max=_whole(valued(one, known.COUNT_MAX)),
            bytes_max=_bytes(valued(one, known.BYTES_MAX)),
            media_types=tuple(str(value_of(e)) for e in extensions(one, known.MEDIA_TYPE)),
            templates=self._templates(one, place),
            allocated=_allocated(one),
        )
        self._by_link[link] = item
        items = tuple(self._items(one, place, depth + 1))
        if items:
            item = msgspec.structs.replace(item, items=items)
            self._by_link[link] = item
        self._hold(item, place)
        return item

    def _hold(self, item: Item, place: str) -> None:
        """What an item of its kind may not say (R4 Questionnaire, que-1 to que-12)."""
        if item.kind == "group" and not item.items:
            self._blame("a group has items (que-1)", place)
        if item.kind == "display" and (item.items or item.is_needed or item.repeats):
            self._blame("what is only shown is neither needed nor repeated (que-6)", place)
        is_choice = item.kind in {"choice", "open-choice"}
        if is_choice and not (item.options or item.value_set):
            self._blame("a choice needs answerOption or answerValueSet", place)
        if item.value_set and not is_choice:
            self._blame("an answerValueSet is of a choice or an open-choice (que-5)", place)
        if item.kind == "reference" and not item.options:
            self._blame("a reference is chosen of answerOption: list them", place)
        if item.calculated is not None and not item.is_fixed:
            self._blame("what is calculated is readOnly: nobody can fill it in", place)

    def _options(self, one: Json, kind: str, place: str) -> Iterator[Option]:
        listed = one.get("answerOption", [])
        for index, option in enumerate(listed if isinstance(listed, list) else []):
            element = next((name for name in option if name.startswith("value")), "")
            if not element or (kind == "choice" and element == "valueReference"):
                self._blame("an answerOption has a value", f"{place}.answerOption[{index}]")
                continue
            value = option[element]
            is_alone = valued(option, known.ALONE) is True
            yield Option(element, value, option_words(value), is_alone)
        yield from self._contained_options(str(one.get("answerValueSet", "")), place)

    def _contained_options(self, reference: str, place: str) -> Iterator[Option]:
        """The codes that a ValueSet within the form names one by one; none of one that is composed
        by rules, whose codes are the terminology's matter, nor of one that stands elsewhere.
        """
        if not reference.startswith("#"):
            return
        held = self._contained.get(reference[1:], {})
        compose = held.get("compose") or {}
        parts = compose.get("include") or []
        if held.get("resourceType") != "ValueSet" or not parts:
            self._blame(f"the form contains no ValueSet {reference} with a compose", place)
            return
        if compose.get("exclude") or not all(_names_codes(one) for one in parts):
            return
        for part in parts:
            for concept in part["concept"]:
                coding = {"system": part["system"], "code": concept["code"]}
                said = {"display": concept["display"]} if concept.get("display") else {}
                yield Option("valueCoding", coding | said, _called(concept))

    def _unit_options(self, one: Json, place: str) -> Iterator[Option]:
        named = str(valued(one, known.UNIT_SET) or "")
        found = tuple(self._contained_options(named, place))
        if named and not found:
            self._blame("the units of a ValueSet are named one by one within the form", place)
        yield from (*_units(one), *found)

    def _conditions(self, one: Json, place: str) -> Iterator[Condition]:
        listed = one.get("enableWhen", [])
        for index, when in enumerate(listed if isinstance(listed, list) else []):
            operator = when.get("operator")
            value = next((when[name] for name in when if name.startswith("answer")), None)
            if operator not in _OPERATORS or value is None:
                self._blame(
                    "say question, operator and answer of the condition",
                    f"{place}.enableWhen[{index}]",
                )
                continue
            yield Condition(str(when.get("question", "")), operator, value)

    def _variables(
        self, element: Json, place: str
    ) -> tuple[tuple[Question, ...], tuple[Variable, ...]]:
        questions, variables = [], []
        for one in extensions(element, known.VARIABLE):
            expression = value_of(one) or {}
            name, language = str(expression.get("name", "")), expression.get("language")
            if not name:
                self._blame("a variable has a name", f"{place}.extension")
            elif language == known.SEARCH:
                asked = self._question(name, str(expression.get("expression", "")), place)
                questions.append(asked)
            else:
                path = self._path(expression, f"{place}.extension")
                if path is not None:
                    variables.append(Variable(name, path))
        return tuple(questions), tuple(variables)

    def _question(self, name: str, text: str, place: str) -> Question:
        found: list[str | Path] = []
        for index, part in enumerate(_HOLE.split(text)):
            path = self._compiled(part, place) if index % 2 else part
            if path:
                found.append(path)
        return Question(name, tuple(found))

    def _population(self, one: Json, place: str) -> Variable | None:
        expression = valued(one, known.POPULATION)
        if expression is None:
            return None
        path = self._path(expression, place)
        name = str(expression.get("name", ""))
        if one.get("type") != "group" or one.get("repeats") is not True or not name:
            self._blame("itemPopulationContext is of a group that repeats, and has a name", place)
        return None if path is None else Variable(name, path)

    def _constraints(self, element: Json, place: str) -> tuple[Constraint, ...]:
        found = []
        for one in extensions(element, known.CONSTRAINT):
            said = parts(one)
            path = self._compiled(str(said.get("expression") or ""), place)
            human = next(
                (words(inner, "valueString") for inner in extensions(one, "human")), Words("")
            )
            if path is not None:
                is_warning = said.get("severity") == "warning"
                found.append(Constraint(str(said.get("key") or ""), path, human, is_warning))
        return tuple(found)

    def _templates(self, element: Json, place: str) -> tuple[Template, ...]:
        found = []
        for one in extensions(element, known.TEMPLATE):
            said = parts(one)
            named = (said.get("template") or {}).get("reference", "")
            resource = self._contained.get(str(named).removeprefix("#"))
            if resource is None:
                self._blame("the template is a contained resource: none has this id", place)
                continue
            full, own, none = (
                self._compiled(str(said[name]), place) if said.get(name) else None
                for name in ("fullUrl", "resourceId", "ifNoneExist")
            )
            self._read_template(resource, place)
            found.append(
                Template(resource=resource, full_url=full, resource_id=own, if_none_exist=none)
            )
        return tuple(found)

    def _read_template(self, held: Any, place: str) -> None:
        """Every expression of a template, so that one that cannot be read is told of here."""
        if isinstance(held, list):
            for one in held:
                self._read_template(one, place)
        elif isinstance(held, dict):
            for url in (known.TEMPLATE_CONTEXT, known.TEMPLATE_VALUE):
                said = valued(held, url)
                if said is not None:
                    self._compiled(expression_of(said), place)
            for name, one in held.items():
                if name != "extension":
                    self._read_template(one, place)

    def _launched(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for one in extensions(self._source, known.LAUNCH):
            name = next((value_of(inner) for inner in extensions(one, "name")), None)
            code = name.get("code") if isinstance(name, dict) else name
            types = {str(value_of(inner)) for inner in extensions(one, "type")}
            found.setdefault(str(code), set()).update(types)
        return {name: frozenset(types) for name, types in found.items()}

    def _extension_path(self, element: Json, url: str, place: str) -> Path | None:
        expression = valued(element, url)
        return None if expression is None else self._path(expression, place)

    def _path(self, expression: Json, place: str) -> Path | None:
        if not isinstance(expression, dict) or expression.get("language") != known.FHIRPATH:
            self._blame(f"expressions are {known.FHIRPATH}", place)
            return None
        return self._compiled(str(expression.get("expression", "")), place)

    def _compiled(self, text: str, place: str) -> Path | None:
        try:
            return compile_path(text)
        except PathProblem as problem:
            self._blame(f"the expression cannot be read: {problem.text}", place)
            return None

    def _pattern(self, one: Json, place: str) -> str:
        pattern = str(valued(one, known.PATTERN) or "")
        path = self._compiled(_matching(pattern), place) if pattern else None
        return pattern if path is not None else ""

    def _refuse_foreign(self, element: Json, place: str) -> None:
        for url in foreign(element):
            self._blame(f"{url.rpartition('/')[2]} is not carried out here", place)
        if element.get("modifierExtension"):
            self._blame("a modifierExtension is not understood here", place)

    def _refuse_circles(self, items: tuple[Item, ...]) -> None:
        """R4 has no rule against conditions that wait for each other, and no meaning for them."""
        waits: dict[str, frozenset[str]] = {}

        def gather(listed: tuple[Item, ...], above: frozenset[str]) -> None:
            for item in listed:
                own = above | {condition.question for condition in item.conditions}
                waits[item.link_id] = own
                gather(item.items, own)

        gather(items, frozenset())
        for link, named in waits.items():
            for question in sorted(named - waits.keys()):
                self._blame(f"a condition names the question {question}, which is not there", link)
            seen, ahead = set(named), list(named)
            while ahead:
                further = waits.get(ahead.pop(), frozenset()) - seen
                seen |= further
                ahead += further
            if link in seen:
                self._blame("this item is shown only if it is answered: its conditions wait for"
                            " themselves", link)  # fmt: skip

    def _blame(self, text: str, place: str) -> None:
        self._issues.append(Issue("error", "invalid", text, place))


def words(element: Json, name: str) -> Words:
    """A text and its translations (R4 extension translation)."""
    return Words(str(element.get(name, "")), translations(element, name))


def option_words(value: Json) -> Words:
    """What an option says: the display of a Coding or Reference, else the value."""
    if isinstance(value, dict):
        told = words(value, "display")
        return told if told.text else Words(str(value.get("code") or value.get("reference") or ""))
    return Words(str(value))


def expression_of(value: Json) -> str:
    """The expression of an extension of a template, which is a text or an Expression."""
    return str(value.get("expression", "")) if isinstance(value, dict) else str(value)


def _matching(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    return f"$this.matchesFull('{escaped}')"


def _hint(one: Json) -> Words | None:
    found = next(extensions(one, known.HINT), None)
    return None if found is None else words(found, "valueString")


def _control(one: Json) -> str:
    concept = valued(one, known.CONTROL)
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return str(codings[0].get("code", "")) if codings else ""


def _names_codes(include: Json) -> bool:
    """Whether a part of a composition is a list of codes."""
    listed = include.get("concept") or ()
    is_listed = include.get("system") and listed and not include.get("valueSet")
    return bool(is_listed) and all(one.get("code") for one in listed)


def _called(concept: Json) -> Words:
    """What a value set calls a code, and its designations by language."""
    given = concept.get("designation") or ()
    translations = {
        str(one["language"]): str(one.get("value", "")) for one in given if one.get("language")
    }
    return Words(str(concept.get("display") or concept["code"]), translations)


def _units(one: Json) -> tuple[Option, ...]:
    listed = [value_of(found) for found in extensions(one, known.UNIT_OPTION)]
    single = valued(one, known.UNIT)
    return tuple(
        Option("valueCoding", coding, option_words(coding))
        for coding in ([single] if single else listed)
        if isinstance(coding, dict)
    )


def _initial(one: Json) -> Iterator[tuple[str, Json]]:
    for value in one.get("initial", []):
        yield from ((name, value[name]) for name in value if name.startswith("value"))
    for option in one.get("answerOption", []):
        if option.get("initialSelected") is True:
            yield from ((name, option[name]) for name in option if name.startswith("value"))


def _allocated(element: Json) -> tuple[str, ...]:
    return tuple(str(value_of(one)) for one in extensions(element, known.ALLOCATED))


def _bytes(megabytes: Json) -> int | None:
    """How large a file may be (R4 extension maxSize)."""
    return int(megabytes * 1_000_000) if isinstance(megabytes, Decimal | int) else None


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
