from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from quanmin.base.problems import Sentence
from quanmin.web.languages import KIT, KIT_FOLDER, Words, catalogue_path, read_catalogue
from quanmin.web.text import Text

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
                assert "%" not in re.sub(r"%\(\w+\)[srg]|%%", "", str(text)), text


def test_what_a_problem_says_is_found_beside_its_issues_and_in_them(
    tool: ModuleType, tmp_path: Path
) -> None:
    source = 'Conflict("one", issues=(Issue("error", "code", Sentence("two %(n)s", n=2), ""),))'
    (tmp_path / "problems.py").write_text(source, "utf-8")
    assert {message.id for message in tool.messages(tmp_path) if message.id} == {"one", "two %(n)s"}


def test_a_translation_puts_in_no_value_that_the_message_has_not(tool: ModuleType) -> None:
    # It would fail where it is said, and with it the page that tells what went wrong.
    for folder in folders(tool):
        for message in read_catalogue(folder, "zh"):
            said = message.string if isinstance(message.string, tuple) else (message.string,)
            has = set(re.findall(r"%\((\w+)\)", str(message.id)))
            put = set(re.findall(r"%\((\w+)\)", "".join(map(str, said))))
            assert put <= has, message.id


def test_a_sentence_is_said_by_its_template_and_each_value_in_the_language(tmp_path: Path) -> None:
    given = (
        "it is %(state)s: %(why)s = 目前为%(state)s：%(why)s",
        "write %(least)s to %(most)s letters = 请写 %(least)s 至 %(most)s 个字",
    )
    words = Words({KIT: laid(tmp_path, *given)})
    why = Sentence("write %(least)s to %(most)s letters", least=4, most=2000)
    whole = Sentence("it is %(state)s: %(why)s", state=Text(zh="已关闭", en="closed"), why=why)
    assert whole == "it is closed: write 4 to 2000 letters"
    assert words.say(whole, "zh") == "目前为已关闭：请写 4 至 2000 个字"
    assert words.say(whole, "en") == str(whole)


def test_both_languages_are_served(tool: ModuleType) -> None:
    words = Words({KIT: KIT_FOLDER})
    assert words.say("Sign out", "zh") == "退出登录"
    assert words.say("Sign out", "en") == "Sign out"
    assert all(catalogue_path(folder, "zh").exists() for folder in folders(tool))


def laid(folder: Path, *lines: str) -> Path:
    """A folder with a catalogue of these messages, `English = Chinese` or with a plural."""
    text = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    text += '"Plural-Forms: nplurals=1; plural=0;\\n"\n\n'
    for line in lines:
        english, _, chinese = line.partition(" = ")
        one, _, several = english.partition("|")
        plural = f'msgid_plural "{several}"\nmsgstr[0] ' if several else "msgstr "
        text += f'msgid "{one}"\n{plural}"{chinese}"\n\n'
    (folder / "templates").mkdir(parents=True)
    catalogue_path(folder, "zh").write_text(text, "utf-8")
    return folder


def test_the_same_english_is_said_as_each_folder_says_it(tmp_path: Path) -> None:
    words = Words(
        {
            KIT: laid(tmp_path / "web", "Due = 期限", "Next = 下一页", "{n} day|{n} days = {n} 天"),
            "shots": laid(tmp_path / "shots", "Due = 应种日期", "{n} day|{n} days = {n} 日"),
            "cards": laid(tmp_path / "cards", "Due = 时限"),
            "bare": tmp_path,
        }
    )
    owners = (KIT, "shots", "cards", "bare", "unknown")
    said = [words.say("Due", "zh", one) for one in owners]
    assert said == ["期限", "应种日期", "时限", "期限", "期限"]
    assert words.say("Due", "zh") == "期限"
    assert words.say("Due", "zh", "bare", "cards") == "时限", "the first that says it"
    assert words.say("Next", "zh", "shots") == "下一页"
    assert words.say("Nobody says it", "zh", "shots") == "Nobody says it"
    assert words.say("Due", "en", "shots") == "Due"
    assert words.count("{n} day", "{n} days", 2, "zh", "shots") == "{n} 日"
    assert words.count("{n} day", "{n} days", 2, "zh", "cards") == "{n} 天"
    assert words.count("{n} day", "{n} days", 2, "en", "cards") == "{n} days"
    assert words.count("{n} day", "{n} days", 1, "en", "cards") == "{n} day"


def test_no_application_says_otherwise_what_the_frame_of_its_pages_says(tool: ModuleType) -> None:
    # A template that extends another speaks for both: the frame would say it in these words.
    kit, *others = list(folders(tool))
    ours, said = read_catalogue(kit, "zh"), tool.messages(kit)
    frame = {
        message.id
        for message in said
        if message.id and EXTENDED & {place for place, _ in message.locations}
    }
    assert len(frame) > 5
    clashes = []
    for folder in others:
        for message in read_catalogue(folder, "zh"):
            own = ours.get(message.id) if message.id in frame else None
            if own is not None and own.string != message.string:
                clashes.append(f"{folder.name}: {message.id} is {own.string} in the frame")
    assert clashes == []


EXTENDED = {
    f"templates/{name}.html"
    for name in re.findall(
        r'{% extends "kit/(\w+)\.html" %}',
        "".join(path.read_text("utf-8") for path in (ROOT / "quanmin").rglob("*.html")),
    )
}
