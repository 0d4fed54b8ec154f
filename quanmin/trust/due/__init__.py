"""Who is due for what: kept beside the records in the transaction that writes them, and read like
them, by what each may see.

What a plan means is not known here: whoever makes lists hands in what evaluates it (`Planned`).
"""

from quanmin.trust.due.index import DueIndex
from quanmin.trust.due.keeping import DueKeeping
from quanmin.trust.due.lists import DueLists
from quanmin.trust.due.model import (
    STATUSES,
    WORDS,
    Asked,
    Escalating,
    Known,
    Line,
    Planned,
    Reminder,
    Status,
    Stood,
)
from quanmin.trust.due.progress import Progress, progress_of
from quanmin.trust.due.reading import DueRow, DueSlice, Schedule
from quanmin.trust.due.renewing import again_kind, begin_renewals, put_again, renew_all, renew_kind
from quanmin.trust.due.telling import put_telling, tell_kind

__all__ = [
    "STATUSES",
    "WORDS",
    "Asked",
    "DueIndex",
    "DueKeeping",
    "DueLists",
    "DueRow",
    "DueSlice",
    "Escalating",
    "Known",
    "Line",
    "Planned",
    "Progress",
    "Reminder",
    "Schedule",
    "Status",
    "Stood",
    "again_kind",
    "begin_renewals",
    "progress_of",
    "put_again",
    "put_telling",
    "renew_all",
    "renew_kind",
    "tell_kind",
]
