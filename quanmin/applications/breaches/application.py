"""The declaration of the pages of incidents."""

from __future__ import annotations

from quanmin.applications.breaches import pages
from quanmin.trust.lifecycle.incidents import Incidents
from quanmin.web import Application, Text

APPLICATION = Application(
    name="breaches",
    title=Text(zh="安全事件处置", en="Incidents"),
    summary=Text(
        zh="个人信息安全事件：从日志确定范围，计时报告与通知，采取措施，复盘结案。",
        en="Incidents with personal data: scope from the log, clocks, notices, measures, review.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.KEEPERS.roles or frozenset(),
    reads=frozenset({"Organization"}),
    desks=frozenset({Incidents}),
    purpose="HSYSADMIN",
    section="trust",
    work=pages.work,
    home="/breaches",
    pages=pages.PAGES,
)
