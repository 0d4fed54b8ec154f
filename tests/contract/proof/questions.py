"""Questions to put to a node, with what it must find and what it may find at most."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from contract.proof import comparison
from contract.proof.oracle import Definition, Evidence


class Question(NamedTuple):
    """One parameter with one value. Hits lie between `sure` and `possible`."""

    definition: Definition
    modifier: str
    text: str
    sure: frozenset[str]
    possible: frozenset[str]

    @property
    def pair(self) -> tuple[str, str]:
        """The parameter as it is sent."""
        name, modifier = self.definition.name, self.modifier
        return (f"{name}:{modifier}" if modifier else name), self.text

    def __str__(self) -> str:
        return f"{self.definition.type}?{urlencode([self.pair])}"


def escape(text: str) -> str:
    """A value as a parameter carries it."""
    return re.sub(r"([\\,$|])", r"\\\1", text)


def ask(
    evidence: Evidence, definition: Definition, modifier: str, plain: str, sent: str
) -> Question:
    """The question for a value, with its answer by the oracle."""
    everyone = evidence.ids(definition.type)
    found = evidence.found(definition)
    verdicts = {
        id_: comparison.holds(definition.kind, modifier, plain, found.get(id_, []))
        for id_ in everyone
    }
    sure = frozenset(id_ for id_, verdict in verdicts.items() if verdict)
    possible = frozenset(id_ for id_, verdict in verdicts.items() if verdict is not False)
    return Question(definition, modifier, sent, sure, possible)


def together(questions: Sequence[Question]) -> tuple[str, frozenset[str], frozenset[str]]:
    """The values of several questions about one parameter as one list: its text, what it must find
    and what it may.
    """
    text = ",".join(question.text for question in questions)
    sure = [question.sure for question in questions]
    possible = [question.possible for question in questions]
    if questions[0].modifier == "not":
        return text, frozenset.intersection(*sure), frozenset.intersection(*possible)
    return text, frozenset.union(*sure), frozenset.union(*possible)


def missing(evidence: Evidence, definition: Definition) -> Iterator[Question]:
    """`:missing`, both ways: it asks whether the elements are there."""
    there = frozenset(evidence.found(definition))
    absent = frozenset(evidence.ids(definition.type)) - there
    yield Question(definition, "missing", "true", absent, absent)
    yield Question(definition, "missing", "false", there, there)


def questions(
    evidence: Evidence, definition: Definition, dice: random.Random, values_max: int
) -> Iterator[Question]:
    """Questions about a parameter: of each of some values that occur, and of some that do not."""
    found = evidence.found(definition)
    several = [element for id_ in sorted(found) for element in found[id_]]
    sample = dice.sample(several, min(values_max, len(several)))
    asked: dict[tuple[str, str], str] = {}
    for element in sample:
        for modifier, plain, sent in values(definition.kind, element, dice):
            asked.setdefault((modifier, sent), plain)
    for modifier, plain, sent in _absent(definition.kind):
        asked.setdefault((modifier, sent), plain)
    for (modifier, sent), plain in asked.items():
        yield ask(evidence, definition, modifier, plain, sent)


Value = tuple[str, str, str]


def values(kind: str, element: Any, dice: random.Random) -> Iterator[Value]:
    """(modifier, plain value, value as it is sent) of questions that an element suggests."""
    yield from {
        "token": _tokens,
        "string": _strings,
        "date": _dates,
        "number": _numbers,
        "quantity": _quantities,
        "reference": _references,
        "uri": _uris,
    }[kind](element, dice)


def _absent(kind: str) -> Iterator[Value]:
    if kind in {"token", "string", "uri"}:
        yield "", "no-such-value-anywhere", "no-such-value-anywhere"
    if kind == "reference":
        yield "", "no-such-id-anywhere", "no-such-id-anywhere"
    if kind == "date":
        yield "", "1802-03", "1802-03"


def _tokens(element: Any, _: random.Random) -> Iterator[Value]:
    for system, code, is_alone in comparison.codes(element):
        if code:
            plain = escape(code)
            yield "", f"{code}", plain
            yield "not", f"{code}", plain
            if "|" in code:
                continue  # the plain form cannot tell the bar of the code from the separator
            if not is_alone:
                yield "", f"{system or ''}|{code}", f"{system or ''}|{plain}"
                yield "", f"|{code}", f"|{plain}"
                yield "", f"urn:other|{code}", f"urn:other|{plain}"
        if system and not is_alone:
            yield "", f"{system}|", f"{system}|"
    for text in comparison.said(element)[:2]:
        start = text[: max(3, len(text) // 2)].strip()
        if any(map(str.isalnum, start)):
            yield "text", start, escape(start)
            yield "text", text.upper(), escape(text.upper())
    for typed in comparison.typed(element):
        if all(typed.split("|")) and typed.count("|") == 2:
            yield "of-type", typed, typed.replace(",", "\\,").replace("$", "\\$")


def _strings(element: Any, dice: random.Random) -> Iterator[Value]:
    several = [text for text in comparison.texts(element) if any(map(str.isalnum, text))]
    if not several:
        return
    text = dice.choice(several)[:60].strip()
    yield "exact", text, escape(text)
    yield "", text, escape(text)
    yield "", text.upper(), escape(text.upper())
    start = text[: max(3, len(text) // 2)].strip()
    yield "", start, escape(start)
    yield "exact", start, escape(start)
    inner = text[len(text) // 3 :][:8].strip()
    if any(map(str.isalnum, inner)):
        yield "contains", inner, escape(inner)
        yield "", inner, escape(inner)


def _dates(element: Any, dice: random.Random) -> Iterator[Value]:
    written = [element] if isinstance(element, str) else list(_within(element))
    for text in written[:2]:
        if re.match(r"\d{4}", text):
            forms = {text[:4], text[:7], text[:10], text}
            for form in sorted(forms):
                for prefix in dice.sample(comparison.PREFIXES, 3):
                    yield "", f"{prefix}{form}", f"{prefix}{form}"
                yield "", form, form


def _within(element: Any) -> Iterator[str]:
    if isinstance(element, dict):
        for name in ("start", "end"):
            if name in element:
                yield element[name]
        yield from element.get("event", ())


def _numbers(element: Any, _: random.Random) -> Iterator[Value]:
    if not isinstance(element, dict):
        yield from _compared(str(element))


def _compared(number: str, unit: str = "") -> Iterator[Value]:
    for prefix in ("", *comparison.PREFIXES):
        yield "", f"{prefix}{number}{unit}", f"{prefix}{number}{unit}"


def _quantities(element: Any, _: random.Random) -> Iterator[Value]:
    if not isinstance(element, dict) or "value" not in element:
        return
    number = str(element["value"])
    yield from _compared(number)
    rounded = number.partition(".")[0]
    yield "", rounded, rounded
    system, code, unit = (element.get(name) for name in ("system", "code", "unit"))
    if system and code:
        yield from _compared(number, f"|{system}|{code}")
        yield "", f"{number}|urn:other|{code}", f"{number}|urn:other|{code}"
    if (code or unit) and "|" not in f"{code or unit}":
        yield from _compared(number, f"||{code or unit}")


def _references(element: Any, _: random.Random) -> Iterator[Value]:
    text = element if isinstance(element, str) else element.get("reference", "")
    if not text or text.startswith("#") or re.search(r"[,$|\\]", text):
        return
    text = re.sub(r"/_history/[^/]+$", "", text)
    yield "", text, text
    if isinstance(element, str) and "://" in text:
        yield "below", text, text
    found = re.fullmatch(r"([A-Z]\w+)/([A-Za-z0-9.\-]{1,64})", text)
    if found:
        yield "", found[2], found[2]
        yield found[1], text, found[2]


def _uris(element: Any, _: random.Random) -> Iterator[Value]:
    if isinstance(element, str):
        yield "", element, escape(element)
        if re.match(r"\w+://[^/]", element):
            parent = element.rpartition("/")[0]
            for address in (element, parent, f"{parent}/"):
                if re.match(r"\w+://[^/]", address):
                    yield "below", address, escape(address)
            yield "above", f"{element}/x", escape(f"{element}/x")
            yield "above", element, escape(element)
