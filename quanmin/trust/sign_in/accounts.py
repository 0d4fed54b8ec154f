"""Accounts: who may sign in, with what they prove it by. None is there before somebody with the
node's own machine at hand makes the first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.epoch import Epoch
from quanmin.base.problems import Conflict, Invalid, NotFound, Sentence
from quanmin.fhir.identity_number import of_today
from quanmin.records.keying import Keying
from quanmin.trust.actors import Actor
from quanmin.trust.sign_in.administrators import (
    SEVERAL,
    administrators,
    hold_administrators,
    keys_of,
    refuse_same_person,
)
from quanmin.trust.sign_in.limits import SignInLimits
from quanmin.trust.sign_in.passwords import Passwords

_CODE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SIGNS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_INVITATION_SIGNS: Final = 20
_GROUP: Final = 5
_HOUR: Final = 3_600_000_000
_DAY: Final = 24 * _HOUR


def bare_number(document: str) -> str:
    """The number of a document however it is typed: capital letters and digits, as of today."""
    plain = unicodedata.normalize("NFKC", document).upper()
    return of_today("".join(sign for sign in plain if sign.isalnum()))


class Account(msgspec.Struct, frozen=True):
    """Someone who can sign in. `password` is its hash; None before one was set."""

    code: str
    name: str
    password: str | None = None
    password_at: int | None = None
    locked_at: int | None = None
    retired_at: int | None = None
    real_name_level: int = 0

    @property
    def may_sign_in(self) -> bool:
        """Whether nobody has locked or retired it."""
        return self.locked_at is None and self.retired_at is None


class Accounts:
    """The accounts of one node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        key: bytes,
        limits: SignInLimits,
        passwords: Passwords,
        now: Callable[[], int],
        *,
        keying: Keying,
        revoked: Epoch | None = None,
    ) -> None:
        """`key` makes keyed hashes; `now` gives microseconds since 1970-01-01T00:00Z; `keying` is
        that of the register of people; `revoked` is what all processes believe of tokens up to.
        """
        self._keying = keying
        self._pool = pool
        self._key = key
        self._limits = limits
        self._passwords = passwords
        self._now = now
        self._revoked = revoked or Epoch()

    def holder_of(self, document: str) -> bytes:
        """Whom an identity document names, as a keyed hash: the same for the same document, however
        its number is typed (in full width, in groups, in the form it had until 1999).
        """
        bare = bare_number(document)
        return hmac.digest(self._key, b"holder:" + bare.encode(), "sha256")

    async def add(
        self,
        code: str,
        actor: Actor,
        *,
        document: str | None = None,
        real_name_level: int = 0,
    ) -> str:
        """A new account that may act as this actor; gives the code of its invitation, the only
        copy. Raises Invalid for a code that is none, Conflict when account or actor exist or the
        holder of the document is another kind of administrator already, by this document or, as the
        register of people has it, by another.
        """
        if not _CODE.fullmatch(code):
            raise Invalid(
                "the code of an account has small letters, digits, dots, dashes and underscores, 63"
                " at most, a letter or digit first"
            )
        holder = None if document is None else self.holder_of(document)
        keys = [] if document is None else keys_of(self._keying, bare_number(document))
        async with self._pool.acquire() as connection, connection.transaction():
            made = await connection.fetchval(
                "insert into trust.account"
                " (code, name, holder, real_name_level, made_at, document_keys)"
                " values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning code",
                code,
                actor.name,
                holder,
                real_name_level,
                self._now(),
                keys,
            )
            if made is None:
                raise Conflict(
                    Sentence(
                        "there is an account “%(code)s” already: choose another code", code=code
                    )
                )
            await self._add_actor(connection, code, actor, holder)
            return await self._invite(connection, code)

    async def enrol(
        self, connection: Connection, person: int, name: str, document: str, level: int
    ) -> tuple[str, str, bool]:
        """In the caller's transaction, which holds the person: the code of the account of a
        resident who has shown a document, a new invitation to it (the only copy), and whether it is
        new. One that was there before loses password and factors, its sessions and all that
        applications hold of it end; `announce` comes after the commit. Raises Conflict for one that
        the node's operator has locked.
        """
        row = await connection.fetchrow(
            "select k.code, k.locked_at from trust.account k join trust.actor a"
            " on a.account = k.code where a.person = $1 and a.role = 'resident' and a.is_active"
            " and k.retired_at is null order by k.made_at limit 1 for update of k",
            person,
        )
        if row is not None and row["locked_at"] is not None:
            raise Conflict("this person's account is locked: ask who keeps the node")
        code = f"r-{secrets.token_hex(6)}" if row is None else str(row["code"])
        if row is None:
            holder = self.holder_of(document)
            await connection.execute(
                "insert into trust.account (code, name, holder, real_name_level, made_at)"
                " values ($1, $2, $3, $4, $5)",
                code,
                name,
                holder,
                level,
                self._now(),
            )
            actor = Actor(code, "resident", name, "", str(person))
            await self._add_actor(connection, code, actor, holder)
        else:
            change = (
                "password = null, password_at = null,"
                f" real_name_level = greatest(real_name_level, {int(level)})"
            )
            await self._change(connection, code, change)
            await self._drop_factors(connection, code)
            await self._end_tokens(connection, code)
        return code, await self._invite(connection, code), row is None

    async def bind(
        self, connection: Connection, person: int, code: str, document: str, level: int
    ) -> None:
        """In the caller's transaction, which holds the person: the account that a resident has
        already is this person's from now on. Raises Conflict for one that is not a resident's, is
        another's, or cannot sign in, and where the person has another.
        """
        row = await connection.fetchrow(
            "select a.code as actor, a.person, k.locked_at from trust.account k"
            " join trust.actor a on a.account = k.code and a.role = 'resident' and a.is_active"
            " where k.code = $1 and k.retired_at is null and k.password is not null"
            " for update of k, a",
            code,
        )
        others = await connection.fetchval(
            "select count(*) from trust.actor a join trust.account k on k.code = a.account"
            " where a.person = $1 and a.role = 'resident' and a.is_active"
            " and k.retired_at is null and k.code <> $2",
            person,
            code,
        )
        if row is None or row["locked_at"] is not None or row["person"] not in {None, person}:
            raise Conflict("there is no such account of a resident, or it is another's")
        if others:
            raise Conflict("this person has another account: open that one anew")
        holder = self.holder_of(document)
        await connection.execute(
            "update trust.account set real_name_level = greatest(real_name_level, $2)"
            " where code = $1",
            code,
            level,
        )
        await connection.execute(
            "update trust.account set holder = $2 where code = $1 and holder is null",
            code,
            holder,
        )
        await connection.execute(
            "update trust.actor set person = $2 where code = $1", row["actor"], person
        )

    async def add_post(self, account: str, actor: Actor) -> None:
        """Let an account act as one more actor. Raises NotFound, Conflict."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "select holder from trust.account where code = $1 and retired_at is null for share",
                account,
            )
            if row is None:
                raise NotFound(
                    Sentence(
                        "there is no account “%(account)s”: `quanmin account list` shows all",
                        account=account,
                    )
                )
            await self._add_actor(connection, account, actor, row["holder"])

    async def _add_actor(
        self, connection: Connection, account: str, actor: Actor, holder: bytes | None
    ) -> None:
        is_administrator = actor.role in administrators()
        if is_administrator:
            await hold_administrators(connection)
        try:
            async with connection.transaction():
                await connection.execute(
                    "insert into trust.actor (code, role, name, sender, person, account, holder)"
                    " values ($1, $2, $3, $4, $5, $6, $7)",
                    actor.code,
                    actor.role,
                    actor.name,
                    actor.sender,
                    None if actor.person is None else int(actor.person),
                    account,
                    holder,
                )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "actor_one_administrator":
                raise Conflict(SEVERAL) from error
            raise Conflict(
                Sentence("there is an actor “%(code)s” already: choose another", code=actor.code)
            ) from error
        except asyncpg.CheckViolationError as error:
            raise Invalid(
                "an administrator is a known person: give the number of an identity document"
            ) from error
        if is_administrator:
            await refuse_same_person(connection, account)

    async def find(self, code: str, database: Database | None = None) -> Account | None:
        """The account with this code; None when there is none."""
        row = await (database or self._pool).fetchrow(f"{_SELECT} where code = $1", code)
        return None if row is None else Account(*row)

    async def all(self) -> tuple[tuple[Account, tuple[str, ...]], ...]:
        """Every account, with the roles it has."""
        rows = await self._pool.fetch(
            "select account, array_agg(distinct role order by role) from trust.actor"
            " where account is not null and is_active group by account"
        )
        roles = {row[0]: tuple(row[1]) for row in rows}
        accounts = [Account(*row) for row in await self._pool.fetch(f"{_SELECT} order by code")]
        return tuple((account, roles.get(account.code, ())) for account in accounts)

    async def invite(self, code: str) -> str:
        """A new invitation in place of those there were; gives its code, the only copy. The
        password stops working at once, every session ends, and so does what applications were let
        do: whoever resets an account does so because it may be in the wrong hands. Raises NotFound.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await self._change(
                connection, code, "password = null, password_at = null", "retired_at is null"
            )
            await self._drop_factors(connection, code)
            await self._end_tokens(connection, code)
            invitation = await self._invite(connection, code)
        self.announce()
        return invitation

    def announce(self) -> None:
        """Accounts have changed: let every process look again at the tokens that it believes."""
        self._revoked.advance()

    async def _end_tokens(self, connection: Connection, code: str) -> None:
        for table in ("token", "code"):
            await connection.execute(
                f"delete from trust.{table} where actor in"  # noqa: S608 - a constant
                " (select code from trust.actor where account = $1)",
                code,
            )
        await connection.execute(
            "update trust.approval set withdrawn_at = $2 where withdrawn_at is null"
            " and actor in (select code from trust.actor where account = $1)",
            code,
            self._now(),
        )

    async def _drop_factors(self, connection: Connection, code: str) -> None:
        for table in ("totp", "passkey", "recovery_code"):
            await connection.execute(
                f"delete from trust.{table} where account = $1",  # noqa: S608 - a constant
                code,
            )

    async def _invite(self, connection: Connection, code: str) -> str:
        given = "".join(secrets.choice(_SIGNS) for _ in range(_INVITATION_SIGNS))
        await connection.execute("delete from trust.invitation where account = $1", code)
        await connection.execute(
            "insert into trust.invitation (hash, account, expires) values ($1, $2, $3)",
            self._hash(given),
            code,
            self._now() + self._limits.invitation_hours_max * _HOUR,
        )
        return "-".join(given[at : at + _GROUP] for at in range(0, _INVITATION_SIGNS, _GROUP))

    async def invited(self, code: str, database: Database | None = None) -> Account | None:
        """Whose invitation this is; None when it is none, used or too old."""
        row = await (database or self._pool).fetchrow(_INVITED, self._hash(code), self._now())
        return None if row is None else Account(*row)

    async def accept(self, code: str, password: str) -> Account:
        """Use up an invitation: its account has this password from now on. Raises NotFound when it
        is none (any more), Invalid for a password that may not be taken.
        """
        account = await self.invited(code)
        if account is None:
            raise NotFound("this code is not known, has been used or is too old")
        kept = await self._fit(account, password)
        async with self._pool.acquire() as connection, connection.transaction():
            used = await connection.fetchval(
                "delete from trust.invitation where hash = $1 and expires > $2 returning account",
                self._hash(code),
                self._now(),
            )
            if used is None:
                raise NotFound("this code is not known, has been used or is too old")
            await self._keep_password(connection, account.code, kept)
        return account

    async def change_password(self, code: str, password: str, *, keep: int | None = None) -> None:
        """Set a new password; every session but `keep` ends. Raises NotFound, Invalid."""
        account = await self.find(code)
        if account is None:
            raise NotFound("there is no such account")
        kept = await self._fit(account, password)
        async with self._pool.acquire() as connection, connection.transaction():
            await self._keep_password(connection, code, kept)
            await _end_sessions(connection, code, keep)
        self.announce()

    async def upgrade(self, account: Account, password: str) -> None:
        """Keep a password that was just proved at the present cost, when it is kept at another."""
        if account.password is None or not self._passwords.is_outdated(account.password):
            return
        kept = await self._passwords.hash(password)
        await self._pool.execute(
            "update trust.account set password = $3 where code = $1 and password = $2",
            account.code,
            account.password,
            kept,
        )

    def must_change(self, account: Account) -> bool:
        """Whether the password is so old that a new one is asked for."""
        age = self._now() - (account.password_at or 0)
        return age > self._passwords.rule.days_max * _DAY

    async def lock(self, code: str) -> None:
        """Nobody signs in any more, and whoever is signed in is out at once. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._change(
                connection, code, f"locked_at = coalesce(locked_at, {int(self._now())})"
            )
        self.announce()

    async def unlock(self, code: str) -> None:
        """Undo `lock`. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._change(connection, code, "locked_at = null")

    async def retire(self, code: str) -> None:
        """The account and whom it acts as are of the past; its code is not given again. Raises
        NotFound.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await self._change(
                connection,
                code,
                f"retired_at = coalesce(retired_at, {int(self._now())}), password = null",
            )
            await self._drop_factors(connection, code)
            await connection.execute("delete from trust.former_password where account = $1", code)
            await connection.execute(
                "update trust.actor set is_active = false where account = $1", code
            )
        self.announce()

    async def _change(
        self, connection: Connection, code: str, change: str, condition: str = "true"
    ) -> None:
        found = await connection.fetchval(
            f"update trust.account set {change}"  # noqa: S608 - constants of this module
            f" where code = $1 and {condition} returning code",
            code,
        )
        if found is None:
            raise NotFound(
                Sentence(
                    "there is no account “%(code)s”: `quanmin account list` shows all", code=code
                )
            )
        await connection.execute("delete from trust.invitation where account = $1", code)
        await _end_sessions(connection, code, None)

    async def _fit(self, account: Account, password: str) -> str:
        rows = await self._pool.fetch(
            "select password from trust.former_password where account = $1"
            " order by replaced_at desc limit $2",
            account.code,
            self._passwords.rule.former_refused - 1,
        )
        former = [row["password"] for row in rows]
        if account.password is not None:
            former.insert(0, account.password)
        about = (account.code, *re.split(r"[._\s-]+", account.code), account.name)
        await self._passwords.refuse_unless_fit(password, former, about)
        return await self._passwords.hash(password)

    async def _keep_password(self, connection: Connection, code: str, kept: str) -> None:
        now = self._now()
        await connection.execute(
            "insert into trust.former_password (account, replaced_at, password)"
            " select code, $2, password from trust.account"
            " where code = $1 and password is not null",
            code,
            now,
        )
        await connection.execute(
            "delete from trust.former_password where account = $1 and replaced_at not in"
            " (select replaced_at from trust.former_password where account = $1"
            " order by replaced_at desc limit $2)",
            code,
            self._passwords.rule.former_refused,
        )
        await connection.execute(
            "update trust.account set password = $2, password_at = $3 where code = $1",
            code,
            kept,
            now,
        )

    def _hash(self, invitation: str) -> bytes:
        bare = re.sub(r"[\s-]+", "", invitation).upper()
        return hashlib.sha256(bare.encode("utf-8", "replace")).digest()


async def _end_sessions(connection: Connection, code: str, keep: int | None) -> None:
    await connection.execute(
        "delete from trust.session where account = $1 and id is distinct from $2", code, keep
    )


_SELECT: Final = (
    "select code, name, password, password_at, locked_at, retired_at, real_name_level"
    " from trust.account"
)
_WHERE_INVITED: Final = (
    "where retired_at is null and locked_at is null and code ="
    " (select account from trust.invitation where hash = $1 and expires > $2)"
)
_INVITED: Final = f"{_SELECT} {_WHERE_INVITED}"
