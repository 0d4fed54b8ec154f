"""The declaration of the pages of devices."""

from __future__ import annotations

from quanmin.applications.offline_devices import pages
from quanmin.trust.devices import Devices
from quanmin.web import Application, Text

APPLICATION = Application(
    name="offline_devices",
    title=Text(zh="离线设备", en="Offline devices"),
    summary=Text(
        zh="外出携带个案的设备：何人、何时携带、何时到期；遗失即吊销。",
        en="On which devices people are taken along, by whom, until when; a lost one is revoked.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.KEEPERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({Devices}),
    purpose="HSYSADMIN",
    section="trust",
    home=pages.LIST,
    pages=pages.PAGES,
)
