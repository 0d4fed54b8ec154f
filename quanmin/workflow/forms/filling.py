"""A form being filled in: its places, which are open, and what is worked out of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.dates import local_text
from quanmin.fhir.json import Json
from quanmin.fhir.path import Node, Path, PathProblem, root
from quanmin.fhir.path.amounts import Amount
from quanmin.fhir.path.environment import CONSTANTS
from quanmin.fhir.path.nodes import children, text_of
from quanmin.workflow.forms.enabling import is_met
from quanmin.workflow.forms.model import VALUE_OF, Around, Form, Item, Option, code_of

GROUPS_MAX: Final = 200
"""How often a group may be repeated in one response."""
NEW: Final = "new"
"""What an occurrence of a group goes on from that was added: from none."""


class Place(msgspec.Struct):
    """One occurrence of an item. `key` names its field, the same for the same occurrence.

    `answers` are the elements of R4's answer without the items below; `unread` is what was typed
    and could not be understood, kept to be shown again. `start` says of an occurrence of a group
    that repeats which one it goes on from: by its number in the response that the form began with,
    or NEW; "" as `Filling.starts` tells.
    """

    item: Item
    key: str
    above: Place | None
    answers: list[dict[str, Json]] = []
    places: list[Place] = []
    variables: dict[str, Any] = {}
    unread: tuple[str, ...] = ()
    is_open: bool = True
    start: str = ""

    @property
    def value(self) -> Json:
        """The value of the only or first answer; None where there is none."""
        return next((value for one in self.answers for value in one.values()), None)

    @property
    def codes(self) -> frozenset[str]:
        """What stands in the field for the answers."""
        return frozenset(code_of(value) for one in self.answers for value in one.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is answered here or below."""
        return not self.answers and all(one.is_empty for one in self.places)

    def walk(self) -> Iterator[Place]:
        """This place and all below, in the order of the form."""
        yield self
        for one in self.places:
            yield from one.walk()


class Filling:
    """A response under way. After `settle` it is consistent: what a condition closes holds no
    answer in `response`, and what is calculated is.
    """

    def __init__(self, form: Form, around: Around, places: list[Place], response: Json) -> None:
        self.form = form
        self.around = around
        self.places = places
        self._head = {name: response[name] for name in response if name != "item"}

    def walk(self) -> Iterator[Place]:
        """Every place, closed ones too, in the order of the form."""
        for one in self.places:
            yield from one.walk()

    def place(self, key: str) -> Place | None:
        """The place that a field stands for."""
        return next((one for one in self.walk() if one.key == key), None)

    def open_places(self) -> Iterator[Place]:
        """Those that are asked now, from above: nothing below a closed one."""
        return _open(self.places)

    def settle(self) -> None:
        """Open, close and calculate until nothing changes any more.

        Raises Invalid when the form's calculations go round in circles, or one of them fails.
        """
        # Each round settles at least one more of those that wait for others.
        items = [one.item for one in self.walk()]
        rounds = 2 + sum(bool(one.calculated or one.enabled or one.conditions) for one in items)
        for _ in range(rounds):
            if not self._settle_once():
                return
        raise Invalid("the calculations of this form do not come to an end: they wait for each"
                      " other; mend the form")  # fmt: skip

    def response(self) -> Json:
        """The QuestionnaireResponse (R4): open places that are answered, in the form's order."""
        items = [one for one in (_told(place) for place in self.places) if one is not None]
        head = {**self._head, "questionnaire": self.form.canonical}
        return {**head, "item": items} if items else head

    def starts(self) -> dict[str, str]:
        """What each occurrence of a group that repeats goes on from, by its key. What stands where
        in a response changes by what is taken away; so pages and devices send this back.
        """
        return dict(_starts(self.places))

    def evaluate(self, path: Path, place: Place | None, seen: Seen | None = None) -> list[Any]:
        """What an expression of an item finds: `%resource` is the response, `%context` the item's
        occurrence in it, `%questionnaire` the form; beside them the variables of all above it.

        Raises Invalid when it fails.
        """
        seen = seen or self.seen()
        variables = seen.variables_of(place)
        try:
            found = path.evaluate(
                seen.node_of(place), environment=self.around.environment(variables)
            )
        except PathProblem as problem:
            where = place.item.link_id if place else "the form"
            raise Invalid(
                Sentence(
                    "an expression of %(where)s fails: %(text)s", where=where, text=problem.text
                )
            ) from None
        return [plain(one) for one in found if one.value is not None]

    def seen(self) -> Seen:
        """The response as expressions see it at this moment."""
        return Seen(self)

    def _settle_once(self) -> bool:
        seen = self.seen()
        is_changed = False
        for place in self.walk():
            is_open = (place.above is None or place.above.is_open) and self._is_met(place, seen)
            is_changed |= is_open != place.is_open
            place.is_open = is_open
        if is_changed:
            seen = self.seen()
        for place in self.walk():
            if place.item.calculated is not None:
                found = self.evaluate(place.item.calculated, place, seen)
                answers = as_answers(place.item, found, self.around.zone)
                is_changed |= answers != place.answers
                place.answers = answers
        return is_changed

    def _is_met(self, place: Place, seen: Seen) -> bool:
        item = place.item
        if item.enabled is not None:
            return self.evaluate(item.enabled, place, seen) == [True]
        found = [is_met(one, place, self.places) for one in item.conditions]
        return not found or (any(found) if item.is_any else all(found))


