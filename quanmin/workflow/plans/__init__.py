"""Plans: a FHIR PlanDefinition (R4), compiled once, tells where people stand on a day.

`due_items` answers for one person, with every reason; `standings` for a county, in columns. Nothing
here reads or writes: facts are handed in.
"""

from quanmin.workflow.plans.compiling import compile_plan
from quanmin.workflow.plans.declaring import Declared, declare, load_plans
from quanmin.workflow.plans.evaluating import counted, due_items, would_count
from quanmin.workflow.plans.facts import Event, Facts, State
from quanmin.workflow.plans.lines import Explained, Keeper
from quanmin.workflow.plans.mapping import FactTable, Found, compile_facts, facts_of
from quanmin.workflow.plans.model import Item, Place, Plan, Reason
from quanmin.workflow.plans.population import Population, population_of
from quanmin.workflow.plans.sets import Standing, standings
from quanmin.workflow.plans.spans import Span, after
from quanmin.workflow.plans.tasks import task_of

__all__ = [
    "Declared",
    "Event",
    "Explained",
    "FactTable",
    "Facts",
    "Found",
    "Item",
    "Keeper",
    "Place",
    "Plan",
    "Population",
    "Reason",
    "Span",
    "Standing",
    "State",
    "after",
    "compile_facts",
    "compile_plan",
    "counted",
    "declare",
    "due_items",
    "facts_of",
    "load_plans",
    "population_of",
    "standings",
    "task_of",
    "would_count",
]
