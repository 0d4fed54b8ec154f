"""Who looks after a node is not shut out of it: what is undone by a security administrator alone
leaves one who may.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, Forbidden, Invalid
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.sign_in.administrators import hold_administrators

# Oneself are all accounts of the same person: the same account, or the same document.
_ONESELF: Final = """
    select exists (
        select from trust.actor me
        join trust.actor x on x.code = me.code or x.account = me.account or x.holder = me.holder
        where me.code = $1 and (x.code = any($2) or x.sender <> '' and x.sender = any($3)))
"""
_LEFT: Final = """
    select count(*) filter (where is_named) as named,
        count(*) filter (where not is_named and acts) as left
    from (
        select a.code = any($1) or a.sender <> '' and a.sender = any($2) as is_named,
            not exists (select from trust.recipient r
                where (r.kind, r.member) in (('actor', a.code), ('sender', a.sender))) and
            trust.is_admitted('actor', a.code, $3) and trust.is_admitted('sender', a.sender, $3)
            as acts
        from trust.actor a left join trust.account k on k.code = a.account
        where a.role = 'security_administrator' and a.is_active and k.retired_at is null
    ) one
"""


async def refuse_shutting_out(
    connection: Connection, actors: Collection[str], senders: Collection[str], *, at: int, by: str
) -> None:
    """Called before these actors, and all who write as these senders, are kept from acting. Raises
    Invalid for the node itself, as which all its administrators write, Forbidden for whoever asks,
    Conflict when no security administrator would be left; who else asks this waits for the
    caller's transaction.
    """
    if not institution_rule().register.senders.isdisjoint(senders):
        raise Invalid(
            "the node itself, as which those who look after it write, cannot be shut out: "
            "name the accounts"
        )
    if await connection.fetchval(_ONESELF, by, [*actors], [*senders]):
        raise Forbidden("nobody shuts themselves out: ask another security administrator")
    await hold_administrators(connection)
    row = await connection.fetchrow(_LEFT, [*actors], [*senders], at)
    if row is not None and row["named"] and not row["left"]:
        raise Conflict(
            "no security administrator would be left, and nobody else could let one act again: "
            "make another account with this role first"
        )
