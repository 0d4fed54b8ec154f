"""Actors, rules, the guard and the access log: the only way to personal data for everyone above."""

from quanmin.records.catalogue import IndexRule
from quanmin.records.model import Batch, EntryOutcome, Hits, Outcome, Stored
from quanmin.records.portions import Extent, Portion
from quanmin.records.readiness import Indexed, Readiness
from quanmin.records.related import Related
from quanmin.trust.actors import Actor, Actors, Role
from quanmin.trust.allowances import Allowance, Allowances, Spending
from quanmin.trust.deciding import grant_projections
from quanmin.trust.desk import Desk
from quanmin.trust.errands import Errand, Errands, Mandate, Prepare, carry_on, is_errand
from quanmin.trust.exporting import Exporting, Taken
from quanmin.trust.guard import Guard, GuardedRecords
from quanmin.trust.log import AccessLog, Notary, Together, Witness
from quanmin.trust.questions import Question
from quanmin.trust.showing import Part, Timeline
from quanmin.trust.validating import is_breaking

__all__ = [
    "AccessLog",
    "Actor",
    "Actors",
    "Allowance",
    "Allowances",
    "Batch",
    "Desk",
    "EntryOutcome",
    "Errand",
    "Errands",
    "Exporting",
    "Extent",
    "Guard",
    "GuardedRecords",
    "Hits",
    "IndexRule",
    "Indexed",
    "Mandate",
    "Notary",
    "Outcome",
    "Part",
    "Portion",
    "Prepare",
    "Question",
    "Readiness",
    "Related",
    "Role",
    "Spending",
    "Stored",
    "Taken",
    "Timeline",
    "Together",
    "Witness",
    "carry_on",
    "grant_projections",
    "is_breaking",
    "is_errand",
]
