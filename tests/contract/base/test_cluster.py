"""The embedded PostgreSQL keeps what it acknowledged, to itself, under our name and only once."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import connect, describe, open_pool, require_fitness, unfitness
from quanmin.base.problems import Unusable

DURABLE = {"shared_buffers": "64MB", "logging_collector": "off"}


@pytest.fixture
def home(passable_folder: Path, request: pytest.FixtureRequest) -> Path:
    return passable_folder / f"{abs(hash(request.node.name)):x}"


@pytest.fixture
def cluster(home: Path, passable_folder: Path) -> Iterator[Cluster]:
    made = Cluster(home, copies=passable_folder / "programs", parameters=DURABLE)
    made.create()
    made.start()
    yield made
    made.stop()


async def ask(cluster: Cluster, statement: str) -> object:
    connection = await connect(cluster.dsn("postgres"))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def processes_of(cluster: Cluster) -> list[int]:
    return sorted(cluster._orphans())


def wait_until_gone(process: int) -> None:
    end = time.monotonic() + 20
    while Path(f"/proc/{process}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{process}").exists()


async def test_a_new_server_is_fit_to_hold_records(cluster: Cluster) -> None:
    connection = await connect(cluster.dsn("postgres"))
    server = await require_fitness(connection)
    assert (server.encoding, server.ctype, server.locale) == ("UTF8", "C.UTF-8", "C.UTF-8")
    assert await connection.fetchval("show data_checksums") == "on"
    assert await connection.fetchval("select lower('Ä') || initcap('四川')") == "ä四川"
    await connection.close()


async def test_chinese_characters_are_letters(cluster: Cluster) -> None:
    connection = await connect(cluster.dsn("postgres"))
    await connection.execute("create extension pg_trgm")
    assert await connection.fetchval("select cardinality(show_trgm('张伟'))") > 0
    await connection.close()


def test_the_server_does_not_run_as_root(cluster: Cluster) -> None:
    owner = Path(f"/proc/{cluster.process_id}").owner()
    assert owner != "root"
    assert owner == cluster.account.name


def test_only_its_own_account_may_enter_the_data_and_the_socket(cluster: Cluster) -> None:
    for folder in (cluster.data, cluster.socket_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(cluster.passfile.stat().st_mode) == 0o600
    assert cluster.passfile.stat().st_uid == os.geteuid()


async def test_nothing_listens_on_the_network(cluster: Cluster) -> None:
    assert await ask(cluster, "show listen_addresses") == ""
    assert sockets_of(cluster, ("unix",))
    assert not sockets_of(cluster, ("tcp", "tcp6", "udp", "udp6"))


def sockets_of(cluster: Cluster, kinds: tuple[str, ...]) -> set[str]:
    opened = {str(file.readlink()) for file in Path(f"/proc/{cluster.process_id}/fd").iterdir()}
    words = {word for kind in kinds for word in Path(f"/proc/net/{kind}").read_text().split()}
    return {word for word in words if f"socket:[{word}]" in opened}


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_nobody_enters_without_the_password(cluster: Cluster, password: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=str(cluster.socket_folder),
            user="quanmin",
            password=password,
            database="postgres",
            passfile="/nonexistent",
        )


async def test_no_other_user_of_the_database_is_admitted(cluster: Cluster) -> None:
    await ask(cluster, "create role other login password 'other'")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(
            host=str(cluster.socket_folder), user="other", password="other", database="postgres"
        )


async def test_the_dsn_holds_no_secret(cluster: Cluster) -> None:
    password = cluster.passfile.read_text().strip().rsplit(":", 1)[1]
    assert password not in cluster.dsn()
    assert len(password) >= 40


async def test_what_was_committed_survives_kill_9(cluster: Cluster) -> None:
    connection = await connect(cluster.dsn("postgres"))
    await connection.execute("create table kept (id int primary key)")
    await connection.execute("insert into kept select generate_series(1, 1000)")
    assert cluster.process_id is not None
    os.kill(cluster.process_id, signal.SIGKILL)
    wait_until_dead(cluster)
    connection.terminate()
    assert not cluster.is_alive()
    cluster.start()
    assert await ask(cluster, "select count(*) from kept") == 1000


def wait_until_dead(cluster: Cluster) -> None:
    end = time.monotonic() + 10
    while cluster.is_alive() and time.monotonic() < end:
        time.sleep(0.01)


async def test_a_stale_lock_file_of_a_stranger_does_not_stop_the_start(cluster: Cluster) -> None:
    cluster.stop()
    stale = cluster.data / "postmaster.pid"
    # Our own process number: alive, and certainly no server on this data.
    stale.write_text(f"{os.getpid()}\n{cluster.data}\n1\n5432\n{cluster.socket_folder}\n\n1 1\n")
    os.chown(stale, cluster.account.uid, cluster.account.gid)
    cluster.start()
    assert await ask(cluster, "select 1") == 1


def test_two_servers_never_run_on_the_same_data(cluster: Cluster, passable_folder: Path) -> None:
    second = Cluster(cluster.home, copies=passable_folder / "programs", parameters=DURABLE)
    with pytest.raises(Unusable, match="already runs"):
        second.start()
    assert cluster.is_alive()


_PARENT = """
    import sys, time
    from pathlib import Path
    from quanmin.base.cluster import Cluster
    cluster = Cluster(Path(sys.argv[1]), copies=Path(sys.argv[2]), parameters={})
    cluster.start()
    print(cluster.process_id, flush=True)
    time.sleep(60)
