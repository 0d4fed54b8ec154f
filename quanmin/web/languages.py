"""The catalogues of the pages: the kit's own and each application's.

English is the language of the sources, so only the other one has a catalogue. Catalogues are
compiled in memory at start (a few milliseconds), so there is no compiled file that could be older
than its source.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from quanmin.base.problems import Sentence
from quanmin.web.text import LANGUAGES, Language

SOURCE_LANGUAGE: Language = "en"
KIT = "kit"
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


class Words:
    """What a node says, message by message, as the folder says it whose code or template does. So
    two applications say the same English in other words, and the kit neither's.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Of the kit's folder, `KIT`, and of those of applications, by their names."""
        self._said = {
            language: {name: _compiled(folder, language) for name, folder in folders.items()}
            for language in LANGUAGES
            if language != SOURCE_LANGUAGE
        }

    def say(self, message: str, language: Language, *owners: str) -> str:
        """A message in a language, as the first of these folders that has it says it; else as the
        kit does.
        """
        if isinstance(message, Sentence):
            values = {
                name: self._value(value, language, *owners)
                for name, value in message.values.items()
            }
            return self.say(message.template, language, *owners) % values
        for one in self._of(language, owners):
            said = one.gettext(message)
            if said is not message:
                return said
        return message

    def count(self, one: str, several: str, n: int, language: Language, *owners: str) -> str:
        """The same of a message that depends on a number."""
        message = one if n == 1 else several
        for some in self._of(language, owners):
            said = some.ngettext(one, several, n)
            if said is not message:
                return said
        return message

    def _value(self, value: object, language: Language, *owners: str) -> object:
        if isinstance(value, Sentence):
            return self.say(value, language, *owners)
        return getattr(value, language, value)

    def _of(
        self, language: Language, owners: tuple[str, ...]
    ) -> Iterator[gettext.NullTranslations]:
        said = self._said.get(language, {})
        return (said[owner] for owner in (*owners, KIT) if owner in said)


@cache  # nodes with other applications have the same folders
def _compiled(folder: Path, language: Language) -> gettext.NullTranslations:
    compiled = io.BytesIO()
    write_mo(compiled, read_catalogue(folder, language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
