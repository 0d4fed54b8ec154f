"""The declaration of the pages of the register of practitioners."""

from __future__ import annotations

from quanmin.applications.practitioners import keeping, pages
from quanmin.trust.registers import Registers
from quanmin.web import Application, Text

APPLICATION = Application(
    name="practitioners",
    title=Text(zh="医务人员登记簿", en="Register of practitioners"),
    summary=Text(
        zh="按日期查询医务人员的执业证书、范围、效期、状态与执业地点，登记并变更。",
        en="Which licences hold on a day, for what and where; enter and change them.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.ASKING.roles or frozenset(),
    reads=frozenset({"Practitioner", "PractitionerRole", "Organization"}),
    writes=frozenset({"Practitioner", "PractitionerRole"}),
    desks=frozenset({Registers}),
    purpose="HOPERAT",
    section="registers",
    home="/practitioners",
    # What has a name of its own stands before what any id matches.
    pages=(*keeping.PAGES, *pages.PAGES),
)
