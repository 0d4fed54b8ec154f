"""Questions that follow references, with their answers by the oracle: chains and `_has`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlencode

from contract.proof.oracle import Definition, Evidence
from contract.proof.questions import Question

from quanmin.fhir.table import load_table

_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})(?:/_history/[^/]+)?\Z")

Seen = Callable[[str], frozenset[str]]
"""The ids of a type that an asker may see."""


class Edge(NamedTuple):
    """A record refers to another by a parameter, as far as one element says."""

    source: str
    target_type: str
    target: str


class Hop(NamedTuple):
    """One reference followed: back from its target to its source (a chain), or on (`_has`)."""

    definition: Definition
    near: str
    is_reverse: bool


class LinkedQuestion(NamedTuple):
    """A question about a record at the far end of up to three references, the far one first."""

    far: Question
    hops: tuple[Hop, ...]

    @property
    def type(self) -> str:
        """The type that is searched."""
        return self.hops[-1].near

    @property
    def pair(self) -> tuple[str, str]:
        """The parameter as it is sent."""
        name, value = self.far.pair
        type_ = self.far.definition.type
        for hop in self.hops:
            param = hop.definition.name
            if hop.is_reverse:
                name = f"_has:{type_}:{param}:{name}"
            else:
                name = f"{param}{_said(hop, type_)}.{name}"
            type_ = hop.near
        return name, value

    def __str__(self) -> str:
        return f"{self.type}?{urlencode([self.pair])}"

    def asked(self) -> Iterator[Definition]:
        """Every parameter that records are picked by."""
        yield self.far.definition
        for hop in self.hops:
            yield hop.definition


def _said(hop: Hop, target: str) -> str:
    """The type is left out where the parameter can point at no other."""
    targets = load_table().types[hop.near].params[hop.definition.name].targets
    return "" if targets == (target,) else f":{target}"


class Paths:
    """The references among resources, by parameter."""

    def __init__(self, evidence: Evidence, definitions: dict[str, tuple[Definition, ...]]) -> None:
        self._evidence = evidence
        self._edges = {
            definition: edges
            for several in definitions.values()
            for definition in several
            if definition.kind == "reference" and (edges := self._found(definition))
        }

    def _found(self, definition: Definition) -> list[Edge]:
        edges = []
        for id_, elements in self._evidence.found(definition).items():
            for element in elements:
                text = element.get("reference", "") if isinstance(element, dict) else element
                local = _LOCAL.match(text or "")
                if local:
                    edges.append(Edge(id_, local[1], local[2]))
        return edges

    def hops(self, far: str) -> list[Hop]:
        """The references by which records of this type are reached, or lead to others."""
        by = self._evidence.by_type
        to = {
            (definition, far)
            for definition, edges in self._edges.items()
            if any(edge.target_type == far and edge.target in by.get(far, ()) for edge in edges)
        }
        chains = [Hop(definition, definition.type, is_reverse=False) for definition, _ in to]
        onward = {
            (definition, edge.target_type)
            for definition, edges in self._edges.items()
            if definition.type == far
            for edge in edges
            if edge.target in by.get(edge.target_type, ())
        }
        has = [Hop(definition, near, is_reverse=True) for definition, near in onward]
        return sorted((*chains, *has))

    def answer(self, question: LinkedQuestion, seen: Seen) -> tuple[frozenset[str], frozenset[str]]:
        """What must be found and what may be, by an asker who sees so much."""
        type_ = question.far.definition.type
        sure = question.far.sure & seen(type_)
        possible = question.far.possible & seen(type_)
        for hop in question.hops:
            everyone = seen(hop.near)
            sure = self._reached(hop, type_, sure) & everyone
            possible = self._reached(hop, type_, possible) & everyone
            type_ = hop.near
        return sure, possible

    def _reached(self, hop: Hop, far: str, ids: frozenset[str]) -> frozenset[str]:
        edges = self._edges[hop.definition]
        if hop.is_reverse:
            near = hop.near
            return frozenset(e.target for e in edges if e.source in ids and e.target_type == near)
        return frozenset(e.source for e in edges if e.target_type == far and e.target in ids)


def draw_linked(
    paths: Paths, draw: Callable[[random.Random], Question], dice: random.Random
) -> LinkedQuestion | None:
    """A question at random, with one to three references; None where nothing is linked."""
    far = draw(dice)
    type_, hops = far.definition.type, []
    for _ in range(dice.randint(1, 3)):
        open_to = paths.hops(type_)
        if not open_to:
            break
        hops.append(dice.choice(open_to))
        type_ = hops[-1].near
    return LinkedQuestion(far, tuple(hops)) if hops else None
