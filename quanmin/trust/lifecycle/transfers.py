"""Recipients outside the country: nothing is handed to them without an approved transfer.

It is asked with every request (`registers/standing.py`): what has ended or was withdrawn stops with
the next one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

import msgspec

from quanmin.base.database import Connection, Pool
from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound, Sentence
from quanmin.fhir.table import load_table
from quanmin.trust.lifecycle.activity_rules import Activity
from quanmin.trust.lifecycle.retention_rules import years_after
from quanmin.trust.sign_in.keepers import refuse_shutting_out

MemberKind = Literal["client", "actor", "sender"]

_COLUMNS: Final = (
    "r.kind, r.member, r.country, t.transfer, t.ground, t.reference, t.activity, t.types,"
    " t.records_max, t.handed, t.since, t.until, t.withdrawn_at"
)
_ALL: Final = f"""
    select {_COLUMNS} from trust.recipient r left join trust.transfer t using (kind, member)
    order by r.kind, r.member, t.transfer
"""  # noqa: S608 - constants of this module
_DECLARE: Final = """
    insert into trust.recipient (kind, member, country, at, by) values ($1, $2, $3, $4, $5)
    on conflict (kind, member) do nothing returning member
"""
_ACTIVITY: Final = """
    select is_in_force, content from trust.activity where activity = $1
    order by version desc limit 1
"""
_APPROVE: Final = """
    insert into trust.transfer (kind, member, ground, reference, activity, types, records_max,
        since, until, at, by)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning transfer
"""
_WITHDRAW: Final = """
    update trust.transfer set withdrawn_at = $2, withdrawn_by = $3, reason = $4
    where transfer = $1 and withdrawn_at is null returning transfer
"""


class Ground(msgspec.Struct, frozen=True):
    """A ground of the law, and for how many years an approval holds at most."""

    code: str
    zh: str
    en: str
    years_max: int


class _Head(msgspec.Struct, frozen=True):
    home: str
    never: tuple[str, ...]


class TransferRules(msgspec.Struct, frozen=True):
    """The definition, read."""

    definition: _Head
    ground: tuple[Ground, ...]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What was approved: on which ground and under which number, as part of which activity, which
    types (None: all), how many records at most, from when until before when (microseconds).
    """

    ground: str
    reference: str
    activity: str
    types: tuple[str, ...] | None = None
    records_max: int
    since: int
    until: int


class Listed(msgspec.Struct, frozen=True):
    """A recipient, and one of its transfers if it has any."""

    kind: str
    member: str
    country: str
    transfer: int | None
    ground: str | None
    reference: str | None
    activity: str | None
    types: tuple[str, ...] | None
    records_max: int | None
    handed: int | None
    since: int | None
    until: int | None
    withdrawn_at: int | None

    def is_in_force(self, now: int) -> bool:
        """Whether something may be handed over under it now."""
        if self.since is None or self.until is None or self.withdrawn_at is not None:
            return False
        is_left = (self.handed or 0) < (self.records_max or 0)
        return self.since <= now < self.until and is_left