class Seen:
    """A response as nodes, and the variables of the form, worked out when they are asked for."""

    def __init__(self, filling: Filling) -> None:
        self._filling = filling
        self.root = root(filling.response())
        self._nodes = _nodes(self.root, filling.places)
        self._variables: dict[str, dict[str, Any]] = {}

    def node_of(self, place: Place | None) -> Node:
        """The item of a place in the response; an item without answers where it has none there."""
        if place is None:
            return self.root
        found = self._nodes.get(place.key)
        if found is not None:
            return found
        held = {"linkId": place.item.link_id}
        stub = root({"resourceType": "QuestionnaireResponse", "item": [held]})
        above = self.node_of(place.above)
        node = children(stub)[-1]
        node.parent = above
        return node

    def variables_of(self, place: Place | None) -> dict[str, Any]:
        """The variables that stand at a place, those of the form and of all above it."""
        key = place.key if place else ""
        if key not in self._variables:
            self._variables[key] = self._found(place)
        return self._variables[key]

    def _found(self, place: Place | None) -> dict[str, Any]:
        filling = self._filling
        if place is None:
            known: dict[str, Any] = {"questionnaire": filling.form.source}
            stated = filling.form.variables
        else:
            known = {**self.variables_of(place.above), **place.variables}
            stated = place.item.variables
        for one in stated:
            environment = filling.around.environment(known)
            try:
                known[one.name] = one.path.evaluate(self.node_of(place), environment=environment)
            except PathProblem as problem:
                text = Sentence(
                    "the variable %(name)s of the form fails: %(text)s",
                    name=one.name,
                    text=problem.text,
                )
                raise Invalid(text) from None
        return known


def open_response(form: Form, around: Around, response: Json | None = None) -> Filling:
    """The response of a form, to be filled in further; without one from the initial values.

    What a response holds that the form does not ask is left out. The filling is settled. Raises
    Invalid for a response of another form.
    """
    named = (response or {}).get("questionnaire", form.canonical)
    if str(named).partition("|")[0] != form.url:
        raise Invalid("this is the response of another form")
    start = {"resourceType": "QuestionnaireResponse", "status": "in-progress"}
    held = response if response is not None else start
    items = held.get("item") if response is not None else None
    places = spread(form.items, items or [], None, is_new=response is None)
    filling = Filling(form, around, places, held)
    filling.settle()
    return filling


def spread(
    items: Sequence[Item], held: Sequence[Json], above: Place | None, *, is_new: bool
) -> list[Place]:
    """The places of these items, with what a response holds of each."""
    found: list[Place] = []
    for item in items:
        own = [one for one in held if isinstance(one, dict) and one.get("linkId") == item.link_id]
        if item.kind == "group" and item.repeats:
            count = max(len(own), item.count_min or 0, 1)
            own = (own + [{}] * count)[: min(count, GROUPS_MAX)]
            found += [
                _place(item, f"{item.link_id}.{index}", one, above, is_new=is_new)
                for index, one in enumerate(own)
            ]
        else:
            found.append(_place(item, item.link_id, own[0] if own else {}, above, is_new=is_new))
    return found


