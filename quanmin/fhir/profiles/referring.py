"""What a reference may lead to: targetProfile, aggregation and versioning of ElementDefinition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from quanmin.base.problems import Sentence, either
from quanmin.fhir.path import Node, PathProblem, compile_path
from quanmin.fhir.path.nodes import add_member
from quanmin.fhir.profiles.definition import is_base_type
from quanmin.fhir.profiles.model import STRUCTURE, Profile, Rule, TypeRule
from quanmin.fhir.table import load_table

if TYPE_CHECKING:
    from quanmin.fhir.profiles.checking import Check

_LITERAL = re.compile(r"(?:^|/)(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[^/]+)?\Z")
_RESOLVE = compile_path("resolve()")


def type_of_reference(node: Node) -> str:
    """The type that a Reference states or its literal names; "" where neither tells."""
    value: Any = node.value
    if isinstance(value, dict):
        stated = value.get("type")
        if isinstance(stated, str) and stated in load_table().types:
            return stated
        value = value.get("reference")
    found = _LITERAL.search(value) if isinstance(value, str) else None
    name = found["type"] if found else ""
    return name if name in load_table().types else ""


class Targets:
    """The references of one check."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._under_way: set[tuple[str, str]] = set()

    def check(self, node: Node, rule: Rule, kinds: list[TypeRule]) -> None:
        """Check what an item refers to against the kinds of reference it may be."""
        if node.type.name not in {"Reference", "canonical"}:
            return
        is_literal = _is_literal(node)
        if is_literal:
            self._aggregated(node, rule, kinds)
        if not (is_literal or type_of_reference(node)):
            return
        if not all(kind.targets for kind in kinds):
            return
        urls = [url for kind in kinds for url in kind.targets]
        name, target = type_of_reference(node), None
        # A canonical is an address for life, and tells no type. A record is looked at only where
        # its type does not tell enough.
        if node.type.name == "canonical":
            return
        if not (name and all(map(is_base_type, urls))):
            target = self._resolved(node)
            name = target.type.name if target is not None else name
        if not name or "Resource" in {url.removeprefix(STRUCTURE) for url in urls}:
            return
        answers = [self._leads(url, name, target) for url in urls]
        if not any(answer is not False for answer in answers):
            what = Sentence("must refer to one of %(known)s", known=", ".join(urls))
            self._check.break_rule(rule, what, node.location, "value")

    def _leads(self, url: str, name: str, target: Node | None) -> bool | None:
        """Whether a target is of a profile; None where that is not known."""
        if is_base_type(url):
            bare = url.partition("|")[0].removeprefix(STRUCTURE)
            return bare in {name, "DomainResource"}
        profile = self._check.knowledge.usable(url)
        if profile is None:
            return None
        if profile.type != name:
            return False
        return None if target is None else self._fits(target, profile)

    def _fits(self, target: Node, profile: Profile) -> bool:
        value: Any = target.value
        mark = (profile.url, f"{target.type.name}/{value.get('id')}")
        if mark in self._under_way:  # two records that refer to each other
            return True
        self._under_way.add(mark)
        try:
            return self._check.fits(target, profile)
        finally:
            self._under_way.discard(mark)

    def _resolved(self, node: Node) -> Node | None:
        try:
            found = _RESOLVE.evaluate(node, environment=self._check.environment)
        except PathProblem:
            return None
        return found[0] if found else None

    def _aggregated(self, node: Node, rule: Rule, kinds: list[TypeRule]) -> None:
        """R4 valueset-resource-aggregation-mode, valueset-reference-version-rules."""
        value: Any = node.value
        text = str(value.get("reference") if isinstance(value, dict) else value)
        modes = {mode for kind in kinds for mode in kind.aggregation}
        if modes and all(kind.aggregation for kind in kinds):
            found = self._mode(node, text)
            if not found & modes:
                what = Sentence("must refer to what is %(known)s", known=either(sorted(modes)))
                self._check.break_rule(rule, what, node.location, "value")
        rules = {kind.versioning for kind in kinds}
        is_specific = "/_history/" in text or "|" in text
        if rules == {"specific"} and not is_specific:
            what = Sentence("must name a version (/_history/...)")
            self._check.break_rule(rule, what, node.location, "value")
        if rules == {"independent"} and is_specific:
            self._check.break_rule(rule, Sentence("may name no version"), node.location, "value")

    def _mode(self, node: Node, text: str) -> set[str]:
        if text.startswith("#"):
            return {"contained"}
        return {"bundled", "referenced"} if _is_bundled(node, text) else {"referenced"}


def _is_bundled(node: Node, text: str) -> bool:
    """Whether an entry of the same Bundle has this address."""
    at: Node | None = node
    while at is not None and at.type.name != "Bundle":
        at = at.parent
    entries: list[Node] = []
    if at is not None:
        add_member(at, "entry", entries)
    held: list[Any] = [entry.value for entry in entries]
    urls = [str(entry.get("fullUrl")) for entry in held if isinstance(entry, dict)]
    return any(url == text or url.endswith("/" + text) for url in urls)


def _is_literal(node: Node) -> bool:
    value: Any = node.value
    return isinstance(value, str) or (isinstance(value, dict) and "reference" in value)
