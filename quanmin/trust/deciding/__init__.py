"""Who may see and change what: rules as data, compiled for one asker, purpose and moment."""

from quanmin.trust.deciding.compiling import Deciding, Ground, Rights, abroad, entrusted, narrowed
from quanmin.trust.deciding.consents import CONSENT, Giver, refuse_ungiven
from quanmin.trust.deciding.granting import InUse, granted_to
from quanmin.trust.deciding.projections import grant_projections
from quanmin.trust.deciding.reasons import Said
from quanmin.trust.deciding.regions import senders_of_region

__all__ = [
    "CONSENT",
    "Deciding",
    "Giver",
    "Ground",
    "InUse",
    "Rights",
    "Said",
    "abroad",
    "entrusted",
    "grant_projections",
    "granted_to",
    "narrowed",
    "refuse_ungiven",
    "senders_of_region",
]
