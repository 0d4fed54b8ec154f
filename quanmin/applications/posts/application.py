"""The declaration of the pages of posts."""

from __future__ import annotations

from quanmin.applications.posts import pages
from quanmin.trust.registers import Registers
from quanmin.web import Application, Text

APPLICATION = Application(
    name="posts",
    title=Text(zh="岗位登记簿", en="Register of posts"),
    summary=Text(
        zh="谁在何机构、以何角色、承担何职责、自何时至何时；安排与终止。",
        en="Who works where, in which role and with which duties, from when to when.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.SIDES.roles or frozenset(),
    reads=frozenset({"Practitioner"}),
    desks=frozenset({Registers}),
    purpose="HOPERAT",
    section="registers",
    home="/posts",
    pages=pages.PAGES,
)
