"""Documents are found, lead somewhere, and name commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest
from tidy.tree import ROOT, Source, assert_clean, paths, sources
from typer.main import get_command

from quanmin.node.commands import app

NEEDED = (
    *("README.md", "ARCHITECTURE.md", "GLOSSARY.md", "STYLE.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("CHANGELOG.md", "LICENSE", "docs/index.md", "docs/threats.md"),
)
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_TARGET = re.compile(r"\bmake ([a-z][a-z-]+)\b")
_COMMAND = re.compile(r"(?:^|[/\s(])quanmin ([a-z][^\n`#]*)", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"`((?:quanmin|tests|tools|docs|benchmarks)/[\w./-]*\w/?)(?:::(test_\w+))?`")
_SPOKEN = re.compile(r"`([^`\n]+)`|^ {4}(.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors a Markdown page offers, by the usual rule for headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(_FENCE.sub("", text))
    }


def resolve(page: str, link: str) -> tuple[str, str]:
    """The path and the anchor that `link` on `page` means."""
    path, _, anchor = link.partition("#")
    parts: list[str] = list(PurePosixPath(page).parts[:-1]) if path else [page]
    for part in PurePosixPath(path).parts:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts), anchor


def links(text: str, pattern: re.Pattern[str] = _LINK) -> list[str]:
    """The links of a page to other files of the tree."""
    found = pattern.findall(_FENCE.sub("", text))
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


def broken_links(pages: Mapping[str, str], listed: Iterable[str]) -> list[str]:
    """Links and pictures that lead nowhere; pages: path -> text."""
    there = set(listed)
    folders = {str(parent) for path in there for parent in PurePosixPath(path).parents}
    found = []
    for page, text in pages.items():
        for link in [*links(text), *links(text, _PICTURE)]:
            path, anchor = resolve(page, link)
            if path.rstrip("/") not in there | folders:
                found.append(f"{page}: ({link}) leads nowhere")
            elif anchor and path in pages and anchor not in anchors(pages[path]):
                found.append(f"{page}: ({link}): {path} has no such heading")
    return found


def unlinked(pages: Mapping[str, str], starts: Iterable[str]) -> list[str]:
    """Pages under docs/ that cannot be reached by links from `starts`."""
    reached: set[str] = set()
    waiting = [start for start in starts if start in pages]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {resolve(page, link)[0] for link in links(pages[page])}
        waiting += [target for target in targets if target in pages and target not in reached]
    return [
        f"{page}: no page leads here; link it from docs/index.md"
        for page in pages
        if page.startswith("docs/") and page not in reached
    ]


def unknown_targets(pages: Mapping[str, str], makefile: str) -> list[str]:
    """`make` targets that a document names in code and the Makefile does not have."""
    known = set(re.findall(r"^([a-z][a-z-]+):", makefile, re.MULTILINE))
    return [
        f"{page}: `make {target}` does not exist"
        for page, text in pages.items()
        for code in [*_FENCE.findall(text), *("".join(m) for m in _SPOKEN.findall(text))]
        for target in _TARGET.findall(code)
        if target not in known
    ]


def commands() -> set[str]:
    """Every command of `quanmin`, with its options: `node start`, `node start --port`."""
    found = set()

    def walk(command: Any, path: str) -> None:
        found.add(path)
        # What has no hyphen is an argument, in whose place a document writes a value.
        names = [name for option in command.params for name in option.opts if name[:1] == "-"]
        found.update(f"{path} {name}".strip() for name in names)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{path} {name}".strip())

    walk(get_command(app), "")
    return found


def unknown_commands(pages: Mapping[str, str], known: set[str]) -> list[str]:
    """`quanmin` commands and options that a document names in code and that do not exist."""
    found = []
    for page, text in pages.items():
        for code in [*_FENCE.findall(text), *("".join(m) for m in _SPOKEN.findall(text))]:
            for line in _COMMAND.findall(code):
                wrong = unknown_word(line.split(), known)
                if wrong:
                    found.append(f"{page}: `quanmin {wrong}` does not exist")
    return found


def unknown_word(words: Iterable[str], known: set[str]) -> str | None:
    """The first command or option among the words that does not exist, with what leads to it."""
    groups = {name.rpartition(" ")[0] for name in known if name and "--" not in name}
    path = ""
    for word in words:
        here = f"{path} {word.partition('=')[0]}".strip()
        if here in known:
            path = path if word.startswith("-") else here
        elif (word.startswith("-") and word != "--help") or path in groups:
            return here
    return None


def unknown_parts(pages: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """Paths and tests of this tree that a document names in code and that are not there."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    found = []
    for page, text in pages.items():
        for path, test in _PART.findall(_FENCE.sub("", text)):
            place = path.rstrip("/")
            if place not in files and place not in folders:
                found.append(f"{page}: `{path}` is not there")
            elif test and not re.search(rf"^(?:async )?def {test}\b", files[place], re.MULTILINE):
                found.append(f"{page}: {path} has no test {test}")
    return found


