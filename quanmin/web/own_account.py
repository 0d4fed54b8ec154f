"""One's own account: what one signs in by, and where one is signed in.

Whoever changes what the account signs in by has proved themselves within the last minutes: a
browser that was left open is no way to take an account over.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Forbidden, Invalid, NotFound, Problem, TooMany, Unauthenticated
from quanmin.trust.sign_in import Begun
from quanmin.trust.sign_in.acting import real_name
from quanmin.trust.sign_in.approvals import Approval, ApprovalDesk
from quanmin.trust.sign_in.approving import words_of
from quanmin.trust.sign_in.external import METHOD
from quanmin.web.approving import goes_on
from quanmin.web.entry import (
    ACCOUNT,
    AGAIN,
    FACTORS,
    PASSWORD,
    SIGN_IN,
    arrive,
    as_words,
    challenge_of,
    faults_of,
    is_resident,
    new_challenge,
    new_password,
    origin_of,
    put_session,
    refusal_of,
    signed_in,
    taken,
    title_of_external,
)
from quanmin.web.forms import Cell, form_page, read_number
from quanmin.web.qr import qr_code
from quanmin.web.route import ANYBODY, SIGNED_IN, Page, page
from quanmin.web.tables import Heading, Row, Table, place_numbers, table
from quanmin.web.visit import Visit

ANEW: Final = "/sign-in/external?again=1"
APPLICATIONS: Final = "/account/applications"
_PURPOSE: Final = "HSYSADMIN"
RECOVERY: Final = "/account/recovery-codes"
_RETURNS: Final = (FACTORS, PASSWORD, RECOVERY)


@page(ACCOUNT, access=SIGNED_IN, methods=("GET", "POST"))
async def account(visit: Visit) -> Response:
    """What is known of one's own account; by POST: end one session."""
    entrance, begun = visit.house.sign_in, signed_in(visit)
    if visit.request.method == "POST":
        number = read_number(taken(visit, "session"))
        if number is not None:
            await entrance.sessions.end_one(begun.account, number)
            await entrance.note("sign-out", "ok", origin_of(visit, ""), begun.account)
        return visit.go(ACCOUNT)
    found = await entrance.accounts.find(begun.account)
    actors = await entrance.posts(begun.account)
    return visit.page(
        "kit/account.html",
        account=found,
        real_name=_real_name(visit, 0 if found is None else found.real_name_level),
        posts=[(one, as_words(visit, one.role)) for one in actors],
        here_now=begun.id,
        sessions=await entrance.sessions.listed(begun.account),
        passkeys=await entrance.passkeys.listed(begun.account),
        has_codes=await entrance.totp.is_there(begun.account),
        recovery_count=await entrance.recovery.count(begun.account),
        moment=visit.moment,
    )


def _real_name(visit: Visit, level: int) -> str:
    """How surely it is known who the owner is, in words."""
    for known in real_name().level:
        if known.level == level:
            return known.zh if visit.language == "zh" else known.en
    return ""


@table(APPLICATIONS, access=SIGNED_IN, name="applications")
async def applications(visit: Visit) -> Table:
    """What one has let applications do."""
    say, desk = visit.say, _approvals(visit)

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.listed(place_numbers(after), count)
        return [Row(_approval_cells(visit, one), f"{one.given_at}.{one.family}") for one in found]

    return Table(
        title=say("Applications that you have allowed"),
        lead=say(
            "What is taken back works nowhere any more at once. When one was used last is known to"
            " the quarter of an hour."
        ),
        headings=[
            *(Heading(say("Application")), Heading(say("What it may do"))),
            *(Heading(say("Allowed")), Heading(say("Last used"))),
            Heading(say("Take it back"), where="page"),
        ],
        fetch=fetch,
        empty=say("None works for you."),
        actions=[(say("My account"), ACCOUNT)],
    )


def _approval_cells(visit: Visit, one: Approval) -> list[Cell]:
    say, may = visit.say, [words for _, words in words_of(one.parsed, visit.language)]
    return [
        Cell(one.client, tag=say("for another person") if one.proxy else ""),
        Cell(visit.semicolon.join(may)),
        Cell(visit.moment(one.given_at), is_number=True),
        Cell(visit.moment(one.used_at) if one.used_at else say("not yet"), is_number=True),
        Cell(say("Take it back"), f"{APPLICATIONS}/{one.family}"),
    ]


@page(f"{APPLICATIONS}/{{family}}", access=SIGNED_IN, methods=("GET", "POST"))
async def take_back(visit: Visit) -> Response:
    """Let an application work no more."""
    desk, server = _approvals(visit), visit.house.authorization
    number = read_number(visit.path("family"))
    if server is None or number is None:
        raise NotFound("there is no such approval, or it was taken back before")
    if visit.request.method == "POST":
        await desk.withdraw(server, number)
        return visit.go(APPLICATIONS)
    held, say = await desk.one(number), visit.say
    button = say("Take it back")
    title = f"{button}{visit.colon}{held.client}"
    lead = say("What is taken back works nowhere any more at once.")
    return form_page(visit, title, [], button=button, back=APPLICATIONS, lead=lead)


