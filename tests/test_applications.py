"""The contract of applications: every folder of `quanmin/applications` keeps it, and so do the
trial application of the tests and any that is added.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from clinic import MAN, PHONE, Clinic, with_check_digit
from contract_of import (
    Walk,
    faults_of_definitions,
    faults_of_folder,
    faults_of_rules,
    faults_of_words,
    foreign_words,
    settle_staff,
    undeclared,
)
from ruling import brought_by, under
from tidy.tree import assert_clean

from quanmin.base.logs import JsonLines
from quanmin.web.application import Installed, discover

PACKAGES = ("quanmin.applications", "trials")
EVERY = [(package, one) for package in PACKAGES for one in discover(package)]
PERSONAL = ("张伟", "欧阳明月", with_check_digit(MAN), MAN[:14], PHONE, "青霉素", "2型糖尿病")


def named(one: object) -> str:
    return one.application.name if isinstance(one, Installed) else ""


@pytest.mark.parametrize(("package", "installed"), EVERY, ids=named)
def test_an_application_is_whole(package: str, installed: Installed) -> None:
    """Shape and sizes, declared types, words in both languages, definitions, examples."""
    assert_clean(
        [
            *faults_of_folder(installed),
            *undeclared(installed),
            *faults_of_words(installed),
            *faults_of_definitions(installed),
            *faults_of_rules(installed, package),
        ]
    )


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is written to the log meanwhile, as a node writes it and as its messages are made."""
    text = io.StringIO()
    handlers = [logging.StreamHandler(text), logging.StreamHandler(text)]
    handlers[0].setFormatter(JsonLines())
    root, level = logging.getLogger(), logging.getLogger().level
    ours = logging.getLogger("quanmin")
    before = ours.level
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    for handler in handlers:
        root.addHandler(handler)
    yield text
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(level)
    ours.setLevel(before)


async def test_pages_answer_their_roles_in_both_languages_and_refuse_others(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, log: io.StringIO
) -> None:
    """With nothing personal in the log. In the quick tests each role in one language, and some of
    those that are refused; in the long ones all.
    """
    clinic = Clinic(pool, tmp_path)
    await clinic.fill()
    await settle_staff(clinic)
    brought = [bounds for package in PACKAGES for bounds in brought_by(package)]
    clinic.guard = under(clinic.guard, brought=brought)
    is_thorough = os.environ.get("QUANMIN_TESTS") == "full"
    pages = clinic.pages(installed=tuple(one for _, one in EVERY))
    walk = Walk(clinic, pages, is_thorough=is_thorough)
    await walk.walk([one for _, one in EVERY])
    await walk.close()
    assert walk.opened > len(EVERY) * 10
    assert_clean(walk.faults)
    assert_clean(f"the log holds {one}" for one in PERSONAL if one in log.getvalue())


ACTIVITY = """
source = "a law"
owner = "tests"
version = "1"
effective = 2026-11-23
part_of = "care"
"""
BAD = {
    "__init__.py": '"""Blood."""\n',
    "application.py": """
from quanmin.web import Application, Text
from quanmin.web.route import STAFF, page

@page("/blood", access=STAFF)
async def stock(visit, records):
    await records.find("Observation", count=1)
    await records.create("Patient", b"")
    return visit.page("blood/stock.html", words=visit.say("Blood in stock"))

APPLICATION = Application(
    name="blood", title=Text(zh="Blood", en="Blood"), summary=Text(zh="库存", en="Stock"),
    section="care", home="/blood", levels=frozenset({"county"}),
    roles=frozenset({"operator", "institution"}), reads=frozenset({"Patient"}), pages=(stock,),
)
""",
    "rules.py": """
import os
from quanmin.base.decision import Decision

def may_give(units: int) -> Decision:
    return Decision(units > 0)
""",
    "notes.txt": "not of the shape",
    "definitions/activity.toml": ACTIVITY,
    "definitions/groups.toml": 'group = ["A"]\n',
    "definitions/form.json": '{"resourceType": "Questionnaire", "status": "nonsense"}',
    "definitions/plan.json": '{"resourceType": "PlanDefinition", "status": "draft"}',
}


def test_an_application_that_breaks_it_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in BAD.items():
        file = tmp_path / "bad_ones" / "blood" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    (tmp_path / "bad_ones" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    (bad,) = discover("bad_ones")
    shape, types, words, definitions, rules = (
        "\n".join(found)
        for found in (
            faults_of_folder(bad),
            undeclared(bad),
            faults_of_words(bad),
            faults_of_definitions(bad),
            faults_of_rules(bad, "bad_ones"),
        )
    )
    assert "imports os" in shape
    assert "notes.txt" in shape
    assert "say for whom it is" in shape
    assert "asks Observation" in types
    assert "writes Patient" in types
    assert "Blood lacks its words" in words
    assert "no words in zh for: Blood in stock" in words
    assert "groups.toml: say its source, owner, version, effective" in definitions
    assert "form.json: say its url" in definitions
    assert "Questionnaire.status must be one of" in definitions
    assert "plan.json: say its source" in definitions
    assert "may_give has no example" in rules


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("en", "<p>Stock 库存</p>", ["Stock 库存"]),
        ("en", '<p>Stock <b lang="zh">库存</b> left</p>', []),
        ("en", '<input aria-label="库存">', ["库存"]),
        ("zh", "<p>There is no stock left</p>", ["There is no stock left"]),
        ("zh", '<p>库存 <span lang="en">There is none left</span></p>', []),
        ("zh", "<p>GB/T 39725-2020，ICD-10</p><pre>any words of code</pre>", []),
    ],
)
def test_words_of_the_other_language_are_noticed(
    language: str, text: str, found: list[str]
) -> None:
    assert foreign_words(text, language) == found


def test_what_is_personal_in_the_log_is_noticed(log: io.StringIO) -> None:
    logging.getLogger("quanmin.trial").debug("opened by %s", PERSONAL[0])
    assert PERSONAL[0] in log.getvalue()
