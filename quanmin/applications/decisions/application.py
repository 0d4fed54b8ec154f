"""The declaration of the pages that explain decisions."""

from __future__ import annotations

from quanmin.applications.decisions import pages
from quanmin.trust.decisions import Decisions
from quanmin.web import Application, Text

APPLICATION = Application(
    name="decisions",
    title=Text(zh="访问判定说明", en="Why and why not"),
    summary=Text(
        zh="说明某人为何可以或不可以查看某条记录，并列出现行访问规则。",
        en="Why somebody can or cannot see a record, and the rules of access in force.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.READERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({Decisions}),
    purpose="HSYSADMIN",
    section="trust",
    home="/decisions",
    pages=pages.PAGES,
)
