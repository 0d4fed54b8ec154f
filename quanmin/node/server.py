"""Puts a node together: settings, database, keys, store, persons, guard, door and pages.

Every process of a node that touches records (each worker, and the loading of files) opens the same
whole here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from starlette.applications import Starlette

from quanmin.api import build as build_door
from quanmin.api import open_pace, open_polls
from quanmin.api.export import Exports
from quanmin.api.importing import Arrivals
from quanmin.base import signing
from quanmin.base.clock import Clock
from quanmin.base.crypto import suite_named
from quanmin.base.database import UNAVAILABLE
from quanmin.base.epoch import Epoch
from quanmin.base.fetching import FetchPlaces
from quanmin.base.growing import Shelf
from quanmin.base.jobs import tally
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import NodeKeys
from quanmin.base.postgres import open_pool
from quanmin.base.problems import Unusable
from quanmin.base.spool import Spool
from quanmin.base.usage import Usage
from quanmin.fhir.table import load_table
from quanmin.node.access_rules import rules_in_force
from quanmin.node.database import Room
from quanmin.node.own_keys import open_keys, open_notary
from quanmin.node.places import HOST, Places
from quanmin.node.roots import read_node_keys
from quanmin.node.settings import Settings
from quanmin.node.walls import WALLS
from quanmin.people import PersonIndex
from quanmin.records.context import Context
from quanmin.records.ledger import Ledger, ledger_file
from quanmin.records.operation import Projection
from quanmin.records.parameters import SearchParameterIndex
from quanmin.records.profiles import ProfileIndex
from quanmin.records.store import Store
from quanmin.records.walls import Walls
from quanmin.terminology import TerminologyIndex, Terms
from quanmin.trust import AccessLog, Actors, Allowances, Guard, Witness, grant_projections
from quanmin.trust.case_counts import CaseIndex
from quanmin.trust.clocks import TaskClocks
from quanmin.trust.due import DueIndex, DueKeeping
from quanmin.trust.lifecycle.petition_index import lifecycle_projections
from quanmin.trust.log.restoring import count_restored
from quanmin.trust.notices import NoticeKind, kinds_in
from quanmin.trust.outgoing import Outgoing
from quanmin.trust.registers import InstitutionIndex, LicensedActs, PractitionerIndex
from quanmin.trust.sign_in import Relying, SignIn, open_passwords
from quanmin.trust.sign_in.id_tokens import ID_TOKEN_KEYS
from quanmin.trust.sign_in.server import AuthorizationServer, Issuer
from quanmin.trust.signatures import Office, OwnAuthority
from quanmin.trust.signatures.papers import Papers
from quanmin.web import KitSettings, Text
from quanmin.web import build as build_pages
from quanmin.web.application import discover
from quanmin.web.house import House
from quanmin.web.page_settings import load_boundaries
from quanmin.workflow import notifiable
from quanmin.workflow.outgoing import leaving_of
from quanmin.workflow.plans import Keeper

log = logging.getLogger("quanmin.node")

_READY_SECONDS_MAX: Final = 2.0
# One batch of the log is written while the registers are asked, and what is granted.
_STEADY_CONNECTIONS: Final = 3


class Node(msgspec.Struct, frozen=True):
    """An open node: what is needed to serve, to load and to administer."""

    settings: Settings
    places: Places
    keys: NodeKeys
    pool: Any
    guard: Guard
    actors: Actors
    sign_in: SignIn
    arrivals: Arrivals
    exports: Exports
    made: Shelf
    office: Office
    ledger: Ledger
    authorization: AuthorizationServer


@asynccontextmanager
async def open_node(
    settings: Settings, dsn: str, *, connections_max: int | None = None, is_owner: bool = True
) -> AsyncIterator[Node]:
    """Open the node over a database that has been made ready; everything is closed on leaving.

    Who `is_owner` of the tables is bound by no walls; whatever answers requests is not.
    """
    places = Places(settings.node.directory)
    port = open_keys(places, settings.keys, is_new=False)
    limit = connections_max or settings.postgres.connections_per_worker_max
    async with AsyncExitStack() as opened:
        pool = await open_pool(dsn, name="quanmin worker", connections_min=2, connections_max=limit)
        opened.push_async_callback(pool.close)
        steady = await open_pool(
            dsn, name="quanmin log", connections_max=_STEADY_CONNECTIONS, plans_once=True
        )
        opened.push_async_callback(steady.close)
        try:
            keys = await read_node_keys(pool, port, Epoch(places.roots))
            node = _assemble(settings, places, keys, pool, steady, is_owner=is_owner)
            node.guard.store.context.restores = await count_restored(pool)
        except UNAVAILABLE as error:
            message = f"PostgreSQL went away ({type(error).__name__}) while the node was opened."
            raise Unusable(message) from error
        yield node


def _assemble(
    settings: Settings,
    places: Places,
    keys: NodeKeys,
    pool: asyncpg.Pool[asyncpg.Record],
    steady: asyncpg.Pool[asyncpg.Record],
    *,
    is_owner: bool,
) -> Node:
    clock, context = Clock(), _open_context(settings, keys)
    people, due = PersonIndex(context.keying), DueKeeping(context, declared_plans(settings.zone))
    room = None if settings.postgres.dsn else Room(places.postgres, settings.disk.free_bytes_min)
    store = Store(
        pool,
        context,
        clock.now,
        projections=_projections(settings, context, people, due, clock.now),
        # The disk of an external server is not ours to see; it says itself when it is full.
        may_write=room.is_enough if room else _always,
        ledger=(ledger := Ledger(pool, ledger_file(places.ledger, keys))),
        walls=None if is_owner else Walls(keys.derive(WALLS)),
        steady=steady,
    )
    guard = Guard(
        store,
        people,
        open_log(settings, places, keys, steady),
        clock.now,
        allowances=open_allowances(settings, places, pool),
        posts_required=settings.registers.posts_required,
        revoked=Epoch(places.revoked),
        unregistered=settings.processing.unregistered,
        due=due,
        rules=rules_in_force(settings),
    )
    # Files that arrive and leave stand in the node's folder, also when its database does not.
    disk = Room(places.directory, settings.disk.free_bytes_min)
    arrivals = Arrivals(
        Spool(places.imports, keys.rooted("spool"), context.suite, disk.is_enough),
        FetchPlaces(settings.imports.folder, settings.imports.origins),
        settings.imports,
    )
    exports = Exports(folder=places.exports, limits=settings.export, has_room=disk.is_enough)
    actors = Actors(pool)
    return Node(
        settings,
        places,
        keys,
        pool,
        guard,
        actors,
        open_sign_in(settings, pool, keys, guard.log),
        arrivals,
        exports,
        Shelf(places.made, settings.pages.made_kept_hours, disk.is_enough),
        open_office(keys, settings),
        ledger,
        _open_authorization(settings, guard.revoked, keys, actors, pool, log=guard.log),
    )


def declared_plans(zone: ZoneInfo) -> tuple[Keeper, ...]:
    """The plans that applications have due lists kept by. Raises Unusable."""
    declared = (plan for one in discover() for plan in one.application.plans)
    return tuple(Keeper(plan, zone) for plan in declared)


def declared_notices() -> dict[str, NoticeKind]:
    """The kinds of notice that applications declare, by code."""
    several = (kinds_in(one.folder, one.application.name) for one in discover())
    return {code: kind for kinds in several for code, kind in kinds.items()}


def _open_context(settings: Settings, keys: KeyPort) -> Context:
    return Context(
        load_table(),
        keys,
        suite_named(settings.node.cipher_suite),
        prefix=settings.node.id_prefix,
        zone=settings.zone,
        limits=settings.store,
        base_url=settings.node.base_url,
        terms=lambda connection: Terms(connection, settings.terminology),
        validation=settings.validation,
        query_limits=settings.search,
    )


def _open_authorization(
    settings: Settings,
    revoked: Epoch,
    keys: NodeKeys,
    actors: Actors,
    pool: asyncpg.Pool[asyncpg.Record],
    *,
    log: AccessLog,
) -> AuthorizationServer:
    return AuthorizationServer(
        pool,
        actors,
        settings.oauth,
        issuer_of(settings),
        id_token_key=keys.rooted(ID_TOKEN_KEYS),
        revoked=revoked,
        now=Clock().now,
        log=log,
    )


def issuer_of(settings: Settings) -> Issuer:
    """Where applications find this node: as it was set, else on this machine."""
    node = settings.node
    parts = urlsplit(node.base_url)
    scheme = "http" if node.tls_certificate is None else "https"
    own = f"{parts.scheme}://{parts.netloc}" if node.base_url else f"{scheme}://{HOST}:{node.port}"
    address = settings.oauth.issuer or own
    return Issuer(address, node.base_url.rstrip("/") or f"{address}/fhir")


def open_office(keys: KeyPort, settings: Settings) -> Office:
    """What this node signs and verifies with. Raises Unusable where its algorithms are missing."""
    suite = signing.suite_named(settings.node.signature_suite)
    return Office(OwnAuthority(keys, suite), settings.signatures)


def open_papers(keys: KeyPort, settings: Settings) -> Papers:
    """What this node signs papers with. Raises Unusable where its algorithms are missing."""
    return Papers(keys, signing.suite_named(settings.node.signature_suite))


def _projections(
    settings: Settings,
    context: Context,
    people: PersonIndex,
    due: DueKeeping,
    now: Callable[[], int],
) -> tuple[Projection, ...]:
    """What is derived from records in the transaction that writes them."""
    workflows = (one.application.workflow for one in discover())
    leaving = leaving_of(one for one in workflows if one is not None)
    return (
        people,
        *grant_projections(people, context),
        TerminologyIndex(settings.terminology),
        ProfileIndex(),
        SearchParameterIndex(),
        InstitutionIndex(settings.zone, context.rid_of),
        PractitionerIndex(settings.zone, context.rid_of),
        LicensedActs(settings.zone, context.rid_of),
        *lifecycle_projections(context),
        DueIndex(due, now),
        TaskClocks(context),
        Outgoing(settings.zone, leaving, now),
        CaseIndex(context, notifiable.counted),
    )


def open_log(
    settings: Settings, places: Places, keys: KeyPort, pool: asyncpg.Pool[asyncpg.Record]
) -> AccessLog:
    """The node's access log, over its database."""
    return AccessLog(
        pool,
        open_notary(settings, keys),
        Witness(places.witness),
        Clock().now,
        limits=settings.access_log,
    )


