"""Which steps of a case are open to somebody, why the others are not, and what taking one makes.

Pure: the Task is handed in and its next version handed out. A case is one Task; its versions, and a
note for each step, are its history.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, Final

import msgspec

from quanmin.base.decision import Decision
from quanmin.base.problems import Conflict, Forbidden, Invalid, Issue, Problem, Sentence
from quanmin.fhir.dates import interval, on_clock
from quanmin.fhir.json import Json
from quanmin.fhir.translations import translated
from quanmin.trust import Actor
from quanmin.workflow.states.model import Notice, Step, Timer, Workflow

_FINISHED: Final = frozenset({"completed", "amended"})
_NODE: Final = "node"
# What of a Task a step may set beside what the workflow itself says in it.
_MAY_SET: Final = frozenset(
    {
        *("meta", "identifier", "basedOn", "groupIdentifier", "partOf", "priority", "description"),
        *("focus", "for", "encounter", "requester", "performerType", "owner", "location"),
        *("reasonCode", "reasonReference", "input", "output"),
    }
)


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, when, by which zone's calendar, and the facts that rules are handed by name.

    Beside `facts` rules may ask for `moment`, `state`, `since` (when the case came into it) and
    `begun`; of a case that begins the last three are None.
    """

    actor: Actor
    moment: datetime
    zone: tzinfo
    facts: Mapping[str, Any] = {}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a case's history: a step that was taken, or a timer that fired. `by` is the code
    of the actor and `name` what they are called; `words` are the reason given, "" for none.
    """

    step: str = ""
    timer: str = ""
    at: datetime
    by: str = ""
    name: str = ""
    words: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case, read from its Task: where it stands, since when, and what has happened. `due` is when
    the next timer runs out, None when none runs; `clocks` when its clocks do.
    """

    task: Json
    state: str
    since: datetime
    begun: datetime
    due: datetime | None
    history: tuple[Event, ...]
    clocks: Mapping[str, datetime] = {}


class Offer(msgspec.Struct, frozen=True):
    """A step and whether it is open, with the reasons if it is not."""

    step: Step
    decision: Decision


class Taken(msgspec.Struct, frozen=True):
    """What a step makes: the Task (its next version), the entries of the one transaction that
    stores it with all that is recorded, and the notices that go out.
    """

    task: Json
    entries: tuple[Json, ...]
    notices: tuple[Notice, ...]


class Due(msgspec.Struct, frozen=True):
    """A timer that has run out, and when it did."""

    timer: Timer
    at: datetime


# ---- reading -------------------------------------------------------------------------------------


def read_case(workflow: Workflow, task: Json, zone: tzinfo) -> Case:
    """The case that a Task is. Raises Invalid for a Task of something else, or one that does not
    say in which state of the workflow it is and since when.
    """
    state = _code(task.get("businessStatus"), workflow.state_system)
    begun = _moment((task.get("executionPeriod") or {}).get("start"), zone)
    period = (task.get("restriction") or {}).get("period") or {}
    since, due_at = _moment(period.get("start"), zone), _moment(period.get("end"), zone)
    if _code(task.get("code"), workflow.head.url) != workflow.name:
        raise Invalid(Sentence("this Task is no case of the workflow %(name)s", name=workflow.name))
    if state not in workflow.states:
        raise Invalid(
            Sentence("the businessStatus of this Task is no state of %(name)s", name=workflow.name)
        )
    if begun is None or since is None:
        raise Invalid("give the Task executionPeriod.start and restriction.period.start")
    history = tuple(_history(workflow, task, zone))
    return Case(
        task=task,
        state=state,
        since=since,
        begun=begun,
        due=due_at,
        history=history,
        clocks=_clocks(workflow, task, zone),
    )


