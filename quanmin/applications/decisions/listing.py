"""What the lists of rules and of the matrix hold, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from quanmin.trust.deciding.levels import load_levels
from quanmin.trust.deciding.rules import Rule
from quanmin.trust.deciding.wording import names
from quanmin.trust.registers.definitions import roles
from quanmin.web.text import COLON, SEMICOLON, Language

Say = Callable[[str], str]


def rule_rows(
    rules: Sequence[Rule], say: Say, language: Language
) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: the rules, with the days between which each is in force."""
    heading = [say("Rule"), say("Effect"), say("Sentence"), say("For whom"), say("For what"),
               say("Source"), say("Version"), say("In force since"), say("Ends")]  # fmt: skip
    return heading, [_rule(rule, say, language) for rule in rules]


def _rule(rule: Rule, say: Say, language: Language) -> list[str]:
    return [
        rule.id,
        say("permits") if rule.effect == "permit" else say("forbids"),
        rule.zh if language == "zh" else rule.en,
        _whom(rule, say, language),
        _listed(rule.when.purposes, language) or say("every purpose"),
        rule.source,
        rule.version,
        f"{rule.effective:%Y-%m-%d}",
        "" if rule.ends is None else f"{rule.ends:%Y-%m-%d}",
    ]


def _whom(rule: Rule, say: Say, language: Language) -> str:
    when, colon = rule.when, COLON.told(language)
    parts = [_listed(when.roles, language) or say("everybody")]
    if rule.application:
        heading = say("On pages of the application")
        parts.append(f"{heading}{colon}{rule.application}")
    if when.duties is not None:
        heading = say("Duties")
        parts.append(f"{heading}{colon}{_listed(when.duties, language)}")
    if when.without_duties is not None:
        heading = say("Without the duties")
        parts.append(f"{heading}{colon}{_listed(when.without_duties, language)}")
    for heading, codes in (
        (say("Institutions"), when.institutions),
        (say("Levels of institution"), when.levels),
        (say("Grades of institution"), when.grades),
        (say("Kinds of institution"), when.kinds),
        (say("Divisions"), when.regions),
    ):
        if codes is not None:
            parts.append(f"{heading}{colon}{', '.join(sorted(codes))}")
    return SEMICOLON.told(language).join(parts)


def _listed(codes: Iterable[str] | None, language: Language) -> str:
    known = names(language)
    parting = "、" if language == "zh" else ", "
    return parting.join(known.get(code, code) for code in sorted(codes or ()))


def matrix_rows(say: Say, language: Language) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    """Heading, rows and what the levels mean: by scenario which roles see up to which level."""
    known, levels = names(language), load_levels()
    steps = sorted({one.level for one in levels.level} | {0}, reverse=True)
    heading = [say("Scenario"), say("Purposes"), *(_up_to(say, step) for step in steps)]
    rows = []
    for scenario in levels.scenario:
        of: dict[int, list[str]] = {step: [] for step in steps}
        for role in roles():
            of[scenario.levels.get(role, 0)].append(known[role])
        parting = "、" if language == "zh" else ", "
        purposes = _listed(scenario.purposes, language) or "–"
        name = scenario.name if language == "zh" else scenario.en
        rows.append([name, purposes, *(parting.join(of[step]) or "–" for step in steps)])
    colon = COLON.told(language)
    notes = tuple(
        f"{one.level}{colon}{one.zh if language == 'zh' else one.en}" for one in levels.level
    )
    return heading, rows, notes


def _up_to(say: Say, level: int) -> str:
    return say("Level %(level)s") % {"level": level} if level else say("Nothing of others")
