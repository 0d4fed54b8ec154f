"""What every application keeps to, asked of any: of those of the program, of the trial application,
and of one that was just written. Each function gives faults, each with its place; none is good.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import build_translations
from books import LONG_AGO, Books, organization, practice, practitioner, qualification
from clinic import Browser, Clinic
from tidy.test_applications import impure, misshapen
from tidy.test_definitions import headless
from tidy.test_sizes import long_functions, long_lines, long_modules, long_templates
from tidy.tree import Source

from quanmin.base.problems import Problem
from quanmin.fhir.table import load_table
from quanmin.fhir.validation import validate
from quanmin.trust import Actor, Role
from quanmin.trust.registers.definitions import duties_known, roles
from quanmin.web.application import Installed
from quanmin.web.case_notices import notice_kinds
from quanmin.web.languages import SOURCE_LANGUAGE
from quanmin.web.route import ROLES, Page
from quanmin.web.text import LANGUAGES
from quanmin.workflow.forms.compiling import compile_form
from quanmin.workflow.plans import compile_plan
from quanmin.workflow.states import faults_of_examples, rules_of

HEAD: Final = ("url", "version", "status", "date", "publisher")
"""What a definition of FHIR says of itself, beside where it is from (relatedArtifact)."""
_SOURCED: Final = frozenset({"PlanDefinition", "ActivityDefinition"})
# A guardian is whom a resident acts as, for somebody: nobody signs in as one.
SIGNING_IN: Final = ROLES - {"guardian"}
ASKED_BY: Final = frozenset(
    {"read", "version", "history", "search", "find", "timeline", "may_read"}
)
WRITTEN_BY: Final = frozenset({"create", "create_all", "update"})
_SOME: Final = 6
"""Of so many roles that a page is closed to one asks for it, where not all do."""
_HAN: Final = re.compile(r"[㐀-䶿一-鿿]")
# Three words in a row: codes, names of norms and of programs are shorter. A command is no language.
_ENGLISH: Final = re.compile(r"\b(?!quanmin )[A-Za-z]{2,}[ ,]+[a-z]{2,}[ ,]+[a-z]{2,}\b")
_VOID: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"),
        *("track", "wbr"),
    }
)
_SILENT: Final = frozenset({"style", "script", "code", "pre", "textarea"})
_SPOKEN: Final = frozenset({"aria-label", "title", "placeholder", "alt"})


# ---- the folder ----------------------------------------------------------------------------------


def sources_of(installed: Installed) -> list[Source]:
    """The files of an application as if they stood in the tree."""
    folder = installed.folder
    return [
        Source(
            f"quanmin/applications/{folder.name}/{path.relative_to(folder).as_posix()}",
            path.read_text("utf-8"),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def faults_of_folder(installed: Installed) -> list[str]:
    """Shape, sizes, pure rules, and a word for whom it is, why and on what ground."""
    files = sources_of(installed)
    code = [one for one in files if one.path.endswith(".py")]
    text = [one for one in files if one.path.endswith((".py", ".html"))]
    pages = [one for one in files if one.path.endswith(".html")]
    found = misshapen(one.path for one in files)
    found += [*impure(code), *long_lines(text), *long_functions(code)]
    found += [*long_modules(code), *long_templates(pages)]
    said = next((ast.get_docstring(one.tree()) or "" for one in code if one.name == "__init__"), "")
    if len(said.splitlines()) < 2:
        found.append(
            f"{installed.folder.name}/__init__.py: say for whom it is, why, on what ground"
        )
    return found


def undeclared(installed: Installed) -> list[str]:
    """Types that its modules name when they ask or write records, and that it does not declare."""
    application, types = installed.application, load_table().types
    found = []
    for file in sources_of(installed):
        if not file.path.endswith(".py"):
            continue
        for node in ast.walk(file.tree()):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            first = node.args[0] if node.args else None
            type_ = first.value if isinstance(first, ast.Constant) else None
            name = node.func.attr
            if type_ not in types:
                continue
            if name in ASKED_BY and type_ not in application.reads:
                found.append(f"{file.path}:{node.lineno}: asks {type_}, and does not declare it")
            if name in WRITTEN_BY and type_ not in application.writes:
                found.append(f"{file.path}:{node.lineno}: writes {type_}, and does not declare it")
    return found


def faults_of_words(installed: Installed) -> list[str]:
    """Words that lack in a language: of the declaration, of notices, and of its pages."""
    application, folder = installed.application, installed.folder
    pairs = [(one.zh, one.en) for one in (application.title, application.summary)]
    pairs += [(one.zh, one.en) for one in notice_kinds(installed).values()]
    found = [
        f"{folder.name}: {en or zh} lacks its words in a language"
        for zh, en in pairs
        if not (zh and en) or not _HAN.search(zh) or _HAN.search(en)
    ]
    for language in LANGUAGES:
        if language != SOURCE_LANGUAGE:
            fresh = build_translations.renewed(folder, language)
            found += [
                f"{folder.name}: no words in {language} for: {message}"
                for message in build_translations.untranslated(fresh)
            ]
    return found


def faults_of_definitions(installed: Installed) -> list[str]:
    """Definitions that do not say where they are from, or are not what FHIR R4 defines."""
    folder = installed.folder / "definitions"
    tables = {
        f"{folder.name}/{path.name}": path.read_text("utf-8") for path in folder.glob("*.toml")
    }
    found = headless(tables)
    for path in sorted(folder.glob("*.json")):
        resource = json.loads(path.read_bytes())
        type_ = resource.get("resourceType")
        if type_ not in load_table().types:
            continue
        found += [f"{path.name}: {one.text}" for one in validate(type_, path.read_bytes())]
        found += [f"{path.name}: say its {one}" for one in HEAD if not resource.get(one)]
        if type_ in {"PlanDefinition", "ActivityDefinition"} and not resource.get(
            "relatedArtifact"
        ):
            found.append(f"{path.name}: say its source (relatedArtifact)")
        found += _uncompiled(path.name, type_, resource, folder)
    return found


def _uncompiled(name: str, type_: str, resource: Any, folder: Path) -> Iterator[str]:
    beside = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
    activities = [one for one in beside if one.get("resourceType") == "ActivityDefinition"]
    # What all plans share, which an application names in its plans.toml.
    shared = files("quanmin").joinpath("definitions", "plans", "activities.json")
    activities += [one["resource"] for one in json.loads(shared.read_bytes())["entry"]]
    try:
        if type_ == "Questionnaire":
            compile_form(resource)
        elif type_ == "PlanDefinition":
            compile_plan(resource, activities)
    except Problem as problem:
        yield f"{name}: {problem.text} {'; '.join(one.text for one in problem.issues)}"


def faults_of_rules(installed: Installed, package: str) -> list[str]:
    """Examples that do not hold, and rules without one of a yes and one of a no."""
    known: dict[str, Any] = {}
    if (installed.folder / "rules.py").is_file():
        known = rules_of(importlib.import_module(f"{package}.{installed.folder.name}.rules"))
    return faults_of_examples(installed.folder, known, installed.application.workflow)


# ---- its pages -----------------------------------------------------------------------------------


class Reading(HTMLParser):
    """The words of a page that are not in the language of the page."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self._wrong = _HAN if language == "en" else _ENGLISH
        self._within: list[tuple[str, str]] = [("", language)]
        self._page = language

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        own = (given.get("lang") or self._within[-1][1])[:2]
        for name in _SPOKEN & given.keys():
            self._look(given[name] or "", own)
        if tag not in _VOID:
            self._within.append((tag, own))

    def handle_endtag(self, tag: str) -> None:
        while len(self._within) > 1 and self._within.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not _SILENT & {tag for tag, _ in self._within}:
            self._look(data, self._within[-1][1])

    def _look(self, text: str, language: str) -> None:
        if language == self._page and self._wrong.search(text):
            self.foreign.append(" ".join(text.split())[:80])


