"""A petition as a record: a Task about the Patient who asks.

So its text is encrypted, its states are versions, and export, restore and erasure treat it as they
treat every record of the person. It is labelled very restricted: no level opens it to others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

import msgspec

from quanmin.fhir.dates import interval
from quanmin.fhir.json import decode
from quanmin.records.model import Stored
from quanmin.trust.lifecycle.petition_rules import Part, petition_rules

TASK: Final = "Task"
STATEMENT: Final = "Communication"
_LABEL: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "code": "V",
}
_REASONS: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_RESULT: Final = "result"
_DENIAL: Final = "denial"
_PROXY: Final = "RelatedPerson"


class Taken(msgspec.Struct, frozen=True):
    """A step that was taken: when (microseconds), on whose side or by which institution, the words
    given for it, and the name of the `proxy` who took it for the person who asks.
    """

    step: str
    at: int
    by: str
    words: str
    proxy: str = ""


class Petition(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks. `about` is `Type/id` or "", `seen` the version of it when it was asked;
    `answerer` is the code of the institution that answers, "" for who stands above; `result` the
    version of the record that came of it, `denial` the Consent that refuses others. `patient` is a
    record key, moments are microseconds.
    """

    id: str = ""
    rid: int = 0
    kind: str
    state: str
    patient_id: str
    patient: int = 0
    answerer: str
    about: str
    seen: int = 0
    filed: int
    due: int | None
    wrong: str
    should: str
    evidence: str
    result: str = ""
    denial: str = ""
    taken: tuple[Taken, ...] = ()

    def text_of(self, part: Part) -> str:
        """One of the texts."""
        return str(getattr(self, part))


def write_task(petition: Petition, instant: Any) -> bytes:
    """The Task of a petition; `instant` tells a moment as FHIR does."""
    rules = petition_rules()
    of, state = rules.address, rules.state_of(petition.state)
    kind = rules.kind_of(petition.kind)
    parts = [(name, petition.text_of(name)) for name in ("wrong", "should", "evidence")]
    inputs: list[dict[str, Any]] = [
        {"type": _coded(of.part, name), "valueString": text} for name, text in parts if text
    ]
    if petition.seen:
        inputs.append({"type": _coded(of.part, "seen"), "valuePositiveInt": petition.seen})
    if petition.denial:
        to = {"reference": petition.denial}
        inputs.append({"type": _coded(of.part, _DENIAL), "valueReference": to})
    outputs: list[dict[str, Any]] = [
        {
            "type": _coded(of.step, one.step),
            "valueAnnotation": {
                **_author(one),
                "time": instant(one.at),
                "text": one.words or _word(one.step),
            },
        }
        for one in petition.taken
    ]
    if petition.result:
        to = {"reference": petition.result}
        outputs.append({"type": _coded(of.part, _RESULT), "valueReference": to})
    task: dict[str, Any] = {
        "resourceType": TASK,
        "meta": {"security": [_LABEL]},
        "status": state.task,
        "businessStatus": _coded(of.state, state.code, state.en),
        "intent": "order",
        "code": _coded(of.kind, petition.kind, kind.en if kind else ""),
        "for": {"reference": f"Patient/{petition.patient_id}"},
        "requester": {"reference": f"Patient/{petition.patient_id}"},
        "authoredOn": instant(petition.filed),
        "input": inputs,
        "output": outputs,
    }
    if petition.id:
        task["id"] = petition.id
    if petition.about:
        task["focus"] = {"reference": petition.about}
    if petition.answerer:
        task["owner"] = {"type": "Organization", "identifier": {"value": petition.answerer}}
    if petition.due is not None:
        task["restriction"] = {"period": {"end": instant(petition.due)}}
    return json.dumps(task, ensure_ascii=False).encode()


def read_task(stored: Stored, zone: tzinfo) -> Petition | None:
    """The petition that a Task is; None for one that is another matter."""
    task = decode(stored.body or b"{}")
    of = petition_rules().address
    kind, state = _code(task.get("code"), of.kind), _code(task.get("businessStatus"), of.state)
    if not kind or not state:
        return None
    texts = {_code(one.get("type"), of.part): one for one in task.get("input") or ()}
    outputs = task.get("output") or ()
    results = [one for one in outputs if _code(one.get("type"), of.part) == _RESULT]
    return Petition(
        id=stored.id,
        rid=stored.rid,
        kind=kind,
        state=state,
        patient_id=_target(task.get("for")).partition("/")[2],
        patient=stored.facts.patient or 0,
        answerer=answerer_of(task),
        about=_target(task.get("focus")),
        seen=int(texts.get("seen", {}).get("valuePositiveInt") or 0),
        filed=_moment(task.get("authoredOn"), zone) or 0,
        due=due_of(task, zone),
        wrong=_text(texts, "wrong"),
        should=_text(texts, "should"),
        evidence=_text(texts, "evidence"),
        result=_target(results[0].get("valueReference")) if results else "",
        denial=_target(texts.get(_DENIAL, {}).get("valueReference")),
        taken=tuple(_taken(outputs, of.step, zone)),
    )


