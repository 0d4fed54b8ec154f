"""The declaration of the registers' pages."""

from __future__ import annotations

from quanmin.applications.registers import keeping, pages, sites
from quanmin.web import Application, Text

APPLICATION = Application(
    name="registers",
    title=Text(zh="机构登记簿", en="Register of institutions"),
    summary=Text(
        zh="按日期查询机构及其执业地点、状态、级别与类别，登记、变更并查看其历史。",
        en="Which institutions and sites there are on a day; enter and change them.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.KEEPERS.roles or frozenset(),
    reads=frozenset({"Organization", "Location"}),
    writes=frozenset({"Organization", "Location"}),
    purpose="HOPERAT",
    section="registers",
    home="/registers/institutions",
    # What has a name of its own stands before what any code matches.
    pages=(*keeping.PAGES, *sites.PAGES, *pages.PAGES),
)
