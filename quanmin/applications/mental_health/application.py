"""The declaration of what is recorded of severe mental disorders."""

from __future__ import annotations

from quanmin.applications.mental_health import pages, recording
from quanmin.web import Application, Text
from quanmin.web.mental_health import OWN_ROLES, STAFF_ROLES

APPLICATION = Application(
    name="mental_health",
    title=Text(zh="严重精神障碍应急报告", en="Emergencies of severe mental disorders"),
    summary=Text(
        zh="知情登记、随访、转诊与应急报告，仅限承担该项职责的人员。",
        en="Registration, visits, referral and emergencies, for those charged with them alone.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=STAFF_ROLES | OWN_ROLES,
    reads=frozenset(
        {"Patient", "Organization", "AllergyIntolerance", "CarePlan", "RiskAssessment"}
        | {"QuestionnaireResponse", "Task"}
    ),
    writes=frozenset({"CarePlan", "RiskAssessment", "QuestionnaireResponse", "Task"}),
    purpose="PUBHLTH",
    may_state=frozenset({"PATRQT", "FAMRQT"}),
    section="public_health",
    home=pages.EMERGENCIES,
    menu_roles=STAFF_ROLES,
    pages=(*recording.PAGES, *pages.PAGES),
    work=pages.work,
)
