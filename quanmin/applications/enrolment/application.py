"""The declaration of the counter's pages."""

from __future__ import annotations

from quanmin.applications.enrolment import guardians, pages
from quanmin.applications.enrolment.told import COUNTER
from quanmin.trust.sign_in.enrolling import EnrolmentDesk
from quanmin.trust.sign_in.guardianship import GuardianDesk
from quanmin.web import Application, Text

APPLICATION = Application(
    name="enrolment",
    title=Text(zh="居民实名开户", en="Enrol residents"),
    summary=Text(
        zh="在窗口核验证件，为居民开通账户或找回登录方式，登记监护人与受托人。",
        en="Check documents at the counter; open residents' accounts, enter guardians and proxies.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=COUNTER.roles or frozenset(),
    reads=frozenset({"Patient"}),
    desks=frozenset({EnrolmentDesk, GuardianDesk}),
    purpose="HOPERAT",
    section="residents",
    home="/enrolment",
    pages=(*pages.PAGES, *guardians.PAGES),
)
