"""The declaration of vaccination."""

from __future__ import annotations

from quanmin.applications.immunization import certificates, children, doses, due
from quanmin.web import Application, Text

APPLICATION = Application(
    name="immunization",
    title=Text(zh="预防接种", en="Vaccination"),
    summary=Text(
        zh="按国家免疫规划（2026年版）接种、补种、禁忌、疑似异常反应、接种证明与入学查验。",
        en="By the national schedule of 2026: due, catch-up, contraindications, adverse events, "
        "certificates, entry to school.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=children.VACCINATORS | children.OWN,
    reads=frozenset(
        {"Patient", "Immunization", "Flag", "Observation", "AllergyIntolerance", "Organization"}
        | {"Substance", "Device", "Basic"}
    ),
    writes=frozenset({"Immunization", "Substance", "SupplyDelivery", "QuestionnaireResponse"}),
    purpose="PUBHLTH",
    may_state=frozenset({"PATRQT", "FAMRQT"}),
    section="public_health",
    home="/vaccination",
    work=due.work,
    pages=(*due.PAGES, *children.PAGES, *doses.PAGES, *certificates.PAGES),
)
