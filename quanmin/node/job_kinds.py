"""The kinds of background job that this node works off; each belongs to the package that knows it.

A package declares a `Kind` and puts jobs in; here it is handed what it works with.
"""

from __future__ import annotations

from quanmin.api.export import export_kind
from quanmin.base.jobs import Kind
from quanmin.node.importing import Importing
from quanmin.node.server import Node


def kinds_of(node: Node) -> tuple[Kind, ...]:
    """Every kind, bound to this open node."""
    arrivals = node.arrivals
    importing = Importing(node.guard, node.actors, arrivals.spool, arrivals.places, arrivals.limits)
    exporting = export_kind(
        node.guard,
        node.actors,
        node.exports,
        zone=node.settings.zone,
        query_limits=node.settings.search,
    )
    return (importing.kind, exporting)
