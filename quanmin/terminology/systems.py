"""Reads a CodeSystem into rows: its concepts in order, every ancestor of each, what a filter finds.

Pure; the hierarchy may be nested, told by `child`, `parent` or `subsumedBy` properties, or both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Issue, Sentence, TooCostly
from quanmin.base.text import common_syllables, fold, is_han
from quanmin.terminology.limits import TermLimits

# R4 codesystem-concept-properties.html and the properties that HL7's own code systems use.
_CHILD: Final = frozenset({"child"})
_PARENT: Final = frozenset({"parent", "subsumedBy"})
_ABSTRACT: Final = frozenset({"notSelectable", "abstract"})
_INACTIVE_STATUS: Final = frozenset({"retired", "inactive"})
_WORDS_MAX: Final = 2000
_READINGS_MAX: Final = 16


class Concept(msgspec.Struct):
    """One concept as it stands in the definition."""

    place: int
    code: str
    source: dict[str, Any]
    where: str
    parents: set[int]


class Rows(msgspec.Struct, frozen=True):
    """The rows of a code system, each as the columns of its table after `resource`."""

    concepts: list[tuple[Any, ...]]
    ancestors: list[tuple[int, int]]
    properties: list[tuple[int, str, str]]


def is_case_sensitive(system: Mapping[str, Any]) -> bool:
    """Whether codes differ by case; they do where `CodeSystem.caseSensitive` does not say."""
    return system.get("caseSensitive") is not False


def matched(code: str, *, case_sensitive: bool) -> str:
    """The code as it is compared."""
    return code if case_sensitive else code.casefold()


def read_system(system: Mapping[str, Any], limits: TermLimits) -> Rows:
    """The rows of a CodeSystem. Raises Invalid with every code that stands twice or is not there,
    and for a hierarchy in circles; TooCostly for one beyond the limits.
    """
    sensitive = is_case_sensitive(system)
    concepts: list[Concept] = []
    by_code: dict[str, Concept] = {}
    issues: list[Issue] = []
    for concept in _walk(system.get("concept") or (), "CodeSystem.concept", None, concepts):
        key = matched(concept.code, case_sensitive=sensitive)
        if key in by_code:
            where = by_code[key].where
            text = Sentence(
                "the code stands at %(where)s too: a code system defines each code once",
                where=where,
            )
            issues.append(Issue("error", "duplicate", text, f"{concept.where}.code"))
        by_code[key] = concept
        if len(concepts) > limits.concepts_max:
            raise TooCostly(
                Sentence(
                    "the CodeSystem has more than %(concepts_max)s concepts (setting"
                    " terminology.concepts_max): split it, or raise the setting",
                    concepts_max=limits.concepts_max,
                )
            )
    issues += _link(concepts, by_code, sensitive=sensitive)
    if issues:
        raise Invalid("the CodeSystem cannot be used", issues=tuple(issues))
    return Rows(
        [_row(concept, sensitive=sensitive) for concept in concepts],
        _close(concepts, limits),
        [pair for concept in concepts for pair in _properties(concept)],
    )


def _walk(
    nested: Any, where: str, parent: Concept | None, found: list[Concept]
) -> Iterator[Concept]:
    """Concepts in the order in which they stand, each before its children."""
    # Not by recursion: how deep a sender nests is not ours to choose.
    waiting = [(iter(enumerate(nested)), where, parent)]
    while waiting:
        rest, path, above = waiting[-1]
        step = next(rest, None)
        if step is None:
            waiting.pop()
            continue
        number, source = step
        here = f"{path}[{number}]"
        parents = set() if above is None else {above.place}
        concept = Concept(len(found), source["code"], source, here, parents)
        found.append(concept)
        yield concept
        waiting.append((iter(enumerate(source.get("concept") or ())), f"{here}.concept", concept))


def _link(
    concepts: list[Concept], by_code: Mapping[str, Concept], *, sensitive: bool
) -> Iterator[Issue]:
    """Follow the properties that name parents and children."""
    for concept in concepts:
        for number, given in enumerate(concept.source.get("property") or ()):
            name = given.get("code")
            if name not in _CHILD and name not in _PARENT:
                continue
            code = given.get("valueCode") or (given.get("valueCoding") or {}).get("code")
            other = by_code.get(matched(code, case_sensitive=sensitive)) if code else None
            if other is None:
                where = f"{concept.where}.property[{number}]"
                yield Issue("error", "code-invalid", "names no code of this code system", where)
            elif name in _CHILD:
                other.parents.add(concept.place)
            else:
                concept.parents.add(other.place)


def _close(concepts: list[Concept], limits: TermLimits) -> list[tuple[int, int]]:
    """Every pair of an ancestor and a concept below it."""
    closed: dict[int, frozenset[int]] = {}
    pairs: list[tuple[int, int]] = []
    for start in concepts:
        waiting = [start.place]
        under_way: set[int] = set()
        while waiting:
            place = waiting[-1]
            if place in closed:
                waiting.pop()
                continue
            open_parents = [each for each in concepts[place].parents if each not in closed]
            if not open_parents:
                above = concepts[place].parents
                closed[place] = frozenset(above).union(*(closed[each] for each in above))
                pairs += [(each, place) for each in closed[place]]
                under_way.discard(place)
                waiting.pop()
            elif place in under_way:
                where = concepts[place].where
                text = Sentence("the concept is its own ancestor: a hierarchy has no circles")
                issue = Issue("error", "invalid", text, where)
                raise Invalid("the CodeSystem cannot be used", issues=(issue,))
            else:
                under_way.add(place)
                waiting += open_parents
        if len(pairs) > limits.ancestors_max:
            raise TooCostly(
                "the hierarchy of the CodeSystem is too deep (setting terminology.ancestors_max):"
                " split it, or raise the setting"
            )
    return pairs


def value_text(given: Mapping[str, Any]) -> str:
    """A property's value as text, as filters compare it; "" without one."""
    for name, value in given.items():
        if name.startswith("value"):
            if isinstance(value, dict):
                return str(value.get("code") or "")
            return str(value).lower() if isinstance(value, bool) else str(value)
    return ""