@cache
def transfer_rules() -> TransferRules:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("lifecycle", "transfers.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), TransferRules)


class Transfers:
    """The recipients and transfers of one node, in its database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def declare(self, kind: str, member: str, country: str, *, at: int, by: str) -> None:
        """As `declare`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await declare(connection, kind, member, country, at=at, by=by)

    async def approve(
        self, kind: str, member: str, approval: Approval, *, at: int, by: str, zone: tzinfo = UTC
    ) -> int:
        """Enter an approval, whose years are those of a zone; gives its number. Raises NotFound for
        a recipient that is not declared, Invalid for an approval that says too little or too much.
        """
        _check(approval, zone)
        async with self._pool.acquire() as connection, connection.transaction():
            country = await country_of(connection, kind, member)
            if country is None:
                raise NotFound("declare the recipient and its country first")
            await _refuse_unrecorded(connection, approval.activity, country)
            number = await connection.fetchval(
                _APPROVE,
                *(kind, member, approval.ground, approval.reference.strip(), approval.activity),
                None if approval.types is None else sorted(approval.types),
                *(approval.records_max, approval.since, approval.until, at, by),
            )
        return int(number)

    async def withdraw(self, transfer: int, *, reason: str, at: int, by: str) -> None:
        """Nothing goes out under it any more. Raises NotFound for none that is in force."""
        if not reason.strip():
            raise Invalid("say why it is withdrawn")
        if await self._pool.fetchval(_WITHDRAW, transfer, at, by, reason.strip()) is None:
            raise NotFound("there is no such transfer, or it was withdrawn")

    async def all(self) -> Sequence[Listed]:
        """Every recipient with its transfers."""
        rows = [dict(row) for row in await self._pool.fetch(_ALL)]
        return [
            Listed(**{**row, "types": None if row["types"] is None else tuple(row["types"])})
            for row in rows
        ]

    async def refuse_unapproved(self, kind: str, member: str, country: str, now: int) -> None:
        """Raises Forbidden for a member of a country that nothing may be handed to: called when
        one is registered.
        """
        known = await self._pool.fetchval(
            "select country from trust.recipient where kind = $1 and member = $2", kind, member
        )
        if country == transfer_rules().definition.home and known is None:
            return
        if known != country or not await self._pool.fetchval(
            "select trust.transfer_of($1, $2, $3)", kind, member, now
        ):
            raise Forbidden(
                Sentence(
                    "%(country)s is outside the country: declare the recipient and enter the "
                    "approval of the transfer first (`quanmin transfers`)",
                    country=country,
                )
            )


async def declare(
    connection: Connection, kind: str, member: str, country: str, *, at: int, by: str
) -> None:
    """From now on this member is outside the country and is handed nothing. Raises Invalid for what
    is no member or country, Conflict when it is declared; and as `refuse_shutting_out` does. In the
    caller's transaction.
    """
    if kind not in get_args(MemberKind) or not member:
        raise Invalid(
            Sentence(
                "a recipient is one of %(known)s, and its code",
                known=", ".join(get_args(MemberKind)),
            )
        )
    if country == transfer_rules().definition.home or not _is_country(country):
        raise Invalid("the country is two capital letters (ISO 3166-1), and not this one")
    actors, senders = ([member] if kind == one else [] for one in ("actor", "sender"))
    await refuse_shutting_out(connection, actors, senders, at=at, by=by)
    done = await connection.fetchval(_DECLARE, kind, member, country, at, by)
    if done is None:
        raise Conflict("this recipient is declared already: `quanmin transfers list`")


async def country_of(connection: Connection, kind: str, member: str) -> str | None:
    """The country outside this one that a member is declared to be in; None for none."""
    found = await connection.fetchval(
        "select country from trust.recipient where kind = $1 and member = $2", kind, member
    )
    return None if found is None else str(found)


def _check(approval: Approval, zone: tzinfo) -> None:
    ground = next((g for g in transfer_rules().ground if g.code == approval.ground), None)
    if ground is None:
        known = ", ".join(one.code for one in transfer_rules().ground)
        raise Invalid(Sentence("the grounds are %(known)s", known=known))
    if not approval.reference.strip():
        raise Invalid("say the number of the approval or contract")
    if approval.records_max < 1:
        raise Invalid("say how many records may go out at most")
    latest = years_after(approval.since, ground.years_max, zone)
    if not approval.since < approval.until <= latest:
        raise Invalid(
            Sentence(
                "it ends after it begins, and within %(years_max)s years",
                years_max=ground.years_max,
            )
        )
    unknown = sorted(set(approval.types or ()) - load_table().types.keys())
    if unknown or approval.types == ():
        raise Invalid(
            Sentence(
                "no such type of record: %(known)s",
                known=", ".join(unknown) or Sentence("none is named"),
            )
        )


async def _refuse_unrecorded(connection: Connection, activity: str, country: str) -> None:
    row = await connection.fetchrow(_ACTIVITY, activity)
    known = None if row is None else msgspec.json.decode(row["content"], type=Activity)
    if row is None or known is None or not row["is_in_force"] or known.country != country:
        raise Invalid(
            Sentence(
                "the transfer is part of an entry of the processing register that names "
                "%(country)s: enter it there first",
                country=country,
            )
        )


def _is_country(text: str) -> bool:
    return len(text) == len("CN") and text.isascii() and text.isalpha() and text.isupper()