def _history(workflow: Workflow, task: Json, zone: tzinfo) -> list[Event]:
    found = []
    for note in task.get("note") or ():
        codes = {one.get("url"): one.get("valueCode") for one in note.get("extension") or ()}
        step, timer = codes.get(workflow.step_system), codes.get(workflow.timer_system)
        at = _moment(note.get("time"), zone)
        if at is None or not (step or timer):
            continue
        author = note.get("authorReference") or {}
        text = str(note.get("text") or "")
        known = workflow.timers.get(timer) if timer else workflow.steps.get(step or "")
        found.append(
            Event(
                step=step or "",
                timer=timer or "",
                at=at,
                by=str((author.get("identifier") or {}).get("value") or ""),
                name=str(author.get("display") or ""),
                words="" if known is not None and text == known.zh else text,
            )
        )
    return found


# ---- deciding ------------------------------------------------------------------------------------


def offers(workflow: Workflow, case: Case | None, asking: Asking) -> tuple[Offer, ...]:
    """Every step of the workflow in its order, open or not; of no case those that begin one."""
    return tuple(
        Offer(step, decide(workflow, step, case, asking))
        for step in workflow.steps.values()
        if step.begins is (case is None)
    )


def decide(workflow: Workflow, step: Step, case: Case | None, asking: Asking) -> Decision:
    """Whether somebody may take a step now. All reasons against it are told; the rule is asked only
    where the step begins in the case's state, which it may take for granted.
    """
    reasons: list[str] = []
    here = None if case is None else case.state
    is_here = step.begins if here is None else here in step.begins_in
    if not is_here:
        reasons.append(f"state:{here or ''}")
    reasons += _unentitled(step, case, asking.actor)
    if is_here and step.rule:
        reasons += _against(workflow, step, case, asking)
    return Decision(not reasons, tuple(reasons))


def _unentitled(step: Step, case: Case | None, actor: Actor) -> list[str]:
    if not step.roles:
        return ["by-timer"]
    reasons = []
    if actor.role not in step.roles:
        reasons.append(f"role:{actor.role}")
    if step.duties and not step.duties & actor.duties:
        reasons.append(f"duty:{' '.join(sorted(step.duties))}")
    took = {event.step for event in case.history if event.by == actor.code} if case else set()
    reasons += [f"took:{one}" for one in sorted(step.not_after & took)]
    return reasons


# A page asks every step of its case, and to read a signature takes longer than to ask its rule.
@cache
def _wanted(rule: Callable[..., Decision]) -> Mapping[str, bool]:
    """The facts that a rule is handed by name, and whether it cannot do without."""
    parameters = inspect.signature(rule).parameters
    return {name: one.default is inspect.Parameter.empty for name, one in parameters.items()}


def _against(
    workflow: Workflow, step: Step, case: Case | None, asking: Asking
) -> tuple[str, ...] | list[str]:
    rule = workflow.rules[step.rule]
    facts = {
        **asking.facts,
        "moment": asking.moment,
        "state": case and case.state,
        "since": case and case.since,
        "begun": case and case.begun,
    }
    wanted = _wanted(rule)
    missing = [name for name, is_needed in wanted.items() if is_needed and name not in facts]
    if missing:
        return [f"not-known:{name}" for name in missing]
    decision = rule(**{name: facts[name] for name in wanted if name in facts})
    # A rule that refuses without saying why is still a refusal.
    return () if decision.allowed else decision.reasons or (step.rule,)


def _unrecorded(step: Step, recorded: Sequence[Json], words: str) -> list[str]:
    resources = [entry.get("resource") or {} for entry in recorded]
    types = {resource.get("resourceType") for resource in resources}
    reasons = [f"not-recorded:{type_}" for type_ in sorted(step.records - types)]
    answered = {
        str(one.get("questionnaire") or "").partition("|")[0]
        for one in resources
        if one.get("resourceType") == "QuestionnaireResponse" and one.get("status") in _FINISHED
    }
    if step.form and step.form not in answered:
        reasons.append(f"not-recorded:{step.form}")
    if step.needs_words and not words.strip():
        reasons.append("words")
    return reasons


# ---- taking --------------------------------------------------------------------------------------


