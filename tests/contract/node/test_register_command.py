"""`quanmin registers`: the registers of a node kept from its own machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import RunningNode, wait_until
from stores import observation

from quanmin.demo.numbering import credit_code
from quanmin.node.demo_actors import HOSPITALS

HOSPITAL, CENTRE = credit_code("580101", 7), credit_code("580101", 8)
INSTITUTIONS = f"""credit_code,name,kind,level,grade,sender,parent,state,from,until
{HOSPITAL},清河县人民医院,A,county,1,hospital-x,,active,2020-01-01,2024-12-31
{HOSPITAL},清河县人民医院,A,county,1,hospital-x,,closed,2025-01-01,
{CENTRE},=清河镇卫生院,C,township,,centre-x,{HOSPITAL},,,
"""
STAFF = f"""staff_number,name,licence,scopes,state,from,until,institution
S1,李明,physician,clinical;tcm,active,2020-01-01,2030-12-31,{CENTRE}
"""


@pytest.fixture(scope="module")
def node(passable_folder: Path) -> Iterator[RunningNode]:
    opened = RunningNode(passable_folder / "registers", passable_folder / "programs")
    opened.start()
    yield opened
    opened.stop()


def written(node: RunningNode, *arguments: str | Path) -> str:
    done = node.run("registers", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def table(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


@pytest.mark.slow
def test_institutions_and_staff_are_taken_in_from_csv_and_listed_as_of_a_day(
    node: RunningNode, tmp_path: Path
) -> None:
    file, staff = tmp_path / "institutions.csv", tmp_path / "staff.csv"
    file.write_text(INSTITUTIONS, "utf-8")
    staff.write_text(STAFF, "utf-8")
    assert "2 institutions could be" in written(node, "load", "institutions", file, "--dry-run")
    assert len(table(written(node, "institutions"))) == 0
    assert "2 institutions are" in written(node, "load", "institutions", file)
    assert "2 institutions are" in written(node, "load", "institutions", file)  # again: the same
    assert "1 practitioners are" in written(node, "load", "practitioners", staff)
    then = table(written(node, "institutions", "--as-of", "2024-12-31"))
    assert [(one["credit_code"], one["state"]) for one in then] == [(HOSPITAL, "active")]
    now = table(written(node, "institutions"))
    assert {one["credit_code"]: one["state"] for one in now} == {
        HOSPITAL: "closed",
        CENTRE: "active",
    }
    assert [one["name"] for one in now if one["credit_code"] == CENTRE] == ["'=清河镇卫生院"]
    history = table(written(node, "institutions", "--history", HOSPITAL))
    assert [(one["from"], one["until"]) for one in history] == [
        ("2020-01-01", "2024-12-31"),
        ("2025-01-01", ""),
    ]
    with node.client() as client:
        found = client.get(f"/fhir/Organization?identifier={CENTRE}").json()["entry"][0]["resource"]
        parent = client.get(f"/fhir/{found['partOf']['reference']}").json()
        assert parent["identifier"][0]["value"] == HOSPITAL
        roles = client.get("/fhir/PractitionerRole?practitioner.identifier=S1").json()
        places = [one["resource"]["organization"]["reference"] for one in roles["entry"]]
        assert places == [f"Organization/{found['id']}"]


@pytest.mark.slow
def test_a_file_with_a_fault_is_not_taken_in_part_and_each_fault_has_its_place(
    node: RunningNode, tmp_path: Path
) -> None:
    file = tmp_path / "faulty.csv"
    other = credit_code("580101", 9)
    wrong = other[:-1] + ("0" if other[-1] != "0" else "1")
    file.write_text(
        "credit_code,name,kind,state,from\n"
        f"{other},好医院,A,active,2020-01-01\n"
        f"{wrong},坏医院,Z,merry,yesterday\n",
        "utf-8",
    )
    done = node.run("registers", "load", "institutions", file)
    assert done.returncode == 2
    told = done.stdout + done.stderr
    for place in ("line 3, credit_code", "line 3, kind", "line 3, state", "line 3, from"):
        assert place in told
    assert "坏医院" not in told
    assert other not in written(node, "institutions")
    file.write_text("code,name\n1,2\n", "utf-8")
    done = node.run("registers", "load", "institutions", file)
    assert (done.returncode, "credit_code" in done.stderr) == (2, True)


@pytest.mark.slow
def test_posts_are_taken_in_from_csv_as_a_whole_or_not_at_all(
    node: RunningNode, tmp_path: Path
) -> None:
    for name, text in (("i", INSTITUTIONS), ("s", STAFF)):
        (tmp_path / f"{name}.csv").write_text(text, "utf-8")
    written(node, "load", "institutions", tmp_path / "i.csv")
    written(node, "load", "practitioners", tmp_path / "s.csv")
    for code in ("li", "wang"):
        made = node.run("account", "add", code, "--role", "nurse", "--institution", "centre-x")
        assert "registers appoint" in made.stdout, made.stdout + made.stderr
    file = tmp_path / "posts.csv"
    head = "actor,institution,duties,staff,from,until\n"
    good = f"li,{CENTRE},immunization;quality,S1,2026-01-01,\n"
    file.write_text(f"{head}{good}nobody,{CENTRE},,,2026-01-01,\nwang,{HOSPITAL},,,2026-01-01,\n")
    done = node.run("registers", "load", "posts", file)
    assert (done.returncode, "line 3, actor" in done.stdout) == (2, True), done.stdout
    assert "line 4, institution" in done.stdout
    file.write_text(f"{head}{good}wang,{CENTRE},,S9,2026-01-01,\n")
    assert "line 3, staff" in node.run("registers", "load", "posts", file).stdout
    assert table(written(node, "posts", "--as-of", "2026-06-30")) == []
    file.write_text(f"{head}{good}wang,{CENTRE},,,2026-01-01,2026-01-31\n")
    written(node, "load", "posts", file, "--dry-run")
    assert table(written(node, "posts", "--as-of", "2026-01-31")) == []
    assert "2 posts are entered" in written(node, "load", "posts", file)
    assert "2 posts are entered" in written(node, "load", "posts", file)  # again: the same
    for day, actors in (("2026-01-31", ["li", "wang"]), ("2026-02-01", ["li"])):
        held = table(written(node, "posts", "--as-of", day))
        assert sorted(one["actor"] for one in held) == actors
    file.write_text(f"{head}li,{CENTRE},,,2027-01-01,\n")
    assert "line 2, from" in node.run("registers", "load", "posts", file).stdout


@pytest.mark.slow
def test_what_the_registers_hold_already_is_told_with_its_line(
    node: RunningNode, tmp_path: Path
) -> None:
    file, third = tmp_path / "institutions.csv", credit_code("580101", 10)
    lines = f"{third},丙医院,other\n{credit_code('580101', 11)},丁医院,other\n"
    file.write_text(f"credit_code,name,sender\n{third},丙医院,third\n", "utf-8")
    written(node, "load", "institutions", file)
    file.write_text(f"credit_code,name,sender\n{lines}", "utf-8")
    done = node.run("registers", "load", "institutions", file)
    assert (done.returncode, "line 2: " in done.stdout) == (2, True), done.stdout
    assert "丁" not in written(node, "institutions")


@pytest.mark.slow
def test_a_company_is_admitted_for_a_time_and_stopped_in_every_worker(node: RunningNode) -> None:
    written(
        node,
        *("admission", "apply", "desk-ltd", "--kind", "organisation", "--name", "Desk Ltd"),
        *("--purpose", "reports", "--member", "actor:operator", "--by", "clerk"),
    )
    with node.client() as client:
        refused = client.post("/fhir/Observation", content=observation())
        assert refused.status_code == 403, refused.text
        assert "admitted" in refused.text
        same = node.run("registers", "admission", "review", "1", "--opinion", "x", "--by", "clerk")
        assert (same.returncode, "neither reviews" in same.stderr) == (2, True)
        written(node, "admission", "review", "1", "--opinion", "sound", "--by", "chief")
        written(
            node,
            *("admission", "admit", "1", "--agreement", "A7", "--from", "2026-01-01"),
            *("--until", "2027-12-31", "--by", "chief"),
        )
        for _ in range(8):  # whichever worker answers
            assert client.post("/fhir/Observation", content=observation()).status_code == 201
        written(node, "admission", "withdraw", "1", "--reason", "breach", "--by", "chief")
        for _ in range(8):
            assert client.post("/fhir/Observation", content=observation()).status_code == 403
    listed = table(written(node, "admission", "list"))
    assert [(one["party"], one["state"]) for one in listed] == [("desk-ltd", "withdrawn")]


@pytest.mark.slow
def test_a_running_node_is_divided_among_tenants(node: RunningNode) -> None:
    here, there = (actor.code for actor in HOSPITALS)
    with node.client(here) as ours, node.client(there) as theirs:
        made = [
            client.post("/fhir/Observation", content=observation()).json()["id"]
            for client in (ours, theirs)
        ]

        def tenants(*arguments: str) -> str:
            done = node.run("tenants", *arguments, TENANTS_GRACE_SECONDS="0")
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        for code, division in (("east", "330106"), ("west", "330108")):
            names = ("--name-zh", "县", "--name-en", "County", "--division", division)
            tenants("declare", code, *names)
        tenants("assign", here, "east")
        tenants("assign", there, "west")
        assert [one["code"] for one in table(tenants("list"))] == ["east", "west"]
        assert [one["sender"] for one in table(tenants("members", "east"))] == [here]
        for _ in range(6):  # whichever worker answers
            assert ours.get(f"/fhir/Observation/{made[0]}").status_code == 200
            assert ours.get(f"/fhir/Observation/{made[1]}").status_code == 404
            assert theirs.post("/fhir/Observation", content=observation()).status_code == 201
            counted = ours.get("/fhir/Observation?_summary=count").json()
            assert counted["total"] == 1
        begun = ours.get(
            "/fhir/$export?_type=Observation",
            headers={"Prefer": "respond-async", "Accept": "application/fhir+json"},
        )
        assert begun.status_code == 202, begun.text
        wait_until(
            lambda: ours.get(begun.headers["Content-Location"]).status_code == 200, "the export"
        )
        told = ours.get(begun.headers["Content-Location"])
        assert [one["count"] for one in told.json()["output"]] == [1]
        tenants("disable", "west", "nothing")
        assert "off" in tenants("applications", "west")
        with_basis = ("--purpose", "TREAT", "--basis", "order 1")
        assert "Agreement 1" in tenants("agree", "all", "all", *with_basis)
        tenants("end-agreement", "1")
        assert node.run("tenants", "end", "nowhere").returncode == 2
