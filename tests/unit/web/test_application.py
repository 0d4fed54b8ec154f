from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from quanmin.base.problems import Unusable
from quanmin.trust import Actor
from quanmin.trust.lifecycle.declared_activities import DeclaredActivity, delivered_activities
from quanmin.trust.registers import Standing
from quanmin.web.application import discover
from quanmin.web.route import ANYBODY, SIGNED_IN, STAFF, Access, Charge, checked, page
from quanmin.web.sections import OTHER

GOOD = """
from quanmin.web import Application, Text
from quanmin.web.route import STAFF, page

@page("/blood", access=STAFF)
async def stock(visit, records):
    raise NotImplementedError

APPLICATION = Application(
    name="blood", title=Text(zh="血液", en="Blood"), summary=Text(zh="库存", en="Stock"),
    section="care", home="/blood",
    levels=frozenset({"county"}), roles=frozenset({"operator", "institution"}),
    reads=frozenset({"Patient"}), pages=(stock,),
)
"""

HEAD = """
source = "a law"
owner = "tests"
version = "1"
effective = 2026-11-23
"""
OWN = f"""{HEAD}
[activity]
title = "血液库存"
purpose = "知道有多少血"
bases = ["duty"]
data = "血型"
persons = "献血者"
recipients = "医院"
source = "血站"
retention = "十年"
measures = "访问留痕"
is_sensitive = true
risks = "血型泄露"
"""


def lay(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, name: str = "blood") -> str:
    package = f"applications_of_{folder.name}".replace("-", "_")
    place = folder / package / name
    place.mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    (place / "__init__.py").touch()
    (place / "application.py").write_text(textwrap.dedent(code), encoding="utf-8")
    (place / "definitions").mkdir()
    (place / "definitions" / "activity.toml").write_text(f'{HEAD}part_of = "care"', "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    for known in [known for known in sys.modules if known.startswith(package)]:
        monkeypatch.delitem(sys.modules, known)
    return package


def test_a_new_folder_is_a_new_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (installed,) = discover(lay(tmp_path, monkeypatch, GOOD))
    assert installed.application.name == "blood"
    assert installed.folder.name == "blood"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("APPLICATION =", "OTHER ="), "must hold an Application"),
        (('name="blood"', 'name="plasma"'), "the folder's name is its name"),
        (('{"operator", "institution"}', '{"operator"}'), "roles that the application does not"),
        (("access=STAFF", "access=ANYBODY"), "roles that the application does not"),
        (("pages=(stock,)", "pages=(stock, stock)"), "twice"),
        (("pages=(stock,)", "pages=(print,)"), "declare it with"),
        (('section="care"', 'section="cure"'), "no section cure"),
        (('home="/blood"', 'home="/plasma"'), "/plasma is none of its pages"),
    ],
)
def test_an_application_that_declares_what_it_may_not_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], complaint: str
) -> None:
    code = GOOD.replace(*change).replace("import STAFF", "import ANYBODY, STAFF")
    package = lay(tmp_path, monkeypatch, code)
    with pytest.raises(TypeError, match=complaint):
        discover(package)


def test_a_workflow_with_faults_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = lay(tmp_path, monkeypatch, GOOD)
    (tmp_path / package / "blood" / "workflow.toml").write_text('owner = "somebody"\n')
    with pytest.raises(Unusable, match=r"blood/workflow\.toml has \d faults"):
        discover(package)


