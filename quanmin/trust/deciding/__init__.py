"""Who may see and change what: rules as data, compiled for one asker, purpose and moment."""

from quanmin.trust.deciding.bounds import Bounds
from quanmin.trust.deciding.compiling import Deciding, Ground, Rights, bounded, narrowed
from quanmin.trust.deciding.consents import CONSENT
from quanmin.trust.deciding.giving import Giver, Giving
from quanmin.trust.deciding.in_use import Grants, InUse
from quanmin.trust.deciding.projections import grant_projections
from quanmin.trust.deciding.reasons import Said
from quanmin.trust.deciding.regions import senders_of_region

__all__ = [
    "CONSENT",
    "Bounds",
    "Deciding",
    "Giver",
    "Giving",
    "Grants",
    "Ground",
    "InUse",
    "Rights",
    "Said",
    "bounded",
    "grant_projections",
    "narrowed",
    "senders_of_region",
]
