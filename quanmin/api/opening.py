"""Opens the door: puts its parts together and adds the addresses that watch over the node."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from quanmin.api.admission import Admission, Held
from quanmin.api.call import Desk
from quanmin.api.callers import Callers, load_purposes
from quanmin.api.capability import write_statement
from quanmin.api.door import BASE_PATH, Door, Gate
from quanmin.api.interactions import INTERACTIONS, LATER
from quanmin.api.limits import DoorLimits
from quanmin.api.metering import CONTENT_TYPE, Meters
from quanmin.api.negotiation import PLAIN_JSON
from quanmin.api.oauth import OAuth
from quanmin.api.oauth.discovery import security
from quanmin.api.paging import Seal
from quanmin.api.reply import Reply, Send, refuse, send_reply
from quanmin.api.request import Disconnected, Receive, Request
from quanmin.api.routing import Routes
from quanmin.api.sharing import Sharing
from quanmin.base.epoch import Epoch
from quanmin.base.logs import correlation_id
from quanmin.base.problems import Forbidden, NotAllowed, NotFound, Overloaded, Problem
from quanmin.base.quota import Pace, Quota
from quanmin.base.rooted import Rooted
from quanmin.fhir.table import Table, load_table
from quanmin.terminology import TermLimits
from quanmin.trust.sign_in.foreign_access import ForeignAccess

if TYPE_CHECKING:
    from quanmin.api.export import Exports
    from quanmin.api.importing import Arrivals
    from quanmin.api.later import Later
    from quanmin.fhir.values import SearchParameter
    from quanmin.trust import Actors, Guard, IndexRule
    from quanmin.trust.sign_in.external import External
    from quanmin.trust.sign_in.server import AuthorizationServer
    from quanmin.trust.signatures import Office

log = logging.getLogger("quanmin.api")

_WRONG_METHOD = NotAllowed("this address takes GET and HEAD")

Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


async def _always_ready() -> bool:
    return True


async def _nothing_more() -> bytes:
    return b""


def build(
    guard: Guard,
    actors: Actors,
    limits: DoorLimits | None = None,
    *,
    link_key: bytes | Rooted,
    zone: ZoneInfo,
    term_limits: TermLimits | None = None,
    base_url: str | None = None,
    is_ready: Callable[[], Awaitable[bool]] = _always_ready,
    more_numbers: Callable[[], Awaitable[bytes]] = _nothing_more,
    unavailable: tuple[type[Exception], ...] = (ConnectionError,),
    beyond: Application | None = None,
    pace: Pace | None = None,
    polls: Quota | None = None,
    address_header: str = "",
    later: Iterable[Later] = LATER,
    arrivals: Arrivals | None = None,
    exports: Exports | None = None,
    office: Office | None = None,
    authorization: AuthorizationServer | None = None,
    external: External | None = None,
) -> Application:
    """The ASGI application of a node: `/fhir`, `/health`, `/ready`, `/metrics`; the rest `beyond`.

    `link_key` (32 bytes, the same in all workers) seals page links. `base_url` is how the outside
    addresses `/fhir`; None trusts each request's Host header. `is_ready` says whether work can be
    done, `more_numbers` writes what others have counted, in the Prometheus text format;
    `unavailable` are the exceptions that mean the database cannot be reached. `pace` and `polls`
    count what is asked, and the questions about jobs; `address_header` is where whoever stands in
    front says who asked. `later` are the kinds of jobs that requests begin. `arrivals` and
    `exports` hold files; `office` signs and verifies. `authorization` gives applications tokens;
    without it there are those of actors alone. `external` is another issuer, whose tokens are taken
    where it is set so.
    """
    limits, table = limits or DoorLimits(), load_table()
    desk = Desk(
        limits=limits,
        seal=Seal(link_key, seconds_max=limits.link_seconds_max, bytes_max=limits.link_bytes_max),
        zone=zone,
        describe=_describing(guard, table, authorization),
        polls=polls or open_polls(limits),
        later={each.kind: each for each in later},
        term_limits=term_limits or TermLimits(),
        arrivals=arrivals,
        exports=exports,
        office=office,
    )
    revoked = authorization.revoked if authorization else None
    foreign = foreign_access(authorization, external)
    gate = open_gate(actors, limits, pace, revoked, address_header=address_header, foreign=foreign)
    meters = Meters()
    routes = Routes(INTERACTIONS, table.types.keys())
    door = Door(guard, routes, gate, desk, meters, base_url=base_url, unavailable=unavailable)
    oauth = OAuth(authorization, gate, external) if authorization else None
    sharing = Sharing(authorization.limits.page_origins if authorization else "")
    return Front(door, Watch(gate, meters, is_ready, more_numbers), beyond, oauth, sharing)


def foreign_access(
    authorization: AuthorizationServer | None, external: External | None
) -> ForeignAccess | None:
    """What knows the access tokens of another issuer; None where none are taken."""
    if authorization is None or external is None or not external.settings.api_audience:
        return None
    return ForeignAccess(external, authorization)


def _describing(
    guard: Guard, table: Table, authorization: AuthorizationServer | None
) -> Callable[[str], Awaitable[bytes]]:
    """Writes the CapabilityStatement for an address of the door, as things are when it is asked."""
    opened_on = datetime.now(UTC).date().isoformat()
    protection = security(authorization.issuer) if authorization else None

    @lru_cache(maxsize=16)
    def described(
        base: str,
        customs: tuple[SearchParameter, ...],
        unready: tuple[IndexRule, ...],
        profiles: tuple[tuple[str, str], ...],
    ) -> bytes:
        return write_statement(
            INTERACTIONS,
            table,
            base=base,
            date=opened_on,
            customs=customs,
            unready=unready,
            profiles=profiles,
            protection=protection,
        )

    async def describe(base: str) -> bytes:
        found = await guard.indexed()
        return described(base, found.ready, found.unready, await guard.supported_profiles())

    return describe


def open_polls(limits: DoorLimits, memory: int | None = None) -> Quota:
    """How often a job may be asked about, in `memory` that workers share."""
    return Quota(
        limits.polls_per_second,
        limits.polls_burst,
        limits.clients_max,
        memory,
        what="questions a second about one job",
    )


def open_pace(limits: DoorLimits, memory: tuple[int, int] | None = None) -> Pace:
    """How often may be asked, in two pieces of `memory` that workers share."""
    known, strangers = memory or (None, None)
    return Pace(
        Quota(
            limits.client_requests_per_second,
            limits.client_burst_requests,
            limits.clients_max,
            known,
        ),
        Quota(
            limits.stranger_requests_per_second,
            limits.stranger_burst_requests,
            limits.clients_max,
            strangers,
            what="requests a second from one address without signing in",
        ),
    )


def open_gate(
    actors: Actors,
    limits: DoorLimits,
    pace: Pace | None = None,
    revoked: Epoch | None = None,
    *,
    address_header: str = "",
    foreign: ForeignAccess | None = None,
) -> Gate:
    """What lets requests in, under `limits`."""
    return Gate(
        callers=Callers(
            actors,
            seconds_max=limits.actor_seconds_max,
            actors_max=limits.actors_max,
            revoked=revoked,
            foreign=foreign,
        ),
        purposes=load_purposes(),
        pace=pace or open_pace(limits),
        admission=Admission(limits),
        held=Held(limits.held_bytes_max),
        body_seconds_max=limits.body_seconds_max,
        address_header=address_header.lower().encode("latin-1"),
    )


class Watch:
    """Whether the node lives, whether it can work, and what it has counted."""

    def __init__(
        self,
        gate: Gate,
        meters: Meters,
        is_ready: Callable[[], Awaitable[bool]],
        more_numbers: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._more_numbers = more_numbers
        self._gate = gate
        self._meters = meters
        self._is_ready = is_ready
        self.addresses = {
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
        }

    async def _health(self, _: Request) -> Reply:
        return Reply(200, b'{"status":"up"}', (), PLAIN_JSON)

    async def _ready(self, _: Request) -> Reply:
        if await self._is_ready():
            return Reply(200, b'{"status":"ready"}', (), PLAIN_JSON)
        return Reply(503, b'{"status":"not ready"}', ((b"retry-after", b"1"),), PLAIN_JSON)

    async def _metrics(self, request: Request) -> Reply:
        """The numbers, for this machine itself or an operator."""
        if not _is_from_here(request):
            actor = await self._gate.identify(request)
            if actor.role != "operator":
                raise Forbidden("the numbers of the node are for its operators")
        admission = self._gate.admission
        text = self._meters.write(running=admission.running, waiting=admission.waiting)
        return Reply(200, text + await self._more_numbers(), (), CONTENT_TYPE)


def _is_from_here(request: Request) -> bool:
    if b"x-forwarded-for" in request.headers or b"forwarded" in request.headers:
        return False  # a proxy on this machine speaks for somebody elsewhere
    try:
        return ip_address(request.peer).is_loopback
    except ValueError:
        return False


class Front:
    """Sends a request to the authorization server, the door, the watch or beyond."""

    def __init__(
        self,
        door: Door,
        watch: Watch,
        beyond: Application | None,
        oauth: OAuth | None,
        sharing: Sharing,
    ) -> None:
        self._sharing = sharing
        self._door = door
        self._watch = watch
        self._beyond = beyond
        self._oauth = oauth

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "http":
            path: str = scope["path"]
            send = self._sharing.opened(scope, send)
            preflight = self._sharing.preflight(scope)
            if preflight is not None:
                await _send(preflight, Request(scope, receive), send)
                return
            if self._oauth is not None and path in self._oauth:
                await self._authorize(self._oauth, Request(scope, receive), send)
                return
            if path.startswith(BASE_PATH) and path[len(BASE_PATH) :][:1] in {"", "/"}:
                await self._door(scope, receive, send)
                return
            if path in self._watch.addresses:
                await self._tell(Request(scope, receive), send)
                return
        if self._beyond is not None:
            await self._beyond(scope, receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive)
            await _send(
                refuse(NotFound("there is nothing here; records are below /fhir")), request, send
            )
        elif scope["type"] == "lifespan":
            await _live(receive, send)

    async def _authorize(self, oauth: OAuth, request: Request, send: Send) -> None:
        mark = correlation_id.set(request.id)
        try:
            try:
                reply = await oauth.answer(request)
            except Disconnected:
                return
            except Problem as problem:
                reply = refuse(problem)
            except self._door.unavailable:
                log.warning("the store cannot be reached", exc_info=True)
                busy = "the node's database cannot be reached at this moment; repeat it in a second"
                reply = refuse(Overloaded(busy, retry_after_seconds=1))
            except Exception:
                # The text of a defect may repeat what was sent, a secret even: the log has it not.
                log.exception("a request to the authorization server failed")
                reply = refuse(Problem(f"a fault in this node; report it with {request.id}"))
            await _send(reply, request, send)
        finally:
            correlation_id.reset(mark)

    async def _tell(self, request: Request, send: Send) -> None:
        try:
            if request.method not in {"GET", "HEAD"}:
                reply = Reply(204, b"") if request.method == "OPTIONS" else refuse(_WRONG_METHOD)
                reply = msgspec.structs.replace(reply, headers=((b"allow", b"GET, HEAD, OPTIONS"),))
                await _send(reply, request, send)
                return
            reply = await self._watch.addresses[request.path.decode("latin-1")](request)
        except Problem as problem:
            reply = refuse(problem)
        await _send(reply, request, send)


async def _send(reply: Reply, request: Request, send: Send) -> None:
    await send_reply(
        reply,
        send,
        request_id=request.id,
        accepts_gzip=False,
        compress_bytes_min=0,
        is_head=request.method == "HEAD",
    )


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
