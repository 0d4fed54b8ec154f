"""Reading in an emergency: what the visitor has opened is read for the purpose BTG, and the page
says so; what that is closed offers to be opened, whether it is there or not.
"""

from __future__ import annotations

from quanmin.trust.deciding.reaching import BREAK_GLASS
from quanmin.trust.emergencies import Emergencies
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Emergency, Visit

_MINUTE = 60_000_000


async def in_emergency(
    visit: Visit, records: DeclaredRecords, type_: str, id_: str
) -> DeclaredRecords:
    """The records as they are to be read for a page about this one. The application must declare
    the desk `Emergencies` and the purpose BTG.
    """
    if not visit.may_open_in_emergency:
        return records
    patient = id_ if type_ == "Patient" else ""
    until = await records.desk(Emergencies).under_way(type_, id_)
    visit.emergency = Emergency(patient, None)
    if until is None:
        return records
    left = max(0, until - visit.house.guard.now()) // _MINUTE
    visit.emergency = Emergency(patient, until, left)
    return records.stating(BREAK_GLASS)
