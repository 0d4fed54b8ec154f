"""What a form takes from the records before anybody fills it in (SDC population by expressions)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.json import Json
from quanmin.fhir.path import PathProblem
from quanmin.workflow.forms.filling import (
    GROUPS_MAX,
    Filling,
    Place,
    Seen,
    as_answers,
    open_response,
    spread,
)
from quanmin.workflow.forms.model import Around, Form


def questions(form: Form, around: Around) -> Mapping[str, str]:
    """The searches that the form asks of the records, by the name of their variable: `type?query`
    with what launched the form put in. One that lacks a part of it is left out.

    Raises Invalid when the form was not launched with what it says, or an expression fails.
    """
    missing = form.launched.keys() - around.variables.keys()
    if missing:
        raise Invalid(
            Sentence("this form is opened with %(known)s", known=", ".join(sorted(missing)))
        )
    found: dict[str, str] = {}
    environment = around.environment({})
    for question in form.questions:
        text: list[str] = []
        for part in question.parts:
            if isinstance(part, str):
                text.append(part)
                continue
            try:
                values = part.values({}, environment=environment)
            except PathProblem as problem:
                message = Sentence(
                    "the query %(name)s of the form fails: %(text)s",
                    name=question.name,
                    text=problem.text,
                )
                raise Invalid(message) from None
            if not values:
                break
            text.append(",".join(quote(str(value), safe="/:|.-") for value in values))
        else:
            found[question.name] = "".join(text)
    return found


def prefill(form: Form, around: Around, subject: Mapping[str, Json] | None = None) -> Filling:
    """A new response, filled in from what launched it and what was read for it.

    `around.variables` hold the launch resources, and for each of `questions` its searchset Bundle.
    `subject` are members of the response's head, such as its subject. Raises Invalid when an
    expression fails.
    """
    start = {"resourceType": "QuestionnaireResponse", "status": "in-progress", **(subject or {})}
    filling = open_response(form, around)
    filling = Filling(form, around, filling.places, start)
    filling.places = [one for place in filling.places for one in _repeated(filling, place, None)]
    seen = filling.seen()
    for place in filling.walk():
        _prefill(filling, place, seen)
    filling.settle()
    return filling


def _prefill(filling: Filling, place: Place, seen: Seen) -> None:
    if place.item.prefilled is None:
        return
    values = filling.evaluate(place.item.prefilled, place, seen)
    found = as_answers(place.item, values, filling.around.zone)
    if found:
        place.answers = found


def _repeated(filling: Filling, place: Place, above: Place | None) -> list[Place]:
    """A group, once for each thing that its population finds; once where it has none."""
    place.above = above
    population = place.item.population
    if population is None:
        place.places = [one for inner in place.places for one in _repeated(filling, inner, place)]
        return [place]
    found: Sequence[Any] = filling.evaluate(population.path, place)[:GROUPS_MAX]
    if not found:
        place.variables = {population.name: []}
        return [place]
    repeated = []
    head = place.key.rpartition(".")[0]
    for index, value in enumerate(found):
        one = Place(place.item, f"{head}.{index}", above)
        one.variables = {population.name: value}
        one.places = [
            again
            for inner in spread(place.item.items, [], one, is_new=True)
            for again in _repeated(filling, inner, one)
        ]
        repeated.append(one)
    return repeated
