"""What of the records is kept as grants, in the transaction that writes them."""

from __future__ import annotations

from quanmin.people import PersonIndex
from quanmin.records.context import Context
from quanmin.records.operation import Projection
from quanmin.trust.deciding.consents import ConsentIndex
from quanmin.trust.deciding.granting import GrantLinks
from quanmin.trust.deciding.treating import TreatmentIndex


def grant_projections(people: PersonIndex, context: Context) -> tuple[Projection, ...]:
    """The projections that keep grants, in their order, to run after `people`."""
    return (
        GrantLinks(people),
        TreatmentIndex(people, context),
        ConsentIndex(people, context),
    )
