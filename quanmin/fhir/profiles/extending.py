"""Extensions held to their own definitions: their values, and where they may stand.

R4 extensibility.html, defining-extensions.html#context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from quanmin.base.problems import Sentence
from quanmin.fhir.json import Json
from quanmin.fhir.path import Environment, Node, PathProblem
from quanmin.fhir.path.nodes import children
from quanmin.fhir.profiles.model import Context, Profile

if TYPE_CHECKING:
    from quanmin.fhir.profiles.checking import Check

_SLICE = re.compile(r":[^.]*")
_STEPS = ("extension", "modifierExtension")


class Extensions:
    """The extensions of one check."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._done: set[tuple[str, str]] = set()

    def done(self, node: Node, url: str) -> None:
        """Note that an extension is being held to its definition on behalf of a profile."""
        self._done.add((node.location, url))

    def check(self) -> None:
        """Check every extension in the record whose definition is known."""
        knowledge = self._check.knowledge
        known: dict[str, Profile] = {}
        unknown: set[str] = set()
        for url in sorted(set(_urls(self._check.start.value))):
            profile = knowledge.usable(url)
            if profile is not None and profile.type == "Extension":
                known[url] = profile
            elif profile is None:
                unknown.add(url)
        if known or unknown:
            self._walk(self._check.start, known, unknown)

    def _walk(self, start: Node, known: dict[str, Profile], unknown: set[str]) -> None:
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node.step in _STEPS and isinstance(node.value, dict):
                url = node.value.get("url")
                if isinstance(url, str) and url in known:
                    self._extension(node, known[url])
                elif url in unknown:
                    self._unknown(node, str(url))
            waiting += reversed(children(node))

    def _extension(self, node: Node, profile: Profile) -> None:
        at = node.location
        if profile.is_modifier != (node.step == "modifierExtension"):
            wanted = "modifierExtension" if profile.is_modifier else "extension"
            text = Sentence(
                "%(at)s: %(url)s is defined to stand in %(wanted)s: send it there",
                at=at,
                url=profile.url,
                wanted=wanted,
            )
            self._check.tell("structure", text, at)
        if profile.contexts and not any(self._stands(node, each) for each in profile.contexts):
            places = ", ".join(each.expression for each in profile.contexts)
            text = Sentence(
                "%(at)s: %(url)s may stand in %(places)s only: send it there",
                at=at,
                url=profile.url,
                places=places,
            )
            self._check.tell("structure", text, at)
        self._conditions(node, profile)
        if (at, profile.url) not in self._done:
            self._check.against(node, profile)

    def _stands(self, node: Node, context: Context) -> bool:
        holder = node.parent
        if holder is None:
            return True
        if context.kind == "extension":
            held: Any = holder.value
            return isinstance(held, dict) and held.get("url") == context.expression
        if context.kind == "fhirpath":
            return self._is_selected(holder, context)
        # R4 names Element where it means any element, records too.
        return _path_of(context.expression) in {"Element", *_names(holder)}

    def _is_selected(self, holder: Node, context: Context) -> bool:
        if context.path is None:
            return True
        at: Node = holder
        while not at.type.is_resource and at.parent is not None:
            at = at.parent
        try:
            found = context.path.evaluate(at, environment=self._check.environment)
        except PathProblem:
            return True
        return any(one.location == holder.location for one in found)

    def _conditions(self, node: Node, profile: Profile) -> None:
        """R4 StructureDefinition.contextInvariant: %extension is the extension itself."""
        for path in profile.conditions if node.parent is not None else ():
            given = Environment(
                variables={"extension": node},
                strictness="lenient",
                resolve=self._check.knowledge.target,
                terminology=self._check.knowledge,
            )
            try:
                holds = path.is_true(node.parent or node, environment=given) is not False
            except PathProblem:
                holds = True
            if not holds:
                at = node.location
                text = Sentence(
                    "%(at)s: %(url)s may stand only where %(text)s",
                    at=at,
                    url=profile.url,
                    text=path.text,
                )
                self._check.tell("invariant", text, at)

    def _unknown(self, node: Node, url: str) -> None:
        at = node.location
        if node.step == "modifierExtension":
            # R4 extensibility.html#modifierExtension: it may change what all beside it means.
            text = Sentence(
                "%(at)s: this modifier extension is not known here: load %(url)s",
                at=at,
                url=url[:200],
            )
            self._check.tell("extension", text, at, "warning")
        else:
            text = Sentence(
                "%(at)s is not checked: this node knows no definition of %(url)s",
                at=at,
                url=url[:200],
            )
            self._check.inform("informational", text, at)


def _urls(value: Json) -> Iterator[str]:
    """The addresses of all extensions; one within another is named by a word, which is none."""
    if isinstance(value, dict):
        for name, held in value.items():
            if name in _STEPS and isinstance(held, list):
                for each in held:
                    url = each.get("url") if isinstance(each, dict) else None
                    if isinstance(url, str) and ":" in url:
                        yield url
            if isinstance(held, dict | list):
                yield from _urls(held)
    elif isinstance(value, list):
        for item in value:
            yield from _urls(item)


def _path_of(element_id: str) -> str:
    """The path in the id of an element, which may be one of a profile (`url#id`) or in a slice (R4
    defining-extensions.html#context). Which profile or slice it is is not asked.
    """
    return _SLICE.sub("", element_id.rpartition("#")[2])


def _names(node: Node) -> set[str]:
    """What an element is called in a context: its types, and its path in each type above it."""
    found = {*node.type.names, node.type.shown}
    steps = ""
    at: Node | None = node
    while at is not None and at.parent is not None:
        bare = at.step.partition(".ofType(")[0]
        steps = f"{bare}.{steps}" if steps else bare
        found |= {f"{name}.{steps}" for name in at.parent.type.names}
        found |= {f"{name}.{steps.replace(bare, bare + '[x]', 1)}" for name in at.parent.type.names}
        at = at.parent
    return found
