"""Finding out what is granted at all: at once, and at the cost of what is asked."""

from __future__ import annotations

import json

import asyncpg

from quanmin.trust.deciding.in_use import _IN_USE, Grants, InUse

MANY, FEW, NONE = 11, 12, tuple(range(100, 170))
_GIVE = """
    insert into records.granted (bucket, patient, grantee, about, source)
    select 0, hashint8extended(p, 0), $1, p, p from generate_series(1, $2::bigint) p
"""


async def test_what_is_granted_shows_at_once_and_so_does_what_is_taken_back(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    grants = Grants(lambda _: pool)
    asked = (MANY, FEW, *NONE)
    assert not (await grants.to(asked, None)).numbers
    await pool.execute(_GIVE, MANY, 501)
    await pool.execute(_GIVE, FEW, 500)
    found = await grants.to(asked, None)
    assert found == InUse(frozenset({MANY, FEW}), frozenset({MANY}))
    assert (await grants.to((FEW,), None)).numbers == {FEW}
    await pool.execute("delete from records.granted where about > 1")
    await pool.execute("delete from records.granted where grantee = $1", FEW)
    assert (await grants.to(asked, None)).numbers == {MANY}


async def test_numbers_of_nobody_are_not_looked_for_among_all_grants(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    """The planner thinks that a few rows are soon met in the table, and would read all of it for
    each number to which nothing is granted.
    """
    for number in (MANY, FEW):
        await pool.execute(_GIVE, number, 1500)
    await pool.execute("analyze records.granted")
    numbers = [MANY, *NONE]
    told = await pool.fetchval(
        f"explain (analyze, timing off, format json) {_IN_USE}", numbers, [501] * len(numbers)
    )
    plan = json.dumps(json.loads(told))
    assert '"Seq Scan"' not in plan
    assert '"Index Name": "granted_pkey"' in plan
