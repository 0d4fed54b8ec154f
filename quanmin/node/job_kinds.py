"""The kinds of background job that this node works off; each belongs to the package that knows it.

A package declares a `Kind` and puts jobs in; here it is handed what it works with.
"""

from __future__ import annotations

from functools import cache

from quanmin.api.export import export_kind
from quanmin.base.database import Connection
from quanmin.base.jobs import Job, Kind
from quanmin.node.importing import Importing
from quanmin.node.resealing import reseal_kind
from quanmin.node.server import Node, declared_notices, open_house
from quanmin.records.ledger import ledger_file
from quanmin.records.reindexing import reindex_kind
from quanmin.records.rewrapping import rewrap_kind
from quanmin.records.rotating import rotate_kind
from quanmin.trust import carry_on, due, is_errand
from quanmin.trust.case_counts import CaseIndex, count_cases_kind
from quanmin.trust.deciding.consents import ConsentIndex
from quanmin.trust.deciding.regranting import regrant_kind
from quanmin.trust.lifecycle.deletions import delete_found, delete_kind
from quanmin.trust.lifecycle.incidents import count_kind, tell_kind
from quanmin.trust.lifecycle.retention import find_kind
from quanmin.trust.signatures import stamp_kind
from quanmin.web.making import making_kind
from quanmin.workflow import notifiable


def kinds_of(node: Node) -> tuple[Kind, ...]:
    """Every kind, bound to this open node."""

    async def asked(job: Job) -> object:
        """What was asked by `$reindex`; the node's own jobs take up what is not ready."""
        if not is_errand(job.payload):
            return {}
        records, mandate = await carry_on(node.guard, node.actors, job)
        records.may_reindex()
        return mandate.asked

    arrivals = node.arrivals
    importing = Importing(node.guard, node.actors, arrivals.spool, arrivals.places, arrivals.limits)
    exporting = export_kind(
        node.guard,
        node.actors,
        node.exports,
        zone=node.settings.zone,
        query_limits=node.settings.search,
    )
    reindexing = reindex_kind(node.guard.store.context, asked, node.settings.reindex)
    rewrapping = rewrap_kind(node.guard.store.context.codec)
    rotating = rotate_kind(node.guard.store.context)
    resealing = reseal_kind(
        node.guard.store.context, ledger_file(node.places.ledger, node.keys), node.settings.keys
    )
    guard, is_automatic = node.guard, node.settings.retention.automatic

    async def found(connection: Connection) -> None:
        if is_automatic:
            await delete_found(connection, guard.now())

    finding = find_kind(guard.store.context, guard.now, found)
    consents = ConsentIndex(guard.people, guard.store.context)
    regranting = regrant_kind(consents, guard.store.context)
    counting = count_cases_kind(CaseIndex(guard.store.context, notifiable.counted),
                                guard.store.context)  # fmt: skip
    own = (
        regranting,
        counting,
        reindexing,
        rewrapping,
        rotating,
        resealing,
        finding,
        delete_kind(guard),
    )
    stamping = stamp_kind(guard, node.actors, node.office)
    making = making_kind(node.actors, node.made, cache(lambda: open_house(node)))
    incidents = (count_kind(guard.now), tell_kind(guard.store.context, guard.now))
    lists = (
        due.renew_kind(guard.due, guard.now),
        due.again_kind(guard.due, guard.now),
        due.tell_kind(guard.due, declared_notices(), guard.now),
    )
    return (importing.kind, exporting, making, *own, stamping, *incidents, *lists)
