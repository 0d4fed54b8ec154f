"""One's own devices: enrolled when somebody is first taken along on one, listed, revoked."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Conflict, Malformed, NotFound, Sentence, Unauthenticated
from quanmin.trust.devices import Devices, read_id, refuse_unsigned
from quanmin.web.offline import answer_json, as_json, read_bytes
from quanmin.web.route import WORKERS, Page, page
from quanmin.web.visit import Visit

DEVICES: Final = "/account/devices"
_PURPOSE: Final = "HSYSADMIN"
_NAME_LENGTH_MAX: Final = 60


@page(DEVICES, access=WORKERS, methods=("GET", "POST"))
async def devices(visit: Visit) -> Response:
    """One's devices; by POST: revoke one."""
    desk = _desk(visit)
    if visit.request.method == "POST":
        device = read_id(visit.sent.get("device", ""))
        if device is None:
            raise NotFound("there is no such device, or it was revoked before")
        await desk.revoke(device, is_own=True)
        return visit.go(DEVICES)
    return visit.page("kit/devices.html", devices=await desk.own(), moment=visit.moment)


@page("/offline/enrol", access=WORKERS, methods=("POST",), is_taken_once=False)
async def enrol(visit: Visit) -> Response:
    """Enrol the device that asks, by a key that it shows to hold."""
    return await as_json(visit, lambda: _enrolled(visit))


async def _enrolled(visit: Visit) -> Response:
    sent = visit.sent
    key, name = read_bytes(sent.get("key", "")), sent.get("name", "").strip()
    if len(name) > _NAME_LENGTH_MAX:
        raise Malformed(
            Sentence(
                "the name of a device has at most %(name_length_max)s characters",
                name_length_max=_NAME_LENGTH_MAX,
            )
        )
    proof = f"enrol {sent.get('token', '')}".encode()
    refuse_unsigned(key, read_bytes(sent.get("signature", "")), proof)
    most = visit.house.settings.pages.offline_devices_max
    try:
        made = await _desk(visit).enrol(key, name or visit.say("Device"), most=most)
    except Conflict as problem:
        return answer_json({"state": "many", "text": visit.say(problem.text)}, 409)
    return answer_json({"state": "enrolled", "device": str(made)}, 201)


def _desk(visit: Visit) -> Devices:
    if visit.actor is None:
        raise Unauthenticated("nobody has signed in")
    guard = visit.house.guard
    records = guard.records(visit.actor, purpose=_PURPOSE, request_id=visit.correlation)
    return records.desk(Devices)


PAGES: Final[tuple[Page, ...]] = (devices, enrol)
