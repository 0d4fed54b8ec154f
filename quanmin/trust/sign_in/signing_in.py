"""The way in: what is proved in which order, what is counted, and what is written down of it.

Every refusal tells the same and costs the same, whatever stands behind it: no such account, a wrong
password, an account that is locked, retired or has no password yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NoReturn

import asyncpg
import msgspec

from quanmin.base.epoch import Epoch
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import Forbidden, Sentence, TooMany, Unauthenticated
from quanmin.records.keying import INDEX, Keying
from quanmin.trust.actors import Actor, Actors
from quanmin.trust.log import Access, AccessLog
from quanmin.trust.log.noting import ACTING, note_of
from quanmin.trust.notices import Notices
from quanmin.trust.sign_in.accounts import Account, Accounts
from quanmin.trust.sign_in.acting import ActingFor, oneself
from quanmin.trust.sign_in.attempts import Attempts, Kind
from quanmin.trust.sign_in.external import METHOD, Arrived, External
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.sign_in.factors import Factors
from quanmin.trust.sign_in.limits import SignInLimits
from quanmin.trust.sign_in.measures import load_measures
from quanmin.trust.sign_in.passkeys import Passkeys, Relying
from quanmin.trust.sign_in.passwords import Passwords
from quanmin.trust.sign_in.recovery import Recovery
from quanmin.trust.sign_in.sent_forms import SentForms
from quanmin.trust.sign_in.sessions import Begun, Sessions, Stage
from quanmin.trust.sign_in.totp import ONE_TIME_CODES, Totp

# What the access log calls what happens here (DICOM PS3.15 A.5.3.12, user authentication).
Action = Literal[
    "sign-in",
    "sign-in-again",
    "sign-out",
    "second-factor",
    "lock",
    "invitation",
    "password-change",
    "factor-change",
    "post-change",
    "link-change",
    "acting-change",
    "acting-end",
]

SIGN_IN: Final = "sign in"
"""What the key of keyed hashes is derived for."""
_PURPOSE: Final = "HSYSADMIN"
_REFUSED: Final = Sentence("the name or what was to prove it is wrong")
_NAME_LENGTH_MAX: Final = 63


class From(msgspec.Struct, frozen=True):
    """Where an attempt comes from. `browser` is what it says of itself, `known` its own mark when
    the account has signed in there before, "" otherwise.
    """

    address: str
    browser: str = ""
    known: str = ""
    request_id: str = ""


class Step(msgspec.Struct, frozen=True):
    """How far somebody has come: the cookie of a session in its stage."""

    cookie: str
    account: str
    stage: Stage


class SignIn:
    """All of signing in, in one process of a node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        keys: KeyPort,
        log: AccessLog,
        now: Callable[[], int],
        *,
        limits: SignInLimits,
        passwords: Passwords,
        relying: Relying,
        external: ExternalSettings | None = None,
        revoked: Epoch | None = None,
    ) -> None:
        """`keys` are the node's own; `now` gives microseconds since 1970. By `external`
        people sign in as well, if it names an issuer. `revoked` is what all processes believe of
        tokens up to.
        """
        revoked = revoked or Epoch()
        own, measures = node_keys(keys), load_measures()
        key = own.derive(SIGN_IN)
        self.limits = limits
        self.passwords = passwords
        self.actors = Actors(pool)
        register = Keying(own.derive(INDEX))
        self.accounts = Accounts(
            pool, key, limits, passwords, now, keying=register, revoked=revoked
        )
        self.sessions = Sessions(pool, limits, now, revoked)
        self.sent_forms = SentForms(pool, now)
        self.attempts = Attempts(pool, key, limits, now)
        self.totp = Totp(pool, own.rooted(ONE_TIME_CODES), measures.totp, now)
        self.passkeys = Passkeys(pool, key, relying, now)
        self.recovery = Recovery(pool, measures.recovery)
        self.factors = Factors(pool)
        self.notices = Notices(pool, now)
        self.acting = ActingFor(pool, self.notices, now)
        self.external: External | None = None
        if external is not None and external.issuer:
            self.external = External(
                pool,
                external,
                self.accounts,
                now,
                limits=limits,
                origin=relying.origin,
                ended=self.sessions.announce,
            )
        self._log = log
        self._now = now

    async def sweep(self) -> None:
        """Remove what counts no more: sessions that have ended, attempts that are long past, forms
        that were sent.
        """
        await self.sessions.sweep()
        await self.sent_forms.sweep()
        await self.attempts.sweep()
        await self.acting.tell_ended()

    async def by_password(self, name: str, password: str, origin: From) -> Step:
        """Begin a session by name and password, in the stage in which a second factor is proved, or
        got by who has none. Raises Unauthenticated, TooMany.
        """
        name = name.strip().casefold()[:_NAME_LENGTH_MAX]
        await self._check_password(name, password, origin, "sign-in")
        account = await self.accounts.find(name)
        if account is None:
            raise Unauthenticated(_REFUSED)
        await self.accounts.upgrade(account, password)
        return await self._go_on(account, ("pwd",), origin, is_enough=False)

    async def by_code(self, cookie: str, code: str, origin: From) -> Step:
        """Make a session whole by a one-time code or a recovery code, in place of `cookie`. Raises
        Unauthenticated, TooMany.
        """
        begun = await self._proving(cookie)
        method = await self._check_code(begun.account, code, origin)
        account = await self.accounts.find(begun.account)
        if account is None:
            raise Unauthenticated(_REFUSED)
        methods = (*begun.methods, method, "mfa")
        return await self._go_on(account, methods, origin, is_enough=True, replaced=cookie)

    async def by_passkey(
        self, answer: str, challenge: bytes, origin: From, *, replaced: str | None = None
    ) -> Step:
        """Begin a whole session by a passkey, which is both factors; with `replaced`, make that one
        whole. Raises Unauthenticated, TooMany.
        """
        await self._take("address", origin.address, "", origin, "sign-in")
        try:
            code = await self.passkeys.prove(answer, challenge)
        except Unauthenticated:
            await self.note("sign-in", "refused", origin, "")
            raise
        await self.attempts.forgive("address", origin.address)
        account = await self.accounts.find(code)
        begun = None if replaced is None else await self._proving(replaced)
        if begun is not None and begun.account != code:
            account = None
        if account is None or not account.may_sign_in:
            await self._refuse("sign-in", origin, code)
        methods = (*(begun.methods if begun else ()), "hwk", "user", "mfa")
        return await self._go_on(account, methods, origin, is_enough=True, replaced=replaced)

    async def by_external(self, arrived: Arrived, origin: From) -> Step:
        """Begin a session for whom another issuer has proven: whole where it vouches for a second
        factor, else in the stage that comes next. Raises Unauthenticated.
        """
        account = await self.accounts.find(arrived.account)
        if account is None or not account.may_sign_in:
            await self._refuse("sign-in", origin, arrived.account)
        has_both = arrived.has_second_factor
        return await self._go_on(
            account,
            (METHOD, "mfa") if has_both else (METHOD,),
            origin,
            is_enough=has_both,
            arrived=arrived,
        )

    async def accept(self, invitation: str, password: str, origin: From) -> Step:
        """Use up an invitation and go on as after a right password. Raises NotFound, Invalid,
        TooMany.
        """
        await self._take("address", origin.address, "", origin, "invitation")
        account = await self.accounts.accept(invitation, password)
        await self.attempts.forgive("address", origin.address)
        await self.note("invitation", "ok", origin, account.code)
        return await self._go_on(account, ("pwd",), origin, is_enough=False)

    async def prove_again(
        self, begun: Begun, cookie: str, password: str, code: str, origin: From
    ) -> str:
        """The session's new cookie, after its account has proved itself once more by the password
        and a code, of its authenticator or for recovery; by the password alone where all that it
        has is another issuer. Raises Unauthenticated, TooMany.
        """
        await self._check_password(begun.account, password, origin, "sign-in-again")
        if await self.factors.are_there(begun.account):
            await self._check_code(begun.account, code, origin)
        return await self._proved_again(begun, cookie, origin)

    async def prove_again_by_passkey(
        self, begun: Begun, cookie: str, answer: str, challenge: bytes, origin: From
    ) -> str:
        """As `prove_again`, by a passkey of the account. Raises Unauthenticated."""
        if await self.passkeys.prove(answer, challenge) != begun.account:
            await self._refuse("sign-in-again", origin, begun.account)
        return await self._proved_again(begun, cookie, origin)

    async def _proved_again(self, begun: Begun, cookie: str, origin: From) -> str:
        await self.note("sign-in-again", "ok", origin, begun.account)
        fresh = await self.sessions.prove_again(cookie)
        if fresh is None:
            raise Unauthenticated(_REFUSED)
        return fresh

    def has_proved_lately(self, begun: Begun) -> bool:
        """Whether the account has proved itself lately enough to change what it signs in by."""
        return self.has_proved_within(begun, self.limits.proof_minutes_max * 60)

    def has_proved_within(self, begun: Begun, seconds: int) -> bool:
        """Whether the account has proved itself within so many seconds."""
        return self._now() - begun.authenticated_at <= seconds * 1_000_000

    async def finish_enrolling(self, begun: Begun, cookie: str, origin: From) -> Step:
        """Make a session whole whose account has just got its second factor. Raises
        Unauthenticated while it has none.
        """
        account = await self.accounts.find(begun.account)
        if (
            account is None
            or begun.stage != "enrolling"
            or not await self.factors.are_there(account.code)
        ):
            raise Unauthenticated(_REFUSED)
        methods = (*begun.methods, "mfa")
        return await self._go_on(account, methods, origin, is_enough=True, replaced=cookie)

    async def act_as(self, begun: Begun, cookie: str, code: str, origin: From) -> str:
        """The session's new cookie, acting as another actor of its account. Raises Forbidden."""
        for actor in await self.posts(begun.account):
            if actor.code == code:
                fresh = await self.sessions.act_as(cookie, actor)
                if fresh is not None:
                    await self.note("post-change", "ok", origin, actor.code, actor.role)
                    return fresh
        raise Forbidden("this account has no such post")

    async def act_for(self, begun: Begun, cookie: str, proxy: int | None, origin: From) -> str:
        """The session's new cookie, acting for whom a proxy of the resident names, or (None) for
        themselves. Raises Forbidden.
        """
        if begun.actor is None:
            raise Forbidden("choose a post first")
        actor = oneself(begun.actor)
        if proxy is not None:
            actor = await self.acting.find(begun.actor, proxy)
        fresh = await self.sessions.act_for(cookie, proxy)
        if fresh is None:
            raise Forbidden("this session has ended")
        await self.note("acting-change", "ok", origin, actor.code, actor.role, note=note_of(actor))
        return fresh

    async def end_acting(self, begun: Begun, proxy: int, origin: From) -> None:
        """End a proxy of the resident, or one that acts for them. Raises NotFound for any other."""
        if begun.actor is None:
            raise Forbidden("choose a post first")
        await self.acting.end(begun.actor, proxy)
        note = f"{ACTING}{proxy}"
        await self.note("acting-end", "ok", origin, begun.actor.code, begun.actor.role, note=note)

    async def sign_out(self, begun: Begun, cookie: str, origin: From) -> None:
        """End this session."""
        await self.note("sign-out", "ok", origin, _who(begun), _role(begun))
        await self.sessions.end(cookie)

    async def sign_out_everywhere(self, begun: Begun, origin: From) -> None:
        """End every session of the account."""
        await self.note("sign-out", "ok", origin, _who(begun), _role(begun))
        await self.sessions.end_all(begun.account)

    async def tell(self, begun: Begun, action: Action, kind: str, origin: From) -> None:
        """Write down, and let the account know, what was changed of what it signs in by."""
        await self.note(action, kind, origin, _who(begun), _role(begun))
        await self.notices.leave(begun.account, kind, origin.browser)

    async def posts(self, account: str) -> tuple[Actor, ...]:
        """As whom an account may act now."""
        return await self.actors.of_account(account, self._now())

    async def note(
        self,
        action: Action,
        outcome: str,
        origin: From,
        actor: str,
        role: str = "",
        *,
        note: str | None = None,
    ) -> None:
        """Write down what happened; durable when this returns. A name that was only typed is none
        of an actor and does not come here: it may be a password.
        """
        entry = Access(
            at=self._now(),
            request=origin.request_id,
            actor=actor,
            role=role,
            purpose=_PURPOSE,
            action=action,
            type=None,
            outcome=outcome,
            hits=0,
            note=note,
        )
        await self._log.note([entry])

    # ---- what the ways in share ------------------------------------------------------------------

    async def _check_password(self, name: str, password: str, origin: From, action: Action) -> None:
        kind: Kind = "browser" if origin.known else "account"
        counted = f"{name} {origin.known}" if origin.known else name
        is_last = await self._count(kind, counted, origin, action)
        account = await self.accounts.find(name)
        kept = account.password if account is not None and account.may_sign_in else None
        if not await self.passwords.is_right(kept, password) or account is None:
            if is_last:  # for a name that is none as well: the same work for all
                await self.notices.leave(name, "locked-by-failures")
            await self.note(
                "lock" if is_last else action, "refused", origin, account.code if account else ""
            )
            raise Unauthenticated(_REFUSED)
        await self.attempts.forgive(kind, counted)
        if not origin.known:
            await self.attempts.forgive("address", origin.address)
            await self.attempts.forgive("crowd", "")

    async def _count(self, kind: Kind, counted: str, origin: From, action: Action) -> bool:
        """Count an attempt by all that it is counted by; whether it is the last before a wait."""
        # A browser that is known is not counted with its address: a hospital has one for hundreds.
        if origin.known:
            return await self._take(kind, counted, "", origin, action)
        await self._take("address", origin.address, "", origin, action)
        try:
            await self._take("crowd", "", "", origin, action)
        except TooMany:
            await self.attempts.forgive("address", origin.address)  # it was not looked at
            raise
        try:
            return await self._take(kind, counted, "", origin, action)
        except TooMany:
            # Else whoever hammers at one closed account would close the node to new browsers.
            await self.attempts.forgive("crowd", "")
            raise

    async def _check_code(self, account: str, code: str, origin: From) -> str:
        """The method (RFC 8176) that a code of the account is."""
        is_last = await self._take("factor", account, account, origin, "second-factor")
        if await self.totp.take(account, code):
            method = "otp"
        elif await self.recovery.take(account, code):
            method = "rcv"
            await self.notices.leave(account, "recovery-code-used", origin.browser)
        else:
            if is_last:
                await self.notices.leave(account, "locked-by-failures")
            await self._refuse("lock" if is_last else "second-factor", origin, account)
        await self.attempts.forgive("factor", account)
        return method

    async def _proving(self, cookie: str) -> Begun:
        begun = await self.sessions.begun(cookie)
        if begun is None or begun.stage != "proving":
            raise Unauthenticated("this took too long, or was done already: begin again")
        return begun

    async def _take(self, kind: Kind, name: str, actor: str, origin: From, action: Action) -> bool:
        try:
            return await self.attempts.take(kind, name)
        except TooMany:
            await self.note(action, "waiting", origin, actor)
            raise

    async def _refuse(self, action: Action, origin: From, actor: str) -> NoReturn:
        await self.note(action, "refused", origin, actor)
        raise Unauthenticated(_REFUSED)

    async def _go_on(
        self,
        account: Account,
        methods: tuple[str, ...],
        origin: From,
        *,
        is_enough: bool,
        replaced: str | None = None,
        arrived: Arrived | None = None,
    ) -> Step:
        """A session in the stage that what was proved allows."""
        actors = await self.posts(account.code)
        if not actors:
            await self._refuse("sign-in", origin, account.code)
        stage: Stage = "whole"
        if not is_enough:
            stage = "proving" if await self.factors.are_there(account.code) else "enrolling"
        actor = actors[0] if stage == "whole" else None
        if actor is not None:
            await self._note_arrival(account, actor, origin)
        if replaced is None:
            cookie: str | None = await self.sessions.begin(
                account.code,
                stage,
                methods,
                actor=actor,
                browser=origin.browser,
                external=None if arrived is None else arrived.session,
                authenticated=None if arrived is None else arrived.authenticated,
            )
        else:
            cookie = await self.sessions.replace(
                replaced, account.code, stage, methods, actor=actor, browser=origin.browser
            )
        if cookie is None:
            raise Unauthenticated("this took too long, or was done already: begin again")
        return Step(cookie, account.code, stage)

    async def _note_arrival(self, account: Account, actor: Actor, origin: From) -> None:
        await self.note("sign-in", "ok", origin, actor.code, actor.role)
        if not origin.known:
            await self.notices.leave(account.code, "new-browser", origin.browser)


def _who(begun: Begun) -> str:
    return begun.actor.code if begun.actor else begun.account


def _role(begun: Begun) -> str:
    return begun.actor.role if begun.actor else ""