def unanswered(text: str) -> list[str]:
    """Threats whose row names neither a test nor says that there is none yet."""
    rows = [line for line in text.splitlines() if re.match(r"\| [STRIDE]\d+ \|", line)]
    found = [row for row in rows if "`tests/" not in row and "**not yet**" not in row]
    return [f"{row[:40]}...: name its test, or say **not yet** and why" for row in found]


def all_pages() -> dict[str, str]:
    return {file.path: file.text for file in sources(".md")}


@pytest.mark.parametrize("document", NEEDED)
def test_the_documents_that_everyone_looks_for_are_there(document: str) -> None:
    assert (ROOT / document).is_file()


def test_links_lead_somewhere() -> None:
    assert_clean(broken_links(all_pages(), paths()))


def test_every_page_can_be_reached() -> None:
    assert_clean(unlinked(all_pages(), ["README.md", "docs/index.md"]))


def test_commands_in_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert_clean(unknown_targets(all_pages(), makefile))


def test_commands_of_the_node_in_documents_exist() -> None:
    assert "node start --port" in commands()
    assert_clean(unknown_commands(all_pages(), commands()))


def test_parts_and_tests_named_in_documents_exist() -> None:
    files = dict.fromkeys(paths(), "") | {file.path: file.text for file in sources(".py")}
    pages = {page: text for page, text in all_pages().items() if page != "CHANGELOG.md"}
    assert_clean(unknown_parts(pages, files))


def test_every_threat_has_a_test_or_says_that_it_has_none() -> None:
    threats = (ROOT / "docs/threats.md").read_text(encoding="utf-8")
    assert threats.count("`tests/") > 10
    assert_clean(unanswered(threats))


def test_the_licence_is_apache_2() -> None:
    assert "Apache License" in Source("LICENSE", (ROOT / "LICENSE").read_text()).lines[1]


def test_a_broken_link_is_noticed() -> None:
    pages = {"docs/a.md": "[b](../b.md) [c](#title)\n# Title\n"}
    assert broken_links(pages, ["docs/a.md", "b.md"]) == []
    assert broken_links(pages, ["docs/a.md"])
    assert broken_links({"a.md": "[c](#other)\n# Title"}, ["a.md"])
    assert broken_links({"a.md": "![c](c.png)"}, ["a.md"])


def test_a_lost_page_is_noticed() -> None:
    pages = {"README.md": "[docs](docs/index.md)", "docs/index.md": "", "docs/lost.md": ""}
    assert unlinked(pages, ["README.md"]) == [
        "docs/lost.md: no page leads here; link it from docs/index.md"
    ]


def test_an_unknown_command_is_noticed() -> None:
    assert unknown_targets({"a.md": "run `make tea`"}, "test:\n")
    assert unknown_targets({"a.md": "run `make test`, which will make sense"}, "test:\n") == []


def test_an_unknown_command_of_the_node_is_noticed() -> None:
    known = {"", "node", "node start", "node start --port", "load"}
    assert unknown_commands({"a.md": "`quanmin node begin`"}, known)
    assert unknown_commands({"a.md": "`quanmin node start --ports 1`"}, known)
    assert (
        unknown_commands({"a.md": "`quanmin node start --port 1` `quanmin load a/b`"}, known) == []
    )


def test_an_unknown_part_or_test_is_noticed() -> None:
    files = {"tests/unit/test_a.py": "async def test_a_read_is_logged() -> None: ..."}
    assert unknown_parts({"a.md": "`tests/unit/test_a.py::test_a_read_is_logged`"}, files) == []
    assert unknown_parts({"a.md": "`tests/unit/test_a.py::test_a_read`"}, files)
    assert unknown_parts({"a.md": "`quanmin/lost.py`"}, files)
    assert unknown_parts({"a.md": "`tests/unit/`"}, files) == []


def test_an_unanswered_threat_is_noticed() -> None:
    assert unanswered("| S1 | pretending | `quanmin/api` | |")
    assert unanswered("| S1 | pretending | **not yet**: loopback only | |") == []
