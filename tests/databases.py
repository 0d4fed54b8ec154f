"""Databases of tests are made and dropped here."""

from __future__ import annotations

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import connect


async def administer(postgres: Cluster, statement: str) -> None:
    """Carry out what is about whole databases, such as making or dropping one."""
    connection = await connect(postgres.dsn("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
