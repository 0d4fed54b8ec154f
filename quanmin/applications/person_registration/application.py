"""The declaration of the registration of persons."""

from __future__ import annotations

from quanmin.applications.person_registration import pages
from quanmin.web import Application, Text

APPLICATION = Application(
    name="person_registration",
    title=Text(zh="居民建档登记", en="Registration of persons"),
    summary=Text(
        zh="在本机构登记居民；身份号码相同的，与其他机构的档案归为同一人。",
        en="Register somebody here; by the identity number it is one person everywhere.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.REGISTERING.roles or frozenset(),
    reads=frozenset({"Patient"}),
    writes=frozenset({"Patient"}),
    purpose="PATADMIN",
    section="residents",
    home=pages.NEW,
    pages=pages.PAGES,
)
