"""The declaration of the register of severe mental disorders."""

from __future__ import annotations

from quanmin.applications.mental_register import lists, pages
from quanmin.web import Application, Text
from quanmin.web.mental_health import HOME, OWN_ROLES, STAFF_ROLES

APPLICATION = Application(
    name="mental_register",
    title=Text(zh="严重精神障碍管理", en="Severe mental disorders"),
    summary=Text(
        zh="在管名册、应随访名单、个人随访情况与分乡镇统计，仅限承担该项职责的人员。",
        en="Who is followed up and who is due, one person's follow-up, counts by township.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=STAFF_ROLES | OWN_ROLES,
    reads=frozenset(
        {"Patient", "Organization", "AllergyIntolerance", "CarePlan", "RiskAssessment"}
        | {"QuestionnaireResponse"}
    ),
    purpose="PUBHLTH",
    may_state=frozenset({"PATRQT", "FAMRQT"}),
    section="public_health",
    home=HOME,
    menu_roles=STAFF_ROLES,
    pages=(*lists.PAGES, *pages.PAGES),
    work=lists.work,
)
