"""The declaration of the rates of chronic diseases."""

from __future__ import annotations

from quanmin.applications.chronic_rates import pages
from quanmin.web import Application, Text
from quanmin.web.chronic import HOME, WORKERS

APPLICATION = Application(
    name="chronic_rates",
    title=Text(zh="慢性病管理指标", en="Rates of chronic diseases"),
    summary=Text(
        zh="规范管理率与控制率，由随访记录重新计算。",
        en="Standard management and control, recomputed from the cases of a year.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=WORKERS,
    reads=frozenset({"Task"}),
    purpose="CAREMGT",
    section="public_health",
    home=f"{HOME}/rates",
    pages=pages.PAGES,
)
