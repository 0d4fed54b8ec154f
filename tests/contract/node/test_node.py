"""A node started from nothing serves, survives what kills its parts, and stops cleanly."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from definitions import nation, of_nation
from running import RunningNode, free_port, wait_until

from quanmin.base.cluster import Cluster
from quanmin.base.jobs import put
from quanmin.base.postgres import connect
from quanmin.node.demo_actors import HOSPITALS

pytestmark = pytest.mark.slow

ORGANIZATION = '{"resourceType":"Organization","id":"%s","name":"第一医院"}'


@pytest.fixture(scope="module")
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(passable_folder / "node", passable_folder / "programs")
    made.start()
    yield made
    made.stop()


def put_record(node: RunningNode, id_: str) -> int:
    with node.client() as client:
        url = f"/fhir/Organization/{id_}"
        return client.put(url, content=(ORGANIZATION % id_).encode()).status_code


def get(node: RunningNode, id_: str) -> int:
    with node.client() as client:
        return client.get(f"/fhir/Organization/{id_}").status_code


def is_ready(node: RunningNode) -> bool:
    try:
        return httpx.get(f"{node.address}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_it_answers_the_systems_it_knows_and_nobody_else(node: RunningNode) -> None:
    assert put_record(node, "first") == 201
    assert get(node, "first") == 200
    nobody = httpx.get(f"{node.address}/fhir/Organization/first", trust_env=False)
    assert nobody.status_code == 401
    with node.client("resident") as resident:
        assert resident.get("/fhir/Patient").json()["resourceType"] == "Bundle"


def test_pages_and_the_interface_share_one_address(node: RunningNode) -> None:
    assert httpx.get(f"{node.address}/sign-in", trust_env=False).status_code == 200
    assert httpx.get(f"{node.address}/fhir/metadata", trust_env=False).status_code == 200


def test_it_listens_on_this_machine_only(node: RunningNode) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = [line.split()[1] for line in listening if line.split()[1].endswith(f":{node.port:04X}")]
    assert "0100007F" in {address.split(":")[0] for address in ours}
    assert "00000000" not in {address.split(":")[0] for address in ours}
    later = Path("/proc/net/tcp6")
    lines = later.read_text().splitlines()[1:] if later.exists() else []
    assert not [line for line in lines if line.split()[1].endswith(f":{node.port:04X}")]


def test_what_is_secret_only_its_owner_can_read(node: RunningNode) -> None:
    for name in ("tokens.json", "node.log", "postgres/passfile", "keys/root.key"):
        assert stat.S_IMODE((node.folder / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((node.folder / "keys").stat().st_mode) == 0o700


def test_no_secret_stands_among_arguments_that_all_can_list(node: RunningNode) -> None:
    password = (node.folder / "postgres" / "passfile").read_text().strip().rsplit(":", 1)[1]
    secrets = {password, node.token()}
    state = node.state()
    for process in (state["process"], state["postgres"], *state["workers"]):
        arguments = Path(f"/proc/{process}/cmdline").read_text()
        assert not any(secret in arguments for secret in secrets)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(node: RunningNode) -> None:
    assert put_record(node, "kept") == 201
    victim = node.state()["workers"][0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in node.state()["workers"], "a new worker")
    wait_until(lambda: get(node, "kept") == 200, "an answer")


def counted(node: RunningNode, code: str) -> float:
    text = httpx.get(f"{node.address}/metrics", trust_env=False).text
    found = [line for line in text.splitlines() if f'"{code}",status="200"' in line]
    return float(next(line.split()[-1] for line in found if "_seconds_count" in line))


def test_the_numbers_are_those_of_all_workers_and_outlive_any_of_them(node: RunningNode) -> None:
    for _ in range(24):  # new connections, so that chance gives some to each worker
        httpx.get(f"{node.address}/fhir/metadata", trust_env=False)
    before = counted(node, "capabilities")
    assert before >= 24
    assert {counted(node, "capabilities") for _ in range(8)} == {before}
    victim = node.state()["workers"][0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in node.state()["workers"], "a new worker")
    wait_until(lambda: is_ready(node), "readiness")
    assert counted(node, "capabilities") == before
    assert not list((node.folder / "metrics").glob(f"gauge_live*_{victim}.db"))


def test_a_quota_holds_for_all_workers_together(passable_folder: Path) -> None:
    node = RunningNode(
        passable_folder / "quota",
        passable_folder / "programs",
        DOOR_STRANGER_REQUESTS_PER_SECOND="0.001",
        DOOR_STRANGER_BURST_REQUESTS="10",
        NODE_WORKERS="3",
    )
    node.start()
    answers = [httpx.get(f"{node.address}/fhir/metadata", trust_env=False) for _ in range(40)]
    node.stop()
    assert [each.status_code for each in answers] == [200] * 10 + [429] * 30
    assert int(answers[-1].headers["Retry-After"]) >= 900


def test_a_killed_database_comes_back_and_nothing_is_lost(node: RunningNode) -> None:
    assert put_record(node, "durable") == 201
    victim = node.state()["postgres"]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: node.state()["postgres"] != victim, "a new server")
    wait_until(lambda: is_ready(node), "readiness")
    assert get(node, "durable") == 200


def test_while_the_database_is_away_the_answer_is_503_never_500(node: RunningNode) -> None:
    victim = node.state()["postgres"]
    os.kill(victim, signal.SIGKILL)
    seen = set()

    def is_back() -> bool:
        seen.add(get(node, "absent"))
        return node.state()["postgres"] != victim and is_ready(node)

    wait_until(is_back, "a new server")
    assert seen <= {404, 503}
    assert get(node, "absent") == 404


async def put_job(node: RunningNode) -> int:
    """A job of a kind that nobody works off."""
    connection = await connect(Cluster(node.folder / "postgres").dsn())
    try:
        return await put(connection, "unheard-of", {"type": "Patient"}, owner="centre")
    finally:
        await connection.close()


def job_states(node: RunningNode) -> dict[int, str]:
    """The jobs as the command lists them: number -> state."""
    done = node.run("jobs", "list")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {int(row[0]): row[2] for row in rows}


def test_a_killed_worker_for_jobs_is_replaced(node: RunningNode) -> None:
    (victim,) = node.state()["job_workers"]
    assert victim not in node.state()["workers"]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in node.state()["job_workers"], "a new worker")
    assert len(node.state()["job_workers"]) == 1


def test_only_what_answers_holds_the_port(node: RunningNode) -> None:
    wait_until(lambda: bool(node.state()["job_workers"]), "no worker for jobs")
    state = node.state()
    (listening,) = {
        fields[9]
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines())
        if fields[1].endswith(f":{node.port:04X}") and fields[3] == "0A"
    }
    assert all(f"socket:[{listening}]" in opened(process) for process in state["workers"])
    assert not any(f"socket:[{listening}]" in opened(process) for process in state["job_workers"])


def opened(process: int) -> set[str]:
    """What the descriptors of a process stand for."""
    found = set()
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(path.readlink()))
    return found


def test_jobs_are_listed_shown_cancelled_and_tried_again_by_command(node: RunningNode) -> None:
    number = asyncio.run(put_job(node))
    assert job_states(node)[number] == "waiting"
    assert '{"type":"Patient"}' in node.run("jobs", "show", str(number)).stdout
    counted = httpx.get(f"{node.address}/metrics", trust_env=False).text
    assert 'quanmin_jobs{kind="unheard-of",state="waiting"} 1' in counted
    assert node.run("jobs", "cancel", str(number)).returncode == 0
    assert job_states(node)[number] == "cancelled"
    again = node.run("jobs", "cancel", str(number))
    assert again.returncode == 2
    assert "has ended" in again.stderr
    assert node.run("jobs", "retry", str(number)).returncode == 0
    assert job_states(node)[number] == "waiting"
    missing = node.run("jobs", "show", "999999")
    assert missing.returncode == 2
    assert "quanmin jobs list" in missing.stderr


def test_a_refused_message_is_listed_and_sent_again_by_command(node: RunningNode) -> None:
    number = asyncio.run(put_refused(node))
    assert "the mail server answered 550" in node.run("notices", "list").stdout
    assert node.run("notices", "resend", str(number)).returncode == 0
    # Nobody has chosen a way: the job process finds that there is nothing to send.
    wait_until(
        lambda: str(number) in node.run("notices", "list", "--state", "needless").stdout,
        "the message was not looked at",
    )
    again = node.run("notices", "resend", str(number))
    assert again.returncode == 2
    assert "is needless" in again.stderr


def test_a_way_out_that_is_set_by_halves_is_told_before_anything_is_started(
    node: RunningNode, tmp_path: Path
) -> None:
    elsewhere = {"NODE_DIRECTORY": str(tmp_path / "n"), "NODE_PORT": str(free_port())}
    refused = node.run("node", "start", **elsewhere, NOTICES_SMS_URL="https://sms.test/send")
    assert refused.returncode == 2
    assert "notices.secret_file" in refused.stderr + refused.stdout
    assert not (tmp_path / "n" / "postgres").exists()


async def put_refused(node: RunningNode) -> int:
    connection = await connect(Cluster(node.folder / "postgres").dsn())
    try:
        await connection.execute(
            "insert into trust.account (code, name, made_at) values ('somebody', 'S', 0)"
        )
        return int(
            await connection.fetchval(
                # Ended now: the node's sweep drops what ended long ago.
                "insert into trust.message (account, channel, notices, is_urgent, state, due,"
                " made_at, ended_at, attempts, reason) values ('somebody', 'mail', '{1}', true,"
                " 'refused', $1, $1, $1, 1, 'the mail server answered 550') returning message",
                time.time_ns() // 1000,
            )
        )
    finally:
        await connection.close()


def test_a_custom_parameter_is_indexed_by_the_node_itself(node: RunningNode) -> None:
    headers = {"Authorization": f"Bearer {node.token()}", "Content-Type": "application/fhir+json"}
    with httpx.Client(base_url=f"{node.address}/fhir", headers=headers, trust_env=False) as client:
        for body in (of_nation("01"), nation()):
            made = client.post(f"/{body['resourceType']}", json=body)
            assert made.status_code == 201, made.text
        wait_until(lambda: client.get("/Patient?nation=01").status_code == 200, "not ready")
        # Several workers answer, and each knows it.
        totals = [client.get("/Patient?nation=01&_total=accurate").json() for _ in range(8)]
        assert {total["total"] for total in totals} == {1}
    (line,) = (row for row in listed_parameters(node) if "Patient:nation" in row)
    assert line.split()[:4] == ["Patient:nation", "token", "ready", "100%"]
    counted = httpx.get(f"{node.address}/metrics", trust_env=False).text
    assert 'quanmin_search_parameters{state="ready"} 1' in counted
    assert "quanmin_index_rules_unready 0" in counted


def listed_parameters(node: RunningNode) -> list[str]:
    done = node.run("search-parameters", "list")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_second_node_on_the_same_folder_is_refused(node: RunningNode) -> None:
    for arguments in (("node", "start"), ("node", "start", "--foreground")):
        done = node.run(*arguments)
        assert done.returncode == 2
        assert "already runs" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(node: RunningNode, passable_folder: Path) -> None:
    other = RunningNode(passable_folder / "other", passable_folder / "programs")
    done = other.run("node", "start", "--port", str(node.port))
    assert done.returncode == 2
    assert f"Port {node.port} is taken" in done.stderr


def test_status_shows_where_it_is_and_the_tokens_when_asked(node: RunningNode) -> None:
    shown = node.run("node", "status").stdout
    assert node.address in shown
    assert node.token() not in shown
    assert node.token() in node.run("node", "status", "--tokens").stdout


def test_a_renewed_token_works_and_the_old_one_stops(node: RunningNode) -> None:
    old = node.client("demo-hospital-1")
    assert old.get("/fhir/Organization").status_code == 200
    new = node.run("node", "token", "demo-hospital-1").stdout.strip()
    assert new == node.token("demo-hospital-1")
    with node.client("demo-hospital-1") as client:
        assert client.get("/fhir/Organization").status_code == 200
    assert old.get("/fhir/Organization").status_code == 401, "at once"
    old.close()
    assert node.run("node", "token", "nobody").returncode == 2


def test_the_key_of_id_tokens_is_replaced_at_once_in_every_worker(node: RunningNode) -> None:
    def kids() -> set[str]:
        keys = f"{node.address}/oauth/keys"
        told = [httpx.get(keys, trust_env=False).json()["keys"] for _ in range(8)]
        return {key["kid"] for each in told for key in each}

    before = kids()
    assert len(before) == 1, "one for all workers"
    assert node.run("keys", "replace-id-token-key").returncode == 0
    assert len(kids()) == 1
    assert not kids() & before


def test_doctor_finds_nothing_wrong(node: RunningNode) -> None:
    done = node.run("doctor")
    assert done.returncode == 0, done.stdout
    assert "durable" in done.stdout
    assert f"{node.port}, ours" in done.stdout


def test_doctor_looks_at_the_settings_file_that_was_named(
    node: RunningNode, tmp_path: Path
) -> None:
    named = tmp_path / "other.toml"
    named.write_text('[postgres]\ndsn = "postgresql://quanmin:secret@127.0.0.1:9/none"\n')
    named.chmod(0o644)
    done = node.run("doctor", "--settings", named)
    assert done.returncode == 1
    assert f"{named} holds a password and others can read it" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_doctor_finds_keys_that_others_can_read(node: RunningNode) -> None:
    key = node.folder / "keys" / "root.key"
    key.chmod(0o644)
    done = node.run("doctor")
    key.chmod(0o600)
    assert done.returncode == 1
    assert "can be read by others" in done.stdout


def test_the_log_is_json_and_names_nobody(node: RunningNode) -> None:
    with node.client() as client:
        client.get("/fhir/Patient", params={"name": "欧阳修远"})
    text = (node.folder / "node.log").read_text()
    lines = text.splitlines()
    assert "Traceback" not in text, text[text.index("Traceback") :][:5000]
    assert all(json.loads(line)["at"] for line in lines)
    assert not any("欧阳" in line or "%E6%AC%A7" in line for line in lines)


def test_nothing_but_a_sentence_is_said_about_wrong_input(
    node: RunningNode, tmp_path: Path
) -> None:
    (tmp_path / "some.json").write_text("{}")
    for arguments, said in (
        (("node", "start", "--port", "eighty"), "port"),
        (("load", "/nowhere"), "no file or folder"),
        (("restore", "--to", "yesterday", "--from", "/nowhere"), "no moment"),
        (("restore", "--to", "2026-11-22T10:00:00", "--from", "/nowhere"), "no zone"),
        (("restore",), "--from"),
        (("backup",), "backup.directory"),
        (("load", "/etc/hostname"), "of another kind: records are read from .json"),
        (("load", "/proc/self/fdinfo"), "nothing to load in /proc/self/fdinfo"),
        (("load", tmp_path, "--refused", "/nowhere/x"), "name another file with --refused"),
        (("node", "start", "--directory", "/etc/hostname"), "cannot be made (File exists)"),
        (("node", "token", "operator", "--directory", "/nowhere"), "No node has ever run in"),
        (("demo", "--people", "0"), "1 to 100000 people"),
        (("demo", "--truth", "/etc/hostname"), "exists already: name a new file with --truth"),
        (("demo", "--truth", "/nowhere/truth.csv"), "name another file with --truth"),
        (("backup", "--keys", "/nowhere/keys"), "cannot be written"),
        (("node", "start", "--settings", "/nowhere"), "leave out --settings"),
    ):
        done = node.run(*arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert said in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr


def test_records_are_loaded_from_lines_bundles_and_archives(
    node: RunningNode, tmp_path: Path
) -> None:
    lines = [ORGANIZATION % "line-1", '{"resourceType":"Organization","nam":"x"}', "not json"]
    (tmp_path / "some.ndjson").write_text("\n".join([*lines, ORGANIZATION % "line-4"]) + "\n")
    entries = [{"resource": json.loads(ORGANIZATION % "entry-1")}]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    (tmp_path / "readme.txt").write_text("not a record")
    refused = tmp_path / "refused"
    done = node.run("load", tmp_path, "--refused", refused)
    assert done.returncode == 1, done.stderr
    assert [get(node, name) for name in ("line-1", "line-4", "entry-1")] == [200, 200, 200]
    listed = [json.loads(line) for line in refused.read_text().splitlines()]
    assert sorted(each["line"] for each in listed) == [2, 3]
    assert "nam" in str(next(each["reasons"] for each in listed if each["line"] == 2))
    assert "Files of other kinds left alone: 1." in done.stdout


def test_an_import_is_worked_off_beside_the_workers(node: RunningNode) -> None:
    lines = [ORGANIZATION % f"imported-{number}" for number in range(500)]
    headers = {"Content-Type": "application/fhir+ndjson", "Prefer": "respond-async"}
    body = "\n".join([*lines, "not json"])
    with node.client() as client:
        begun = client.post("/fhir/$import", content=body, headers=headers)
        assert begun.status_code == 202, begun.text
        told = client.get(begun.headers["content-location"])
        ends_at = time.monotonic() + 60
        while told.status_code != 200:
            assert told.status_code in {202, 429}, told.text
            assert time.monotonic() < ends_at
            time.sleep(1)
            told = client.get(begun.headers["content-location"])
        assert told.json()["output"] == [{"type": "Organization", "count": 500}]
        (error,) = told.json()["error"]
        assert "line 501" in client.get(error["url"]).text
    assert get(node, "imported-499") == 200
    assert [*(node.folder / "imports").iterdir()] == []
    with node.client("resident") as resident:
        refused = resident.post("/fhir/$import", content=body, headers=headers)
    assert refused.status_code == 403


def test_a_file_is_named_by_its_whole_path_when_it_is_refused(
    node: RunningNode, tmp_path: Path
) -> None:
    for folder in ("north", "south"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "empty.json").write_text("")
        (tmp_path / folder / "cut.ndjson.gz").write_bytes(gzip.compress(b"{}" * 999)[:-9])
    refused = tmp_path / "refused"
    done = node.run("load", tmp_path / "north", tmp_path / "south", "--refused", refused)
    assert done.returncode == 1, done.stderr
    told = {each["source"]: each for each in map(json.loads, refused.read_text().splitlines())}
    assert set(told) == {
        str(tmp_path / folder / name)
        for folder in ("north", "south")
        for name in ("empty.json", "cut.ndjson.gz")
    }
    assert all("copy it here again" in each["reasons"][0] for each in told.values())


def test_an_interrupted_load_says_what_is_in_and_how_to_go_on(
    node: RunningNode, tmp_path: Path
) -> None:
    lines = [ORGANIZATION % f"stopped-{number}" for number in range(20_000)]
    (tmp_path / "many.ndjson").write_text("\n".join(lines))
    loading = node.begin("load", tmp_path / "many.ndjson")
    wait_until(lambda: get(node, "stopped-0") == 200, "the first records")
    loading.send_signal(signal.SIGINT)
    said, wrong = loading.communicate()
    assert loading.returncode == 130
    assert "Interrupted: " in said
    assert "Load the same files again" in said
    assert "Traceback" not in said + wrong


def test_a_writing_process_that_dies_is_told_with_the_way_on(
    node: RunningNode, tmp_path: Path
) -> None:
    lines = [ORGANIZATION % f"lost-{number}" for number in range(20_000)]
    (tmp_path / "many.ndjson").write_text("\n".join(lines))
    loading = node.begin("load", tmp_path / "many.ndjson")
    wait_until(lambda: get(node, "lost-0") == 200, "the first records")
    os.kill(children(loading.pid)[0], signal.SIGKILL)
    said, wrong = loading.communicate()
    assert loading.returncode == 2
    assert "A writing process has ended unexpectedly" in wrong
    assert "Traceback" not in said + wrong


def test_writers_end_with_the_command_that_made_them(node: RunningNode, tmp_path: Path) -> None:
    lines = (ORGANIZATION % f"many-{number}" for number in range(40_000))
    (tmp_path / "many.ndjson").write_text("\n".join(lines))
    loading = node.begin("load", tmp_path)
    wait_until(lambda: bool(children(loading.pid)), "no writer was started")
    writers = children(loading.pid)
    loading.kill()
    loading.communicate()
    assert loading.returncode == -signal.SIGKILL
    wait_until(lambda: not any(map(is_alive, writers)), "a writer goes on without its command")


def children(process: int) -> list[int]:
    try:
        return [
            int(each)
            for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_keys_of_another_node_are_refused(passable_folder: Path) -> None:
    node = RunningNode(passable_folder / "mixed", passable_folder / "programs", NODE_WORKERS="1")
    node.start()
    node.stop()
    for path in (node.folder / "keys").iterdir():
        path.write_text("00" * 32)
    done = node.run("node", "start")
    assert done.returncode == 2
    assert "not those that this database was written with" in done.stderr


def test_an_external_server_holds_a_node_too(
    empty_database: str, postgres: Cluster, passable_folder: Path
) -> None:
    node = RunningNode(passable_folder / "external", passable_folder / "programs")
    done = node.run("node", "start", "--dsn", empty_database)
    assert done.returncode == 2
    assert "fsync is off" in done.stderr
    assert postgres.is_alive()


def test_a_node_with_a_faulty_rule_of_its_own_does_not_start_and_says_which(
    node: RunningNode, tmp_path: Path
) -> None:
    (tmp_path / "alliance.toml").write_text(
        '[[rule]]\nid = "one"\nwhen = { rolls = [] }\n', "utf-8"
    )
    elsewhere = {"NODE_DIRECTORY": str(tmp_path / "n"), "NODE_PORT": str(free_port())}
    refused = node.run("node", "start", **elsewhere, RULES_FOLDER=str(tmp_path))
    assert refused.returncode == 2
    assert "alliance.toml, rule 1 (one)" in refused.stderr + refused.stdout
    assert not (tmp_path / "n" / "postgres").exists(), "told before anything is started"


def test_why_is_told_on_the_command_line_as_the_guard_decides(node: RunningNode) -> None:
    with node.client() as client:
        made = client.post("/fhir/Patient", content='{"resourceType":"Patient","gender":"male"}')
        id_ = made.json()["id"]
    of = ("decide", "--record", f"Patient/{id_}", "--role", "institution")
    own = node.run(*of, "--institution", "node")
    assert own.returncode == 0, own.stdout + own.stderr
    assert "Yes: the whole record." in own.stdout
    other = node.run(*of, "--institution", HOSPITALS[0].sender)
    assert other.returncode == 1
    assert "No." in other.stdout
    assert "own-records 1: does not apply to this record" in other.stdout
    assert "male" not in other.stdout
    unknown = node.run(*of, "--institution", "nowhere", "--language", "zh")
    assert unknown.returncode == 2
    assert "no institution" in unknown.stderr + unknown.stdout
