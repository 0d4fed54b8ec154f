"""A report card as its case has it: what rules and lists ask, and how it is found and guarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

import msgspec

from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.dates import local_text
from quanmin.fhir.json import Json
from quanmin.trust.case_counts import Codes, Told
from quanmin.workflow.forms import Option, Words
from quanmin.workflow.notifiable.diseases import (
    SUBTYPES,
    SYSTEM,
    Haste,
    Hours,
    diseases,
    hours,
    is_icd10,
    notifiable,
    subtypes,
    subtypes_of,
    table_on,
)

WORKFLOW: Final = "https://quanmin.example/fhir/workflow/infectious-report"
ADDRESSED: Final = "https://quanmin.example/fhir/addressed-to"
_FACT: Final = f"{WORKFLOW}/fact"
PERSON: Final = f"{WORKFLOW}/person"
"""The use of pseudonyms of persons, and the system of the group to which their cases belong."""
_RECEIPT: Final = "https://quanmin.example/fhir/sid/infectious-receipt"
_CLASS: Final = "https://quanmin.example/fhir/CodeSystem/infection-case-class"
CLASSES: Final = frozenset({"suspected", "clinical", "confirmed", "carrier", "positive"})
"""Which cases there are: two are no cases of the disease."""
_LABEL: Final = (WORKFLOW, "infectious_report")
_OVER: Final = frozenset({"merged", "withdrawn"})
_NO_CASES: Final = frozenset({"carrier", "positive"})
_NO_DIAGNOSES: Final = frozenset({"refuted", "entered-in-error"})
_DIVISION_LENGTH: Final = 6
_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_REPORTABLE: Final = {"system": "urn:quanmin:reportable", "code": "infectious"}
_CODING: Final = ("system", "code", "display")
# Kept apart by law from all who need not know, whoever codes them how (sensitivity/kinds.toml).
_KEPT_APART: Final = {"aids": "HIV", "syphilis": "STD", "gonorrhoea": "STD"}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a card says that rules and lists ask for; "" and None for what it does not."""

    disease: str = ""
    subtype: str = ""
    onset: date | None = None
    diagnosed: datetime | None = None
    death: date | None = None
    area: str = ""
    case_class: str = ""
    name: str = ""
    birth: str = ""
    document: str = ""
    imported: bool = False
    outbreak: bool = False

    @property
    def person(self) -> str:
        """By what two cards are known to be of one person: a digest of the document, else of name
        and birth. Documents can be tried out, so a case has a pseudonym made of it (`PERSON`).
        """
        said = self.document.strip().upper() or f"{self.name.strip()} {self.birth}"
        return sha256(said.encode()).hexdigest()

    @property
    def is_managed_as_a(self) -> bool:
        """Whether the measures of class A are taken on the day of the diagnosis."""
        table = table_on(self.diagnosed.date()) if self.diagnosed else None
        return table is not None and table.is_managed_as_a(self.disease, self.subtype)

    @property
    def limits(self) -> Hours:
        """Within how many hours it is sent and reviewed."""
        others: Haste = "outbreaks" if self.outbreak else "others"
        return hours("measures_of_a" if self.is_managed_as_a else others)

    @property
    def hours(self) -> int:
        """Within how many hours of the diagnosis it is sent."""
        return self.limits.report

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before others."""
        return self.is_managed_as_a or self.outbreak

    @property
    def is_notifiable(self) -> bool:
        """Whether the law had the disease reported on the day of the diagnosis."""
        table = table_on(self.diagnosed.date()) if self.diagnosed else None
        return table is not None and table.has(self.disease)

    @property
    def subtype_fits(self) -> bool:
        """Whether the subtype is one of the disease; where there are several, one is named."""
        known = subtypes_of(self.disease, self.diagnosed.date()) if self.diagnosed else frozenset()
        return self.subtype in known or (not self.subtype and len(known) < 2)


def read_card(said: Mapping[str, Any], zone: tzinfo) -> Card:
    """The card of which these are the answers, by link id; what is no day or code is none."""
    coded = {name: said.get(name) for name in ("disease", "subtype", "class")}
    code = {
        name: str(one.get("code") or "") if isinstance(one, dict) else ""
        for name, one in coded.items()
    }
    return Card(
        disease=code["disease"],
        subtype=code["subtype"],
        onset=_day(said.get("onset")),
        diagnosed=_moment(said.get("diagnosed"), zone),
        death=_day(said.get("death")),
        area=str(said.get("area") or ""),
        case_class=code["class"],
        name=str(said.get("name") or ""),
        birth=str(said.get("birth") or ""),
        document=str(said.get("document") or ""),
        imported=said.get("imported") is True,
        outbreak=said.get("outbreak") is True,
    )


def facts_of(card: Card) -> Mapping[str, Any]:
    """What the rules ask of a card; what it does not say is left out, and so refused."""
    days = {"onset": card.onset, "diagnosed": card.diagnosed}
    return {
        "notifiable": card.is_notifiable,
        "subtype_fits": card.subtype_fits,
        "has_centre": True,
        "imported": card.imported,
        "death": card.death,
        **{name: value for name, value in days.items() if value is not None},
    }


def head_of(
    card: Card, response: str, addressed: Sequence[str], *, person: str, sent: str = ""
) -> dict[str, Any]:
    """What of a card stands in its case: by what it is found, and who is to see it. `person` is the
    pseudonym of `Card.person`.
    """
    coded = [diseases()[card.disease].coding()] if card.disease in diseases() else []
    coded += [subtypes()[card.subtype].coding()] if card.subtype in subtypes() else []
    facts = {
        "onset": ("valueDate", card.onset and card.onset.isoformat()),
        "diagnosed": ("valueDateTime", card.diagnosed and card.diagnosed.isoformat()),
        "area": ("valueCode", card.area),
        "class": ("valueCode", card.case_class),
        "sent": ("valueDateTime", sent),
    }
    return {
        "focus": {"reference": response},
        "priority": "stat" if card.is_urgent else "routine",
        "reasonCode": {"coding": coded},
        "groupIdentifier": {"system": PERSON, "value": person},
        "input": [
            fact_of(code, element, value) for code, (element, value) in facts.items() if value
        ],
        "meta": {"security": labels(card, addressed)},
    }


def counted(task: Json) -> Told | None:
    """What of a case is counted; None of what is none: of another workflow, withdrawn or merged, a
    carrier or a positive test, which are reported and are no cases of the disease.
    """
    security = (task.get("meta") or {}).get("security") or ()
    codes = (task.get("code") or {}).get("coding") or ()
    is_card = all(
        any((one.get("system"), one.get("code")) == _LABEL for one in held)
        for held in (security, codes)
    )
    disease, case_class, onset = disease_of(task), fact(task, "class"), day_of(task, "onset")
    is_over = state_of(task) in _OVER or case_class not in CLASSES - _NO_CASES
    if not is_card or is_over or onset is None or disease not in diseases():
        return None
    area = fact(task, "area")
    is_division = len(area) == _DIVISION_LENGTH and area.isascii() and area.isdigit()
    return Told(disease, case_class, area if is_division else "", onset, day_of(task, "sent"))


def counted_codes() -> Codes:
    """The diseases and classes of which cases are counted."""
    return Codes(frozenset(diseases()), CLASSES - _NO_CASES)


def labels(card: Card, addressed: Sequence[str]) -> list[dict[str, str]]:
    """By which labels the guard knows a card: it is reportable, to whom it is addressed, and
    whether it is of a kind that is kept apart.
    """
    kept = _KEPT_APART.get(card.disease)
    strict = [{"system": _CODE, "code": kept}] if kept else []
    named = [{"system": ADDRESSED, "code": code} for code in dict.fromkeys(addressed)]
    return [_REPORTABLE, *strict, *named]


def addressed_to(resource: Json) -> list[str]:
    """The institutions to which a record is addressed, in that order: who entered it first."""
    held = (resource.get("meta") or {}).get("security") or ()
    return [one["code"] for one in held if one.get("system") == ADDRESSED]


def entered_by(task: Json) -> str:
    """The code of the institution that entered the card of a case; "" for none."""
    return next(iter(addressed_to(task)), "")


def fact_of(code: str, element: str, value: str) -> dict[str, Any]:
    """One fact of a case, as an input of its Task."""
    return {"type": {"coding": [{"system": _FACT, "code": code}]}, element: value}


def fact(task: Json, code: str) -> str:
    """What a case says of one fact; "" for nothing."""
    for one in task.get("input") or ():
        for coding in (one.get("type") or {}).get("coding") or ():
            if coding.get("system") == _FACT and coding.get("code") == code:
                return next((str(one[name]) for name in one if name.startswith("value")), "")
    return ""


def day_of(task: Json, code: str) -> date | None:
    """The day that a fact of a case is, or is of; None for none."""
    return _day(fact(task, code))


def state_of(task: Json) -> str:
    """The code of the state in which a case is; "" for what is none."""
    held = (task.get("businessStatus") or {}).get("coding") or [{}]
    return str(held[0].get("code") or "")


def card_of(task: Json) -> str:
    """The reference to the card of a case; "" for what has none."""
    return str((task.get("focus") or {}).get("reference") or "")


def disease_of(task: Json) -> str:
    """The disease of a case, by its code; "" for none."""
    held = (task.get("reasonCode") or {}).get("coding") or ()
    return next((str(one.get("code") or "") for one in held if one.get("system") == SYSTEM), "")


def subtype_of(task: Json) -> str:
    """The subtype of a case, by its code; "" for none."""
    held = (task.get("reasonCode") or {}).get("coding") or ()
    return next((str(one.get("code") or "") for one in held if one.get("system") == SUBTYPES), "")


def told(task: Json, language: str) -> str:
    """The disease and subtype of a case in words."""
    known = {SYSTEM: diseases(), SUBTYPES: subtypes()}
    found = [
        known[one["system"]].get(one.get("code", ""))
        for one in (task.get("reasonCode") or {}).get("coding") or ()
        if one.get("system") in known
    ]
    separator = "：" if language == "zh" else ": "
    return separator.join((one.zh if language == "zh" else one.en) for one in found if one)


def receipt(place: str, moment: datetime) -> dict[str, str]:
    """A new number by which a card is known from the moment that it was sent; `place` is the
    division of who sent it.
    """
    number = f"{place or '000000'}-{moment:%Y%m%d}-{uuid4().hex[:12].upper()}"
    return {"system": _RECEIPT, "value": number}


def receipt_of(task: Json) -> str:
    """The receipt of a case; "" for none yet."""
    held = task.get("identifier") or ()
    return next((str(one.get("value") or "") for one in held if one.get("system") == _RECEIPT), "")


def sent_first(task: Json, place: str, moment: datetime) -> dict[str, Any]:
    """What is set in a case whose card is sent for the first time: its receipt, and when it was."""
    sent = fact_of("sent", "valueDateTime", moment.isoformat(timespec="seconds"))
    return {"identifier": [receipt(place, moment)], "input": [*(task.get("input") or ()), sent]}


def registration(said: Mapping[str, Any]) -> Json:
    """The Patient of whom a card is, by its answers."""
    kind = (said.get("document-kind") or {}).get("display")
    patient = {
        "resourceType": "Patient",
        "name": [{"text": said["name"]}],
        "gender": said["sex"]["code"],
        "birthDate": said["birth"],
        "telecom": [{"system": "phone", "value": said["phone"]}],
        "address": [{"text": said["address"]}],
    }
    if said.get("document"):
        named = {"type": {"text": kind}} if kind else {}
        patient["identifier"] = [{**named, "value": said["document"]}]
    return patient


def revised(response: Json, changes: Mapping[str, str]) -> Json:
    """A card with new values of the fields by which a system outside revises cases: the disease,
    its subtype, the class of the case, the days of onset and death. Raises Invalid for another
    field, and for a value that the field may not have.
    """
    made: dict[str, Json | None] = {}
    for name, text in changes.items():
        made[name] = _answer_of(name, text)
    group = next(one for one in response["item"] if one["linkId"] == "case")
    said = dict(map(_told, group["item"]))
    if changes.get("disease", said.get("disease")) != said.get("disease"):
        made.setdefault("subtype", None)  # that of another disease says nothing
    items = [one for one in group["item"] if one["linkId"] not in made]
    items += [{"linkId": name, "answer": [value]} for name, value in made.items() if value]
    if {_told(one) for one in items} == {_told(one) for one in group["item"]}:
        return response
    new = {**group, "item": items}
    return {**response, "item": [new if one is group else one for one in response["item"]]}


def _answer_of(name: str, text: str) -> Json | None:
    """A value of a field as an answer; None for "", which says that there is none."""
    if name in {"onset", "death"} and (_day(text) is not None or (not text and name == "death")):
        return {"valueDate": text} if text else None
    known = {"disease": diseases(), "subtype": subtypes()}.get(name, {})
    if text in known:
        return {"valueCoding": known[text].coding()}
    if name == "class" and text in CLASSES:
        return {"valueCoding": {"system": _CLASS, "code": text}}
    if name == "subtype" and not text:
        return None
    raise Invalid(Sentence("%(name)s of a card is not revised like this", name=name))


def _told(item: Json) -> tuple[str, str]:
    """A field and what it says, however it is displayed."""
    value = next(iter(item.get("answer") or [{}]))
    said = value.get("valueCoding", {}).get("code") or next(iter(value.values()), "")
    return item["linkId"], str(said)


def name_original(response: Json, words: str) -> None:
    """Say on a revised card which disease it was of before."""
    group = next(one for one in response["item"] if one["linkId"] == "case")
    rest = [one for one in group["item"] if one["linkId"] != "original"]
    group["item"] = [*rest, {"linkId": "original", "answer": [{"valueString": words}]}]


def options(url: str, day: date) -> list[Option] | None:
    """What may be chosen on a card of a day: of the value set of diseases, or of subtypes; None of
    any other.
    """
    table = table_on(day)
    known = {"notifiable-disease": diseases, "notifiable-subtype": subtypes}
    listing = known.get(url.rpartition("/")[2])
    if listing is None:
        return None
    return [
        Option("valueCoding", one.coding(), Words(one.zh, {"en": one.en}))
        for one in listing().values()
        if table is not None and table.has(one.of or one.code)
    ]


def diagnosis(condition: Json, today: date, zone: tzinfo) -> dict[str, Any]:
    """What a diagnosis fills in of a card: the disease that it means, its code, when it was made,
    since when the person is ill; nothing where it is not notifiable, or does not hold.
    """
    status = (condition.get("verificationStatus") or {}).get("coding") or ()
    if any(one.get("code") in _NO_DIAGNOSES for one in status):
        return {}
    for coding in (condition.get("code") or {}).get("coding") or ():
        code = str(coding.get("code") or "")
        found = notifiable(code, today) if is_icd10(coding) else None
        if found is not None:
            disease, subtype = found
            return {
                "disease": diseases()[disease].coding(),
                "subtype": subtypes()[subtype].coding() if subtype else [],
                "icd10": {name: coding[name] for name in _CODING if coding.get(name)},
                "diagnosedAt": condition.get("recordedDate") or [],
                "onsetOf": local_text(str(condition.get("onsetDateTime") or ""), zone)[:10] or [],
            }
    return {}


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text or "")[:10])
    except ValueError:
        return None


def _moment(text: Any, zone: tzinfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text or ""))
    except ValueError:
        return None
    return found.astimezone(zone) if found.tzinfo else found.replace(tzinfo=zone)
