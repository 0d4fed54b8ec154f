"""The declaration of screening and due lists for chronic diseases."""

from __future__ import annotations

from quanmin.applications.chronic_people import lists, pages
from quanmin.web import Application, Text
from quanmin.web.chronic import HOME, OWN, WORKERS

APPLICATION = Application(
    name="chronic_people",
    title=Text(zh="高血压与糖尿病", en="Hypertension and diabetes"),
    summary=Text(
        zh="筛查、到期随访、年度体检与本人随访情况。",
        en="Screening, who is due, the yearly examination, and one's own follow-up.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=WORKERS | OWN,
    reads=frozenset({"Patient", "Organization", "AllergyIntolerance", "Condition", "Observation"})
    | {"EpisodeOfCare", "QuestionnaireResponse", "Task"},
    writes=frozenset({"Observation", "QuestionnaireResponse"}),
    purpose="CAREMGT",
    may_state=frozenset({"PATRQT", "FAMRQT"}),
    section="public_health",
    home=HOME,
    pages=(*lists.PAGES, *pages.PAGES),
    work=lists.work,
)
