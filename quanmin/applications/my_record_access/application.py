"""The declaration of the pages of access to one's own record."""

from __future__ import annotations

from quanmin.applications.my_record_access import consent_pages, pages
from quanmin.trust.record_access import RecordAccess
from quanmin.web import Application, Text

APPLICATION = Application(
    name="my_record_access",
    title=Text(zh="谁能看我的档案", en="Who sees my record"),
    summary=Text(
        zh="查看谁可以、谁曾经调阅本人档案；作出、撤回授权，拒绝调阅。",
        en="See who may look at your record and who has; give, withdraw and refuse consent.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.ASKERS.roles or frozenset(),
    reads=frozenset({"Patient", "Consent", "Organization"}),
    writes=frozenset({"Consent"}),
    desks=frozenset({RecordAccess}),
    purpose="PATRQT",
    section="residents",
    home="/my-record-access",
    pages=(*pages.PAGES, *consent_pages.PAGES),
)