def _approvals(visit: Visit) -> ApprovalDesk:
    if visit.actor is None:
        raise Unauthenticated("nobody has signed in")
    records = visit.house.guard.records(visit.actor, purpose=_PURPOSE, request_id=visit.correlation)
    return records.desk(ApprovalDesk)


@page(AGAIN, access=SIGNED_IN, methods=("GET", "POST"))
async def prove_again(visit: Visit) -> Response:
    """Prove oneself once more before changing what one signs in by."""
    entrance, begun = visit.house.sign_in, signed_in(visit)
    if visit.request.method == "GET":
        return await _ask_again(visit, begun, visit.asked("for"))
    origin = origin_of(visit, begun.account)
    try:
        if visit.sent.get("answer"):
            cookie = await entrance.prove_again_by_passkey(
                begun, visit.cookie, visit.sent["answer"], challenge_of(visit), origin
            )
        else:
            cookie = await entrance.prove_again(
                begun, visit.cookie, visit.sent.get("password", ""), taken(visit, "code"), origin
            )
    except (Unauthenticated, TooMany) as problem:
        return await _ask_again(visit, begun, visit.asked("for"), refusal_of(visit, problem))
    wanted = visit.asked("for")
    response = visit.go(wanted if wanted in _RETURNS else ACCOUNT)
    put_session(visit, response, cookie)
    return response


async def _prove_first(visit: Visit, begun: Begun, wanted: str) -> Response:
    """What comes before a page that changes what one signs in by; a form of it that was sent too
    late is refused, with the words why.
    """
    if visit.request.method == "GET":
        return visit.go(f"{AGAIN}?for={wanted}")
    minutes = visit.house.sign_in.limits.proof_minutes_max
    words = visit.say("What you sent was not taken: you proved yourself more than %(minutes)s"
                      " minutes ago. Do so again, then send it once more.")  # fmt: skip
    told = {"refusal": words % {"minutes": minutes}, "wait": None, "status": Forbidden.status}
    return await _ask_again(visit, begun, wanted, told)


async def _ask_again(
    visit: Visit, begun: Begun, wanted: str, refused: dict[str, Any] | None = None
) -> Response:
    entrance = visit.house.sign_in
    challenge, sealed = new_challenge(visit)
    has_passkey = bool(await entrance.passkeys.listed(begun.account))
    told = refused or {"refusal": None, "wait": None, "status": 200}
    return visit.page(
        "kit/again.html",
        has_script=True,
        options=await entrance.passkeys.ask(challenge, begun.account) if has_passkey else None,
        challenge=sealed,
        elsewhere=title_of_external(visit) if METHOD in begun.methods else None,
        host=visit.house.settings.passkey_host,
        has_codes=await entrance.totp.is_there(begun.account),
        has_factor=await entrance.factors.are_there(begun.account),
        address=f"{AGAIN}?for={wanted}" if wanted in _RETURNS else AGAIN,
        **told,
    )


@page(PASSWORD, access=SIGNED_IN, methods=("GET", "POST"))
async def password(visit: Visit) -> Response:
    """Choose another password."""
    entrance, begun = visit.house.sign_in, signed_in(visit)
    if not entrance.has_proved_lately(begun):
        return await _prove_first(visit, begun, PASSWORD)
    rule = entrance.passwords.rule
    faults: tuple[str, ...] = ()
    if visit.request.method == "POST":
        try:
            chosen = new_password(visit)
            await entrance.accounts.change_password(begun.account, chosen, keep=begun.id)
        except Invalid as problem:
            faults = faults_of(visit, problem)
        else:
            await entrance.tell(begun, "password-change", "password-changed", origin_of(visit, ""))
            return visit.go(ACCOUNT)
    return visit.page("kit/password.html", status=422 if faults else 200, rule=rule, faults=faults)


@page(FACTORS, access=ANYBODY, methods=("GET", "POST"))
async def factors(visit: Visit) -> Response:
    """Add a passkey or an authenticator, or take one away. Whoever has no second factor yet can
    come here and nowhere else.
    """
    entrance, begun = visit.house.sign_in, visit.begun
    if begun is None or begun.stage == "proving":
        return visit.go(SIGN_IN)
    if not entrance.has_proved_lately(begun):
        if begun.stage == "whole":
            return await _prove_first(visit, begun, FACTORS)
        return visit.go(ANEW if METHOD in begun.methods else SIGN_IN)
    if begun.stage == "enrolling" and await entrance.factors.are_there(begun.account):
        return visit.go(SIGN_IN)  # added elsewhere meanwhile: the password alone is no more enough
    if visit.request.method == "GET":
        return await _show_factors(visit, begun)
    origin = origin_of(visit, begun.account)
    fault = await _change(visit, begun)
    if fault:
        return await _show_factors(visit, begun, fault)
    if begun.stage == "enrolling":
        return await _recovery_after(visit, begun, origin)
    return visit.go(FACTORS)


