"""The page on which a person lets an application work for them, or does not: with what, for which
patient, and how far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from quanmin.base.problems import Forbidden, Malformed, NotFound
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import decode
from quanmin.trust import Actor, GuardedRecords, Hits, Stored
from quanmin.trust.scopes import Scopes
from quanmin.trust.sign_in.acting import oneself
from quanmin.trust.sign_in.approvals import ApprovalDesk
from quanmin.trust.sign_in.approving import (
    Back,
    Wish,
    form_targets,
    grant_address,
    needs_patient,
    offered,
    read_wish,
    refuse,
    words_of,
)
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.codes import Approved, Launch
from quanmin.trust.sign_in.external import BACK
from quanmin.trust.sign_in.secrets import new_family
from quanmin.trust.sign_in.server import AuthorizationServer
from quanmin.trust.sign_in.tokens import Grant
from quanmin.web.entry import AGAIN, FACTOR, FACTORS, PASSWORD, POST, SIGN_IN
from quanmin.web.forms import read_number
from quanmin.web.persons import tell_patient
from quanmin.web.route import ANYBODY, Page, page
from quanmin.web.visit import Visit

AUTHORIZE: Final = "/oauth/authorize"
_ASKED: Final = "quanmin_asked"
_ASKED_SECONDS: Final = 600
_ASKED_LENGTH_MAX: Final = 3000
_WAY_BACK_SECONDS: Final = 60
_HITS: Final = 10
_ONESELF: Final = 0
# Where signing in leads before it is done; what comes after depends on who it is.
_NOT_YET: Final = frozenset({AGAIN, SIGN_IN, FACTOR, FACTORS, PASSWORD, POST})
_WAYS_IN: Final = frozenset(
    {("POST", SIGN_IN), ("POST", FACTOR), ("POST", FACTORS), ("POST", POST), ("GET", BACK)}
)
_RESIDENTS: Final = frozenset({"resident", "guardian"})
_ENCOUNTER: Final = "launch/encounter"
_NO_VISIT: Final[dict[str, Any]] = {"encounter": None, "is_encounter_chosen": False}
_APPLICATIONS: Final = "applications"
_PURPOSE: Final = "TREAT"


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A wish while the person decides; it travels with the form, sealed for them alone. `whom` is
    the proxy by which a resident acts for another in it, _ONESELF for none; None before they chose.
    The visit is one that it was launched with, or one that they chose ("" for none).
    """

    wish: Wish
    whom: int | None = None
    patient: str | None = None
    encounter: str | None = None
    is_encounter_chosen: bool = False


@page(AUTHORIZE, access=ANYBODY, methods=("GET", "POST"), is_asked_by_post=True)
async def authorize(visit: Visit) -> Response:
    """Ask, and send the answer to the application by the browser. An application may ask by POST as
    well (OpenID Connect Core 1.0 section 3.1.2.1); what a person decides is a form of this page.
    """
    server = visit.house.authorization
    if server is None:
        raise NotFound("no page has this address")
    try:
        if visit.request.method == "POST":
            return await _decide(visit, server)
        wish, client = await read_wish(server, visit.asked_all())
        if visit.actor is None or _must_prove(visit, wish):
            return _sign_in_first(visit, server, wish)
        launch = await _launched(visit, server, wish)
        pending = Pending(wish=wish, patient=launch.patient_id, encounter=launch.encounter_id)
        return await _ask(visit, server, client, pending)
    except Back as back:
        # 303: what was sent with the form stays here (RFC 9700 section 4.12).
        return RedirectResponse(back.address, status_code=303)


def goes_on(visit: Visit, response: Response) -> None:
    """Whoever signed in for the sake of an application goes on to where it asks, not to the first
    page.
    """
    closed = visit.request.cookies.get(_ASKED)
    is_through = (
        (visit.request.method, visit.request.url.path) in _WAYS_IN
        and response.status_code == 303
        and response.headers["location"].partition("?")[0] not in _NOT_YET
    )
    if not closed or not is_through:
        return
    try:
        query = visit.house.seal.open("asked", "", closed, age_seconds_max=_ASKED_SECONDS)
    except Malformed:
        return
    response.headers["location"] = f"{AUTHORIZE}?{query.decode('ascii', 'replace')}"
    response.delete_cookie(_ASKED, path="/", httponly=True, samesite="lax")