def take(
    workflow: Workflow,
    code: str,
    case: Case | None,
    asking: Asking,
    *,
    recorded: Sequence[Json] = (),
    words: str = "",
    head: Mapping[str, Json] | None = None,
    clocks: Mapping[str, datetime] | None = None,
) -> Taken:
    """Take a step: the Task begins, or gets its next version on top of the one that was read.

    `recorded` are entries of a transaction, stored with it and named in its output; `head` sets
    elements of the Task that are the application's (for, focus, owner; None takes one away),
    `clocks` by when its clocks run out from now on. The Task, and what is created with it, have the
    workflow's label. Raises Forbidden when the step is not this actor's, Conflict when it does not
    begin in the state, Invalid when its rule or what it records is against it, each with an issue
    for every reason; Invalid too for a step that does not exist.
    """
    step = _step_of(workflow, code)
    _refuse_unknown(workflow, head or {}, clocks or {})
    reasons = (*decide(workflow, step, case, asking).reasons, *_unrecorded(step, recorded, words))
    if reasons:
        raise _refusal(workflow, step, reasons)
    task = dict(case.task) if case is not None else _begun(workflow, asking)
    wound = {**_clocks(workflow, task, asking.zone), **(clocks or {})}
    # What labels the Task is added to, so that none that closes it is lost on the way; the version
    # that was read stays in it.
    before, more = task.get("meta") or {}, (head or {}).get("meta") or {}
    meta = {**before, **more}
    held = before.get("security") or []
    if held and more.get("security"):
        meta["security"] = [*held, *(one for one in more["security"] if one not in held)]
    task.update(head or {})
    task = {name: value for name, value in task.items() if value is not None}
    if meta:
        task["meta"] = meta
    addresses = [one for one in map(_address, recorded) if one]
    outputs = [
        {
            "type": _coded(workflow.step_system, code, step.en),
            "valueReference": {"reference": address},
        }
        for address in addresses
    ]
    if outputs:
        task["output"] = [*(task.get("output") or ()), *outputs]
    _set_clocks(workflow, task, wound, asking.zone)
    author = {"identifier": {"value": asking.actor.code}, "display": asking.actor.name}
    if step.to or case is None:
        _enter(workflow, task, step, asking, words)
    else:
        _stay(workflow, task, case, asking)
    _note(workflow, task, step, at=_instant(asking.moment, asking.zone), by=author, words=words)
    notices = tuple(workflow.notices[one] for one in step.notices)
    _label(workflow, task)
    return Taken(task, (*(_labelled(workflow, one) for one in recorded), _entry(task)), notices)


def _step_of(workflow: Workflow, code: str) -> Step:
    step = workflow.steps.get(code)
    if step is None:
        raise Invalid(
            Sentence("the workflow %(name)s has no step of this name", name=workflow.name)
        )
    return step


def _refuse_unknown(
    workflow: Workflow, head: Mapping[str, Json], clocks: Mapping[str, datetime]
) -> None:
    foreign = sorted(head.keys() - _MAY_SET)
    if foreign:
        raise Invalid(
            Sentence("%(known)s of a Task is the workflow's to say", known=", ".join(foreign))
        )
    unknown = sorted(clocks.keys() - workflow.clocks.keys())
    if unknown:
        raise Invalid(
            Sentence(
                "the workflow %(name)s has no clock %(known)s",
                name=workflow.name,
                known=", ".join(unknown),
            )
        )


def _refusal(workflow: Workflow, step: Step, reasons: Sequence[str]) -> Problem:
    issues = tuple(
        Issue(
            "error",
            "business-rule",
            Sentence("%(told)s (%(one)s)", told=workflow.words_of(one), one=one),
        )
        for one in reasons
    )
    kinds = {reason.partition(":")[0] for reason in reasons}
    text = Sentence("the step %(code)s cannot be taken", code=step.code)
    if kinds & {"role", "duty", "took", "by-timer"}:
        return Forbidden(text, issues=issues)
    return Conflict(text, issues=issues) if "state" in kinds else Invalid(text, issues=issues)


