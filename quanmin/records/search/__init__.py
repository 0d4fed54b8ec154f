"""Search: a parsed query in, a slice of visible records in order out; SQL with bound values
between.
"""

from quanmin.records.search.executing import search
from quanmin.records.search.timeline import place_before, timeline

__all__ = ["place_before", "search", "timeline"]
