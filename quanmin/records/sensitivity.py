"""Which records are of a kind kept apart, by what their codes say (`definitions/sensitivity`).

The label stands in the row alone: what was sent stays as it was, and who forgets to label a record
does not lay it open.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import msgspec

_FOLDER = "definitions/sensitivity"


class Label(msgspec.Struct, frozen=True):
    """A security label."""

    system: str
    code: str


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records that are kept apart. `prefixes` and `codes` are by the names of groups of systems;
    one that `is_strict` is opened to others by a consent that names it and by nothing else.
    """

    label: Label
    en: str
    zh: str
    level: int
    is_strict: bool
    is_reportable: bool = False
    prefixes: dict[str, tuple[str, ...]] = {}
    codes: dict[str, tuple[str, ...]] = {}


class _File(msgspec.Struct, frozen=True):
    systems: dict[str, tuple[str, ...]]
    alike: dict[str, str]
    kind: tuple[Kind, ...]


class _Known(msgspec.Struct, frozen=True):
    """The kinds by group of systems: what codes begin with, and whole codes. `hint` finds in the
    bytes of a record that it may have such a code.
    """

    groups: dict[str, str]
    alike: tuple[tuple[re.Pattern[str], str], ...]
    by_prefix: dict[str, tuple[tuple[str, Label], ...]]
    by_code: dict[tuple[str, str], tuple[Label, ...]]
    hint: re.Pattern[bytes]


@cache
def load_kinds() -> tuple[Kind, ...]:
    """The kinds of this program."""
    return _file().kind


@cache
def labels_version() -> int:
    """A number that is another one where other labels are given, whatever else the file says: by
    it records are labelled anew that were stored under another.
    """
    file = _file()
    given = [(kind.label, kind.prefixes, kind.codes) for kind in file.kind]
    told = msgspec.json.encode([file.systems, file.alike, given], order="deterministic")
    return zlib.crc32(told) >> 1


@cache
def _file() -> _File:
    text = (resources.files("quanmin") / _FOLDER / "kinds.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File)


@cache
def _known() -> _Known:
    file = _file()
    by_prefix: dict[str, list[tuple[str, Label]]] = {}
    by_code: dict[tuple[str, str], list[Label]] = {}
    for kind in file.kind:
        for group, prefixes in kind.prefixes.items():
            by_prefix.setdefault(group, []).extend((_plain(one), kind.label) for one in prefixes)
        for group, codes in kind.codes.items():
            for code in codes:
                by_code.setdefault((group, _plain(code)), []).append(kind.label)
    return _Known(
        {system: group for group, systems in file.systems.items() for system in systems},
        tuple((re.compile(text, re.IGNORECASE), group) for group, text in file.alike.items()),
        {group: tuple(found) for group, found in by_prefix.items()},
        {coding: tuple(found) for coding, found in by_code.items()},
        _hint(file),
    )


def _hint(file: _File) -> re.Pattern[bytes]:
    """Whatever may stand in a body that has a code of one of the kinds. Escapes may spell anything.

    Looking at the bytes first costs a hundredth of walking every record.
    """
    beginnings, systems = set(), set()
    for kind in file.kind:
        beginnings |= {one for codes in kind.codes.values() for one in codes}
        for group, prefixes in kind.prefixes.items():
            beginnings |= {one for one in prefixes if one}
            systems |= set(file.systems[group]) if "" in prefixes else set()
    codes = "|".join(".?".join(map(re.escape, one.split("."))) for one in sorted(beginnings))
    names = "|".join(re.escape(one) for one in sorted(systems))
    text = rf'"code"\s*:\s*"\s*(?:{codes})|"(?:{names})|\\[u/]'
    return re.compile(text.encode(), re.IGNORECASE)


def _plain(code: str) -> str:
    """A code as it is compared: some write those of ICD-10 without the point."""
    return code.strip().upper().replace(".", "")


def given_labels(body: bytes, resource: Any) -> set[Label]:
    """The labels that a record is given for the codes it says anywhere, contained records included.

    A code that a record only names as ruled out counts as well: that it was looked for tells.
    """
    known = _known()
    found: set[Label] = set()
    if known.hint.search(body):
        for system, code in _codings(resource):
            group = _group(system)
            plain = _plain(code)
            found |= {
                label
                for prefix, label in known.by_prefix.get(group, ())
                if plain.startswith(prefix)
            }
            found |= set(known.by_code.get((group, plain), ()))
    return found


def _group(system: str) -> str:
    known = _known()
    if system in known.groups:
        return known.groups[system]
    return next((group for pattern, group in known.alike if pattern.search(system)), "")


def _codings(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        system, code = value.get("system"), value.get("code")
        if isinstance(system, str) and isinstance(code, str):
            yield system, code
        for name, one in value.items():
            if name != "meta" and isinstance(one, dict | list):
                yield from _codings(one)
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, dict | list):
                yield from _codings(one)
