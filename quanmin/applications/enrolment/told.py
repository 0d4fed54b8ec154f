"""What the pages of the counter share: whose they are, and how a registration is told."""

from __future__ import annotations

from typing import Final

from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web import Access, Visit
from quanmin.web.persons import tell_patient

COUNTER: Final = Access(frozenset({"institution", "doctor", "nurse", "public_health_worker"}))


def told(visit: Visit, patient: Stored) -> str:
    """Name and birth date of a registration."""
    told_ = tell_patient(decode(patient.body or b"{}"), visit.language, visit.today)
    return " · ".join(part for part in (told_.name, told_.birth) if part)
