"""The kinds of background job that this node works off; each belongs to the package that knows it.

A package declares a `Kind` and puts jobs in; here it is handed what it works with.
"""

from __future__ import annotations

from quanmin.base.jobs import Kind
from quanmin.node.server import Node


def kinds_of(node: Node) -> tuple[Kind, ...]:
    """Every kind, bound to this open node."""
    del node  # no package has a kind of its own so far
    return ()
