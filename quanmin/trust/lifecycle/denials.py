"""The Consent by which an objection or a restriction refuses other institutions from the moment it
is filed: it holds until the person takes it back, with the petition or by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quanmin.base.problems import Gone, Invalid, NotFound, Sentence
from quanmin.fhir.json import decode, encode
from quanmin.records.operation import Operation
from quanmin.records.visibility import Everything
from quanmin.trust.deciding import CONSENT
from quanmin.trust.lifecycle.petition_record import write_denial
from quanmin.trust.lifecycle.petition_rules import petition_rules

if TYPE_CHECKING:
    from quanmin.records.model import Stored
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.lifecycle.petition_filing import Filing
    from quanmin.trust.lifecycle.petition_record import Petition
    from quanmin.trust.lifecycle.petition_rules import Kind

FILED: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
"""What the petition calls it in the transaction that writes both."""


def denial(patient_id: str, filing: Filing, kind: Kind, instant: str) -> Operation:
    """What writes it. Raises Invalid for a use that nobody can object to."""
    known = {one.code for one in petition_rules().use}
    if set(filing.uses) - known:
        raise Invalid(
            Sentence("the uses to object to are %(known)s", known=", ".join(sorted(known)))
        )
    body = write_denial(patient_id, filing.uses, instant, kind.source)
    return Operation(kind="create", type=CONSENT, body=body, full_url=FILED)


async def holds(guard: Guarding, petition: Petition) -> bool:
    """Whether it refuses others still."""
    return await _in_force(guard, petition) is not None


async def ended(guard: Guarding, petition: Petition) -> list[Operation]:
    """What takes it back, if it holds."""
    found = await _in_force(guard, petition)
    if found is None:
        return []
    stored, consent = found
    body = encode(consent | {"status": "inactive"})
    version = stored.version
    return [Operation(kind="update", type=CONSENT, id=stored.id, body=body, if_match=version)]


async def _in_force(guard: Guarding, petition: Petition) -> tuple[Stored, dict[str, Any]] | None:
    type_, _, id_ = petition.denial.partition("/")
    if type_ != CONSENT:
        return None
    try:
        stored = await guard.store.glance(Everything(), CONSENT, id_, guard.store.whole_node)
    except (Gone, NotFound):
        return None
    consent: dict[str, Any] = decode(stored.body or b"{}")
    return (stored, consent) if consent.get("status") == "active" else None
