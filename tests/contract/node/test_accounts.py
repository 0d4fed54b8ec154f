"""The accounts of a node, from the first: by the command of whoever has its machine."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from entrance import PASSWORD
from running import RunningNode

from quanmin.trust.sign_in import present_code

CODE = re.compile(r"^([2-9A-Z]{5}(?:-[2-9A-Z]{5}){3})$", re.MULTILINE)


@pytest.fixture(scope="module")
def fresh(passable_folder: Path) -> Iterator[RunningNode]:
    """A node that was started and nothing else."""
    node = RunningNode(passable_folder / "fresh", passable_folder / "programs", NODE_WORKERS="1")
    done = node.run("node", "start")
    assert done.returncode == 0, done.stderr
    yield node
    node.stop()


def test_a_new_node_knows_nobody(fresh: RunningNode) -> None:
    assert not (fresh.folder / "tokens.json").exists()
    assert not (fresh.folder / "accounts.json").exists()
    assert "There is no account" in fresh.run("account", "list").stdout
    asked = httpx.get(f"{fresh.address}/fhir/Patient", trust_env=False)
    assert asked.status_code == 401
    for name in ("admin", "operator", "root", "quanmin"):
        assert sign_in(fresh, name, name).status_code == 401


def test_an_account_is_made_invited_listed_and_locked(fresh: RunningNode) -> None:
    made = fresh.run("account", "add", "zhang", "--role", "resident", "--name", "Zhang")
    assert made.returncode == 0, made.stderr
    invitation = CODE.findall(made.stdout)[0]
    with httpx.Client(base_url=fresh.address, trust_env=False) as client:
        told = {"code": invitation, "password": PASSWORD, "again": PASSWORD}
        assert send(client, "/invitation", **told).headers["location"] == "/account/factors"
        assert client.get("/account").headers["location"] == "/sign-in", "no second factor yet"
        assert add_authenticator(client) == 200
        assert client.get("/account").status_code == 200
        assert "active" in fresh.run("account", "list").stdout
        assert fresh.run("account", "lock", "zhang").returncode == 0
        assert client.get("/account").headers["location"] == "/sign-in"
    assert sign_in(fresh, "zhang", PASSWORD).status_code == 401
    assert fresh.run("account", "unlock", "zhang").returncode == 0
    assert sign_in(fresh, "zhang", PASSWORD).status_code == 303
    again = CODE.findall(fresh.run("account", "reset", "zhang").stdout)[0]
    assert again != invitation
    assert sign_in(fresh, "zhang", PASSWORD).status_code == 401
    assert fresh.run("account", "retire", "zhang").returncode == 0
    assert "retired" in fresh.run("account", "list").stdout
    log = (fresh.folder / "node.log").read_text()
    assert all(secret not in log for secret in (PASSWORD, invitation, again))


def test_one_person_is_no_two_administrators(fresh: RunningNode) -> None:
    def administrator(
        code: str, role: str, document: str, *more: str
    ) -> subprocess.CompletedProcess[str]:
        return fresh.run("account", "add", code, "--role", role, *more, typed=f"{document}\n")

    number, passport = "11010519491231002X", ("--document", "passport")
    assert administrator("one", "system_administrator", number).returncode == 0
    refused = administrator("two", "audit_administrator", "110105 19491231 002x")
    assert refused.returncode == 2
    assert "three persons" in refused.stderr
    assert "1949" not in refused.stderr
    for document, more in (("110105194912310021", ()), ("x", ()), (number, passport)):
        slip = administrator("two", "audit_administrator", document, *more)
        assert slip.returncode == 2
        assert "mistyped" in slip.stderr
    assert administrator("two", "audit_administrator", "E12345678", *passport).returncode == 0
    program = administrator("three", "security_administrator", "", "--system")
    assert program.returncode == 2
    assert "a person who signs in" in program.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "x", "--role", "king"), "There is no role 'king'"),
        (("add", "x", "--role", "institution"), "--institution"),
        (("add", "X Y", "--role", "resident"), "the code of an account"),
        (("lock", "nobody"), "no account “nobody”"),
        (("code", "nobody"), "Only accounts of a demonstration"),
    ],
)
def test_what_cannot_be_done_is_told(
    fresh: RunningNode, arguments: tuple[str, ...], told: str
) -> None:
    done = fresh.run("account", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_system_gets_a_token_and_no_password(fresh: RunningNode) -> None:
    made = fresh.run("account", "add", "loader", "--system", "--role", "operator")
    token = made.stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    asked = httpx.get(f"{fresh.address}/fhir/Patient", headers=headers, trust_env=False)
    assert asked.status_code == 200
    kept = json.loads((fresh.folder / "tokens.json").read_text())
    assert [each["code"] for each in kept] == ["loader"]
    assert sign_in(fresh, "loader", token).status_code == 401


def sign_in(node: RunningNode, name: str, password: str) -> httpx.Response:
    with httpx.Client(base_url=node.address, trust_env=False) as client:
        return send(client, "/sign-in", name=name, password=password)


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    page = client.get(path).text
    token = re.findall(r'name="token" value="([^"]+)"', page)[0]
    origin = {"Origin": str(client.base_url).rstrip("/")}
    return client.post(path, data={"token": token, **fields}, headers=origin)


def add_authenticator(client: httpx.Client) -> int:
    """Give the account that has just chosen its password the first second factor."""
    page = client.get("/account/factors").text
    kept = re.findall(r'name="secret" value="([^"]+)"', page)[0]
    code = present_code(re.findall(r"<code>([A-Z2-7]{32})</code>", page)[0])
    told = {"what": "authenticator", "secret": kept, "code": code}
    return send(client, "/account/factors", **told).status_code


def test_an_institution_has_the_quota_that_its_operator_gives_it(fresh: RunningNode) -> None:
    given = ("--system", "--role", "institution", "--institution", "hospital-q")
    made = fresh.run("account", "add", "his", *given)
    assert made.returncode == 0, made.stderr
    token = made.stdout.split()[-1]
    for words in (("set", "hospital-q", "writes", "3"), ("count", "hospital-q")):
        done = fresh.run("quota", *words)
        assert done.returncode == 0, done.stderr
    body = b'{"resourceType":"Basic","code":{"text":"counted"}}'
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    # A connection each, so that any worker may have it.
    statuses = [
        httpx.post(
            f"{fresh.address}/fhir/Basic", content=body, headers=headers, trust_env=False
        ).status_code
        for _ in range(6)
    ]
    assert statuses == [201] * 3 + [429] * 3
    listed = fresh.run("quota", "list", "hospital-q").stdout
    assert re.search(r"hospital-q +writes +3 +3\*", listed), listed
    assert fresh.run("quota", "clear", "hospital-q", "writes").returncode == 0
    assert "3*" not in fresh.run("quota", "list").stdout
    unknown = fresh.run("quota", "list", "there-is-none")
    assert unknown.returncode != 0
    assert "quota list" in unknown.stderr
