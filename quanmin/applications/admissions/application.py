"""The declaration of the pages of admissions."""

from __future__ import annotations

from quanmin.applications.admissions import pages, steps
from quanmin.trust.registers import Registers
from quanmin.web import Application, Text

APPLICATION = Application(
    name="admissions",
    title=Text(zh="准入登记簿", en="Register of admissions"),
    summary=Text(
        zh="应用程序、设备、社会机构与受托运营方的申请、审查、协议期限与撤销。",
        en="Which apps, devices, parties and operators are admitted, for how long, and why not.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.ASKING.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({Registers}),
    purpose="HOPERAT",
    section="registers",
    work=pages.work,
    home="/admissions",
    pages=(*steps.PAGES, *pages.PAGES),
)
