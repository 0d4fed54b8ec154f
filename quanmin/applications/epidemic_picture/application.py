"""The declaration of the application."""

from __future__ import annotations

from quanmin.applications.epidemic_picture import pages, released, signals
from quanmin.trust.case_counts import CaseCounts
from quanmin.web import Application, Text

APPLICATION = Application(
    name="epidemic_picture",
    title=Text(zh="疫情曲线与地图", en="Epidemic curve and map"),
    summary=Text(zh="报告病例的时间与地区分布", en="Reported cases by time and area"),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset({"public_health_worker", "supervisor"}),
    reads=frozenset({"Organization", "Task"}),
    desks=frozenset({CaseCounts}),
    purpose="PUBHLTH",
    section="public_health",
    home="/epidemic",
    pages=(*pages.PAGES, *signals.PAGES, *released.PAGES),
)
