"""The declaration of the pages that judge emergencies."""

from __future__ import annotations

from quanmin.applications.emergency_review import pages
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.web import Application, Text

APPLICATION = Application(
    name="emergency_review",
    title=Text(zh="破窗复核", en="Emergencies to judge"),
    summary=Text(
        zh="逐件复核紧急破窗调阅，按人员与机构统计。",
        en="Judge what was opened in emergencies; statistics by person and institution.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.REVIEWERS.roles or frozenset(),
    menu_roles=frozenset({"operator", "security_administrator"}),
    reads=frozenset(),
    desks=frozenset({EmergencyReviews}),
    purpose="HSYSADMIN",
    section="trust",
    work=pages.work,
    home="/emergency-review",
    pages=pages.PAGES,
)