def _begun(workflow: Workflow, asking: Asking) -> Json:
    now = _instant(asking.moment, asking.zone)
    return {
        "resourceType": "Task",
        "instantiatesUri": workflow.canonical,
        "intent": "order",
        "code": _coded(workflow.head.url, workflow.name, workflow.head.en),
        "authoredOn": now,
        "executionPeriod": {"start": now},
    }


def _enter(workflow: Workflow, task: Json, step: Step, asking: Asking, words: str) -> None:
    """Put the Task into the state that a step leads to."""
    state, zone = workflow.states[step.to], asking.zone
    now = _instant(asking.moment, zone)
    task["status"] = state.task
    task["businessStatus"] = _coded(workflow.state_system, state.code, state.en)
    task["lastModified"] = now
    task["restriction"] = {**(task.get("restriction") or {}), "period": {"start": now}}
    task.pop("statusReason", None)
    if words.strip():
        task["statusReason"] = {"text": words}
    period = {"start": task["executionPeriod"]["start"]}
    task["executionPeriod"] = {**period, "end": now} if state.final else period
    _set_clock(workflow, task, state.code, asking.moment, zone, fired=frozenset())


def _stay(workflow: Workflow, task: Json, case: Case, asking: Asking) -> None:
    """Leave the Task in its state, with the time limits that run there."""
    task["lastModified"] = _instant(asking.moment, asking.zone)
    _set_clock(workflow, task, case.state, case.since, asking.zone, fired=_fired(case))


def _set_clock(
    workflow: Workflow,
    task: Json,
    state: str,
    since: datetime,
    zone: tzinfo,
    *,
    fired: frozenset[str],
) -> None:
    clocks = _clocks(workflow, task, zone)
    waiting = [one for one in workflow.timers_of(state) if one.code not in fired]
    ends = [end for one in waiting if (end := one.ends(since, clocks, zone)) is not None]
    period = {"start": task["restriction"]["period"]["start"]}
    if ends:
        period["end"] = _instant(max(min(ends), since), zone)
    task["restriction"] = {**task["restriction"], "period": period}


def _set_clocks(
    workflow: Workflow, task: Json, clocks: Mapping[str, datetime], zone: tzinfo
) -> None:
    """Put these clocks into the Task, in place of what it has of them."""
    if not clocks:
        return
    kept = [
        one
        for one in task.get("input") or ()
        if _code(one.get("type"), workflow.clock_system) not in clocks
    ]
    said = [
        {
            "type": _coded(workflow.clock_system, code, workflow.clocks[code].en),
            "valueDateTime": _instant(end, zone),
        }
        for code, end in clocks.items()
    ]
    task["input"] = [*kept, *said]


def _clocks(workflow: Workflow, task: Json, zone: tzinfo) -> dict[str, datetime]:
    """When the clocks of a Task run out."""
    found = {}
    for one in task.get("input") or ():
        code = _code(one.get("type"), workflow.clock_system)
        end = _moment(one.get("valueDateTime"), zone)
        if code in workflow.clocks and end is not None:
            found[code] = end
    return found


def _note(
    workflow: Workflow, task: Json, what: Step | Timer, *, at: str, by: Json, words: str = ""
) -> None:
    system = workflow.step_system if isinstance(what, Step) else workflow.timer_system
    note = {
        "extension": [{"url": system, "valueCode": what.code}],
        "authorReference": by,
        "time": at,
    }
    note |= {"text": words} if words.strip() else _said(what)
    task["note"] = [*(task.get("note") or ()), note]


# ---- timers --------------------------------------------------------------------------------------


