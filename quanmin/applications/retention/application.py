"""The declaration of the pages of retention."""

from __future__ import annotations

from quanmin.applications.retention import lists, pages
from quanmin.trust.lifecycle.retention_desk import RetentionDesk
from quanmin.web import Application, Text

APPLICATION = Application(
    name="retention",
    title=Text(zh="保存与删除", en="Retention"),
    summary=Text(
        zh="到期记录的查找、提请与确认删除、删除证明、暂缓删除。",
        en="What is due for deletion, who proposed and confirmed it, certificates, and holds.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=lists.KEEPERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({RetentionDesk}),
    purpose="HOPERAT",
    section="trust",
    work=pages.work,
    home="/retention",
    pages=pages.PAGES,
)
