"""The identity index: which source Patients are one person. Compare, link, unlink; later also score
and review.
"""

from quanmin.people.index import PersonIndex

__all__ = ["PersonIndex"]