def declared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> DeclaredActivity | None:
    package = lay(folder, monkeypatch, GOOD)
    file = folder / package / "blood" / "definitions" / "activity.toml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text, "utf-8")
    (found,) = discover(package)
    return found.activity


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "blood/definitions/activity.toml is missing: say there of which entry"),
        ("part_of = ", "activity.toml: Invalid"),
        ('part_of = "care"', "missing required field `source`"),
        (HEAD, "give either part_of or"),
        (f"{OWN}\n[other]\nx = 1", "unknown field `other`"),
        (OWN.replace("[activity]", 'part_of = "care"\n[activity]'), "give either part_of or"),
        (OWN.replace("is_sensitive", "is_sensible"), "unknown field `is_sensible`"),
        (OWN.replace("血站", " "), "source: say it"),
        (OWN.replace("duty", "custom"), "bases: one or more of"),
        (OWN.replace("血型泄露", ""), "risks: say what an assessment"),
        (f'{OWN}country = "Atlantis"', "country: two capital letters"),
    ],
)
def test_an_application_that_does_not_say_what_it_does_with_personal_data_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, complaint: str
) -> None:
    with pytest.raises(Unusable, match=re.escape(complaint)):
        declared(tmp_path, monkeypatch, text)


def test_an_application_describes_an_entry_or_is_part_of_one_that_somebody_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = declared(tmp_path, monkeypatch, OWN)
    assert own is not None
    entries = {one.code: one for one in delivered_activities([own])}
    assert entries["blood"].purpose == "知道有多少血"
    assert entries["blood"].uses == ("application:blood",)
    more = DeclaredActivity("plasma", "blood"), DeclaredActivity("serum", "care")
    entries = {one.code: one for one in delivered_activities([*more, own])}
    assert set(entries["blood"].uses) == {"application:blood", "application:plasma"}
    assert "application:serum" in entries["care"].uses
    with pytest.raises(Unusable, match="there is no entry blood to be part of"):
        delivered_activities(more)
    with pytest.raises(Unusable, match="the program has an entry care"):
        delivered_activities([DeclaredActivity("care", "care", own.activity)])


def test_a_page_without_access_cannot_be_declared() -> None:
    declare: Any = page
    with pytest.raises(TypeError, match="access"):
        declare("/x")
    with pytest.raises(TypeError, match="must state its access"):
        declare("/x", access="everybody")


def test_access_admits_its_roles_only() -> None:
    assert ANYBODY.admits(None)
    assert SIGNED_IN.admits("resident")
    assert not SIGNED_IN.admits(None)
    assert not STAFF.admits("resident")
    assert not Access(frozenset()).admits("operator")


def test_a_duty_is_asked_of_those_the_page_names_and_of_others_once_they_have_a_post() -> None:
    access = Access(
        frozenset({"doctor", "institution", "operator"}),
        Charge(frozenset({"head", "registrar"}), frozenset({"doctor"}), frozenset({"institution"})),
    )
    doctor, desk, centre = (
        Actor(role, role, "x", "x") for role in ("doctor", "institution", "operator")
    )
    posted = Standing(has_posts=True, post=1)
    charged = Standing(has_posts=True, post=1, duties=frozenset({"registrar", "quality"}))
    assert not access.opens_to(doctor, Standing())
    assert not access.opens_to(doctor, posted)
    assert access.opens_to(doctor, charged)
    assert access.opens_to(desk, Standing())
    assert not access.opens_to(desk, posted)
    assert access.opens_to(desk, charged)
    assert access.opens_to(centre, posted)
    assert not access.opens_to(Actor("n", "nurse", "x", "x"), charged), "no role of the page"


def test_what_is_of_the_node_is_closed_to_who_runs_its_tenants_under_a_contract() -> None:
    keeper, entrusted = Actor("k", "operator", "x", "x"), Standing(party="runner")
    assert not Access(frozenset({"operator"}), is_of_node=True).opens_to(keeper, entrusted)
    assert Access(frozenset({"operator"}), is_of_node=True).opens_to(keeper, Standing())
    assert Access(frozenset({"operator"})).opens_to(keeper, entrusted)


def test_every_application_of_the_tree_names_its_field_of_work() -> None:
    assert [one.application.name for one in discover() if one.application.section == OTHER] == []


def test_what_is_no_declared_page_is_refused() -> None:
    async def bare() -> Response:
        return Response()

    with pytest.raises(TypeError, match="declare it with"):
        checked((bare,), "the kit")
    one = page("/x", access=SIGNED_IN)(bare)
    with pytest.raises(TypeError, match="twice"):
        checked((one, one), "the kit")