def _place(item: Item, name: str, held: Json, above: Place | None, *, is_new: bool) -> Place:
    key = f"{above.key}/{name}" if above is not None else name
    place = Place(item, key, above)
    answers = held.get("answer") if isinstance(held.get("answer"), list) else []
    place.answers = [
        {name: one[name] for name in one if name.startswith("value")} for one in answers
    ]
    place.answers = [one for one in place.answers if one]
    if is_new and not held:
        place.answers = [{name: value} for name, value in item.initial]
    # Items below a question stand beneath its first answer (R4 QuestionnaireResponse qrs-1).
    below: list[Json] = held.get("item") or next(
        (one["item"] for one in answers if "item" in one), []
    )
    place.places = spread(item.items, below, place, is_new=is_new)
    return place


def as_answers(item: Item, found: Sequence[Any], zone: tzinfo) -> list[dict[str, Json]]:
    """What an expression has found, as answers of an item; what does not fit is none."""
    answers = [one for one in (_answer(item, value, zone) for value in found) if one is not None]
    return answers if item.repeats else answers[:1]


def _answer(item: Item, value: Any, zone: tzinfo) -> dict[str, Json] | None:
    told: Json = None
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    match item.kind:
        case "group" | "display":
            return None
        case "boolean":
            told = value if isinstance(value, bool) else None
        case "integer":
            told = int(value) if is_number and value == int(value) else None
        case "decimal":
            told = value if is_number else None
        case "quantity":
            told = quantity(value, next(iter(item.units), None)) if is_number else value
        case "choice" | "open-choice":
            return _chosen(item, value)
        case "date":
            told = local_text(value, zone)[:10] if isinstance(value, str) else None
        case _:
            told = value if isinstance(value, str | dict) else None
    return None if told is None else {VALUE_OF[item.kind]: told}


def _chosen(item: Item, value: Any) -> dict[str, Json] | None:
    if isinstance(value, dict):
        coding = next(iter(value.get("coding") or ()), value)
        return {"valueCoding": coding} if coding.get("code") else None
    for option in item.options:
        same = option.value.get("code") if isinstance(option.value, dict) else option.value
        if same == value:
            return {option.element: option.value}
    return {"valueString": value} if item.kind == "open-choice" and value else None


def quantity(number: Decimal | int, unit: Option | None) -> Json:
    """A quantity with a unit of the form."""
    coding = unit.value if unit else {}
    told = {"unit": unit.words.text if unit else None, "system": coding.get("system"),
            "code": coding.get("code")}  # fmt: skip
    return {"value": number, **{name: value for name, value in told.items() if value}}


def plain(node: Node) -> Json:
    """What an expression has found, as JSON: a computed date as text, a Quantity as such."""
    value = node.value
    if isinstance(value, Amount):
        unit = str(value).partition(" ")[2].strip("'")
        return {"value": value.value, "unit": unit, "system": CONSTANTS["ucum"], "code": unit}
    return text_of(value)


def _open(places: Sequence[Place]) -> Iterator[Place]:
    for one in places:
        if one.is_open:
            yield one
            yield from _open(one.places)


def _told(place: Place) -> Json | None:
    """The item of the response; None where nothing of it is answered or it is closed."""
    if not place.is_open or place.item.kind == "display":
        return None
    below = [one for one in (_told(inner) for inner in place.places) if one is not None]
    told: dict[str, Json] = {"linkId": place.item.link_id}
    if place.item.words.text:
        told["text"] = place.item.words.text
    if place.item.kind == "group":
        return {**told, "item": below} if below else None
    if not place.answers:
        return None
    answers = [dict(one) for one in place.answers]
    if below:
        answers[0]["item"] = below
    return {**told, "answer": answers}


def _starts(places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    counts: dict[str, int] = {}
    for place in places:
        if place.item.kind == "group" and place.item.repeats:
            link = place.item.link_id
            # A response leaves out what is empty.
            is_there = _told(place) is not None
            at = counts.setdefault(link, 0)
            counts[link] += is_there
            yield place.key, place.start or (str(at) if is_there else NEW)
        yield from _starts(place.places)


def _nodes(above: Node, places: Sequence[Place]) -> dict[str, Node]:
    """The node of each place that stands in a response, by its key."""
    found: dict[str, Node] = {}
    waiting = [one for one in children(above) if one.step == "item"]
    for place in places:
        node = next((one for one in waiting if _link(one) == place.item.link_id), None)
        if node is None or _told(place) is None:
            continue
        waiting.remove(node)
        found[place.key] = node
        inner = node
        if place.item.kind != "group":
            inner = next((one for one in children(node) if one.step == "answer"), node)
        found.update(_nodes(inner, place.places))
    return found


def _link(node: Node) -> str:
    return str(node.value.get("linkId")) if isinstance(node.value, dict) else ""
