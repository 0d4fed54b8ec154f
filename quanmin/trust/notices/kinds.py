"""The kinds of notice: of the node, and of each application, by its definitions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import msgspec

Class = Literal["reminder", "warning", "result", "task"]
CLASSES: Final[tuple[Class, ...]] = ("reminder", "warning", "result", "task")
_FILE: Final = "notices.toml"
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_CODE: Final = re.compile(r"[a-z][a-z0-9_.\-]{0,79}")


class NoticeKind(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"class_": "class"},
):
    """A kind of notice: what it is to its reader, its words, whether it waits for the end of quiet
    hours, whether anything of it leaves the node, after how many days it is over (0: never by
    itself), and the page on which its reader goes on.
    """

    code: str
    class_: Class
    zh: str
    en: str
    zh_for_another: str = ""
    en_for_another: str = ""
    is_urgent: bool = False
    leaves: bool = True
    days: int = 0
    path: str = ""

    @property
    def places(self) -> frozenset[str]:
        """The placeholders of its words."""
        return frozenset(_PLACEHOLDER.findall(self.en))

    def told(self, language: str, values: Mapping[str, str], *, is_for_another: bool) -> str:
        """Its words in a language, filled with these values."""
        own, other = (
            (self.zh, self.zh_for_another) if language == "zh" else (self.en, self.en_for_another)
        )
        return fill(other if is_for_another and other else own, values)


class _Said(msgspec.Struct, frozen=True):
    subject: str
    words: str


class _File(msgspec.Struct, frozen=True):
    kind: tuple[NoticeKind, ...]
    outside: dict[str, _Said] = {}
    keepers: frozenset[str] = frozenset()


def fill(words: str, values: Mapping[str, str]) -> str:
    """Words with their placeholders filled; one without a value stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), words)


@cache
def kernel_kinds() -> Mapping[str, NoticeKind]:
    """What the node itself tells people, by code."""
    return _checked(_kernel().kind, "")


def outside(language: str) -> tuple[str, str]:
    """What a message says that leaves the node: a subject and a sentence."""
    said = _kernel().outside[language]
    return said.subject, said.words


def keepers() -> frozenset[str]:
    """The roles that see the messages of the node, and send refused ones again."""
    return _kernel().keepers


def kinds_in(folder: Path, owner: str) -> Mapping[str, NoticeKind]:
    """The kinds that the application in this folder declares, by code; each begins with its name
    and a dot. Raises TypeError, naming the kind, for one that is not sound.
    """
    path = folder / "definitions" / _FILE
    if not path.exists():
        return {}
    parsed = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
    return _checked(parsed.kind, f"{owner}.")


@cache
def _kernel() -> _File:
    text = files("quanmin.definitions").joinpath(_FILE).read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File)


def _checked(kinds: tuple[NoticeKind, ...], prefix: str) -> Mapping[str, NoticeKind]:
    found: dict[str, NoticeKind] = {}
    for kind in kinds:
        wrong = _fault_of(kind, prefix)
        if kind.code in found:
            wrong = "is declared twice"
        if wrong:
            message = f"the notice {kind.code} {wrong}"
            raise TypeError(message)
        found[kind.code] = kind
    return found


def _fault_of(kind: NoticeKind, prefix: str) -> str:
    if _CODE.fullmatch(kind.code) is None or not kind.code.startswith(prefix):
        return f"must be called {prefix}..., of small letters, digits and signs"
    if not kind.zh or not kind.en or bool(kind.zh_for_another) != bool(kind.en_for_another):
        return "must have its words in both languages"
    words = (kind.zh, kind.zh_for_another, kind.en_for_another)
    if any(frozenset(_PLACEHOLDER.findall(one)) != kind.places for one in words if one):
        return "must have the same placeholders in all its words"
    if kind.path and not kind.path.startswith("/"):
        return "must lead to a page of this node"
    return "" if kind.days >= 0 else "cannot end before it begins"
