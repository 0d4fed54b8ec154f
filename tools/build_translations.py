"""Brings the catalogues of the pages up to date: every message of the sources, none that is gone.

Run it after a text has changed, then write what is still empty. `--check` writes nothing and ends
with 1 when a catalogue is not as this would leave it, or has a message without translation.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, Any

import jinja2.ext
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import write_po

from quanmin.base import problems
from quanmin.web.languages import KIT_FOLDER, SOURCE_LANGUAGE, catalogue_path, read_catalogue
from quanmin.web.text import LANGUAGES, Language

ROOT = Path(__file__).resolve().parent.parent
APPLICATIONS = ROOT / "quanmin" / "applications"
# What goes wrong is said on pages too. Programs alone are told of the last three, in English.
PROBLEMS = {
    name
    for name, kind in vars(problems).items()
    if isinstance(kind, type) and issubclass(kind, problems.Problem)
} - {"Unusable", "GrantRefused", "TokenRefused"}
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    **dict.fromkeys(("say", "Sentence", *PROBLEMS)),
    "Issue": (3,),
}
# Their problems come to people through pages of any application, so the kit has the words.
BENEATH = ("base", "fhir", "people", "records", "terminology", "trust", "workflow")
OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}


def folders() -> Iterator[Path]:
    """The kit's folder and each application's."""
    yield KIT_FOLDER
    yield from sorted(path.parent for path in APPLICATIONS.glob("*/application.py"))


def calls(
    file: IO[bytes], keywords: Container[str], *_tags: object, **_options: object
) -> Iterator[tuple[int, str, tuple[str | None, ...], list[str]]]:
    """The calls of a module that say something, with their texts. Babel's own extractor takes a
    call for the one within its brackets, and so loses what a problem says beside its issues.
    """
    for call in ast.walk(ast.parse(file.read())):
        if isinstance(call, ast.Call):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            values = [one.value if isinstance(one, ast.Constant) else None for one in call.args]
            texts = tuple(one if isinstance(one, str) else None for one in values)
            if name in keywords and texts:
                yield call.lineno, name, texts, []


def messages(folder: Path) -> Catalog:
    """Every message that the templates and modules of a folder say, without translations."""
    said = Catalog()
    paths = [*folder.glob("*.py"), *folder.glob("templates/*.html")]
    root = folder
    if folder == KIT_FOLDER:
        root = folder.parent
        paths += [path for package in BENEATH for path in root.glob(f"{package}/**/*.py")]
    for path in sorted(paths):
        # The two extractors agree in use, not in the types they declare.
        method: Any = calls if path.suffix == ".py" else jinja2.ext.babel_extract
        with path.open("rb") as file:
            for _, message, comments, context in extract(
                method, file, keywords=KEYWORDS, options=OPTIONS
            ):
                # No line numbers: the catalogue must not change with every line that moves.
                inner = path.relative_to(folder if path.is_relative_to(folder) else root)
                place: Any = (inner.as_posix(), None)
                said.add(message, locations=[place], auto_comments=comments, context=context)
    return said


def renewed(folder: Path, language: Language) -> Catalog:
    """The catalogue of a folder as it should be: its translations, for the messages said now."""
    kept = read_catalogue(folder, language)
    fresh = Catalog(locale=language, charset="utf-8", fuzzy=False)
    for message in messages(folder):
        if message.id:
            known = kept.get(message.id, message.context)
            fresh.add(
                message.id,
                known.string if known else None,
                locations=message.locations,
                context=message.context,
            )
    return fresh


def as_text(catalogue: Catalog) -> bytes:
    """The catalogue as its file, without dates, so that it changes only with its messages."""
    written = io.BytesIO()
    write_po(written, catalogue, width=96, omit_header=True, sort_output=True)
    header = (
        '# The words of this folder\'s pages. Renew with tools/build_translations.py\nmsgid ""\n'
    )
    header += 'msgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    header += f'"Language: {catalogue.locale_identifier}\\n"\n'
    header += f'"Plural-Forms: {catalogue.plural_forms}\\n"\n\n'
    return header.encode() + written.getvalue()


def untranslated(catalogue: Catalog) -> list[str]:
    """The messages that have no words in the catalogue's language."""
    missing = []
    for message in catalogue:
        strings = message.string if isinstance(message.string, tuple | list) else [message.string]
        if message.id and not all(strings):
            missing.append(str(message.id))
    return missing


def main(arguments: list[str]) -> int:
    """Renew or check every catalogue; 1 when something is to be done."""
    faults = []
    for folder in folders():
        for language in LANGUAGES:
            if language == SOURCE_LANGUAGE:
                continue
            path = catalogue_path(folder, language)
            fresh = renewed(folder, language)
            content = as_text(fresh)
            place = path.relative_to(ROOT)
            if "--check" not in arguments:
                path.write_bytes(content)
            elif not path.exists() or path.read_bytes() != content:
                faults.append(f"{place} is not up to date: run tools/build_translations.py")
            faults += [f"{place} has no words for: {message}" for message in untranslated(fresh)]
    print("\n".join(faults) or "every catalogue is complete")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