async def _change(visit: Visit, begun: Begun) -> str:
    """Carry out what the form asks; gives what is wrong with it, in words."""
    entrance, origin = visit.house.sign_in, origin_of(visit, begun.account)
    passkeys, totp, what = entrance.passkeys, entrance.totp, visit.sent.get("what")
    if what == "passkey":
        try:
            await passkeys.add(
                begun.account,
                visit.sent.get("answer", ""),
                challenge_of(visit),
                taken(visit, "name"),
            )
        except Problem:
            return visit.say("The passkey could not be verified. Try again.")
        await entrance.tell(begun, "factor-change", "passkey-added", origin)
    elif what == "authenticator":
        secret = str(visit.kept("authenticator", visit.sent.get("secret", ""))["secret"])
        if not await totp.add(begun.account, secret, taken(visit, "code")):
            return visit.say("This is not the code of the authenticator now. Try the next one.")
        await entrance.tell(begun, "factor-change", "authenticator-added", origin)
    elif what in {"remove-passkey", "remove-authenticator"} and begun.stage == "whole":
        return await _remove(visit, begun, what)
    else:
        return visit.say("Choose what to add.")
    return ""


async def _remove(visit: Visit, begun: Begun, what: str) -> str:
    entrance, origin = visit.house.sign_in, origin_of(visit, begun.account)
    key = None if what == "remove-authenticator" else _key_of(visit)
    if not await entrance.factors.take_away(begun.account, key):
        return visit.say("This is the only second factor. Add another before you remove it.")
    kind = "authenticator-removed" if key is None else "passkey-removed"
    await entrance.tell(begun, "factor-change", kind, origin)
    return ""


def _key_of(visit: Visit) -> bytes:
    try:
        return base64.urlsafe_b64decode(taken(visit, "passkey").encode("ascii"))
    except (ValueError, binascii.Error) as error:
        raise Invalid("this is no passkey of the list") from error


async def _show_factors(visit: Visit, begun: Begun, fault: str = "") -> Response:
    entrance = visit.house.sign_in
    challenge, sealed = new_challenge(visit)
    # The same secret again after a wrong code: the authenticator has it already.
    sent = visit.sent.get("secret", "") if fault else ""
    secret = (
        str(visit.kept("authenticator", sent)["secret"]) if sent else entrance.totp.new_secret()
    )
    found = await entrance.accounts.find(begun.account)
    name = found.name if found else begun.account
    address = entrance.totp.address(
        secret, begun.account, visit.house.settings.title.told(visit.language)
    )
    return visit.page(
        "kit/factors.html",
        status=422 if fault else 200,
        has_script=True,
        fault=fault,
        is_enrolling=begun.stage == "enrolling",
        is_resident=await is_resident(visit, begun),
        options=await entrance.passkeys.offer(begun.account, name, challenge),
        challenge=sealed,
        host=visit.house.settings.passkey_host,
        secret=secret,
        kept_secret=visit.keep("authenticator", {"secret": secret}),
        picture=qr_code(address, visit.say("Picture for an authenticator")),
        address=address,
        has_codes=await entrance.totp.is_there(begun.account),
        passkeys=[
            (base64.urlsafe_b64encode(one.id).decode(), one)
            for one in await entrance.passkeys.listed(begun.account)
        ],
        moment=visit.moment,
    )


async def _recovery_after(visit: Visit, begun: Begun, origin: Any) -> Response:
    """The first factor is there: the session is whole, and its recovery codes are shown once."""
    entrance = visit.house.sign_in
    step = await entrance.finish_enrolling(begun, visit.cookie, origin)
    codes = await entrance.recovery.renew(begun.account)
    moved = await arrive(visit, step)
    goes_on(visit, moved)
    response = _show_codes(visit, begun, codes, moved.headers["location"])
    for value in moved.headers.getlist("set-cookie"):
        response.headers.append("set-cookie", value)
    return response


@page(RECOVERY, access=SIGNED_IN, methods=("GET", "POST"))
async def recovery_codes(visit: Visit) -> Response:
    """Make new recovery codes; they are shown once."""
    entrance, begun = visit.house.sign_in, signed_in(visit)
    if not entrance.has_proved_lately(begun):
        return await _prove_first(visit, begun, RECOVERY)
    if visit.request.method == "GET":
        return _show_codes(visit, begun, (), ACCOUNT)
    codes = await entrance.recovery.renew(begun.account)
    await entrance.tell(begun, "factor-change", "recovery-codes-made", origin_of(visit, ""))
    return _show_codes(visit, begun, codes, ACCOUNT)


def _show_codes(visit: Visit, begun: Begun, codes: tuple[str, ...], onward: str) -> Response:
    return visit.page(
        "kit/recovery_codes.html",
        codes=codes,
        onward=onward,
        account=begun.account,
        address=visit.house.sign_in.passkeys.origin,
    )


PAGES: tuple[Page, ...] = (
    account,
    *applications,
    take_back,
    prove_again,
    password,
    factors,
    recovery_codes,
)
