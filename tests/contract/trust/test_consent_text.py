"""What random Consents open and close is what the text of R4 says, by every path of reading."""

from __future__ import annotations

from pathlib import Path

import asyncpg
from consenting import compare, open_ward


async def test_what_is_shown_is_what_the_text_of_consent_says(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    shown, asked = await compare(await open_ward(pool, tmp_path), 8, 20261122)
    assert 0.05 < shown / asked < 0.95
