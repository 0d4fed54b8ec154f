"""Every command, with wrong input as a person would type it: each ends with a sentence that says
what is wrong, and with an exit code that says so, whatever was typed.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from typer.main import get_command

from quanmin.base.problems import Unusable
from quanmin.node import commands
from quanmin.node.commands import WRONG_INPUT, app
from quanmin.node.given import read_given

# They make a node where there is none: what is sound for them is not asked here.
MAKING: Final = {"node start", "demo", "load", "account add"}
# They look, and tell by another code than that of wrong input that there is nothing.
LOOKING: Final = {"node status": 3, "node stop": 0, "doctor": 0}
SOUND: Final[dict[Any, str]] = {int: "1", float: "1", datetime: "2026-01-01"}
TYPED: Final = ("", "x" * 5000, "-1", "9" * 30, "2026-02-30", "²", "0x1", "\udcff", "--nonsense")


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its path."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, one in (inner or {}).items():
        yield from leaves(one, f"{path} {name}".strip())


WHOLE: Final = get_command(app)
COMMANDS: Final = dict(leaves(WHOLE))


class Typed:
    """A command line that is sound as far as one can tell without a node."""

    def __init__(self, path: str, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.parameters = COMMANDS[path].params
        self.file = folder / "given"
        self.file.write_text("{}", "utf-8")

    def line(self, changed: str = "", value: str | None = None) -> list[str]:
        """The words of it, one parameter with another value."""
        options: list[str] = []
        arguments: list[str] = []
        for one in self.parameters:
            is_flag = getattr(one, "is_flag", False)
            is_said = one.required or one.name in {changed, "directory"}
            if is_flag or not is_said:
                continue
            said = self._sound(one) if one.name != changed or value is None else value
            if one.param_type_name == "option":
                options.append(f"{one.opts[-1]}={said}")
            else:
                arguments.append(said)
        return [*self.path.split(), *options, "--", *arguments]

    def _sound(self, one: Any) -> str:
        if one.name == "directory":
            return str(self.folder / "node")
        kind = one.type_descriptor.annotation
        if kind is Path:
            return str(self.file)
        choices = get_args(kind)
        return str(choices[0]) if choices else SOUND.get(kind, "x")

    @property
    def files(self) -> list[str]:
        """What is no file that could be meant."""
        other = self.folder / "gbk"
        other.write_bytes("机构".encode("gbk"))
        missing = str(self.folder / "missing" / "file")
        return [missing, "/dev/full", str(other), "x" * 5000, "\udcff"]

    def wrong(self, one: Any) -> str:
        """What a person would give for a parameter by mistake: one of many, by its name."""
        is_file = one.type_descriptor.annotation is Path
        values = self.files if is_file else TYPED
        return values[zlib.crc32(f"{self.path} {one.name}".encode()) % len(values)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("QUANMIN_PASSPHRASE", raising=False)
    monkeypatch.setattr(commands, "app", WHOLE)  # made once: it costs more than a command
    return tmp_path


def ended(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command line, with nobody there to answer."""
    monkeypatch.setattr(sys, "argv", ["quanmin", *words])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    try:
        commands.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_wrong_input_is_told_in_a_sentence(
    path: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed(path, home)
    faults = []

    def ask(words: list[str], *codes: int) -> None:
        code = ended(words, monkeypatch)
        said = capsys.readouterr()
        if code not in codes or (code and not (said.err or said.out).strip()):
            faults.append(f"{[one[:40] for one in words]}: {code}: {said.err[-200:]}")

    usual = LOOKING.get(path, WRONG_INPUT)
    if path in MAKING:
        ask(typed.line("settings_file", str(home / "missing")), WRONG_INPUT)
        return
    ask(typed.line(), usual)
    for one in typed.parameters:
        if not getattr(one, "is_flag", False) and one.name not in {"directory", "settings_file"}:
            ask(typed.line(one.name, typed.wrong(one)), usual)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("place", ["directory", "settings_file"])
def test_a_wrong_place_of_the_node_is_told(
    place: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed("account list", home)
    for wrong in typed.files:
        assert ended(typed.line(place, wrong), monkeypatch) == WRONG_INPUT, wrong
        assert capsys.readouterr().err.startswith("quanmin: ")
    for empty in ("", " "):
        assert ended(typed.line(place, empty), monkeypatch) == WRONG_INPUT
        assert "is empty: name the place" in capsys.readouterr().err, "not the folder one is in"


def test_a_question_without_an_answer_does_nothing_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"--directory={home}"
    for words, said in (
        (["erase", "Patient/1", where], "Say --yes"),
        (["restore", f"--keys={home}/copy", where], "QUANMIN_PASSPHRASE"),
    ):
        assert ended(words, monkeypatch) == WRONG_INPUT
        assert said in " ".join(capsys.readouterr().err.split())


def test_a_device_is_no_file_to_read(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="a device"):
        read_given(Path("/dev/zero"))
    with pytest.raises(Unusable, match="a folder"):
        read_given(tmp_path)
