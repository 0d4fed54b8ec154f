"""The declaration of the pages of petitions."""

from __future__ import annotations

from quanmin.applications.petitions import pages
from quanmin.trust.lifecycle.petitions import Petitions
from quanmin.web import Application, Text

APPLICATION = Application(
    name="petitions",
    title=Text(zh="居民请求", en="Petitions"),
    summary=Text(
        zh="居民查阅复制、更正、拒绝、限制、删除与投诉的请求，机构的答复与申诉。",
        en="What residents ask about their records, the answers, and appeals against these.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.SIDES.roles or frozenset(),
    reads=frozenset({"Task"}),
    desks=frozenset({Petitions}),
    purpose="PATRQT",
    section="residents",
    work=pages.work,
    home="/petitions",
    pages=pages.PAGES,
)
