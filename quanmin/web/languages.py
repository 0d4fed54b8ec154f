"""The catalogues of the pages: the kit's own and each application's, made one per language.

English is the language of the sources, so only the other one has a catalogue. Catalogues are
compiled in memory at start (a few milliseconds), so there is no compiled file that could be older
than its source.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterable
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from quanmin.web.text import LANGUAGES, Language

SOURCE_LANGUAGE: Language = "en"
KIT_FOLDER = Path(__file__).parent


def catalogue_path(folder: Path, language: Language) -> Path:
    """Where a folder of the kit or of an application has its catalogue: beside the templates."""
    return folder / "templates" / f"{language}.po"


def read_catalogue(folder: Path, language: Language) -> Catalog:
    """The catalogue of one folder; empty when there is none."""
    path = catalogue_path(folder, language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def translations(folders: Iterable[Path]) -> dict[Language, gettext.NullTranslations]:
    """For each language the translations of all folders together."""
    kept: dict[Language, gettext.NullTranslations] = {SOURCE_LANGUAGE: gettext.NullTranslations()}
    places = tuple(folders)
    for language in LANGUAGES:
        if language != SOURCE_LANGUAGE:
            kept[language] = _compiled(places, language)
    return kept


def _compiled(folders: tuple[Path, ...], language: Language) -> gettext.NullTranslations:
    whole = Catalog(locale=language)
    for folder in folders:
        for message in read_catalogue(folder, language):
            if message.id:  # the first, empty one is the header
                whole.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
