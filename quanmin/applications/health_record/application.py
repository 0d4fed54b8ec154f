"""The declaration of the health record."""

from __future__ import annotations

from quanmin.applications.health_record import download, pages, result_pages
from quanmin.applications.health_record.reading import OWNERS, PURPOSES
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.record_access import RecordAccess
from quanmin.web import Application, Text
from quanmin.web.kinds import event_types
from quanmin.web.route import READERS

APPLICATION = Application(
    name="health_record",
    title=Text(zh="健康档案", en="Health record"),
    summary=Text(
        zh="跨机构的健康档案：首页、时间轴、检验检查结果与趋势、下载。",
        en="A record over all institutions: front page, timeline, results and trends, download.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=READERS.roles or frozenset(),
    # What happened, and who and where it refers to.
    reads=frozenset(event_types())
    | {"Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Medication"},
    desks=frozenset({Emergencies, RecordAccess}),
    may_state=frozenset({"BTG", "PATRQT", *PURPOSES}),
    section="residents",
    home="/my-record",
    # Residents have one record; all others come to it by finding a person.
    menu_roles=OWNERS.roles,
    makes=download.MAKES,
    pages=(*pages.PAGES, *result_pages.PAGES, *download.PAGES),
)
