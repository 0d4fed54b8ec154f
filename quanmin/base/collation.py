"""The order in which texts are listed: numbers, letters, then Chinese by sound.

As GB/T 13418 lists words: character by character, by the syllable, then its tone; characters that
sound alike by their code point (the standard counts strokes, which no table here tells).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quanmin.base.text import fold, readings, runs, surname_readings

# So many characters of a text are looked at: a place in an order stands in links.
LENGTH_MAX: Final = 128
# Behind the letters of every living script.
_HAN: Final = "\uf8ff"
# Behind every syllable.
_UNREAD: Final = "~"


def collation_key(text: str, *, is_name: bool = False) -> str:
    """A text whose code points are in the order of listing; case, accents, width and punctuation do
    not count. With `is_name` a surname is read as surnames are (单 shan, not dan).
    """
    found: list[str] = []
    for place, run in enumerate(runs(fold(text[:LENGTH_MAX]))):
        if run.is_han:
            family = surname_readings(run.text) if is_name and place == 0 else ()
            found.append(_sounds(run.text, family))
        else:
            found.append(f"{run.text} ")
    return "".join(found)


def _sounds(run: str, family: Sequence[str]) -> str:
    read = [one[0] if one else _UNREAD for one in readings(run)]
    read[: len(family)] = family
    return "".join(f"{_HAN}{sound}{character}" for sound, character in zip(read, run, strict=True))
