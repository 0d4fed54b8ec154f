from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from quanmin.web.languages import catalogue_path, read_catalogue, translations
from quanmin.web.text import LANGUAGES

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = ROOT / "tools" / "build_translations.py"
    spec = importlib.util.spec_from_file_location("build_translations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folders(tool: ModuleType) -> Iterator[Path]:
    yield from tool.folders()


def test_every_catalogue_holds_every_message_and_each_is_translated(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--check"]) == 0, capsys.readouterr().out


def test_a_message_without_words_is_noticed(tool: ModuleType) -> None:
    fresh = tool.renewed(next(folders(tool)), "zh")
    fresh.add("a message that nobody has translated")
    assert tool.untranslated(fresh) == ["a message that nobody has translated"]


def test_no_message_holds_a_bare_percent_sign(tool: ModuleType) -> None:
    # Newstyle gettext formats with `%`: a bare one breaks the page when it is made, not before.
    for folder in folders(tool):
        for message in read_catalogue(folder, "zh"):
            told = message.string if isinstance(message.string, tuple) else (message.string,)
            asked = message.id if isinstance(message.id, tuple) else (message.id,)
            for text in (*told, *asked):
                assert "%" not in re.sub(r"%\(\w+\)s", "", str(text)), text


def test_both_languages_are_served(tool: ModuleType) -> None:
    said = translations(folders(tool))
    assert set(said) == set(LANGUAGES)
    assert said["zh"].gettext("Find a person") == "查找个人"
    assert said["en"].gettext("Find a person") == "Find a person"
    assert all(catalogue_path(folder, "zh").exists() for folder in folders(tool))
