"""The access log: who did what to whose records, in Merkle trees whose heads are signed, so that no
entry can be changed, removed, inserted or moved without being found.
"""

from quanmin.trust.log.entry import Access
from quanmin.trust.log.notary import Notary
from quanmin.trust.log.noting import Keys, Notes, Together, only
from quanmin.trust.log.witness import Witness
from quanmin.trust.log.writing import AccessLog

__all__ = ["Access", "AccessLog", "Keys", "Notary", "Notes", "Together", "Witness", "only"]
