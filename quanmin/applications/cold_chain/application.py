"""The declaration of the cold chain."""

from __future__ import annotations

from quanmin.applications.cold_chain import pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="cold_chain",
    title=Text(zh="疫苗冷链", en="Cold chain"),
    summary=Text(
        zh="冷链设备的温度记录、温度异常及其涉及的批号。",
        en="Temperatures of stores, excursions, and the lots that they touch.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.VACCINATORS,
    reads=frozenset({"Device", "Observation", "Substance"}),
    writes=frozenset({"Device", "Observation"}),
    purpose="PUBHLTH",
    section="public_health",
    home=pages.COLD_CHAIN,
    work=pages.work,
    pages=pages.PAGES,
)
