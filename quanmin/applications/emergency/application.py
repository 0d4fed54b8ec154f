"""The declaration of the pages that open a record in an emergency."""

from __future__ import annotations

from quanmin.applications.emergency import pages
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.web import Application, Text

APPLICATION = Application(
    name="emergency",
    title=Text(zh="紧急破窗调阅", en="Emergency"),
    summary=Text(
        zh="紧急情况下说明理由后限时调阅一人的档案；本人即时获知，事后复核。",
        en="Open one person's record for a short time, with a reason; they are told.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.OPENERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({Emergencies, EmergencyReviews}),
    purpose="BTG",
    section="care",
    home="/emergency",
    pages=pages.PAGES,
)
