"""The door: one plain ASGI application in front of the guarded records.

What is the same for all interactions happens here once: finding the interaction, who asks and why,
quotas, places, time limits, the correlation id, problems into OperationOutcomes, the log. There is
no stack of middleware: a read is answered in a fraction of a millisecond, and each layer of
wrapping would take a good part of that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.api.address import Pairs, base_of, parse_pairs, parse_path
from quanmin.api.call import Call, Desk
from quanmin.api.negotiation import (
    FHIR_JSON,
    Preference,
    accept,
    accepts_gzip,
    check_content_type,
    check_patch_type,
    format_of,
    prefer,
)
from quanmin.api.reply import Headers, Reply, Send, pretty, refuse, send_reply
from quanmin.api.request import Disconnected, Receive, Request
from quanmin.base.logs import correlation_id
from quanmin.base.network import network_of
from quanmin.base.problems import (
    Malformed,
    NotAllowed,
    Outdated,
    Overloaded,
    Problem,
    Stopped,
    Unauthenticated,
)
from quanmin.fhir.patch import PATCH_KINDS

if TYPE_CHECKING:
    from quanmin.api.admission import Admission, Held
    from quanmin.api.callers import Callers, Purposes
    from quanmin.api.interactions import Interaction
    from quanmin.api.limits import DoorLimits
    from quanmin.api.metering import Meters
    from quanmin.api.routing import Routes
    from quanmin.base.quota import Pace
    from quanmin.trust import Actor, Guard

BASE_PATH = "/fhir"

_log = logging.getLogger("quanmin.api")
_PLAIN = Preference()
_LINK_NAME_BYTES = 64  # what stands around the sealed text of a link: its name, _pretty, _format
_STRANGERS_SURPLUS_BYTES = 1 << 20  # whoever is not known gets no bandwidth for the asking


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What lets requests in: who they are, what each may spend, and how much goes on at once."""

    callers: Callers
    purposes: Purposes
    pace: Pace
    admission: Admission
    held: Held
    body_seconds_max: float
    address_header: bytes = b""

    async def identify(self, request: Request) -> Actor:
        """Who sends a request; whoever sends no valid token is counted by where they are. Raises
        Unauthenticated, TooMany.
        """
        try:
            actor = await self.callers.find(request.headers.get(b"authorization"))
        except Unauthenticated:
            self.turn_away(request)
            raise
        request.actor = actor.code
        self.pace.known.spend(actor.code)
        if actor.client:
            self.pace.known.spend(f"client {actor.client}")
        return actor

    def turn_away(self, request: Request) -> None:
        """Count a request of somebody unknown. Raises TooMany."""
        self.pace.strangers.spend(
            network_of(request.peer, request.headers.items(), self.address_header)
        )


