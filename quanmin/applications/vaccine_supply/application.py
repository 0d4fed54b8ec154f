"""The declaration of vaccine supply."""

from __future__ import annotations

from quanmin.applications.vaccine_supply import lots, pages, recalling, tracing
from quanmin.web import Application, Text

APPLICATION = Application(
    name="vaccine_supply",
    title=Text(zh="疫苗库存与追溯", en="Vaccine supply"),
    summary=Text(
        zh="按批号的出入库、盘点与效期，批号与最小包装追溯、召回。",
        en="Stock by lot and expiry, trace of lots and packages, recall.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.VACCINATORS,
    reads=frozenset(
        {"Substance", "SupplyDelivery", "Device", "Observation", "Basic"}
        | {"Immunization", "Patient"}
    ),
    writes=frozenset({"Substance", "SupplyDelivery", "Basic"}),
    purpose="PUBHLTH",
    section="public_health",
    home="/vaccine-stock",
    work=pages.work,
    pages=(*lots.PAGES, *pages.PAGES, *tracing.PAGES, *recalling.PAGES),
)