"""


def test_a_server_whose_parent_is_killed_ends_and_can_be_started_anew(
    cluster: Cluster, passable_folder: Path
) -> None:
    cluster.stop()
    command = [sys.executable, "-c", textwrap.dedent(_PARENT), str(cluster.home)]
    with subprocess.Popen(
        [*command, str(passable_folder / "programs")], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        os.kill(server, signal.SIGSTOP)  # as if it were busy: it is still there at the next start
        parent.kill()
        parent.wait()
        os.kill(server, signal.SIGCONT)
        cluster.start()
    assert asyncio.run(ask(cluster, "select 1")) == 1
    wait_until_gone(server)


async def test_a_clean_stop_leaves_nothing_to_recover(cluster: Cluster) -> None:
    await ask(cluster, "select 1")
    cluster.stop()
    assert not processes_of(cluster)
    assert not (cluster.data / "postmaster.pid").exists()
    assert state_of(cluster) == "shut down"


def state_of(cluster: Cluster) -> str:
    control = subprocess.run(
        [cluster.program("pg_controldata"), cluster.data],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C"},
    )
    stated = re.search(r"Database cluster state: +(.*)", control.stdout)
    return stated[1] if stated else ""


def test_data_of_another_major_version_is_refused(cluster: Cluster) -> None:
    cluster.stop()
    (cluster.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(Unusable, match="was written by PostgreSQL 17"):
        cluster.start()


def test_a_home_that_the_account_cannot_enter_is_refused_with_the_way_out(
    tmp_path: Path, passable_folder: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root starts PostgreSQL under another account")
    tmp_path.chmod(0o700)
    closed = Cluster(tmp_path / "home", copies=passable_folder / "programs")
    with pytest.raises(Unusable, match=r"node\.directory"):
        closed.create()


def test_a_server_that_cannot_start_says_why(cluster: Cluster) -> None:
    cluster.stop()
    cluster._parameters["shared_buffers"] = "no number"
    with pytest.raises(Unusable, match="shared_buffers"):
        cluster.start()


def test_a_long_path_has_its_socket_elsewhere(home: Path, passable_folder: Path) -> None:
    long = Cluster(home / ("x" * 90), copies=passable_folder / "programs", parameters=DURABLE)
    long.create()
    long.start()
    assert asyncio.run(ask(long, "select 1")) == 1
    long.stop()
    assert stat.S_IMODE(long.socket_folder.stat().st_mode) == 0o700
    long.socket_folder.rmdir()


async def test_a_wrong_locale_is_refused(cluster: Cluster) -> None:
    await ask(
        cluster,
        "create database plain encoding 'UTF8' locale 'C' locale_provider libc template template0",
    )
    connection = await connect(cluster.dsn("plain"))
    with pytest.raises(Unusable, match=r"lc_ctype is 'C'.*C\.UTF-8"):
        await require_fitness(connection)
    await connection.close()


async def test_a_server_that_may_forget_is_refused(postgres: Cluster) -> None:
    connection = await connect(postgres.dsn("postgres"))
    reasons = unfitness(await describe(connection))
    assert [reason.split()[0] for reason in reasons] == [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
    ]
    assert unfitness(await describe(connection), must_be_durable=False) == ()
    await connection.close()


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(Unusable, match="cannot be reached") as refusal:
            await open_pool(f"postgresql://someone:secret@127.0.0.1:{port}/x")
    assert "secret" not in refusal.value.text
