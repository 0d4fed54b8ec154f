"""The follow-up of hypertension and type-2 diabetes: how a visit is judged, how a case tells its
visits, and the rates of a year. Pure; who asks hands over what was measured and the cases.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, tzinfo
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from quanmin.fhir.json import Json, decode
from quanmin.workflow.plans import Event, Facts, Item, Plan, State, compile_plan, due_items
from quanmin.workflow.plans.mapping import first_day
from quanmin.workflow.plans.spans import Span, after

Disease = Literal["hypertension", "diabetes"]
DISEASES: Final[tuple[Disease, ...]] = ("hypertension", "diabetes")
WORKFLOW: Final = "https://quanmin.example/fhir/workflow/chronic-followup"
DISEASE_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/chronic-disease"
RESULT_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/follow-up-result"
VISIT_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/follow-up-visit"
CODE: Final = f"{WORKFLOW}|chronic_followup"
"""The code of every case, as a search asks for it."""
STATE_SYSTEM: Final = f"{WORKFLOW}/state"
ENDED: Final = frozenset({"moved", "dead", "lost"})
"""The states in which a case is closed."""
ASSIGNING: Final = frozenset({"enrol", "take_over"})
"""The steps by which a case comes to whoever is responsible for it."""
_VISITS: Final = frozenset({"visit", "visit_and_refer", "check"})
"""The steps that record a visit."""
_FACT: Final = f"{WORKFLOW}/fact"
_DAY_LENGTH: Final = 10
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_CONDITION: Final = "urn:uuid:00000000-0000-4000-8000-000000000012"
_CONTROLLED: Final = {"system": RESULT_SYSTEM, "code": "on-target"}
_MISTAKEN: Final = {"system": RESULT_SYSTEM, "code": "entered-in-error"}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit found: mmHg, mmol/L of fasting, beats a minute, degrees Celsius; None where it
    was not measured. `age` in whole years on the day.
    """

    age: int
    systolic: int | None = None
    diastolic: int | None = None
    glucose: Decimal | None = None
    pulse: int | None = None
    temperature: Decimal | None = None
    has_sign: bool = False
    has_reaction: bool = False
    has_complication: bool = False


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit comes to. `result` is what the plan goes by (`crisis` among them), `kind` one of
    the norm's four, `is_on_target` whether what the disease is measured by is below its target,
    `because` every reason against a good result.
    """

    result: str
    kind: str
    is_on_target: bool
    because: tuple[str, ...] = ()


class Enrolling(msgspec.Struct, frozen=True):
    """What is known of whom is enrolled: the id of the Patient, the name, how many cases there were
    before, results, diagnoses.
    """

    person: str
    name: str
    before: int
    results: Sequence[Json]
    diagnoses: Sequence[Json]


class Seen(msgspec.Struct, frozen=True, order=True):
    """A visit as its case tells it."""

    on: date
    result: str
    is_on_target: bool


@cache
def limits() -> Mapping[str, Any]:
    """The numbers of the norm; what has a point is exact."""
    return _table("limits.toml")


@cache
def _words() -> Mapping[str, Any]:
    return _table("words.toml")


def _table(name: str) -> dict[str, Any]:
    text = files("quanmin.definitions").joinpath("chronic", name).read_text("utf-8")
    return tomllib.loads(text, parse_float=Decimal)


def word(kind: str, code: str, language: str) -> str:
    """The words of a result, measure, series, turn or reason; the code where there are none."""
    told = _words()[kind].get(code, {})
    return str(told.get("zh" if language == "zh" else "en", code))


def codes(kind: str) -> tuple[str, ...]:
    """The codes that there are of a kind of words, in their order."""
    return tuple(one for one in _words()[kind])


# ---- judging -------------------------------------------------------------------------------------


def target(age: int) -> tuple[int, int]:
    """Below which pressure somebody of an age is controlled."""
    fitting = [one for one in limits()["pressure"]["target"] if one["age"] <= age]
    upper, lower = max(fitting, key=lambda one: int(one["age"]))["below"]
    return upper, lower


def reaches(systolic: int | None, diastolic: int | None, bound: Sequence[int]) -> bool:
    """Whether the upper or the lower pressure is as high as a bound, or higher."""
    upper, lower = bound
    return (systolic is not None and systolic >= upper) or (
        diastolic is not None and diastolic >= lower
    )


def is_high(systolic: int | None, diastolic: int | None) -> bool:
    """Whether a pressure is one of hypertension if it is found on enough separate days."""
    return reaches(systolic, diastolic, limits()["pressure"]["high"])


def grade(systolic: int | None, diastolic: int | None) -> int:
    """The grade of a pressure, by the higher of its two parts; 0 for none."""
    return sum(reaches(systolic, diastolic, one) for one in limits()["pressure"]["grades"])


def stratum(highest: int, beside: str) -> str:
    """The stratum of risk, by the grade and what is beside it; "" without a grade."""
    return str(limits()["strata"][beside][highest - 1]) if highest else ""


def judge(disease: Disease, found: Measured) -> Judged:
    """What a visit comes to (third edition of the norm, follow-up of hypertension and of type-2
    diabetes). A crisis is referred whatever else there is; then a complication, then an adverse
    reaction. Of the norm's four a crisis without either is not controlled.
    """
    crisis = _crisis(disease, found)
    against = [] if crisis else _above(disease, found)
    is_on_target = not _above(disease, found) and not _is_low(disease, found)
    beside = ["complication"] if found.has_complication else []
    beside += ["adverse"] if found.has_reaction else []
    kind = "satisfied" if is_on_target and not crisis else "unsatisfied"
    kind = "adverse-reaction" if found.has_reaction else kind
    kind = "complication" if found.has_complication else kind
    return Judged(
        result="crisis" if crisis else kind,
        kind=kind,
        is_on_target=is_on_target,
        because=(*crisis, *against, *beside),
    )


def _crisis(disease: Disease, found: Measured) -> list[str]:
    pressure, glucose = limits()["pressure"], limits()["glucose"]
    reasons = {"pressure": reaches(found.systolic, found.diastolic, pressure["crisis"])}
    if disease == "diabetes":
        known, heart, heat = found.glucose, found.pulse, found.temperature
        reasons |= {
            "glucose-high": known is not None and known >= glucose["crisis_from"],
            "glucose-low": _is_low(disease, found),
            "pulse": heart is not None and heart > limits()["pulse"]["crisis_above"],
            "temperature": heat is not None and heat > limits()["temperature"]["crisis_above"],
        }
    reasons["sign"] = found.has_sign
    return [name for name, is_so in reasons.items() if is_so]


def _is_low(disease: Disease, found: Measured) -> bool:
    bound = limits()["glucose"]["crisis_up_to"]
    return disease == "diabetes" and found.glucose is not None and found.glucose <= bound


def _above(disease: Disease, found: Measured) -> list[str]:
    """What the disease is measured by and is not below its target; what was not measured is not."""
    if disease == "hypertension":
        is_measured = found.systolic is not None and found.diastolic is not None
        is_above = reaches(found.systolic, found.diastolic, target(found.age))
        return ["high-pressure"] if is_above or not is_measured else []
    is_above = found.glucose is None or found.glucose >= limits()["glucose"]["below"]
    return ["high-glucose"] if is_above else []


@cache
def plan_of(disease: Disease) -> Plan:
    """The plan by which a disease is followed up."""
    folder = files("quanmin.definitions").joinpath("plans")
    activities = decode(folder.joinpath("activities.json").read_bytes())["entry"]
    definition = decode(folder.joinpath(f"{disease}-2017.json").read_bytes())
    return compile_plan(definition, [one["resource"] for one in activities])


def follows(disease: Disease, task: Json, born: date, visits: Iterable[Seen], today: date) -> Item:
    """What follows from these visits of a case by the plan: when the next one is due, and the
    measure that is called for.
    """
    known = Facts(
        born=born,
        events=tuple(Event(each.on, f"{disease}-visit", each.result) for each in set(visits)),
        states=(State(disease, day_of(task, "enrolled")),),
    )
    items = due_items(plan_of(disease), known, today)
    return next(each for each in items if each.series == f"{disease}-follow-up")


# ---- what is recorded ----------------------------------------------------------------------------


def measured(said: Mapping[str, Any], age: int) -> Measured:
    """What the answers of a visit's form say, by link id."""
    return Measured(
        age=age,
        systolic=_whole(said.get("systolic")),
        diastolic=_whole(said.get("diastolic")),
        glucose=_exact(said.get("glucose")),
        pulse=_whole(said.get("pulse")),
        temperature=_exact(said.get("temperature")),
        has_sign=bool(said.get("danger")),
        has_reaction=said.get("reaction") is True,
        has_complication=said.get("complication") is True,
    )


