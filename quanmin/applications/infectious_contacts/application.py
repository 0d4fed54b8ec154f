"""The declaration of the application."""

from __future__ import annotations

from quanmin.applications.infectious_contacts import pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="infectious_contacts",
    title=Text(zh="密切接触者", en="Close contacts"),
    summary=Text(zh="登记、随访与解除医学观察", en="Listed, visited, observed until they are free"),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset({"public_health_worker"}),
    reads=frozenset({"Organization", "Patient", "QuestionnaireResponse", "Task"}),
    writes=frozenset({"Patient", "QuestionnaireResponse", "Task"}),
    purpose="PUBHLTH",
    section="public_health",
    home="/contacts",
    pages=pages.PAGES,
    work=pages.work,
)
