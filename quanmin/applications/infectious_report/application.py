"""The declaration of the application."""

from __future__ import annotations

from quanmin.applications.infectious_report import entering, lists, pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="infectious_report",
    title=Text(zh="传染病报告", en="Infectious disease reports"),
    summary=Text(
        zh="填报、审核、转出与订正传染病报告卡", en="Cards entered, reviewed, handed over, revised"
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset({"doctor", "nurse", "public_health_worker", "resident", "guardian"}),
    reads=frozenset(
        {"Condition", "Observation", "Organization", "Patient", "QuestionnaireResponse", "Task"}
    ),
    writes=frozenset({"Patient", "QuestionnaireResponse", "Task"}),
    purpose="PUBHLTH",
    section="public_health",
    home="/infectious",
    pages=(*lists.PAGES, *entering.PAGES, *pages.PAGES),
    work=lists.work,
)
