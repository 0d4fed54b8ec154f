"""The declaration of the register of contraindications."""

from __future__ import annotations

from quanmin.applications.vaccination_findings import pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="vaccination_findings",
    title=Text(zh="接种禁忌登记", en="Contraindications of vaccines"),
    summary=Text(
        zh="登记接种禁忌及其结束日期，供各接种单位接种前核对。",
        en="What stands against vaccines, until when, for whoever gives the next dose.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.VACCINATORS,
    reads=frozenset({"Patient", "Flag", "Organization", "AllergyIntolerance"}),
    writes=frozenset({"Flag", "QuestionnaireResponse"}),
    purpose="PUBHLTH",
    section="public_health",
    menu_roles=frozenset(),  # its pages are of one person, and that person's page leads there
    pages=pages.PAGES,
)