def foreign_words(text: str, language: str) -> list[str]:
    """Words of a page in the other language that are not marked as such."""
    reading = Reading(language)
    reading.feed(text)
    return reading.foreign


async def settle_staff(clinic: Clinic) -> None:
    """An account of every role, `all-<role>`: staff in a post with every duty there is."""
    books = Books(clinic.guard, clinic.pool)
    body = organization()
    home = await books.enter(body)
    sender = body["identifier"][1]["value"]
    person = await clinic.pool.fetchval("select person from people.link limit 1")
    for role in sorted(SIGNING_IN):
        is_resident = role == "resident"
        actor = Actor(
            f"all-{role.replace('_', '-')}", role, "新来的人", "" if is_resident else sender,
            str(person) if is_resident else None,
        )  # fmt: skip
        await clinic.add(actor)
        if roles()[role].post == "none":
            continue
        held = [qualification(kind, "clinical") for kind in sorted(roles()[role].licences)[:1]]
        of_staff = await books.enter(practitioner(*held))
        await books.enter(practice(of_staff, home))
        await books.appoint(
            actor.code, practitioner_id=of_staff, duties=frozenset(duties_known()), since=LONG_AGO
        )


def filled(page: Page, ids: dict[str, str]) -> str:
    """An address of a page: of the man of the clinic where it is of a person or a record."""
    path = re.sub(r"\{\w+:int\}", "1", page.path).replace("{type}", "Patient")
    return re.sub(r"\{\w+(:\w+)?\}", ids["hospital-a man"], path)


