"""The declaration of the follow-up of chronic diseases."""

from __future__ import annotations

from quanmin.applications.chronic_followup import enrolling, following, lists, mistakes
from quanmin.trust.devices import Devices
from quanmin.web import Application, Text
from quanmin.web.chronic import WORKERS

APPLICATION = Application(
    name="chronic_followup",
    title=Text(zh="慢性病随访管理", en="Follow-up of chronic diseases"),
    summary=Text(
        zh="高血压与2型糖尿病患者的建档、随访评估、转诊与结案。",
        en="Hypertension and type-2 diabetes: enrolled, visited, referred and returned, closed.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=WORKERS,
    reads=frozenset({"Patient", "Organization", "AllergyIntolerance", "Condition", "Observation"})
    | {"EpisodeOfCare", "MedicationStatement", "QuestionnaireResponse", "Task"},
    writes=frozenset({"Condition", "EpisodeOfCare", "MedicationStatement", "Observation"})
    | {"QuestionnaireResponse", "Task"},
    desks=frozenset({Devices}),
    purpose="CAREMGT",
    section="public_health",
    home="/chronic/patients",
    pages=(*lists.PAGES, *enrolling.PAGES, *following.PAGES, *mistakes.PAGES),
    work=lists.work,
)
