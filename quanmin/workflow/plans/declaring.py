"""The plans by which an application has due lists kept: `definitions/plans.toml`, loaded, or all
that is wrong with it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Unusable
from quanmin.fhir.json import decode
from quanmin.trust.due import WORDS, Escalating, Reminder
from quanmin.trust.notices import NoticeKind
from quanmin.workflow.plans.compiling import compile_plan
from quanmin.workflow.plans.mapping import FactTable, compile_facts
from quanmin.workflow.plans.model import Plan

FILE: Final = "plans.toml"
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_\-]+)?")


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    definition: str
    facts: str
    activities: tuple[str, ...] = ()
    reminder: tuple[Reminder, ...] = ()
    escalation: tuple[Escalating, ...] = ()


class _File(msgspec.Struct, frozen=True):
    definition: dict[str, Any]
    plan: tuple[_Entry, ...]


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as an application declares it. `stamp` is another when the plan or the table is."""

    code: str
    plan: Plan
    table: FactTable
    stamp: str
    reminders: tuple[Reminder, ...] = ()
    escalations: tuple[Escalating, ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The types of records that it needs."""
        return self.table.types | {"Patient"}


def load_plans(
    folder: Path,
    owner: str,
    *,
    reads: frozenset[str],
    kinds: Mapping[str, NoticeKind] = MappingProxyType({}),
) -> tuple[Declared, ...]:
    """The plans that the application in a folder declares, which reads these types and has these
    kinds of notice; none without a file. Raises Unusable with everything that is wrong.
    """
    path = folder / "definitions" / FILE
    if not path.is_file():
        return ()
    faults: list[str] = []
    try:
        file = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"{folder.name}/definitions/{FILE}: {error}") from error
    found: list[Declared] = []
    for entry in file.plan:
        try:
            found.append(_declared(folder / "definitions", entry))
        except (Invalid, OSError, ValueError) as problem:
            issues = getattr(problem, "issues", ())
            faults += [f"{entry.code}: {one.expression}: {one.text}" for one in issues] or [
                f"{entry.code}: {problem}"
            ]
    faults += _faults(owner, found, reads)
    faults += [fault for one in found for fault in _untold(one, kinds)]
    if faults:
        where = f"{folder.name}/definitions/{FILE}"
        raise Unusable("\n".join([f"{where} has {len(faults)} faults:", *faults]))
    return tuple(found)


def declare(
    code: str,
    definition: bytes,
    facts: Mapping[str, Any],
    activities: tuple[bytes, ...] = (),
    **more: Any,
) -> Declared:
    """A plan out of a PlanDefinition, Bundles of ActivityDefinitions and a table of facts. Raises
    Invalid.
    """
    bundles = [decode(one) for one in activities]
    inside = [entry["resource"] for one in bundles for entry in one["entry"]]
    plan = compile_plan(decode(definition), inside)
    told = msgspec.json.encode(facts, order="deterministic", enc_hook=str)
    stamp = hashlib.sha256(b"\x00".join([definition, told])).hexdigest()[:32]
    return Declared(code=code, plan=plan, table=compile_facts(facts), stamp=stamp, **more)


def _declared(folder: Path, entry: _Entry) -> Declared:
    return declare(
        entry.code,
        _read(folder, f"{entry.definition}.json"),
        tomllib.loads(_read(folder, f"{entry.facts}.toml").decode()),
        tuple(_read(folder, f"{name}.json") for name in entry.activities),
        reminders=entry.reminder,
        escalations=entry.escalation,
    )


def _read(folder: Path, name: str) -> bytes:
    """A file of the application, else one that all share."""
    own = folder / name
    if own.is_file():
        return own.read_bytes()
    return (resources.files("quanmin") / "definitions" / "plans" / name).read_bytes()


def _faults(owner: str, found: list[Declared], reads: frozenset[str]) -> list[str]:
    faults = []
    for one in found:
        if not _CODE.fullmatch(one.code) or one.code.partition(".")[0] != owner:
            faults.append(f"{one.code}: its code is {owner}, or {owner}.and-more")
        missing = sorted(one.types - reads)
        if missing:
            faults.append(f"{one.code}: the application does not read {', '.join(missing)}")
    codes = [one.code for one in found]
    faults += [
        f"{code}: is declared twice" for code in sorted({c for c in codes if codes.count(c) > 1})
    ]
    return faults


def _untold(one: Declared, kinds: Mapping[str, NoticeKind]) -> Iterator[str]:
    """What is wrong with the notices of a plan."""
    known = {
        escalation.to
        for series in one.plan.series
        for urgency in (
            series.urgency,
            *(turn.urgency for turn in series.turns),
            *(case.urgency for case in series.cases),
        )
        for escalation in urgency.escalations
    }
    for escalation in one.escalations:
        if escalation.to not in known:
            yield f"{one.code}: the plan escalates nothing to {escalation.to}"
    for code in (*(each.kind for each in one.reminders), *(each.kind for each in one.escalations)):
        kind = kinds.get(code)
        if kind is None:
            yield f"{one.code}: definitions/notices.toml has no kind {code}"
        elif not kind.places <= WORDS:
            yield f"{one.code}: the words of {code} may name {', '.join(sorted(WORDS))}"
