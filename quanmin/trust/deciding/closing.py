"""How much of a record its person has closed to an institution that treats them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

from quanmin.fhir.table import load_table
from quanmin.records.visibility import Facts, Grant
from quanmin.records.visibility_sql import allows
from quanmin.trust.actors import Actor
from quanmin.trust.deciding.compiling import Deciding, Ground, asking_on
from quanmin.trust.deciding.grantees import Grantees

Closed = Literal["nothing", "part", "all"]

_TREATMENT: Final = "TREAT"
_DOCTOR: Final = Actor("", "doctor", "", "")
_CLOSING: Final = (("refuse", ""), ("withdraw", ""))


def closed_to(
    deciding: Deciding, grantees: Grantees, sender: int, grants: Collection[Grant], at: int
) -> Closed:
    """What these grants of a person close to an institution (its number) for treatment, of what is
    of no kind that is kept apart: that is closed unless it is opened by its name.
    """
    asking = asking_on(_DOCTOR, _TREATMENT, Ground(sender, at=at))
    refused = deciding.reaching.reach("refused", asking)
    held = frozenset(one for one in grants if one.since <= at < one.until)
    types = load_table().types
    closed = sum(allows(refused, Facts(-1, -1, name, frozenset(), None, held)) for name in types)
    if closed == len(types):
        return "all"
    parts = grantees.several(_CLOSING, sender, _TREATMENT, is_part=True)
    lifting = [one.rank for one in held if _opens_all(grantees, one, sender)]
    is_partial = any(
        one.grantee in parts and one.rank > max(lifting, default=one.rank - 1) for one in held
    )
    return "part" if closed or is_partial else "nothing"


def _opens_all(grantees: Grantees, grant: Grant, sender: int) -> bool:
    return grant.type is None and grant.grantee in grantees.all("permit", sender, _TREATMENT)