def due(workflow: Workflow, case: Case, moment: datetime, zone: tzinfo) -> tuple[Due, ...]:
    """The timers of a case that have run out at a moment and have not fired, in that order. After
    one that takes a step none follows: the case is then elsewhere.
    """
    found: list[Due] = []
    fired = _fired(case)
    for timer in workflow.timers_of(case.state):
        at = timer.ends(case.since, case.clocks, zone)
        if at is not None and at <= moment and timer.code not in fired:
            found.append(Due(timer, at))
    found.sort(key=lambda one: (one.at, one.timer.step, one.timer.code))
    steps = [place for place, one in enumerate(found) if one.timer.step]
    return tuple(found[: steps[0] + 1] if steps else found)


def fire(workflow: Workflow, case: Case, code: str, moment: datetime, zone: tzinfo) -> Taken:
    """What a timer that has run out makes: its step is taken, or it is noted that its notice went
    out, so that none goes out twice. Raises Conflict when it is not due in this version.
    """
    if code not in {one.timer.code for one in due(workflow, case, moment, zone)}:
        raise Conflict(
            Sentence("the timer %(code)s is not due in this version of the Task", code=code)
        )
    timer, task = workflow.timers[code], dict(case.task)
    author = {"identifier": {"value": _NODE}, "display": _NODE}
    now = _instant(moment, zone)
    _note(workflow, task, timer, at=now, by=author)
    _label(workflow, task)
    if timer.step:
        step = workflow.steps[timer.step]
        node = Actor(_NODE, "operator", _NODE, "")
        _enter(workflow, task, step, Asking(actor=node, moment=moment, zone=zone), "")
        _note(workflow, task, step, at=now, by=author)
        notices = tuple(workflow.notices[one] for one in step.notices)
        return Taken(task, (_entry(task),), notices)
    task["lastModified"] = now
    fired = frozenset({*_fired(case), code})
    _set_clock(workflow, task, case.state, case.since, zone, fired=fired)
    return Taken(task, (_entry(task),), (workflow.notices[timer.notice],))


def _fired(case: Case) -> frozenset[str]:
    return frozenset(one.timer for one in case.history if one.timer and one.at > case.since)


# ---- FHIR ----------------------------------------------------------------------------------------


def _entry(task: Json) -> Json:
    if "id" not in task:
        return {"resource": task, "request": {"method": "POST", "url": "Task"}}
    request = {"method": "PUT", "url": f"Task/{task['id']}"}
    version = (task.get("meta") or {}).get("versionId")
    # Without the version it was read at, two who take a step at once would both be answered yes.
    if version is None:
        raise Invalid("the Task does not say which version it is: hand in the one that was read")
    return {"resource": task, "request": {**request, "ifMatch": f'W/"{version}"'}}


def _label(workflow: Workflow, resource: Json) -> None:
    """Give a resource the label by which rules of access know what belongs to a case."""
    label = {"system": workflow.head.url, "code": workflow.name}
    meta = resource.get("meta") or {}
    labels = meta.get("security") or []
    if not any(label.items() <= one.items() for one in labels):
        resource["meta"] = {**meta, "security": [*labels, label]}


def _labelled(workflow: Workflow, entry: Json) -> Json:
    if (entry.get("request") or {}).get("method") != "POST":  # of what was there others decide
        return entry
    resource = dict(entry["resource"])
    _label(workflow, resource)
    return {**entry, "resource": resource}


def _address(entry: Json) -> str:
    """How an entry of the transaction is referred to; "" for one that nothing can refer to."""
    request = entry.get("request") or {}
    return str(
        entry.get("fullUrl") or (request.get("url") if request.get("method") == "PUT" else "")
    )


def _coded(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _code(concept: Any, system: str) -> str:
    for coding in (concept or {}).get("coding") or ():
        if coding.get("system") == system:
            return str(coding.get("code") or "")
    return ""


def _said(what: Step | Timer) -> Json:
    return translated("text", what.zh, {"en": what.en})


def _instant(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


def _moment(text: object, zone: tzinfo) -> datetime | None:
    found = interval(text, zone) if isinstance(text, str) else None
    return None if found is None else on_clock(found[0], UTC)
