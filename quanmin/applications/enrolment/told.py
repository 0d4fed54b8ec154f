"""What the pages of the counter share: whose they are, and how a registration is told."""

from __future__ import annotations

from typing import Final

from quanmin.fhir.json import decode
from quanmin.trust import Role, Stored
from quanmin.trust.sign_in.acting import real_name
from quanmin.web import Access, Visit
from quanmin.web.persons import tell_patient
from quanmin.web.route import Charge

_STAFF: Final[frozenset[Role]] = frozenset(
    {"institution", "doctor", "nurse", "public_health_worker"}
)
_WITHOUT_POST: Final = _STAFF & real_name().counter.roles
COUNTER: Final = Access(
    _STAFF,
    Charge(frozenset({real_name().counter.duty}), _STAFF - _WITHOUT_POST, _WITHOUT_POST),
)


def told(visit: Visit, patient: Stored) -> str:
    """Name and birth date of a registration."""
    told_ = tell_patient(decode(patient.body or b"{}"), visit.language, visit.today)
    return " · ".join(part for part in (told_.name, told_.birth) if part)
