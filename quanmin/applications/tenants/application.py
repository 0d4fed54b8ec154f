"""The declaration of the pages of tenants."""

from __future__ import annotations

from quanmin.applications.tenants import pages
from quanmin.trust.tenancy import Tenancy
from quanmin.web import Application, Text

APPLICATION = Application(
    name="tenants",
    title=Text(zh="租户", en="Tenants"),
    summary=Text(
        zh="本节点的租户、所属机构、共享协议，以及各租户启用的应用。",
        en="The agencies of this node, their institutions, agreements and applications.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.KEEPERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({Tenancy}),
    purpose="HSYSADMIN",
    section="node",
    home="/tenants",
    pages=pages.PAGES,
)
