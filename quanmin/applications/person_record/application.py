"""The declaration of the person's record.

The one value from which the kit wires, limits and lists it.
"""

from __future__ import annotations

from quanmin.applications.person_record import pages
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.lifecycle.petitions import Petitions
from quanmin.web import Application, Front, Text

APPLICATION = Application(
    name="person_record",
    title=Text(zh="个人健康档案", en="Person's record"),
    summary=Text(
        zh="按姓名、拼音、身份号码或电话查找一个人，跨机构阅读其健康档案。",
        en="Find a person by name, pinyin, identity number or phone; read their whole record.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset(
        {
            *("operator", "institution", "doctor", "nurse", "public_health_worker"),
            *("resident", "guardian"),
        }
    ),
    reads=frozenset(
        # who and where
        {"Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location"}
        # what was done and found
        | {
            "Encounter",
            "EpisodeOfCare",
            "Condition",
            "Observation",
            "DiagnosticReport",
            "Procedure",
        }
        | {"Specimen", "ImagingStudy", "Media", "ServiceRequest", "FamilyMemberHistory", "Device"}
        | {"AllergyIntolerance", "Immunization", "Flag", "RiskAssessment", "ClinicalImpression"}
        | {"MedicationRequest", "MedicationDispense", "MedicationStatement", "Medication"}
        | {"MedicationAdministration", "Composition", "DocumentReference", "QuestionnaireResponse"}
        # what is planned, agreed and paid
        | {"CarePlan", "CareTeam", "Goal", "Appointment", "Consent", "Communication", "Task"}
        | {"ChargeItem", "Claim", "ExplanationOfBenefit", "Coverage", "Invoice", "Provenance"}
    ),
    desks=frozenset({Petitions, Emergencies}),
    may_state=frozenset({"BTG"}),
    section="care",
    home="/people",
    pages=pages.PAGES,
    # A resident has one record and searches for nobody.
    front=Front("person_record/box.html", pages.SEARCHERS),
)
