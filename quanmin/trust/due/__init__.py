"""Who is due for what: kept beside the records in the transaction that writes them, and read like
them, by what each may see.

What a plan means is not known here: whoever makes lists hands in what evaluates it (`Planned`).
"""

from quanmin.trust.due.index import DueIndex
from quanmin.trust.due.keeping import DueKeeping
from quanmin.trust.due.lists import DueLists
from quanmin.trust.due.model import STATUSES, Asked, Known, Line, Planned, Status, Stood
from quanmin.trust.due.progress import Progress, progress_of
from quanmin.trust.due.reading import DueRow, DueSlice, Schedule
from quanmin.trust.due.renewing import again_kind, begin_renewals, put_again, renew_all, renew_kind

__all__ = [
    "STATUSES",
    "Asked",
    "DueIndex",
    "DueKeeping",
    "DueLists",
    "DueRow",
    "DueSlice",
    "Known",
    "Line",
    "Planned",
    "Progress",
    "Schedule",
    "Status",
    "Stood",
    "again_kind",
    "begin_renewals",
    "progress_of",
    "put_again",
    "renew_all",
    "renew_kind",
]
