"""What was found about a decision, in words: the same on pages and on the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import msgspec

from quanmin.records.sensitivity import load_kinds
from quanmin.records.visibility import Grant
from quanmin.trust.deciding.explaining import Answer, Finding, Step
from quanmin.trust.deciding.grantees import ANY, Meaning
from quanmin.trust.deciding.purposes import purposes
from quanmin.trust.registers.definitions import duties, roles

Language = Literal["zh", "en"]
_LIST: Final = re.compile(r",\s*")
_OPEN: Final = 1 << 62


class Told(msgspec.Struct, frozen=True):
    """A rule of an explanation in words. `outcome` is what became of it, `why` what it found."""

    id: str
    version: str
    effect: str
    sentence: str
    source: str
    effective: str
    verdict: str
    outcome: str
    why: tuple[str, ...]


class Wording:
    """Words in one language. `name_sender` gives an institution by its number, `name_source` the
    record that a grant rests on, `tell_moment` a moment in microseconds.
    """

    def __init__(
        self,
        language: Language,
        *,
        name_sender: Callable[[int], str],
        name_source: Callable[[int], str],
        tell_moment: Callable[[int], str],
    ) -> None:
        self.language: Language = language
        self._name_sender = name_sender
        self._name_source = name_source
        self._tell_moment = tell_moment

    def answer(self, answer: Answer) -> str:
        """The answer itself."""
        return self._say("answer", "no" if answer.obstacles else answer.seen)

    def step(self, step: Step) -> Told:
        """A rule, what became of it and why."""
        rule = step.rule
        return Told(
            rule.id,
            rule.version,
            rule.effect,
            rule.zh if self.language == "zh" else rule.en,
            rule.source,
            f"{rule.effective:%Y-%m-%d}",
            step.verdict,
            self._say("verdict", step.verdict),
            tuple(line for finding in step.findings for line in self.finding(finding)),
        )

    def finding(self, finding: Finding) -> tuple[str, ...]:
        """One thing that was found, and the grants behind it."""
        values = {name: self._value(name, value) for name, value in finding.values.items()}
        told = self._say(finding.section, finding.code, **values)
        return (told, *(self._grant(*one) for one in finding.grants))

    def remark(self, code: str, **values: str) -> str:
        """What else must be known."""
        return self._say("remark", code, **values)

    def _value(self, name: str, value: str) -> str:
        if name == "sender":
            return self._name_sender(int(value))
        if name in {"wanted", "given", "purposes", "kinds"}:
            known = names(self.language)
            parts = [known.get(part, part) for part in _LIST.split(value) if part]
            return ("、" if self.language == "zh" else ", ").join(parts) or "–"
        return value

    def _grant(self, grant: Grant, meaning: Meaning, is_held: bool) -> str:  # noqa: FBT001 - a row
        known = names(self.language)
        anybody = meaning.who == ANY
        told = self._say(
            "grant",
            meaning.effect,
            source=self._name_source(grant.source),
            since=self._moment(grant.since),
            until=self._moment(grant.until),
            who=self._say("grant", "anybody") if anybody else self._name_sender(int(meaning.who)),
            purpose=self._say("grant", "any_purpose")
            if meaning.purpose == ANY
            else known.get(meaning.purpose, meaning.purpose),
            kind=self._say("grant", "of_kind", kind=known.get(meaning.kind, meaning.kind))
            if meaning.kind
            else "",
        )
        return told if is_held else self._say("grant", "ended", what=told)

    def _moment(self, moment: int) -> str:
        return self._say("grant", "always") if abs(moment) > _OPEN else self._tell_moment(moment)

    def _say(self, section: str, code: str, **values: str) -> str:
        return str(words()[section][code][self.language]).format(**values)


@cache
def words() -> Mapping[str, Any]:
    """The definition file."""
    file = resources.files("quanmin") / "definitions" / "decision_words.toml"
    found = tomllib.loads(file.read_text("utf-8"))
    found.pop("definition")
    return found


@cache
def names(language: Language) -> dict[str, str]:
    """What roles, purposes, duties and kinds are called, by their codes."""
    found = {code: said[language] for code, said in purposes().codes.items()}
    coded = (*roles().values(), *duties())
    found |= {one.code: one.zh if language == "zh" else one.en for one in coded}
    found |= {kind.label.code: kind.zh if language == "zh" else kind.en for kind in load_kinds()}
    return found
