"""One visit written down as records: encounter, diagnoses, measurements, prescriptions, claim,
dose of vaccine.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.institutions import Staff
from quanmin.demo.registrations import Registration
from quanmin.demo.registry import organization_reference, practitioner_reference
from quanmin.demo.sheet import FICTIONAL, Sheet, coded, coding, decimal, moment, yuan
from quanmin.demo.tables import (
    DIAGNOSES,
    LABORATORY,
    MEASUREMENTS,
    SYSTEMS,
    Measurement,
    Medicine,
    Panel,
    Vaccine,
)
from quanmin.demo.visits import Diagnosis, Finding, Visit

Reference = dict[str, str]

_HL7 = "http://terminology.hl7.org/CodeSystem"
_LOINC = "http://loinc.org"
_UCUM = "http://unitsofmeasure.org"
_ATC = "http://www.whocc.no/atc"
_CLASSES = {
    "outpatient": {"system": f"{_HL7}/v3-ActCode", "code": "AMB", "display": "门诊"},
    "inpatient": {"system": f"{_HL7}/v3-ActCode", "code": "IMP", "display": "住院"},
}
_ENCOUNTER_TYPES = {
    "outpatient": "门诊就诊",
    "inpatient": "住院",
    "check_up": "老年人年度健康体检",
    "follow_up": "慢性病随访",
    "delivery": "住院分娩",
}
_CONFIRMED = coded(f"{_HL7}/condition-ver-status", "confirmed")
_ACTIVE = coded(f"{_HL7}/condition-clinical", "active")
_RESOLVED = coded(f"{_HL7}/condition-clinical", "resolved")
_ENCOUNTER_DIAGNOSIS = coded(f"{_HL7}/condition-category", "encounter-diagnosis")
_NOTIFIABLE = coding(SYSTEMS.survey, "notifiable", "法定传染病")
_VITAL = [coded(f"{_HL7}/observation-category", "vital-signs")]
_LABORATORY = [coded(f"{_HL7}/observation-category", "laboratory")]
_SURVEY = [coded(f"{_HL7}/observation-category", "survey")]
_LABORATORY_REPORT = [coded(f"{_HL7}/v2-0074", "LAB")]
_BEYOND = {
    1: [coded(f"{_HL7}/v3-ObservationInterpretation", "H")],
    -1: [coded(f"{_HL7}/v3-ObservationInterpretation", "L")],
}
_PRESSURE = coding(_LOINC, "85354-9", "血压")
_FOLLOW_UP = coding(SYSTEMS.survey, "follow-up-result", "此次随访分类")
_OUTCOMES = {
    "satisfied": coding(SYSTEMS.survey, "satisfied", "控制满意"),
    "unsatisfied": coding(SYSTEMS.survey, "unsatisfied", "控制不满意"),
}
_CLAIM_TYPES = {
    "outpatient": coded(f"{_HL7}/claim-type", "professional"),
    "inpatient": coded(f"{_HL7}/claim-type", "institutional"),
}
_NORMAL = coded(f"{_HL7}/processpriority", "normal")
_CHARGES = {
    "medicine": coding(SYSTEMS.charge_category, "medicine", "药品"),
    "examination": coding(SYSTEMS.charge_category, "examination", "检查化验"),
    "material": coding(SYSTEMS.charge_category, "material", "卫生材料"),
    "service": coding(SYSTEMS.charge_category, "service", "医疗服务"),
}
_BED_DAY_FEN, _MATERIAL_DAY_FEN, _DELIVERY_FEN = 9_800, 4_260, 120_000
_PACKAGE_DAYS = 28


class Chart:
    """Writes the visits of one registration into a sheet."""

    def __init__(
        self, sheet: Sheet, registration: Registration, patient: Reference, coverage: Reference
    ) -> None:
        self._sheet = sheet
        self._registration = registration
        self._patient = patient
        self._coverage = coverage

    def write(self, visit: Visit) -> None:
        """Adds all records of a visit."""
        staff = visit.place.staff[visit.doctor]
        if visit.vaccine is not None:
            self._add_dose(visit, staff, *visit.vaccine)
            return
        at = moment(visit.day, visit.minute)
        doctor, place = practitioner_reference(staff), organization_reference(visit.place)
        encounter = self._add_encounter(visit, at, doctor, place)
        shared = {"subject": self._patient, "encounter": encounter}
        for diagnosis in visit.diagnoses:
            self._add_condition(visit, diagnosis, shared, at, doctor)
        self._add_vitals(visit.vitals, shared, at, doctor)
        for panel, findings in visit.panels:
            self._add_panel(panel, findings, shared, at, place)
        if visit.outcome is not None:
            self._add_outcome(visit, shared, at, doctor)
        for medicine in visit.medicines:
            self._add_medicine(visit, medicine, shared, at, doctor)
        if visit.kind in {"outpatient", "inpatient", "delivery"} and not visit.is_newborn:
            self._add_claim(visit, at, place, encounter)

    def _add_encounter(
        self, visit: Visit, at: str, doctor: Reference, place: Reference
    ) -> Reference:
        stays = visit.kind in {"inpatient", "delivery"}
        end = moment(
            visit.day + timedelta(days=visit.days), visit.minute + 25 if not stays else 630
        )
        # A stay that began on the last day goes on.
        period = {"start": at} if stays and not visit.days else {"start": at, "end": end}
        return self._sheet.add(
            {
                "resourceType": "Encounter",
                "meta": FICTIONAL,
                "status": "finished" if "end" in period else "in-progress",
                "class": _CLASSES["inpatient" if stays else "outpatient"],
                "type": [{"text": _ENCOUNTER_TYPES[visit.kind]}],
                "serviceType": {"text": visit.place.staff[visit.doctor].department},
                "subject": self._patient,
                "participant": [{"individual": doctor}],
                "period": period,
                "serviceProvider": place,
            }
        )

    def _add_condition(
        self,
        visit: Visit,
        diagnosis: Diagnosis,
        shared: dict[str, Reference],
        at: str,
        doctor: Reference,
    ) -> None:
        category = [_ENCOUNTER_DIAGNOSIS]
        if diagnosis.notifiable:
            category.append(_NOTIFIABLE)
        lasting = diagnosis.since is not None
        self._sheet.add(
            {
                "resourceType": "Condition",
                "meta": FICTIONAL,
                "clinicalStatus": _ACTIVE if lasting else _RESOLVED,
                "verificationStatus": _CONFIRMED,
                "category": category,
                "code": coding(DIAGNOSES.system, diagnosis.code, diagnosis.name),
                **shared,
                "onsetDateTime": (diagnosis.since or visit.day).isoformat(),
                "recordedDate": at,
                "recorder": doctor,
            }
        )

    def _add_vitals(
        self, findings: list[Finding], shared: dict[str, Reference], at: str, doctor: Reference
    ) -> None:
        pressure = [finding for finding in findings if finding.key in {"systolic", "diastolic"}]
        if pressure:
            components = [{"code": _measured_code(part), **_measured(part)} for part in pressure]
            body = {"code": _PRESSURE, **shared, "effectiveDateTime": at, "performer": [doctor]}
            self._sheet.add(
                {
                    "resourceType": "Observation",
                    "meta": FICTIONAL,
                    "status": "final",
                    "category": _VITAL,
                    **body,
                    "component": components,
                }
            )
        for finding in findings:
            if finding.key not in {"systolic", "diastolic"}:
                category = _LABORATORY if finding.key in {"fasting_glucose", "hba1c"} else _VITAL
                self._add_observation(finding, category, shared, at, doctor)

    def _add_observation(
        self,
        finding: Finding,
        category: list[dict[str, Any]],
        shared: dict[str, Reference],
        at: str,
        performer: Reference,
    ) -> Reference:
        return self._sheet.add(
            {
                "resourceType": "Observation",
                "meta": FICTIONAL,
                "status": "final",
                "category": category,
                "code": _measured_code(finding),
                **shared,
                "effectiveDateTime": at,
                "performer": [performer],
                **_measured(finding, is_ranged=category is _LABORATORY),
            }
        )

    def _add_panel(
        self,
        panel: Panel,
        findings: list[Finding],
        shared: dict[str, Reference],
        at: str,
        place: Reference,
    ) -> None:
        results = [
            self._add_observation(finding, _LABORATORY, shared, at, place) for finding in findings
        ]
        if len(results) > 1:
            self._sheet.add(
                {
                    "resourceType": "DiagnosticReport",
                    "meta": FICTIONAL,
                    "status": "final",
                    "category": _LABORATORY_REPORT,
                    "code": coding(_LOINC, panel.code, panel.name),
                    **shared,
                    "effectiveDateTime": at,
                    "issued": at,
                    "performer": [place],
                    "result": results,
                }
            )

    def _add_outcome(
        self, visit: Visit, shared: dict[str, Reference], at: str, doctor: Reference
    ) -> None:
        self._sheet.add(
            {
                "resourceType": "Observation",
                "meta": FICTIONAL,
                "status": "final",
                "category": _SURVEY,
                "code": _FOLLOW_UP,
                **shared,
                "effectiveDateTime": at,
                "performer": [doctor],
                "valueCodeableConcept": _OUTCOMES[visit.outcome or "satisfied"],
            }
        )

    def _add_medicine(
        self,
        visit: Visit,
        medicine: Medicine,
        shared: dict[str, Reference],
        at: str,
        doctor: Reference,
    ) -> None:
        what = _medicine_code(medicine)
        quantity = {"value": medicine.packages, "unit": medicine.unit}
        order = self._sheet.add(
            {
                "resourceType": "MedicationRequest",
                "meta": FICTIONAL,
                "status": "completed",
                "intent": "order",
                "medicationCodeableConcept": what,
                **shared,
                "authoredOn": at,
                "requester": doctor,
                "dosageInstruction": [{"text": medicine.directions}],
                "dispenseRequest": {
                    "quantity": quantity,
                    "expectedSupplyDuration": {
                        "value": _PACKAGE_DAYS if visit.kind == "follow_up" else 7,
                        "unit": "天",
                        "system": _UCUM,
                        "code": "d",
                    },
                },
            }
        )
        if visit.is_dispensed:
            self._sheet.add(
                {
                    "resourceType": "MedicationDispense",
                    "meta": FICTIONAL,
                    "status": "completed",
                    "medicationCodeableConcept": what,
                    "subject": self._patient,
                    "context": shared["encounter"],
                    "authorizingPrescription": [order],
                    "quantity": quantity,
                    "whenHandedOver": moment(visit.day, visit.minute + 20),
                }
            )

    def _add_claim(self, visit: Visit, at: str, place: Reference, encounter: Reference) -> None:
        charges = _charges(visit)
        items = [
            {
                "sequence": sequence,
                "category": _CHARGES[category],
                "productOrService": what,
                "servicedDate": visit.day.isoformat(),
                "quantity": {"value": quantity},
                "unitPrice": yuan(unit_fen),
                "net": yuan(unit_fen * quantity),
                "encounter": [encounter],
            }
            for sequence, (category, what, quantity, unit_fen) in enumerate(charges, 1)
        ]
        self._sheet.add(
            {
                "resourceType": "Claim",
                "meta": FICTIONAL,
                "status": "active",
                "type": _CLAIM_TYPES["outpatient" if visit.kind == "outpatient" else "inpatient"],
                "use": "claim",
                "patient": self._patient,
                "created": at,
                "provider": place,
                "priority": _NORMAL,
                "insurance": [{"sequence": 1, "focal": True, "coverage": self._coverage}],
                "item": items,
                "total": yuan(sum(quantity * unit_fen for _, _, quantity, unit_fen in charges)),
            }
        )

    def _add_dose(self, visit: Visit, staff: Staff, vaccine: Vaccine, dose: int) -> None:
        self._sheet.add(
            {
                "resourceType": "Immunization",
                "meta": FICTIONAL,
                "status": "completed",
                "vaccineCode": coding(SYSTEMS.vaccine, vaccine.code, vaccine.name),
                "patient": self._patient,
                "occurrenceDateTime": moment(visit.day, visit.minute),
                "primarySource": True,
                "lotNumber": f"F{visit.day:%y%m}{len(vaccine.name):02d}",
                "performer": [
                    {"actor": practitioner_reference(staff)},
                    {"actor": organization_reference(visit.place)},
                ],
                "protocolApplied": [{"series": "国家免疫规划", "doseNumberPositiveInt": dose}],
            }
        )


def add_allergy(sheet: Sheet, registration: Registration, patient: Reference) -> None:
    """Adds what the person cannot bear, as told at registration."""
    if registration.human.allergy is not None:
        sheet.add(
            {
                "resourceType": "AllergyIntolerance",
                "meta": FICTIONAL,
                "clinicalStatus": coded(f"{_HL7}/allergyintolerance-clinical", "active"),
                "verificationStatus": coded(f"{_HL7}/allergyintolerance-verification", "confirmed"),
                "criticality": "high",
                "code": {"text": registration.human.allergy},
                "patient": patient,
            }
        )


def add_blood_type(
    sheet: Sheet, registration: Registration, patient: Reference, day: date, dice: Dice
) -> None:
    """Adds what the laboratory found of a person's blood type; the dice are of the person, so that
    every institution finds the same.
    """
    for part in LABORATORY.blood:
        (code, name) = dice.draw(Weighted(((one[0], one[1]), one[2]) for one in part.answers))
        sheet.add(
            {
                "resourceType": "Observation",
                "meta": FICTIONAL,
                "status": "final",
                "category": _LABORATORY,
                "code": coding(_LOINC, part.code, part.name),
                "subject": patient,
                "effectiveDateTime": day.isoformat(),
                "performer": [organization_reference(registration.place)],
                "valueCodeableConcept": coding(_LOINC, code, name),
            }
        )


def add_death(
    sheet: Sheet, registration: Registration, patient: Reference, died: date, cause: Diagnosis
) -> None:
    """Adds the cause of death as the certificate gives it."""
    sheet.add(
        {
            "resourceType": "Observation",
            "meta": FICTIONAL,
            "status": "final",
            "category": _SURVEY,
            "code": coding(_LOINC, "69453-9", "根本死因"),
            "subject": patient,
            "effectiveDateTime": died.isoformat(),
            "performer": [organization_reference(registration.place)],
            "valueCodeableConcept": coding(DIAGNOSES.system, cause.code, cause.name),
        }
    )


def _measured_code(finding: Finding) -> dict[str, Any]:
    measured = MEASUREMENTS[finding.key]
    return _CODES[measured.key]


_CODES = {
    key: coding(_LOINC, measured.code, measured.name) for key, measured in MEASUREMENTS.items()
}


def _measured(finding: Finding, *, is_ranged: bool = False) -> dict[str, Any]:
    """The value, with its range where it is beyond it, or comes from a laboratory."""
    measured = MEASUREMENTS[finding.key]
    value: dict[str, Any] = {
        "valueQuantity": {
            "value": decimal(finding.text),
            "unit": measured.unit,
            "system": _UCUM,
            "code": measured.unit,
        }
    }
    if finding.beyond:
        value["interpretation"] = _BEYOND[finding.beyond]
    if finding.beyond or is_ranged:
        value["referenceRange"] = _RANGES[measured.key]
    return value


def _range_of(measured: Measurement) -> list[dict[str, Any]]:
    unit = {"unit": measured.unit, "system": _UCUM, "code": measured.unit}
    return [{"low": {"value": measured.low, **unit}, "high": {"value": measured.high, **unit}}]


_RANGES = {key: _range_of(measured) for key, measured in MEASUREMENTS.items()}


def _medicine_code(medicine: Medicine) -> dict[str, Any]:
    return {
        "coding": [
            {"system": SYSTEMS.medicine, "code": medicine.key, "display": medicine.name},
            {"system": _ATC, "code": medicine.atc},
        ],
        "text": f"{medicine.name} {medicine.strength}",
    }


def _charges(visit: Visit) -> list[tuple[str, dict[str, Any], int, int]]:
    """The bill: category, what, quantity, price of one in fen."""
    charges: list[tuple[str, dict[str, Any], int, int]] = [
        ("service", {"text": "诊查费"}, 1, visit.place.kind.registration_fen)
    ]
    charges += [
        ("medicine", _medicine_code(medicine), medicine.packages, medicine.price_fen)
        for medicine in visit.medicines
    ]
    charges += [
        ("examination", coding(_LOINC, panel.code, panel.name), 1, panel.price_fen)
        for panel, _ in visit.panels
    ]
    if visit.days:
        charges.append(("service", {"text": "住院床位及护理费"}, visit.days, _BED_DAY_FEN))
        charges.append(("material", {"text": "一次性卫生材料"}, visit.days, _MATERIAL_DAY_FEN))
    if visit.kind == "delivery":
        charges.append(("service", {"text": "接生"}, 1, _DELIVERY_FEN))
    return charges
