"""The declaration of the application."""

from __future__ import annotations

from quanmin.applications.notifiable_diagnoses import pages, suspected
from quanmin.web import Application, Text

APPLICATION = Application(
    name="notifiable_diagnoses",
    title=Text(zh="待报告诊断", en="Diagnoses to be reported"),
    summary=Text(zh="依法应报告的诊断及其报告卡", en="Notifiable diagnoses and their cards"),
    levels=frozenset({"county", "city", "province"}),
    roles=frozenset({"doctor"}),
    reads=frozenset({"Condition", "Encounter", "Patient", "Task"}),
    purpose="PUBHLTH",
    section="public_health",
    home="/notifiable",
    pages=(*pages.PAGES, *suspected.PAGES),
)
