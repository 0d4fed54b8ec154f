"""The declaration of the counter's pages."""

from __future__ import annotations

from quanmin.applications.enrolment import pages
from quanmin.trust.sign_in.enrolling import EnrolmentDesk
from quanmin.web import Application, Text

APPLICATION = Application(
    name="enrolment",
    title=Text(zh="居民实名开户", en="Enrol residents"),
    summary=Text(
        zh="在窗口核验证件，为居民开通账户或找回登录方式。",
        en="Check a document at the counter; open a resident's account, or open it anew.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.COUNTER.roles or frozenset(),
    reads=frozenset({"Patient"}),
    desks=frozenset({EnrolmentDesk}),
    purpose="HOPERAT",
    home="/enrolment",
    pages=pages.PAGES,
)
