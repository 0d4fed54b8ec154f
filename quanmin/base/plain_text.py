"""Texts in which somebody says why: what can be read of them, and whether it says anything."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control and format characters, and what has no meaning yet: nothing of these is seen, and some
# turn round what is written behind them.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
# Letters by their category, and yet blank (Unicode, Default_Ignorable_Code_Point).
_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u17b4\u17b5")


def legible(text: str) -> str:
    """The text without what nobody sees of it; line breaks and tabs become spaces."""
    spaced = (" " if character in "\n\r\t" else character for character in text)
    kept = (
        character
        for character in spaced
        if unicodedata.category(character) not in _UNSEEN and character not in _FILLERS
    )
    return " ".join("".join(kept).split())


def count_letters(text: str) -> tuple[int, int]:
    """How many letters a text has, of any script, and how many different ones."""
    letters = [
        character
        for character in legible(text).casefold()
        if unicodedata.category(character)[0] == "L"
    ]
    return len(letters), len(set(letters))
