"""Questions about composite parameters, with their answers by the oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from contract.proof import comparison
from contract.proof.oracle import Definition, Evidence, Resource, elements, official
from contract.proof.questions import Question, Value, values

_OUTSIDE = "%resource."


class Component(NamedTuple):
    """One part of a composite: of what kind it is, and where in an element it looks."""

    kind: str
    expression: str


class Composite(NamedTuple):
    """An official composite parameter as far as one type is concerned."""

    type: str
    name: str
    roots: tuple[str, ...]
    components: tuple[Component, ...]

    @property
    def definition(self) -> Definition:
        """The parameter as a question names it."""
        return Definition(self.type, self.name, "composite", " | ".join(self.roots))


# What one element gives each component.
Found = list[tuple[list[Any], ...]]


@cache
def composites(type_: str) -> tuple[Composite, ...]:
    """The composite parameters of a type, by name."""
    kinds = {each["url"]: each["type"] for each in official()}
    found = []
    for each in official():
        if each["type"] == "composite" and type_ in each["base"]:
            roots = [part.strip() for part in each["expression"].split("|")]
            own = tuple(root for root in roots if root.split(".")[0] == type_)
            components = tuple(
                Component(kinds[part["definition"]], part["expression"])
                for part in each["component"]
            )
            found.append(Composite(type_, each["code"], own, components))
    return tuple(sorted(found))


def instances(composite: Composite, resource: Resource) -> Found:
    """What each element that the composite looks at gives its components."""
    found: Found = []
    for root in composite.roots:
        number = len(elements(_whole(composite, root), resource))
        places = [root] if root == composite.type else [f"{root}[{n}]" for n in range(number)]
        found += [
            tuple(
                _part(composite, place, component.expression, resource)
                for component in composite.components
            )
            for place in places
        ]
    return found


def _whole(composite: Composite, expression: str) -> Definition:
    return Definition(composite.type, composite.name, "composite", expression)


def _part(composite: Composite, place: str, expression: str, resource: Resource) -> list[Any]:
    several: list[Any] = []
    for part in expression.split(" | "):
        typed = part.replace(".as(DateTime)", ".ofType(dateTime)").replace(".as(", ".ofType(")
        if typed.startswith(_OUTSIDE):
            typed = f"{composite.type}.{typed.removeprefix(_OUTSIDE)}"
        else:
            typed = f"{place}.{typed}"
        several += elements(_whole(composite, typed), resource)
    return several


def questions(
    evidence: Evidence, composite: Composite, dice: random.Random, number: int
) -> Iterator[Question]:
    """Questions about a composite: with values of one element, and of several."""
    found = {
        id_: instances(composite, resource)
        for id_, resource in evidence.by_type.get(composite.type, {}).items()
    }
    whole = [parts for several in found.values() for parts in several if all(parts)]
    for _ in range(number if whole else 0):
        one, other = dice.choice(whole), dice.choice(whole)
        same = dice.choice([several for several in found.values() if one in several])
        sources = [one, dice.choice([one, other, dice.choice(same)])]
        sources += [one] * len(composite.components)
        asked = [
            _value(component, dice.choice(sources[at][at] or one[at]), dice)
            for at, component in enumerate(composite.components)
        ]
        if all(asked):
            yield _ask(composite, found, [value for value in asked if value])


def _value(component: Component, element: Any, dice: random.Random) -> Value | None:
    several = [value for value in values(component.kind, element, dice) if not value[0]]
    return dice.choice(several) if several else None


def _ask(composite: Composite, found: dict[str, Found], asked: list[Value]) -> Question:
    verdicts = {
        id_: _any(_all(composite, parts, asked) for parts in several)
        for id_, several in found.items()
    }
    return Question(
        composite.definition,
        "",
        "$".join(sent for _, _, sent in asked),
        frozenset(id_ for id_, verdict in verdicts.items() if verdict),
        frozenset(id_ for id_, verdict in verdicts.items() if verdict is not False),
    )


def _all(composite: Composite, parts: tuple[list[Any], ...], asked: list[Value]) -> bool | None:
    verdicts = [
        comparison.holds(component.kind, "", plain, elements_of)
        for component, elements_of, (_, plain, _) in zip(
            composite.components, parts, asked, strict=True
        )
    ]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _any(verdicts: Iterator[bool | None]) -> bool | None:
    several = list(verdicts)
    if True in several:
        return True
    return None if None in several else False
