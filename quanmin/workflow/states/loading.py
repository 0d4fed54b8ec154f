"""Loads a `workflow.toml`, or says everything that is wrong with it at once, and where."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from quanmin.base.decision import Decision
from quanmin.base.problems import Issue, Sentence, Unusable
from quanmin.fhir.table import load_table
from quanmin.trust.registers.definitions import duties_known
from quanmin.workflow.states.model import (
    Head,
    Notice,
    Rule,
    State,
    Step,
    Timer,
    Words,
    Workflow,
    parse_duration,
    workflow_rule,
)

FILE: Final = "workflow.toml"
_NODE: Final = "operator"
"""Whose role a step is that the node takes itself."""
_KINDS: Final[Mapping[str, type[Words]]] = {
    "state": State,
    "step": Step,
    "timer": Timer,
    "notice": Notice,
    "reason": Words,
    "clock": Words,
}
_Part = TypeVar("_Part", bound=Words)


def load_workflow(
    folder: Path, *, roles: frozenset[str], writes: frozenset[str], rules: object = None
) -> Workflow:
    """The workflow of the application in `folder`, which has these roles, writes these types and
    has its rules in this module. Raises Unusable with an issue for each fault.
    """
    loading = _Loading(folder, roles, writes, rules_of(rules))
    workflow = loading.workflow()
    if loading.faults:
        where = f"{folder.name}/{FILE}"
        text = "\n".join([f"{where} has {len(loading.faults)} faults:", *loading.faults])
        issues = tuple(
            Issue("error", "invalid", Sentence("%(where)s: %(one)s", where=where, one=one))
            for one in loading.faults
        )
        raise Unusable(text, issues=issues)
    return workflow


def rules_of(module: object) -> dict[str, Rule]:
    """The rules that a module of rules defines: its own public functions that give a Decision."""
    found: dict[str, Rule] = {}
    for name, value in vars(module).items() if module is not None else ():
        is_own = getattr(value, "__module__", None) == getattr(module, "__name__", "")
        if inspect.isfunction(value) and is_own and not name.startswith("_"):
            given = value.__annotations__.get("return")
            if given in {Decision, "Decision"}:
                found[name] = value
    return found


class _Loading:
    def __init__(
        self,
        folder: Path,
        roles: frozenset[str],
        writes: frozenset[str],
        rules: Mapping[str, Rule],
    ) -> None:
        self.faults: list[str] = []
        self._folder, self._roles, self._writes, self._rules = folder, roles, writes, rules
        self._raw = self._read()
        self._states = self._parts("state", State)
        self._steps = self._parts("step", Step)
        self._timers = self._parts("timer", Timer)
        self._notices = self._parts("notice", Notice)
        self._reasons = self._parts("reason", Words)
        self._clocks = self._parts("clock", Words)

    def workflow(self) -> Workflow:
        """The workflow, which holds only if there are no faults."""
        known = {name: value for name, value in self._raw.items() if name not in _KINDS}
        head = self._convert(known, Head, "the top")
        if head is not None:
            self._check_words("the top", head.zh, head.en)
            if not head.url.startswith(("http://", "https://", "urn:")):
                self._blame("the top", "url names the workflow: give it an absolute one")
        self._check_states()
        self._check_steps()
        self._check_timers()
        self._check_notices()
        if not self.faults:  # a way through steps that are at fault says nothing
            self._check_ways()
        return Workflow(
            name=self._folder.name,
            head=head or msgspec.UNSET,  # type: ignore[arg-type]  # with a fault nobody sees it
            states=self._states,
            steps=self._steps,
            timers=self._timers,
            notices=self._notices,
            reasons=self._reasons,
            rules=self._rules,
            clocks=self._clocks,
        )

    # ---- reading ---------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads((self._folder / FILE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            self.faults.append(f"cannot be read: {error}")
            return {}

    def _parts(self, kind: str, type_: type[_Part]) -> dict[str, _Part]:
        found: dict[str, _Part] = {}
        raw = self._raw.get(kind, [])
        for number, one in enumerate(raw if isinstance(raw, list) else [raw], start=1):
            code = one.get("code", "without code") if isinstance(one, dict) else "no table"
            place = f"{kind} {number} ({code})"
            part = self._convert(one, type_, place)
            if part is None:
                continue
            if part.code in found:
                self._blame(place, "this code stands twice")
            self._check_words(place, part.zh, part.en)
            found[part.code] = part
        return found

    def _convert(self, raw: object, type_: type[Any], place: str) -> Any:
        try:
            return msgspec.convert(raw, type_)
        except msgspec.ValidationError as error:
            self._blame(place, str(error))
            return None

    def _check_words(self, place: str, zh: str, en: str) -> None:
        for language, words in (("zh", zh), ("en", en)):
            if not words.strip():
                self._blame(place, f"has no words in {language}")

    def _blame(self, place: str, fault: str) -> None:
        self.faults.append(f"{place}: {fault}")

    def _unknown(self, place: str, what: str, given: frozenset[str], known: object) -> None:
        held = frozenset(known)  # type: ignore[call-overload]  # a mapping or set of codes
        for one in sorted(given - held):
            self._blame(place, f"{what} {one}: there is none; known are {_listed(held)}")

    # ---- checking each part ----------------------------------------------------------------------

    def _check_states(self) -> None:
        table = load_table()
        binding = next(one.binding for one in table.types["Task"].elements if one.name == "status")
        statuses = table.value_sets[binding or ""].codes
        ends = workflow_rule().ends
        for state in self._states.values():
            place = f"state {state.code}"
            if state.task not in statuses:
                self._blame(place, f"task {state.task}: no Task.status of R4; {_listed(statuses)}")
            elif state.final is not (state.task in ends):
                is_end = "an end" if state.task in ends else "no end"
                self._blame(place, f"final is {state.final}, but a Task that is {state.task} "
                            f"is at {is_end}; ends are {_listed(ends)}")  # fmt: skip

    def _check_steps(self) -> None:
        by_timer = {timer.step for timer in self._timers.values()}
        forms = set(self._forms())
        for step in self._steps.values():
            place = f"step {step.code}"
            self._unknown(place, "from", step.begins_in, self._states)
            self._unknown(place, "to", frozenset({step.to} - {""}), self._states)
            if step.begins and not step.to:
                self._blame(place, "to: a step that begins a case leads to a state")
            self._check_ends(place, step)
            is_nodes = _NODE in step.roles
            if is_nodes is not bool(step.answer) or (is_nodes and step.roles != {_NODE}):
                self._blame(place, f"with an answer, and with no other, roles is {_NODE} alone")
            self._unknown(place, "role", step.roles - {_NODE}, self._roles)
            self._unknown(place, "duty", step.duties, duties_known())
            self._unknown(place, "notice", frozenset(step.notices), self._notices)
            self._unknown(place, "not_after", step.not_after, self._steps)
            self._unknown(place, "records", step.records, self._writes)
            self._unknown(place, "form", frozenset({step.form} - {""}), forms)
            self._check_rule(place, step)
            if not step.roles and step.code not in by_timer:
                self._blame(place, "nobody may take it: name roles, or a timer that takes it")
            if not step.roles and step.duties:
                self._blame(place, "duties are of somebody: name their roles as well")
        if self._steps and "Task" not in self._writes:
            self._blame("the application", "writes: a case is a Task, declare that it writes it")

    def _check_rule(self, place: str, step: Step) -> None:
        if not step.rule:
            return
        if step.rule not in self._rules:
            self._unknown(place, "rule", frozenset({step.rule}), self._rules)
            return
        kinds = {one.kind for one in inspect.signature(self._rules[step.rule]).parameters.values()}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD,
                    inspect.Parameter.POSITIONAL_ONLY}:  # fmt: skip
            self._blame(place, f"rule {step.rule}: its parameters name the facts it asks for")

    def _forms(self) -> Iterator[str]:
        for path in sorted((self._folder / "definitions").glob("*.json")):
            try:
                found = json.loads(path.read_text("utf-8"))
            except ValueError as error:
                self._blame(f"definitions/{path.name}", f"cannot be read: {error}")
                continue
            if isinstance(found, dict) and found.get("resourceType") == "Questionnaire":
                yield str(found.get("url", ""))

    def _check_timers(self) -> None:
        for timer in self._timers.values():
            place = f"timer {timer.code}"
            self._unknown(place, "state", frozenset({timer.state}), self._states)
            self._unknown(place, "notice", frozenset({timer.notice} - {""}), self._notices)
            self._unknown(place, "step", frozenset({timer.step} - {""}), self._steps)
            if bool(timer.step) is bool(timer.notice):
                self._blame(place, "name a step that is taken, or a notice that goes out")
            self._check_limit(place, timer)
            state = self._states.get(timer.state)
            if state is not None and state.final:
                self._blame(place, f"cannot fire: nothing waits in {timer.state}, which is final")
            step = self._steps.get(timer.step)
            if step is not None:
                self._check_alone(place, timer, step)
        used = {timer.clock for timer in self._timers.values()}
        for code in sorted(self._clocks.keys() - used):
            self._blame(f"clock {code}", "no timer goes by it")
        self._check_order()

    def _check_limit(self, place: str, timer: Timer) -> None:
        self._unknown(place, "clock", frozenset({timer.clock} - {""}), self._clocks)
        if bool(timer.clock) is bool(timer.after) or (timer.before and not timer.clock):
            self._blame(place, "say `after` how long in the state, or a `clock` and how long"
                        " `before` it runs out")  # fmt: skip
        elif timer.after and parse_duration(timer.after) is None:
            self._blame(place, f"after {timer.after}: no duration like PT24H, P14D or P3M")
        elif timer.before:
            found = parse_duration(timer.before)
            if found is None or found.months or found.days:
                self._blame(place, f"before {timer.before}: no hours and minutes like PT1H30M")

    def _check_alone(self, place: str, timer: Timer, step: Step) -> None:
        """A timer's step is taken when nobody is there to answer, fill in or explain."""
        if timer.state not in step.begins_in:
            self._blame(place, f"cannot fire: step {step.code} does not begin in {timer.state}")
        if not step.to:
            self._blame(place, f"cannot fire: step {step.code} leaves the case where it is")
        for what, is_asked in (
            ("a rule", step.rule),
            ("records", step.records),
            ("a form", step.form),
            ("words", step.needs_words),
        ):
            if is_asked:
                self._blame(place, f"cannot fire: step {step.code} asks for {what}, and nobody is"
                            " there to give it; make a step of its own for the timer")  # fmt: skip

    def _check_order(self) -> None:
        # By when a clock runs out only the case knows.
        timed = [one for one in self._timers.values() if parse_duration(one.after) is not None]
        for late in timed:
            for early in timed:
                if early is late or early.state != late.state or not early.step:
                    continue
                if early.duration.seconds_bounds[1] <= late.duration.seconds_bounds[0] and (
                    early.after != late.after or not late.notice
                ):
                    self._blame(f"timer {late.code}", f"cannot fire: {early.code} has taken the"
                                f" case out of {late.state} by then")  # fmt: skip

    def _check_notices(self) -> None:
        used = {one for step in self._steps.values() for one in step.notices}
        used |= {timer.notice for timer in self._timers.values()}
        for notice in self._notices.values():
            place = f"notice {notice.code}"
            self._unknown(place, "role", notice.roles, self._roles)
            self._unknown(place, "duty", notice.duties, duties_known())
            if not notice.roles and not notice.to_subject:
                self._blame(place, "goes to nobody: name roles, or say to_subject = true")
            if notice.code not in used:
                self._blame(place, "no step and no timer sends it")

    def _check_ends(self, place: str, step: Step) -> None:
        """What comes from a final state, and from no other, takes an end back, with a reason."""
        finals = {state.code for state in self._states.values() if state.final}
        for state in sorted(step.begins_in & finals if not step.reopens else ()):
            self._blame(place, f"from {state}: that is final, nothing follows it but what reopens")
        is_back = bool(step.to) and step.to not in finals and step.needs_words
        if step.reopens and not (step.begins_in <= finals and is_back):
            self._blame(place, "one that reopens leads from final states to one that is not, and "
                        "needs_words = true")  # fmt: skip

    # ---- checking the whole ----------------------------------------------------------------------

    def _check_ways(self) -> None:
        begun = {step.to for step in self._steps.values() if step.begins}
        if not begun:
            self._blame("the workflow", "no step begins a case: leave out from in one of them")
        follow = [
            (state, step.leads(state)) for step in self._steps.values() for state in step.begins_in
        ]
        reached = _spread(begun, lambda at: {to for before, to in follow if before == at})
        finals = {state.code for state in self._states.values() if state.final}
        ending = _spread(finals, lambda at: {before for before, to in follow if to == at})
        for code in self._states:
            if code not in reached:
                self._blame(f"state {code}", "unreachable: no way leads to it from a beginning")
            if code not in ending:
                self._blame(f"state {code}", "no way out: no final state can be reached from it")


def _spread(start: set[str], beside: Callable[[str], set[str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        new = beside(waiting.pop()) - found
        found |= new
        waiting += sorted(new)
    return found


def _listed(codes: object) -> str:
    listed = sorted(codes)  # type: ignore[call-overload]  # a collection of codes
    return ", ".join(listed) or "none"
