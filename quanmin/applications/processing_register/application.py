"""The declaration of the pages of the processing register."""

from __future__ import annotations

from quanmin.applications.processing_register import lists, pages
from quanmin.trust.lifecycle.activities import ProcessingRegister
from quanmin.web import Application, Text

APPLICATION = Application(
    name="processing_register",
    title=Text(zh="处理活动登记", en="Processing register"),
    summary=Text(
        zh="登记个人信息处理活动的目的、依据、接收方、期限与影响评估，并显示缺口。",
        en="What is done with personal data, why, on what ground, at what risk; and what lacks.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=lists.READERS.roles or frozenset(),
    reads=frozenset({"Organization"}),
    desks=frozenset({ProcessingRegister}),
    purpose="HOPERAT",
    section="trust",
    home="/processing_register",
    pages=pages.PAGES,
)