def age_on(born: date, day: date) -> int:
    """Whole years, as the plans count them: one more on each birthday. For who was born on 29
    February that is the 28th in common years (a month that lacks the day has its last in its
    place: Civil Code, article 202 [GK]).
    """
    years = day.year - born.year
    return years - (day < after(born, Span(months=12 * years)))


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _exact(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def coding(system: str, kind: str, code: str) -> dict[str, str]:
    """A code of the words as a Coding, in the language of the norm."""
    return {"system": system, "code": code, "display": word(kind, code, "zh")}


def result_of(disease: Disease, patient: str, on: date, judged: Judged) -> Json:
    """The result of a visit as a record: what due lists and rates go by."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": VISIT_SYSTEM, "code": f"{disease}-visit"}]},
        "subject": {"reference": patient},
        "effectiveDateTime": on.isoformat(),
        "valueCodeableConcept": {
            "coding": [coding(RESULT_SYSTEM, "result", judged.result)],
            "text": word("result", judged.kind, "zh"),
        },
    }


def diagnosis_of(disease: Disease, patient: str, on: date) -> Json:
    """The diagnosis with which somebody is enrolled."""
    known = _words()["disease"][disease]
    verified = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]},
        "verificationStatus": {"coding": [{"system": verified, "code": "confirmed"}]},
        "code": {
            "coding": [{"system": _ICD10, "code": known["icd10"], "display": known["diagnosis"]}],
            "text": known["diagnosis"],
        },
        "subject": {"reference": patient},
        "onsetDateTime": on.isoformat(),
    }


def is_diagnosis(condition: Json, disease: Disease) -> bool:
    """Whether a Condition is a diagnosis of the disease that holds."""
    if _codes(condition.get("verificationStatus")) & {"refuted", "entered-in-error"}:
        return False
    prefix = str(_words()["disease"][disease]["icd10"])
    return any(one.replace(" ", "").startswith(prefix) for one in _codes(condition.get("code")))


def _codes(concept: Any) -> set[str]:
    return {str(one.get("code") or "") for one in (concept or {}).get("coding") or ()}


def high_days(observations: Iterable[Json], zone: tzinfo) -> int:
    """On how many separate days, where the node stands, a pressure was found that is one of
    hypertension. One without a whole day is not counted.
    """
    days = set()
    for one in observations:
        text = str(one.get("effectiveDateTime") or "")
        day = first_day(text, zone) if len(text) >= _DAY_LENGTH else None
        if day is not None and is_high(*pressure_of(one)):
            days.add(day)
    return len(days)


def pressure_of(observation: Json) -> tuple[int | None, int | None]:
    """The upper and lower pressure of an Observation of either or both; None where it has none."""
    if observation.get("status") not in {"final", "amended", "corrected"}:
        return None, None
    parts = {code: one for one in (observation, *(observation.get("component") or ()))
             for code in _codes(one.get("code"))}  # fmt: skip
    found = [
        (parts.get(code, {}).get("valueQuantity") or {}).get("value")
        for code in ("8480-6", "8462-4")
    ]
    upper, lower = (None if one is None else round(one) for one in found)
    return upper, lower


# ---- a case --------------------------------------------------------------------------------------


def told(one: Seen) -> Json:
    """A visit as its case holds it (Task.input)."""
    said = [coding(RESULT_SYSTEM, "result", one.result)]
    said += [_CONTROLLED] if one.is_on_target else []
    return {"type": {"coding": said}, "valueDate": one.on.isoformat()}


def visits_of(task: Json, *, mistaken: bool = False) -> list[Seen]:
    """The visits of a case that hold, oldest first; or those that were entered in error."""
    told_by = ((_seen(one), _is_mistaken(one)) for one in task.get("input") or ())
    return sorted(one for one, is_wrong in told_by if one is not None and is_wrong is mistaken)


def _seen(entry: Json) -> Seen | None:
    """The visit that an entry of Task.input tells; None for one that tells something else."""
    known, day = _of_result(entry), _day(entry.get("valueDate"))
    result = known - {"on-target", _MISTAKEN["code"]}
    if not result or day is None:
        return None
    return Seen(day, result.pop(), "on-target" in known)


def _is_mistaken(entry: Json) -> bool:
    return _MISTAKEN["code"] in _of_result(entry)


def _of_result(entry: Json) -> set[str]:
    codings = entry["type"].get("coding") or ()
    return {str(one.get("code")) for one in codings if one.get("system") == RESULT_SYSTEM}


def recorded_by(task: Json) -> list[list[tuple[str, str]]]:
    """The records of each visit of a case (type and id), in the order in which they were entered:
    its answers, then what was taken from them.
    """
    found: list[list[tuple[str, str]]] = []
    for one in task.get("output") or ():
        if not _codes(one.get("type")) & _VISITS:
            continue
        type_, _, id_ = str(one["valueReference"]["reference"]).partition("/")
        if type_ == "QuestionnaireResponse":
            found.append([])
        if found:
            found[-1].append((type_, id_))
    return found


def state_of(task: Json) -> str:
    """The code of the state in which a case is; "" for none."""
    codings = (task.get("businessStatus") or {}).get("coding") or [{}]
    return str(codings[0].get("code") or "")


def disease_of(task: Json) -> Disease:
    """The disease of a case."""
    known = _codes(task.get("reasonCode"))
    return next((one for one in DISEASES if one in known), "hypertension")


def holding(task: Json, *visits: Seen, **facts: date | str) -> list[Json]:
    """What a case holds (Task.input) with further visits, and these facts in place of older ones;
    those that are "" are left as they were.
    """
    said = [
        {
            "type": {"coding": [{"system": _FACT, "code": code}]},
            **(
                {"valueDate": value.isoformat()}
                if isinstance(value, date)
                else {"valueCode": value}
            ),
        }
        for code, value in facts.items()
        if value
    ]
    new = {code for code, value in facts.items() if value}
    kept = [one for one in task.get("input") or () if _fact_code(one) not in new]
    return [*kept, *map(told, visits), *said]


def taking_back(task: Json, mistaken: Seen, measure: str) -> list[Json]:
    """What a case holds (Task.input) when a visit of it was entered in error, and what is called
    for without it: the visit stays to be seen and counts for nothing.
    """
    held = []
    for one in task.get("input") or ():
        if _seen(one) == mistaken and not _is_mistaken(one):
            codings = [*one["type"]["coding"], _MISTAKEN]
            held.append({**one, "type": {"coding": codings}})
        elif _fact_code(one) != "measure":
            held.append(one)
    return holding({"input": held}, measure=measure)


def fact_of(task: Json, code: str) -> str:
    """A fact that a case holds as text; "" for none."""
    found = (one for one in task.get("input") or () if _fact_code(one) == code)
    return next((str(one.get("valueDate") or one.get("valueCode") or "") for one in found), "")


def _fact_code(entry: Json) -> str:
    codings = entry["type"].get("coding") or ()
    return next((str(one.get("code")) for one in codings if one.get("system") == _FACT), "")


def day_of(task: Json, code: str) -> date | None:
    """The same as a day; None as well for what is no whole one, as others may write it."""
    return _day(fact_of(task, code))


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text or ""))
    except ValueError:
        return None


def patient_of(task: Json) -> str:
    """The id of the Patient whose case it is; "" for none."""
    reference = str((task.get("for") or {}).get("reference") or "")
    return reference.removeprefix("Patient/") if reference.startswith("Patient/") else ""


def reason_of(disease: Disease) -> Json:
    """By what a case is known to be of a disease (Task.reasonCode)."""
    return {"coding": [coding(DISEASE_SYSTEM, "disease", disease)]}


def episode_of(disease: Disease, patient: str, condition: str, since: date) -> Json:
    """The enrolment as a record: while it lasts visits are due."""
    return {
        "resourceType": "EpisodeOfCare",
        "status": "active",
        "type": [reason_of(disease)],
        "diagnosis": [{"condition": {"reference": condition}}],
        "patient": {"reference": patient},
        "period": {"start": since.isoformat()},
    }


def enrolment(
    disease: Disease, known: Enrolling, enrolled: date, beside: str
) -> tuple[list[Json], dict[str, Json]]:
    """The entries of an enrolment and what stands in its case (its Task): the diagnosis that there
    is, else one that is made of the pressures. `beside` is what adds to the risk, "" for not asked.
    """
    patient, condition = f"Patient/{known.person}", _CONDITION
    there = next((one for one in known.diagnoses if is_diagnosis(one, disease)), None)
    recorded = []
    if there is None:
        made = diagnosis_of(disease, patient, enrolled)
        request = {"method": "POST", "url": "Condition"}
        recorded.append({"fullUrl": _CONDITION, "resource": made, "request": request})
    else:
        condition = f"Condition/{there['id']}"
    episode = episode_of(disease, patient, condition, enrolled)
    # The id is that of this enrolment of this person: of two who begin it at once there is one.
    claim = f"{known.person}.{disease}.{known.before}"
    episode["id"] = f"chronic-{sha256(claim.encode()).hexdigest()[:48]}"
    place = f"EpisodeOfCare/{episode['id']}"
    request = {"method": "PUT", "url": place, "ifNoneMatch": "*"}
    recorded.append({"resource": episode, "request": request})
    highest = max((grade(*pressure_of(one)) for one in known.results), default=0)
    risk = stratum(highest, beside) if disease == "hypertension" and beside else ""
    return recorded, {
        "for": {"reference": patient, "display": known.name},
        "focus": {"reference": place},
        "reasonCode": reason_of(disease),
        # By which cases of a disease are searched for: R4 searches Tasks by no reason.
        "meta": {"tag": [coding(DISEASE_SYSTEM, "disease", disease)]},
        "input": holding({}, enrolled=enrolled, stratum=risk),
    }


def closing(episode: Json, version: int, closed: date) -> Json:
    """The entry that ends an enrolment, on top of the version that was read."""
    period = {**episode["period"], "end": closed.isoformat()}
    return _next({**episode, "status": "finished", "period": period}, version)


def _next(episode: Json, version: int) -> Json:
    place = f"EpisodeOfCare/{episode['id']}"
    request = {"method": "PUT", "url": place, "ifMatch": f'W/"{version}"'}
    return {"resource": episode, "request": request}


def reopening(task: Json, episode: Json, version: int) -> tuple[Json, list[Json]]:
    """The entry that takes the end of an enrolment back, on top of the version that was read, and
    what its case holds (Task.input) from then on.
    """
    period = {name: day for name, day in episode["period"].items() if name != "end"}
    entry = _next({**episode, "status": "active", "period": period}, version)
    return entry, [one for one in task.get("input") or () if _fact_code(one) != "closed"]
