"""What a person gives a command: a file that it reads, an answer to what it asks. What cannot be
read, and a question without an answer, are told with the way out.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable
from getpass import GetPassWarning
from pathlib import Path
from typing import Annotated

import typer

from quanmin.base.problems import TooLarge, Unusable


def _place(option: str) -> Callable[[str], Path]:
    """Reads the folder or file that an option names. It raises Unusable for an empty word, as an
    unset variable of a script leaves it: it would mean the folder one happens to be in.
    """

    def read(word: str) -> Path:
        if not word.strip():
            raise Unusable(f"{option} is empty: name the place, or leave the option out.")
        return Path(word)

    return read


Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        help="The node's folder (setting node.directory).",
        parser=_place("--directory"),
        metavar="PATH",
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="The settings file to use instead of the usual.",
        parser=_place("--settings"),
        metavar="PATH",
    ),
]


def read_given(file: Path, *, bytes_max: int | None = None) -> bytes:
    """What a file or a pipe holds. Raises Unusable for what cannot be read, and for a device, which
    may never end; TooLarge beyond `bytes_max`.
    """
    try:
        found = file.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device"
            raise Unusable(f"{file} is {what}: name a file.")
        with file.open("rb") as opened:
            content = opened.read() if bytes_max is None else opened.read(bytes_max + 1)
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror}): name a file that is there and yours."
        raise Unusable(message) from error
    if bytes_max is not None and len(content) > bytes_max:
        raise TooLarge(f"{file} is larger than {bytes_max} bytes: see --file-bytes-max.")
    return content


def read_given_text(file: Path) -> str:
    """The text of a file. Raises Unusable, also for what is not UTF-8."""
    try:
        return io.StringIO(read_given(file).decode("utf-8"), newline=None).read()
    except UnicodeDecodeError as error:
        raise Unusable(f"{file} is not UTF-8 text: save it as UTF-8.") from error


def confirm(question: str) -> None:
    """Ask whether to go on. Raises Unusable unless somebody says yes."""
    try:
        is_meant = typer.confirm(question)
    except typer.Abort:
        is_meant = False
    if not is_meant:
        raise Unusable("Nothing was done. Say --yes where nobody is there to answer.")


def ask_secret(words: str, way_out: str, *, is_new: bool = False) -> str:
    """What is typed and not shown, twice if it is new. Raises Unusable where nobody answers."""
    try:
        with warnings.catch_warnings():
            # What comes from a pipe is shown nowhere: nobody need be warned of it.
            warnings.simplefilter("ignore", GetPassWarning)
            return str(typer.prompt(words, hide_input=True, confirmation_prompt=is_new))
    except typer.Abort as error:
        raise Unusable(f"Nothing was typed: {way_out}.") from error
