"""The declaration of the application."""

from __future__ import annotations

from quanmin.applications.public_health_events import pages, reporting
from quanmin.web import Application, Text

APPLICATION = Application(
    name="public_health_events",
    title=Text(zh="突发公共卫生事件", en="Public health events"),
    summary=Text(
        zh="初次、进程与结案报告，核实与分级", en="Reported first, as they go on, and when over"
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset({"doctor", "nurse", "public_health_worker"}),
    reads=frozenset({"Organization", "QuestionnaireResponse", "Task"}),
    writes=frozenset({"QuestionnaireResponse", "Task"}),
    purpose="PUBHLTH",
    section="public_health",
    home="/events",
    pages=(*pages.LISTS, *reporting.PAGES, *pages.PAGES),
    work=pages.work,
)