def kind_and_state(task: dict[str, Any]) -> tuple[str, str]:
    """The codes of a petition; empty for a Task that is none."""
    of = petition_rules().address
    return _code(task.get("code"), of.kind), _code(task.get("businessStatus"), of.state)


def answerer_of(task: dict[str, Any]) -> str:
    """The code of the institution that answers, "" for none."""
    return str(((task.get("owner") or {}).get("identifier") or {}).get("value") or "")


def due_of(task: dict[str, Any], zone: tzinfo) -> int | None:
    """When the next step is due."""
    period = (task.get("restriction") or {}).get("period") or {}
    return _moment(period.get("end"), zone)


def about_of(resource: dict[str, Any]) -> str:
    """The `Type/id` that a Task or a statement is about."""
    listed = resource.get("about") or [resource.get("focus")]
    return _target(listed[0])


def is_statement(resource: dict[str, Any]) -> bool:
    """Whether a Communication is what a person says of a record that was not corrected."""
    address = petition_rules().address.statement
    return any(_code(one, address) for one in resource.get("category") or ())


def write_statement(petition: Petition, words: str, sent: str) -> bytes:
    """The person's own statement about a record, as a Communication beside it."""
    of = petition_rules().address
    patient = {"reference": f"Patient/{petition.patient_id}"}
    body = {
        "resourceType": STATEMENT,
        "status": "completed",
        "category": [_coded(of.statement, "disagrees", "The person's own statement")],
        "subject": patient,
        "sender": patient,
        "about": [{"reference": petition.about}],
        "sent": sent,
        "payload": [{"contentString": words}],
    }
    return json.dumps(body, ensure_ascii=False).encode()


def words_of(statement: dict[str, Any]) -> str:
    """What a statement says."""
    return "\n".join(str(one.get("contentString") or "") for one in statement.get("payload") or ())


def write_denial(patient_id: str, purposes: Sequence[str], at: str, words: str) -> bytes:
    """A Consent by which the person refuses all other institutions, for these purposes or for any
    (R4 consent.html).
    """
    provision: dict[str, Any] = {"type": "deny"}
    if purposes:
        provision["purpose"] = [{"system": _REASONS, "code": code} for code in purposes]
    scope = "http://terminology.hl7.org/CodeSystem/consentscope"
    body = {
        "resourceType": "Consent",
        "status": "active",
        "scope": _coded(scope, "patient-privacy"),
        "category": [_coded("http://loinc.org", "59284-0")],
        "patient": {"reference": f"Patient/{patient_id}"},
        "performer": [{"reference": f"Patient/{patient_id}"}],
        "dateTime": at,
        "policyRule": {"text": words},
        "provision": provision,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _author(taken: Taken) -> dict[str, Any]:
    if taken.proxy:
        return {"authorReference": {"type": _PROXY, "display": taken.proxy}}
    return {"authorString": taken.by}


def _coded(system: str, code: str, display: str = "") -> dict[str, Any]:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def _code(concept: Any, system: str) -> str:
    for coding in (concept or {}).get("coding") or ():
        if coding.get("system") == system:
            return str(coding.get("code") or "")
    return ""


def _target(reference: Any) -> str:
    return str((reference or {}).get("reference") or "")


def _text(texts: dict[str, Any], name: Part) -> str:
    return str(texts.get(name, {}).get("valueString") or "")


def _moment(text: Any, zone: tzinfo) -> int | None:
    found = interval(str(text), zone) if text else None
    return None if found is None else found[0]


def _taken(outputs: Sequence[Any], system: str, zone: tzinfo) -> list[Taken]:
    found = []
    for one in outputs:
        step = _code(one.get("type"), system)
        said = one.get("valueAnnotation") or {}
        if step:
            text = str(said.get("text") or "")
            words = "" if text == _word(step) else text
            at = _moment(said.get("time"), zone) or 0
            proxy = str((said.get("authorReference") or {}).get("display") or "")
            by = "asker" if proxy else str(said.get("authorString") or "")
            found.append(Taken(step, at, by, words, proxy))
    return found


def _word(step: str) -> str:
    known = petition_rules().step_of(step)
    return step if known is None else known.en