def open_allowances(
    settings: Settings, places: Places, pool: asyncpg.Pool[asyncpg.Record]
) -> Allowances:
    """What institutions may use, and have."""
    return Allowances(pool, Usage(places.usage), settings.quota, settings.zone, Clock().now)


def open_sign_in(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], keys: KeyPort, log: AccessLog
) -> SignIn:
    """Signing in to this node, over its database."""
    origin = settings.origin
    host = urlsplit(origin).hostname or ""
    return SignIn(
        pool,
        keys,
        log,
        Clock().now,
        limits=settings.sign_in,
        passwords=open_passwords(settings.sign_in.hashings_max),
        external=settings.external,
        relying=Relying(host, origin, settings.node.title_en),
        revoked=Epoch(Places(settings.node.directory).revoked),
    )


def _always() -> bool:
    return True


def _open_uploads(node: Node) -> Spool:
    """Where files wait that were sent with forms; those that nobody can send any more are gone."""
    places, context = node.places, node.guard.store.context
    disk = Room(places.directory, node.settings.disk.free_bytes_min)
    spool = Spool(places.uploads, node.keys.rooted("spool"), context.suite, disk.is_enough)
    spool.sweep((), node.settings.node.link_hours_max * 3600)
    return spool


def open_house(node: Node) -> House:
    """What pages are made by, where no browser asks for them."""
    settings = kit_settings(node)
    return House(node.guard, node.sign_in, settings, discover(), node.authorization)