class Walk:
    """Opens the pages of applications as everybody, and notes what is wrong. Where not
    `is_thorough` each of a page's roles opens it in one language, and a few of the others.
    """

    def __init__(self, clinic: Clinic, pages: Any, *, is_thorough: bool = True) -> None:
        self._clinic, self._pages = clinic, pages
        self._is_thorough = is_thorough
        self.faults: list[str] = []
        self.opened = 0
        self._browsers: dict[str, Browser] = {}

    async def walk(self, installed: Iterable[Installed]) -> None:
        """Every page, as each role; each of its roles in both languages."""
        pages = [page for one in installed for page in one.application.pages]
        for number, page in enumerate(pages):
            for place, role in enumerate(sorted(SIGNING_IN)):
                is_open = page.access.roles is not None and role in page.access.roles
                if not (self._is_thorough or is_open or (number + place) % _SOME == 0):
                    continue
                languages: Iterable[str] = LANGUAGES if is_open else LANGUAGES[:1]
                if is_open and not self._is_thorough:
                    languages = LANGUAGES[(number + place) % 2 :][:1]
                for language in languages:
                    await self._open(page, role, language, is_open=is_open)

    async def close(self) -> None:
        for browser in self._browsers.values():
            await browser.client.aclose()

    async def _open(self, page: Page, role: Role, language: str, *, is_open: bool) -> None:
        browser, where = await self._browser(role), f"{role} {page.path} ({language})"
        path = filled(page, self._clinic.ids)
        if "GET" in page.methods:
            answer = await browser.get(f"{path}?lang={language}")
        else:
            await browser.get(f"/?lang={language}")
            answer = await browser.send(path)
        self.opened += 1
        status = answer.status_code
        if status >= 500:
            self.faults.append(f"{where}: {status}")
        elif not is_open and status != 403:
            self.faults.append(f"{where}: is not refused, but {status}")
        elif is_open and status == 403 and "{" not in page.path and "GET" in page.methods:
            # Of one record whoever keeps it may say that it is not theirs.
            self.faults.append(f"{where}: is refused, though it is one of its roles")
        if is_open and answer.headers.get("content-type", "").startswith("text/html"):
            told = foreign_words(answer.text, language)
            self.faults += [f"{where}: not in its language: {one}" for one in told]

    async def _browser(self, role: Role) -> Browser:
        code = f"all-{role.replace('_', '-')}"
        if code not in self._browsers:
            self._browsers[code] = await self._clinic.enter(code, self._pages)
        return self._browsers[code]
