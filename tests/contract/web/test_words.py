"""Pages of two applications that say the same English in other words, and the kit in its own."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from clinic import Browser, Clinic

from quanmin.web.application import discover

_CODE = """
from quanmin.web import Access, Application, Text, Work, page
from quanmin.web.forms import Cell
from quanmin.web.tables import Heading, Table, known, table

STAFF = Access(frozenset({"operator"}))

@table("/NAME", access=STAFF, name="NAME")
async def listed(visit, records):
    headings = [Heading(visit.say("Due"), "due")]
    return Table(title=visit.say("Nothing more"), headings=headings, order="due",
                 fetch=known([[Cell("one")]], headings, "due"))

@page("/NAME/one", access=STAFF)
async def one(visit, records):
    return visit.page("NAME/one.html")

async def work(visit, records):
    return [Work(words=visit.say("Due"), link="/NAME", number=1)]

APPLICATION = Application(
    name="NAME", title=Text(zh="试用", en="Trial"), summary=Text(zh="试用", en="Trial"),
    section="care", home="/NAME", levels=frozenset({"county"}), roles=frozenset({"operator"}),
    reads=frozenset(), pages=(*listed, one), work=work,
)
"""
_PAGE = """{% extends "kit/frame.html" %}
{% from "kit/steps.html" import steps with context %}
{% block title %}{% trans %}Due{% endtrans %}{% endblock %}
{% block main %}<h1>{% trans %}Due{% endtrans %}</h1>{{ steps(["a", "b"], 1) }}{% endblock %}
"""
_HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
_ENTRY = 'source = "a"\nowner = "b"\nversion = "1"\neffective = 2026-11-23\npart_of = "care"\n'


@pytest.fixture
async def browser(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Browser:
    (tmp_path / "wordy").mkdir()
    for name, due in (("first", "应种日期"), ("second", "时限")):
        files = {
            "__init__.py": "",
            "application.py": _CODE.replace("NAME", name),
            "definitions/activity.toml": _ENTRY,
            "templates/one.html": _PAGE,
            "templates/zh.po": f'{_HEAD}\nmsgid "Due"\nmsgstr "{due}"\n\nmsgid "done"\n'
            'msgstr "了结"\n',
        }
        for file, text in files.items():
            path = tmp_path / "wordy" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    (tmp_path / "wordy" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return await clinic.enter("centre", clinic.pages(installed=discover("wordy")))


async def test_each_application_speaks_its_own_words_and_the_kit_its_own(browser: Browser) -> None:
    for name, due in (("first", "应种日期"), ("second", "时限")):
        page = (await browser.get(f"/{name}/one?lang=zh")).text
        assert f"<h1>{due}</h1>" in page
        assert "已完成" in page, "a part of the kit, in the kit's words"
        assert "了结" not in page
        assert due in (await browser.get(f"/{name}?lang=zh")).text
        assert "<h1>Due</h1>" in (await browser.get(f"/{name}/one?lang=en")).text
    first = (await browser.get("/?lang=zh")).text
    assert re.findall("应种日期|时限|期限", first) == ["应种日期", "时限"], "what they tell of work"
