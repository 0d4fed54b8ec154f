"""Which rules decided, as the access log keeps it: tokens of a rule's id and version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from quanmin.records.visibility import Both, Facts, Grant, OfType, Visibility, at_moment
from quanmin.records.visibility_sql import allows
from quanmin.trust.deciding.rules import Remark, Rule, load_rules

_PARTING: Final = " "


def token_of(rule: Rule | Remark) -> str:
    """What stands for a rule in the access log."""
    return f"{rule.id}:{rule.version}"


def joined(tokens: Iterable[str]) -> str | None:
    """Tokens as an entry has them; each once."""
    return _PARTING.join(dict.fromkeys(tokens)) or None


class Group(msgspec.Struct, frozen=True):
    """What some rules permit, each for itself, and what other rules take away from all of it."""

    permits: tuple[tuple[Rule, Visibility], ...]
    against: tuple[tuple[Rule, Visibility], ...]


class Reasons(msgspec.Struct, frozen=True):
    """The rules of a decision about reading, as they were compiled for one asker: what they permit
    in groups is what the asker sees, `at` a moment. `transfers` are those out of the country under
    which it is given to them.
    """

    undated: tuple[Group, ...] = ()
    transfers: tuple[int, ...] = ()
    at: int = 0

    @property
    def groups(self) -> tuple[Group, ...]:
        """As they are at the moment."""
        at = self.at
        return tuple(
            [
                Group(_at_moment(group.permits, at), _at_moment(group.against, at))
                for group in self.undated
            ]
        )

    def in_force(self, type_: str | None = None) -> str | None:
        """The rules by which there was something to see among records of a type (None: of all), and
        those that took away from it.
        """
        found: list[str] = []
        for group in self.undated:
            permits = [token_of(rule) for rule, part in group.permits if _is_about(part, type_)]
            if permits:
                found += permits
                found += [token_of(rule) for rule, part in group.against if _is_about(part, type_)]
        return joined(found)

    def letting(self, facts: Facts, *, is_seen: bool = False) -> list[Rule]:
        """The rules that let this record through; none when it is not seen. `is_seen` says that it
        is known to be, which is quicker.
        """
        met = [(group, rules) for group in self.groups if (rules := _met(group, facts))]
        if is_seen and len(met) == 1:
            return met[0][1]
        return [
            rule
            for group, rules in met
            if not any(allows(part, facts) for _, part in group.against)
            for rule in rules
        ]

    def for_record(self, facts: Facts) -> str | None:
        """The rules that let this record through, which is seen, and what is to be remarked about
        it.
        """
        rules = self.letting(facts, is_seen=True)
        if len(rules) == 1 and rules[0].remark is None:
            return token_of(rules[0])
        return joined([*map(token_of, rules), *_remarks(rules)])

    @property
    def wants_remarks(self) -> bool:
        """Whether any of the rules wants something remarked."""
        return any(rule.remark for group in self.undated for rule, _ in group.permits)

    def of_person(self, patient: int, grants: frozenset[Grant]) -> str | None:
        """The rules in force, and what is to be remarked when they are used on the record of one
        person, whom a source Patient and what it grants stand for.
        """
        facts = Facts(0, patient, "Patient", frozenset(), None, grants)
        met = [rule for group in self.groups for rule in _met(group, facts)]
        return joined([*(self.in_force() or "").split(), *_remarks(met)])


def _at_moment(
    parts: tuple[tuple[Rule, Visibility], ...], at: int
) -> tuple[tuple[Rule, Visibility], ...]:
    dated = at_moment([part for _, part in parts], at)
    return tuple([(rule, part) for (rule, _), part in zip(parts, dated, strict=True)])


def _met(group: Group, facts: Facts) -> list[Rule]:
    """The rules that permit a record; those about grants are not asked when there are none."""
    return [
        rule
        for rule, part in group.permits
        if (facts.grants or not rule.is_about_grants) and allows(part, facts)
    ]


def _remarks(met: Sequence[Rule]) -> list[str]:
    ids = {rule.id for rule in met}
    return [token_of(rule.remark) for rule in met if rule.remark and rule.remark.unless not in ids]


class Said(msgspec.Struct, frozen=True):
    """Rules of a decision that is not about what may be read: the same for every record."""

    tokens: str | None = None
    transfers: tuple[int, ...] = ()

    def and_also(self, tokens: str | None) -> Said:
        """These and others."""
        return Said(joined(f"{self.tokens or ''} {tokens or ''}".split()))

    def in_force(self, _type: str | None = None) -> str | None:
        """These."""
        return self.tokens

    def for_record(self, _facts: Facts) -> str | None:
        """These."""
        return self.tokens


def _is_about(part: Visibility, type_: str | None) -> bool:
    """False when the records are of other types, as far as that shows at once."""
    match part:
        case OfType(types):
            return type_ is None or type_ in types
        case Both(parts):
            return all(_is_about(one, type_) for one in parts if isinstance(one, OfType))
        case _:
            return True


def rule_named(token: str, rules: Sequence[Rule] | None = None) -> Rule | Remark | None:
    """The rule, or the remark of one, that a token stands for among these (None: those that every
    node has), in the version that is in force; None when there is none of this id any more.
    """
    id_ = token.partition(":")[0]
    for rule in load_rules() if rules is None else rules:
        if rule.id == id_:
            return rule
        if rule.remark is not None and rule.remark.id == id_:
            return rule.remark
    return None


def sentences(
    tokens: str | None, language: str, rules: Sequence[Rule] | None = None
) -> tuple[str, ...]:
    """What the rules of an entry say, in words; a token that nobody knows any more as it is."""
    found = []
    for token in (tokens or "").split():
        rule = rule_named(token, rules)
        words = token if rule is None else rule.zh if language == "zh" else rule.en
        is_other = rule is not None and token != token_of(rule)
        found.append(f"{words} ({token})" if is_other else words)
    return tuple(found)