def _sign_in_first(visit: Visit, server: AuthorizationServer, wish: Wish) -> Response:
    if wish.is_silent:
        raise refuse(server.issuer, wish, "login_required", "nobody is signed in")
    # Whoever has signed in anew because of it is not asked to again when they come back.
    asked = dict(visit.asked_all())
    asked.pop("prompt", None)
    if wish.max_age_seconds is not None:
        asked["max_age"] = str(max(wish.max_age_seconds, _WAY_BACK_SECONDS))
    query = urlencode(asked)
    response = visit.go(SIGN_IN)
    if query.isascii() and len(query) <= _ASKED_LENGTH_MAX:
        response.set_cookie(
            _ASKED,
            visit.house.seal.close("asked", "", query.encode()),
            max_age=_ASKED_SECONDS,
            path="/",
            secure=visit.house.settings.is_secure,
            httponly=True,
            samesite="lax",
        )
    return response


def _must_prove(visit: Visit, wish: Wish) -> bool:
    """Whether the application asks for a proof that is newer than the session's (OpenID Connect
    Core 1.0 section 3.1.2.1).
    """
    if wish.is_anew:
        return True
    if visit.begun is None or wish.max_age_seconds is None:
        return False
    return not visit.house.sign_in.has_proved_within(visit.begun, wish.max_age_seconds)


async def _launched(visit: Visit, server: AuthorizationServer, wish: Wish) -> Launch:
    if wish.launch is None or visit.actor is None:
        return Launch()
    found = await server.codes.launched(wish.launch, wish.client, visit.actor.code)
    if found is None:
        raise refuse(server.issuer, wish, "invalid_request", "there is no such launch (any more)")
    return found


async def _ask(
    visit: Visit, server: AuthorizationServer, client: Client, pending: Pending
) -> Response:
    """The page to decide on; before it, where needed, the one to choose a patient."""
    wish, asker = pending.wish, await _asker(visit, pending)
    own = await _own_record(visit, asker)
    scopes = _offer(client, pending, asker, await _user(visit, asker, own))
    if not scopes.reaches and "openid" not in scopes.plain:
        raise refuse(server.issuer, wish, "invalid_scope", "none of these scopes is open to you")
    if wish.is_silent:
        raise refuse(server.issuer, wish, "interaction_required", "the person has to approve")
    patient: Stored | None = None
    if needs_patient(scopes):
        if pending.whom is None and (wards := await _wards(visit)):
            return await _choose_whom(visit, client, pending, wards)
        patient = own
        if own is None and pending.patient is None:
            return await _choose(visit, client, pending)
        if pending.patient is not None:
            patient = await _records(visit, asker).read("Patient", pending.patient)
        if patient is not None:
            pending = msgspec.structs.replace(pending, patient=patient.id)
            if pending.encounter is None and _asks_encounter(client, pending):
                return await _choose_encounter(visit, client, pending, asker)
    response = visit.page(
        "kit/approve.html",
        application=client.name,
        scopes=words_of(scopes, visit.language),
        patient=None if patient is None else _told(visit, patient),
        state=_keep(visit, pending),
        whose="ward" if asker.acting else "self" if asker.role in _RESIDENTS else "",
        target=form_targets(wish.redirect),
    )
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; base-uri 'none'; form-action 'self' {form_targets(wish.redirect)};"
        " frame-ancestors 'none'; object-src 'none'; script-src 'none'"
    )
    return response


async def _wards(visit: Visit) -> list[Actor]:
    """The resident as each of those for whom they may let applications work."""
    if visit.actor is None or visit.actor.role not in _RESIDENTS:
        return []
    wards = await visit.house.sign_in.acting.wards(visit.actor)
    return [one for one, proxy in wards if _APPLICATIONS in proxy.scope]


async def _asker(visit: Visit, pending: Pending) -> Actor:
    """As whom the person lets the application work: themselves, or a proxy that they are at this
    moment. Raises Forbidden.
    """
    if visit.actor is None:
        raise Malformed("you have been signed out meanwhile: open the application again")
    if visit.actor.role not in _RESIDENTS:
        return visit.actor
    if not pending.whom:
        return oneself(visit.actor)
    actor = await visit.house.sign_in.acting.find(visit.actor, pending.whom)
    if actor.acting is None or _APPLICATIONS not in actor.acting.scope:
        raise Forbidden("you do not act for this person in letting applications read")
    return actor


