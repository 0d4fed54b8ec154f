"""The declaration of adverse events."""

from __future__ import annotations

from quanmin.applications.adverse_events import listing, pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="adverse_events",
    title=Text(zh="疑似预防接种异常反应", en="Adverse events after vaccination"),
    summary=Text(
        zh="疑似预防接种异常反应个案的报告、调查、分类与结案。",
        en="Cases are reported, investigated, classified and closed.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.VACCINATORS,
    reads=frozenset({"Patient", "Immunization", "AdverseEvent", "Task"})
    | {"QuestionnaireResponse", "Organization", "AllergyIntolerance", "DocumentReference"},
    writes=frozenset({"AdverseEvent", "Task", "QuestionnaireResponse", "DocumentReference"}),
    purpose="PUBHLTH",
    section="public_health",
    home=pages.EVENTS,
    work=listing.work,
    pages=(*listing.PAGES, *pages.PAGES),
)
