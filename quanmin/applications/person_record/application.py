"""The declaration of finding persons and of reading single records."""

from __future__ import annotations

from quanmin.applications.person_record import pages
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.lifecycle.petitions import Petitions
from quanmin.web import Application, Front, Text

APPLICATION = Application(
    name="person_record",
    title=Text(zh="查找居民", en="Find a person"),
    summary=Text(
        zh="按姓名、拼音、身份号码或电话查找一个人；逐条阅读记录及其历史版本。",
        en="Find a person by name, pinyin, identity number or phone; read single records.",
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
    menu_roles=pages.SEARCHERS.roles,
    pages=pages.PAGES,
    front=Front("person_record/box.html", pages.SEARCHERS.roles or frozenset()),
)