async def _choose_whom(
    visit: Visit, client: Client, pending: Pending, wards: Sequence[Actor]
) -> Response:
    """Whom it is to be about: the resident, or one for whom they act."""
    if visit.actor is None:
        raise Malformed("you have been signed out meanwhile: open the application again")
    options: list[tuple[int, str]] = []
    for actor in (oneself(visit.actor), *wards):
        patient = await _own_record(visit, actor)
        if patient is not None:
            number = _ONESELF if actor.acting is None else actor.acting.proxy
            options.append((number, _told(visit, patient)))
    return visit.page(
        "kit/choose_whom.html",
        application=client.name,
        options=options,
        state=_keep(visit, pending),
    )


async def _choose(visit: Visit, client: Client, pending: Pending) -> Response:
    """Find the patient whom it is to be about, among those that the person may see."""
    term = visit.sent.get("term", "").strip()
    hits: list[tuple[str, str]] | None = None
    are_more = False
    if term:
        name = "identifier" if any(sign.isdigit() for sign in term) else "name"
        found = await _search(visit, await _asker(visit, pending), name, term)
        hits = [(one.id, _told(visit, one)) for one in found.matches]
        are_more = found.next is not None
    return visit.page(
        "kit/choose_patient.html",
        application=client.name,
        term=term,
        hits=hits,
        are_more=are_more,
        state=_keep(visit, pending),
    )


def _asks_encounter(client: Client, pending: Pending) -> bool:
    asked = pending.wish.scopes.within(client.allowed)
    return _ENCOUNTER in asked.plain


async def _choose_encounter(
    visit: Visit, client: Client, pending: Pending, asker: Actor
) -> Response:
    """Which visit of the patient it is to be about: one of the latest, or none."""
    found = await _encounters(visit, asker, pending, ("_sort", "-date"), ("_count", str(_HITS)))
    return visit.page(
        "kit/choose_encounter.html",
        application=client.name,
        visits=[(one.id, _told_visit(visit, one)) for one in found],
        state=_keep(visit, pending),
    )


async def _encounters(
    visit: Visit, asker: Actor, pending: Pending, *pairs: tuple[str, str]
) -> tuple[Stored, ...]:
    records = _records(visit, asker)
    query = parse_query(
        "Encounter",
        [("patient", f"Patient/{pending.patient}"), *pairs],
        strict=True,
        zone=visit.house.settings.zone,
        limits=records.context.query_limits,
    )
    return (await records.search(query)).matches


async def _check_encounter(visit: Visit, asker: Actor, pending: Pending) -> None:
    """Raises NotFound unless a visit that was chosen is the patient's and to be seen: the form is
    not the proof of it.
    """
    if not pending.is_encounter_chosen or not pending.encounter:
        return
    if not await _encounters(visit, asker, pending, ("_id", pending.encounter)):
        raise NotFound("there is no such visit of this patient, or none that you may see")


def _told_visit(visit: Visit, encounter: Stored) -> str:
    told = decode(encounter.body or b"{}")
    kind = next((visit.reader.concept(one).text for one in told.get("type") or []), "")
    parts = (visit.reader.period(told.get("period") or {}), kind)
    return " · ".join(part for part in parts if part) or encounter.id


async def _decide(visit: Visit, server: AuthorizationServer) -> Response:
    """What the person said: find, choose, refuse or approve."""
    if visit.actor is None:
        raise Malformed("you have been signed out meanwhile: open the application again")
    pending = msgspec.convert(visit.kept("approving", visit.sent.get("state", "")), Pending)
    wish = pending.wish
    client = await server.clients.find(wish.client)
    if client is None or not client.is_sent_back_to(wish.redirect):
        raise Malformed("this application has been withdrawn meanwhile")
    whom = read_number(visit.sent.get("whom", ""))
    if whom is not None:
        pending = msgspec.structs.replace(pending, whom=whom, patient=None, **_NO_VISIT)
    said = visit.sent.get("say")
    if said == "refuse":
        raise refuse(server.issuer, wish, "access_denied", "the person did not approve")
    chosen = visit.sent.get("patient")
    if chosen:
        pending = msgspec.structs.replace(pending, patient=chosen, **_NO_VISIT)
    if "encounter" in visit.sent and _asks_encounter(client, pending):
        pending = msgspec.structs.replace(
            pending, encounter=visit.sent["encounter"], is_encounter_chosen=True
        )
    if said != "approve":
        return await _ask(visit, server, client, pending)
    return await _approve(visit, server, client, pending)


