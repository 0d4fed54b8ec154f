"""The extensions of a PlanDefinition that say what R4 has no element for; docs/reference/plans.md
tells what each means.
"""

from __future__ import annotations

BASE = "https://quanmin.example/fhir/StructureDefinition/plan-"

APART = f"{BASE}apart"
COUNTS = f"{BASE}counts"
EARLY = f"{BASE}early-dose"
LEAST_AGE = f"{BASE}least-age"
AGE_LIMIT = f"{BASE}age-limit"
LAPSE = f"{BASE}lapse"
OVERDUE_AGE = f"{BASE}overdue-age"
OVERDUE_AFTER = f"{BASE}overdue-after"
ESCALATION = f"{BASE}escalation"
CONTRAINDICATION = f"{BASE}contraindication"
BEGINS_STATE = f"{BASE}begins-state"
BEGINS_AGE = f"{BASE}begins-age"

OF_PLAN = frozenset({APART})
OF_ALTERNATIVES: frozenset[str] = frozenset()
_URGENCY = frozenset({OVERDUE_AGE, OVERDUE_AFTER, ESCALATION})
OF_SERIES = _URGENCY | {COUNTS, EARLY, CONTRAINDICATION, BEGINS_STATE, BEGINS_AGE}
OF_TURN = _URGENCY | {COUNTS, LEAST_AGE, AGE_LIMIT, LAPSE}
OF_CASE = frozenset({OVERDUE_AFTER, ESCALATION})
