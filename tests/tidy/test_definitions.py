"""Every definition says where it is from, who answers for it, which version it is and since
when.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from tidy.tree import ROOT, assert_clean, paths

HEADER = ("source", "owner", "version", "effective")
# What explains a folder of data, and what is code.
NO_DATA = (".py", ".md")


def is_definition(path: str) -> bool:
    """Whether a file is data under a folder of definitions, the kernel's or an application's."""
    folders = PurePosixPath(path).parts[:-1]
    return path.startswith("quanmin/") and "definitions" in folders and not path.endswith(NO_DATA)


def headless(files: Mapping[str, str | None]) -> list[str]:
    """Definitions without a full header: path -> text, None for what is not TOML.

    What is not TOML is spoken for by the `source.toml` of its folder.
    """
    found = []
    for path, text in files.items():
        if text is None:
            speaker = str(PurePosixPath(path).with_name("source.toml"))
            if speaker not in files:
                found.append(f"{path}: lay a source.toml beside it with {', '.join(HEADER)}")
            continue
        whole = tomllib.loads(text)
        head = whole.get("definition", whole)
        missing = [key for key in HEADER if not head.get(key)]
        if missing:
            found.append(f"{path}: say its {', '.join(missing)} at the top, or under [definition]")
    return found


def read(listed: Iterable[str]) -> dict[str, str | None]:
    """The definitions among the listed paths, with the text of those in TOML."""
    return {
        path: (ROOT / path).read_text(encoding="utf-8") if path.endswith(".toml") else None
        for path in listed
        if is_definition(path)
    }


def test_every_definition_has_source_owner_version_and_effective_date() -> None:
    found = read(paths())
    assert found, "no definitions found: this check looks in the wrong place"
    assert_clean(headless(found))


def test_a_definition_without_header_is_noticed() -> None:
    full = 'source = "a"\nowner = "b"\nversion = "1"\neffective = 2020-01-01\n'
    assert headless({"quanmin/definitions/a.toml": full}) == []
    assert headless({"quanmin/definitions/a.toml": f"[definition]\n{full}"}) == []
    assert headless({"quanmin/definitions/a.toml": full.replace("owner", "holder")})
    assert headless({"quanmin/definitions/a/b.zst": None})
    assert (
        headless({"quanmin/definitions/b.zst": None, "quanmin/definitions/source.toml": full}) == []
    )


def test_definitions_of_applications_are_found_too() -> None:
    assert is_definition("quanmin/applications/blood/definitions/groups.toml")
    assert not is_definition("quanmin/definitions/__init__.py")
    assert not is_definition("quanmin/web/static/style.css")