async def _approve(
    visit: Visit, server: AuthorizationServer, client: Client, pending: Pending
) -> Response:
    wish, asker = pending.wish, await _asker(visit, pending)
    own = await _own_record(visit, asker)
    user = await _user(visit, asker, own)
    scopes = _offer(client, pending, asker, user)
    names = [name for name, _ in words_of(scopes, visit.language)]
    kept = {name for at, name in enumerate(names) if visit.sent.get(f"keep-{at}")}
    scopes = scopes.without(set(names) - kept)
    if not scopes.reaches and "openid" not in scopes.plain:
        raise refuse(server.issuer, wish, "access_denied", "the person approved of nothing")
    patient: Stored | None = None
    if needs_patient(scopes):
        # Looked up anew: what they may see may have changed, and the form is not the proof.
        patient = own if pending.patient is None else None
        if patient is None:
            patient = await _records(visit, asker).read("Patient", pending.patient or "")
    await _check_encounter(visit, asker, pending)
    await _records(visit, asker).desk(ApprovalDesk).given(None if patient is None else patient.rid)
    code = await server.codes.give(
        Approved(
            grant=Grant(
                client=client.code,
                actor=asker.code,
                scopes=scopes,
                family=new_family(),
                patient=None if patient is None else patient.rid,
                patient_id=None if patient is None else patient.id,
                encounter_id=pending.encounter or None,
                session=_session_of(visit, scopes),
                proxy=None if asker.acting is None else asker.acting.proxy,
            ),
            authenticated=None if visit.begun is None else visit.begun.authenticated_at,
            redirect=wish.redirect,
            challenge=wish.challenge,
            nonce=wish.nonce,
            fhir_user=user,
            methods=() if visit.begun is None else visit.begun.methods,
        )
    )
    raise Back(grant_address(server.issuer, wish, code))


def _session_of(visit: Visit, scopes: Scopes) -> int | None:
    """The session that online access ends with; none for what goes on without the person."""
    begun = visit.begun
    if begun is None or scopes.plain & {"online_access", "offline_access"} != {"online_access"}:
        return None
    return int(begun.id)


async def _user(visit: Visit, asker: Actor, own: Stored | None) -> str | None:
    """The record of the one who signed in: of a resident the Patient that they are, of staff the
    Practitioner of the register; none of who acts for another, whose Patient it is not.
    """
    if own is not None:
        return None if asker.acting else f"Patient/{own.id}"
    if asker.role in _RESIDENTS:
        return None
    id_ = await _records(visit, asker).desk(ApprovalDesk).own_practitioner()
    return None if id_ is None else f"Practitioner/{id_}"


def _offer(client: Client, pending: Pending, asker: Actor, user: str | None) -> Scopes:
    scopes = offered(pending.wish, client, asker, has_user_record=user is not None)
    if not pending.encounter:
        scopes = scopes.without({_ENCOUNTER})
    return scopes


async def _own_record(visit: Visit, asker: Actor) -> Stored | None:
    """The Patient that a resident is or acts for; nobody else has one of their own."""
    if asker.role not in _RESIDENTS:
        return None
    found = (await _search(visit, asker, "_count", "1")).matches
    return found[0] if found else None


async def _search(visit: Visit, asker: Actor, name: str, value: str) -> Hits:
    records = _records(visit, asker)
    query = parse_query(
        "Patient",
        [(name, value), ("_count", str(_HITS))] if name != "_count" else [(name, value)],
        strict=True,
        zone=visit.house.settings.zone,
        limits=records.context.query_limits,
    )
    return await records.search(query)


def _told(visit: Visit, patient: Stored) -> str:
    told = tell_patient(decode(patient.body or b"{}"), visit.language, visit.today)
    return " · ".join(part for part in (told.name, told.birth) if part)


def _records(visit: Visit, asker: Actor) -> GuardedRecords:
    return visit.house.guard.records(asker, purpose=_PURPOSE, request_id=visit.correlation)


def _keep(visit: Visit, pending: Pending) -> str:
    return visit.keep("approving", msgspec.to_builtins(pending))


PAGES: tuple[Page, ...] = (authorize,)