def kit_settings(node: Node, uploads: Spool | None = None) -> KitSettings:
    """What this node decides for its pages."""
    settings = node.settings
    return KitSettings(
        secret=node.keys.rooted("pages"),
        zone=settings.zone,
        title=Text(zh=settings.node.title_zh, en=settings.node.title_en),
        level=settings.node.level,
        is_fictional=node.places.holds_fictional_data,
        is_secure=settings.origin.startswith("https:"),
        passkey_host=urlsplit(settings.origin).hostname or "",
        origin=settings.origin if settings.sign_in.origin or settings.node.base_url else "",
        address_header=settings.sign_in.address_header,
        session_hours_max=settings.sign_in.session_hours_max,
        link_hours_max=settings.node.link_hours_max,
        form_seconds_max=settings.door.body_seconds_max,
        form_bytes_max=settings.node.form_bytes_max,
        form_fields_max=settings.node.form_fields_max,
        boundaries=load_boundaries(settings.pages),
        pages=settings.pages,
        term_limits=settings.terminology,
        uploads=uploads,
        made=node.made,
        work_seconds_max=settings.first_page.work_seconds_max,
        work_count_max=settings.first_page.work_count_max,
    )


def build_application(node: Node, quotas: tuple[int, int, int] | None = None) -> Any:
    """The ASGI application: the door in front, the pages behind it.

    `quotas` is memory in which several workers count together.
    """
    settings = node.settings
    pace = open_pace(settings.door, quotas[:2] if quotas else None)
    return build_door(
        node.guard,
        node.actors,
        settings.door,
        link_key=node.keys.rooted("links"),
        zone=settings.zone,
        term_limits=settings.terminology,
        is_ready=_readiness(node.pool),
        more_numbers=lambda: _count_all(node),
        unavailable=UNAVAILABLE,
        pace=pace,
        polls=open_polls(settings.door, quotas[2] if quotas else None),
        address_header=settings.sign_in.address_header,
        base_url=settings.node.base_url.rstrip("/") or None,
        arrivals=node.arrivals,
        exports=node.exports,
        office=node.office,
        authorization=node.authorization,
        external=node.sign_in.external,
        beyond=Starlette(
            routes=build_pages(
                node.guard,
                node.sign_in,
                kit_settings(node, _open_uploads(node)),
                unavailable=UNAVAILABLE,
                authorization=node.authorization,
                pace=pace,
                papers=open_papers(node.keys, settings),
            )
        ),
    )