def _properties(concept: Concept) -> Iterator[tuple[int, str, str]]:
    for given in concept.source.get("property") or ():
        yield concept.place, given["code"], value_text(given)


def _row(concept: Concept, *, sensitive: bool) -> tuple[Any, ...]:
    source = concept.source
    given = [(each["code"], value_text(each)) for each in source.get("property") or ()]
    more = {
        name: source[name] for name in ("definition", "designation", "property") if source.get(name)
    }
    designations = [each["value"] for each in source.get("designation") or () if each.get("value")]
    texts = [text for text in (source.get("display"), *designations) if text]
    words, pinyin, initials = found_by(concept.code, texts)
    return (
        concept.place,
        matched(concept.code, case_sensitive=sensitive),
        concept.code,
        source.get("display"),
        any(name in _ABSTRACT and value == "true" for name, value in given),
        any(
            (name == "inactive" and value == "true")
            or (name == "status" and value in _INACTIVE_STATUS)
            for name, value in given
        ),
        sorted(concept.parents) or None,
        words,
        pinyin,
        initials,
        msgspec.json.encode(more).decode() if more else None,
    )


def found_by(code: str, texts: list[str]) -> tuple[str, str | None, str | None]:
    """What a text filter looks at: the words, the pinyin of what is Chinese, and its initials.

    Each character is read alone, in each of its common ways: terms are not names, and a phrase's
    reading would cost fifteen times as much. A text that can be read in more than a few ways is
    read in the likeliest.
    """
    folded = [fold(text) for text in texts]
    words = f" {code.casefold()} {' '.join(folded)}"[:_WORDS_MAX]
    ways = [way for text in folded for way in _ways([each for each in text if is_han(each)])]
    if not any(ways):
        return words, None, None
    pinyin = " ".join(dict.fromkeys("".join(way) for way in ways))[:_WORDS_MAX]
    initials = dict.fromkeys("".join(one[:1] for one in way) for way in ways)
    return words, pinyin, " ".join(initials)[:_WORDS_MAX]


def _ways(characters: list[str]) -> Iterator[tuple[str, ...]]:
    """How the characters may be read one after another, the likeliest first."""
    # The last characters vary first: a term that can be read in too many ways is still found by
    # each reading of its end, and by the likeliest of its beginning.
    return islice(product(*(common_syllables(each) or ("",) for each in characters)), _READINGS_MAX)
