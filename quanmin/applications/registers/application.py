"""The declaration of the registers' pages."""

from __future__ import annotations

from quanmin.applications.registers import pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="registers",
    title=Text(zh="机构登记簿", en="Register of institutions"),
    summary=Text(
        zh="按日期查询机构的状态、级别与类别，查看其历史。",
        en="Ask which institutions there are on a day, in which state; see their history.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.KEEPERS.roles or frozenset(),
    reads=frozenset({"Organization"}),
    purpose="HOPERAT",
    home="/registers/institutions",
    pages=pages.PAGES,
)