def _readiness(pool: asyncpg.Pool[asyncpg.Record]) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        try:
            async with asyncio.timeout(_READY_SECONDS_MAX):
                return bool(await pool.fetchval("select true"))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    return is_ready


async def _count_all(node: Node) -> bytes:
    """What the whole node has counted, beside what the door has."""
    return await _count_jobs(node.pool) + await _count_indexing(node.guard)


async def _count_indexing(guard: Guard) -> bytes:
    """How far custom search parameters are, by their state; nothing while the database is away."""
    try:
        found = await guard.indexed()
    except UNAVAILABLE:
        return b""
    states = Counter(one.readiness.state for one in found.parameters)
    lines = [
        "# HELP quanmin_search_parameters Custom search parameters by how far they are indexed",
        "# TYPE quanmin_search_parameters gauge",
        *(f'quanmin_search_parameters{{state="{name}"}} {states[name]}' for name in sorted(states)),
        "# HELP quanmin_index_rules_unready Rules that not all records have been indexed by",
        "# TYPE quanmin_index_rules_unready gauge",
        f"quanmin_index_rules_unready {len(found.unready)}",
        "",
    ]
    return "\n".join(lines).encode()


async def _count_jobs(pool: asyncpg.Pool[asyncpg.Record]) -> bytes:
    """The jobs of the whole node in the Prometheus text format; nothing while the database is away,
    so that the door's own numbers stay readable.
    """
    try:
        tallies = await tally(pool)
    except UNAVAILABLE:
        return b""
    lines = ["# HELP quanmin_jobs Jobs that wait, run or are dead", "# TYPE quanmin_jobs gauge"]
    lines += [f'quanmin_jobs{{kind="{t.kind}",state="{t.state}"}} {t.count}' for t in tallies]
    lines += [
        "# HELP quanmin_jobs_overdue_seconds How long the first job that waits has been due",
        "# TYPE quanmin_jobs_overdue_seconds gauge",
    ]
    lines += [
        f'quanmin_jobs_overdue_seconds{{kind="{t.kind}"}} {t.overdue_seconds:.3f}'
        for t in tallies
        if t.state == "waiting"
    ]
    return "\n".join([*lines, ""]).encode()
