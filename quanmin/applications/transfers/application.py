"""The declaration of the pages of transfers abroad."""

from __future__ import annotations

from quanmin.applications.transfers import pages
from quanmin.trust.lifecycle.transfer_desk import TransferDesk
from quanmin.web import Application, Text

APPLICATION = Application(
    name="transfers",
    title=Text(zh="数据出境", en="Transfers abroad"),
    summary=Text(
        zh="境外接收方，已批准的出境：依据、批准文号、类型、数量、期限与撤回。",
        en="Recipients outside the country, and what was approved to go to them.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.READERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({TransferDesk}),
    purpose="HOPERAT",
    section="trust",
    home="/transfers",
    pages=pages.PAGES,
)
