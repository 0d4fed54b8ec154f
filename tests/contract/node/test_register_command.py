"""`quanmin registers`: the registers of a node kept from its own machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import RunningNode
from stores import observation

from quanmin.demo.numbering import credit_code

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
    assert "2 of 2" in written(node, "load", "institutions", file)
    assert "2 of 2" in written(node, "load", "institutions", file)  # again changes nothing
    assert "1 of 1" in written(node, "load", "practitioners", staff)
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
