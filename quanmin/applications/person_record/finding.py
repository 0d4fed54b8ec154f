"""From what somebody typed into one box to the searches that find the person meant."""

from __future__ import annotations

import re
import unicodedata

Pairs = tuple[tuple[str, str], ...]

TERM_LENGTH_MAX = 100
_IDENTITY = re.compile(r"\d{17}[\dXx]|\d{15}")
_PHONE = re.compile(r"\+?\d{5,15}")
_GAPS = re.compile(r"[\s\-()]")


def tidied(term: str) -> str:
    """The term as it is searched.

    Full-width letters and digits made plain, blanks reduced to one.
    """
    return " ".join(unicodedata.normalize("NFKC", term).split())


def searches(term: str) -> tuple[Pairs, ...]:
    """The Patient searches to try in turn until one has hits; none for an empty term.

    A whole identity number is one and nothing else. Other digits may be a phone or a record number,
    and everything without digits is a name: by its characters, its pinyin or its initials, from the
    start or within.
    """
    if not term:
        return ()
    closed = _GAPS.sub("", term)
    if _IDENTITY.fullmatch(closed):
        return ((("identifier", _escaped(closed.upper())),),)
    if _PHONE.fullmatch(closed):
        found = (("phone", _escaped(closed)),), (("identifier", _escaped(closed)),)
        return found if closed == term else (*found, (("phone", _escaped(term)),))
    if any(character.isdigit() for character in term):
        return (("identifier", _escaped(term)),), (("name", _escaped(term)),)
    return (("name", _escaped(term)),), (("name:contains", _escaped(term)),)


def _escaped(value: str) -> str:
    # In a search value these separate; typed into the box they are meant as they are.
    return re.sub(r"([\\,$|])", r"\\\1", value)