class Door:
    """Answers every request below `/fhir`."""

    def __init__(
        self,
        guard: Guard,
        routes: Routes,
        gate: Gate,
        desk: Desk,
        meters: Meters,
        *,
        base_url: str | None,
        unavailable: tuple[type[Exception], ...],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._guard = guard
        self._routes = routes
        self._gate = gate
        self._desk = desk
        self._limits: DoorLimits = desk.limits
        self._meters = meters
        self._base_url = base_url
        self.unavailable = unavailable
        self._now = now

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is, and write one line about it."""
        started = self._now()
        request = Request(scope, receive)
        mark = correlation_id.set(request.id)
        try:
            status, sent = await self._serve(request, send)
            self._note(request, status, sent, self._now() - started)
        finally:
            correlation_id.reset(mark)

    async def _serve(self, request: Request, send: Send) -> tuple[int, int]:
        try:
            reply = await self._answer(request)
        except Disconnected:
            return 499, 0  # nobody is left to answer; the number is the one proxies write
        except Problem as problem:
            reply = refuse(problem)
        except self.unavailable:
            _log.warning("the store cannot be reached", exc_info=True)
            reply = refuse(
                Overloaded(
                    "the record store cannot be reached at this moment; repeat it in a second",
                    retry_after_seconds=1,
                )
            )
        except RecursionError:
            # Nothing here recurses but the readers of what was sent, which is then too deep.
            reply = refuse(Malformed("the body is nested too deeply to be a FHIR resource"))
        except Exception:  # noqa: BLE001 - the one place where a defect of this program ends
            # The text of a defect may repeat what was sent: the client gets the number under which
            # the log tells more.
            _log.exception("a request failed")
            reply = refuse(Problem(f"a fault in this node; report it with the number {request.id}"))
        if reply.status >= 400:
            await self._let_the_client_finish(request)
        if b"_pretty=true" in request.query:
            reply = pretty(reply)
        sent = await send_reply(
            reply,
            send,
            request_id=request.id,
            accepts_gzip=accepts_gzip(request.headers.get(b"accept-encoding", b"")),
            compress_bytes_min=self._limits.compress_bytes_min,
            is_head=request.method == "HEAD",
        )
        return reply.status, sent

    async def _let_the_client_finish(self, request: Request) -> None:
        surplus = self._limits.surplus_bytes_max if request.actor else _STRANGERS_SURPLUS_BYTES
        with suppress(Disconnected, TimeoutError):
            async with asyncio.timeout(self._limits.body_seconds_max):
                await request.throw_away(surplus)

    async def _answer(self, request: Request) -> Reply:
        parts = parse_path(request.path[len(BASE_PATH) :])
        methods = self._routes.find(parts)
        interaction = methods.get(request.method)
        if interaction is None:
            return _refuse_method(request, methods)
        request.route = interaction.shape
        request.interaction = interaction.code
        limits = self._limits
        is_page = interaction.code == "page"
        longest = limits.link_bytes_max + _LINK_NAME_BYTES if is_page else limits.address_bytes_max
        pairs = request.pairs(longest)
        if interaction.access == "open":
            self._gate.turn_away(request)
            return await self._perform(interaction, self._call(interaction, request, parts, pairs))
        actor = await self._gate.identify(request)
        await self._guard.spend(actor, requests=1)
        purpose = self._gate.purposes.stated(request.headers.get(b"x-purpose-of-use"))
        body = await self._receive(request, interaction)
        try:
            call = self._call(interaction, request, parts, pairs, body)
            records = self._guard.records(actor, purpose=purpose, request_id=request.id)
            call = msgspec.structs.replace(call, guarded=records, actor=actor.code)
            if interaction.body == "stream":
                # It waits for its client most of the time, and must not take a place from others.
                return await self._perform(interaction, call)
            return await self._in_turn(interaction, call)
        finally:
            self._gate.held.give_back(len(body))

    async def _receive(self, request: Request, interaction: Interaction) -> bytes:
        if interaction.body in {"none", "stream"}:
            return b""
        is_form = interaction.body == "form"
        # Searches and operations may be posted without a body, all parameters in the query.
        is_needed = not is_form and interaction.body not in {"parameters", "optional"}
        if is_needed or request.headers.get(b"content-length", b"0") != b"0":
            kind = request.header(b"content-type") or ""
            if interaction.body == "patch":
                check_patch_type(kind)
            else:
                check_content_type(kind, is_form=is_form)
        limits = self._limits
        bytes_max = {
            "form": limits.form_bytes_max,
            "resource": limits.resource_bytes_max,
            "parameters": limits.form_bytes_max,
            "optional": limits.resource_bytes_max,
            "patch": limits.resource_bytes_max,
            "bundle": limits.bundle_bytes_max,
        }[interaction.body]
        try:
            async with asyncio.timeout(limits.body_seconds_max):
                body = await request.body(bytes_max, self._gate.held)
        except TimeoutError:
            text = f"the body did not arrive within {limits.body_seconds_max:g} s; send it again"
            raise Overloaded(text, retry_after_seconds=1) from None
        request.received_bytes = len(body)
        return body

    def _call(
        self,
        interaction: Interaction,
        request: Request,
        parts: list[str],
        pairs: Pairs,
        body: bytes = b"",
    ) -> Call:
        if interaction.body == "form":
            pairs = pairs + parse_pairs(body, "the form")
        header = request.headers.get(b"prefer")
        content_type = interaction.content_type
        if pairs and content_type is None:
            asked = [value for name, value in pairs if name == "_format"]
            content_type = format_of(asked[-1]) if asked else None
            pairs = [pair for pair in pairs if pair[0] not in {"_format", "_pretty"}]
        if content_type is None:
            content_type = accept(request.header(b"accept") or "")
        request.content_type = content_type
        return Call(
            request=request,
            desk=self._desk,
            base=self._base_url or base_of(request.headers, request.scheme, BASE_PATH),
            parts=parts,
            pairs=pairs,
            preference=_PLAIN if header is None else prefer(header.decode("latin-1")),
            body=body,
        )

    async def _in_turn(self, interaction: Interaction, call: Call) -> Reply:
        admission = self._gate.admission
        await admission.enter(call.actor)
        self._meters.show(running=admission.running, waiting=admission.waiting)
        try:
            return await self._perform(interaction, call)
        finally:
            admission.leave(call.actor)
            self._meters.show(running=admission.running, waiting=admission.waiting)

    async def _perform(self, interaction: Interaction, call: Call) -> Reply:
        limits = self._limits
        seconds = limits.request_seconds_max
        if interaction.body == "bundle":
            seconds = limits.bundle_seconds_max
        elif interaction.body == "stream" and self._desk.arrivals is not None:
            seconds = self._desk.arrivals.limits.upload_seconds_max
        try:
            async with asyncio.timeout(seconds):
                try:
                    reply = await interaction.perform(call)
                except Outdated:
                    await self._guard.look_again()
                    call = msgspec.structs.replace(call, is_current=True)
                    reply = await interaction.perform(call)
                if call.questions:
                    await call.records.keep_questions(call.questions, limits.questions_max)
        except Stopped:
            if call.guarded is not None:
                await call.guarded.note_stopped()
            raise
        except TimeoutError:
            raise Overloaded(
                f"not done within {seconds:g} s and given up; ask for less at a time. Whether a "
                "write took place can be seen by reading",
                retry_after_seconds=5,
            ) from None
        if call.request.content_type is FHIR_JSON:
            return reply
        return msgspec.structs.replace(reply, content_type=call.request.content_type)

    def _note(self, request: Request, status: int, sent: int, seconds: float) -> None:
        self._meters.count(
            request.interaction,
            status,
            seconds=seconds,
            received=request.received_bytes,
            sent=sent,
        )
        if _log.isEnabledFor(logging.INFO):
            said = {
                "method": request.method,
                "route": request.route,
                "interaction": request.interaction,
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "bytes": sent,
                "actor": request.actor,
            }
            _log.info("answered", extra=said)


def _refuse_method(request: Request, methods: dict[str, Interaction]) -> Reply:
    allow: Headers = ((b"allow", ", ".join(sorted({*methods, "OPTIONS"})).encode("ascii")),)
    if "PATCH" in methods:  # RFC 5789 section 3.1
        allow = (*allow, (b"accept-patch", ", ".join(PATCH_KINDS).encode("ascii")))
    if request.method == "OPTIONS":
        return Reply(204, b"", allow)
    text = f"this address takes {', '.join(sorted(methods))}"
    return msgspec.structs.replace(refuse(NotAllowed(text)), headers=allow)
