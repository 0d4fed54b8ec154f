"""The declaration of the application."""

from __future__ import annotations

from quanmin.applications.direct_reporting import pages
from quanmin.trust.outgoing import OutgoingMessages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="direct_reporting",
    title=Text(zh="国家直报", en="National direct reporting"),
    summary=Text(zh="报告卡上传、回执与重发", en="Cards sent on, answers, what is sent again"),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset({"public_health_worker"}),
    reads=frozenset({"Task"}),
    desks=frozenset({OutgoingMessages}),
    purpose="PUBHLTH",
    section="public_health",
    home="/direct-reporting",
    pages=pages.PAGES,
)
