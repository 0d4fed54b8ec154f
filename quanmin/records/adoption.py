"""Finds out, when a node starts, whether its records were indexed by the rules of this program."""

from __future__ import annotations

from typing import Final

from quanmin.base.database import Connection
from quanmin.base.jobs import put
from quanmin.records.catalogue import index_rules
from quanmin.records.parameters import HOLD, NEXT, REINDEX

_ADOPT: Final = """
    insert into indexing.rule (rule, version, state) values ($1, $2, $3)
    on conflict (rule) do update set version = $2, state = $3, reason = '', job = null
    where indexing.rule.version <> $2
    returning state
"""


async def adopt_rules(connection: Connection) -> bool:
    """Note which rules this program indexes by; whether records must be indexed again for some, for
    which a job has then been put in.

    In a store without records every rule holds at once. A rule in another version than the last
    program's counts as new, a higher as a lower one: whoever goes back to an older program writes
    without what the newer one adds.
    """
    async with connection.transaction():
        await connection.execute(HOLD)
        is_empty = not await connection.fetchval("select true from records.record limit 1")
        state = "ready" if is_empty else "pending"
        rules = index_rules()
        changed = [
            await connection.fetchval(_ADOPT, rule.name, rule.version, state) for rule in rules
        ]
        await connection.execute(
            "delete from indexing.rule where rule <> all($1)", [rule.name for rule in rules]
        )
        if not any(changed):
            return False
        version = await connection.fetchval(NEXT)
        if is_empty:
            return False
        await put(connection, REINDEX, {}, owner="node", once=f"catalogue {version}")
        return True
