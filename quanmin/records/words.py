"""Which keys a text gets, which keys a question needs, and what counts as found.

All three stand here because they must agree: whatever `is_found` accepts has every key that
`needed_keys` names. Keys only narrow; the answer is always decided on the decrypted text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from itertools import pairwise, product
from typing import Final, Literal

from quanmin.base.text import Run, Spelling, fold, readings, runs, spellings, words
from quanmin.records.keying import Keying

Modifier = Literal["exact", "contains"] | None
Alternative = tuple[int, ...]
"""Keys that a record must have all of."""
Needed = tuple[tuple[Alternative, ...], ...]
"""Of each group at least one alternative must hold."""

# Parts of a name or an address: the keys of the whole serve them, and save half the bytes.
_KEPT_WITH: Final = {
    "family": "name",
    "given": "name",
    "phonetic": "name",
    "address-city": "address",
    "address-country": "address",
    "address-postalcode": "address",
    "address-state": "address",
}
_CUT: Final = ""


class Grade(Enum):
    """What a text is found by, with the most keys a record gets for it.

    Names by characters, pinyin and initials; addresses by characters and pinyin; others plainly.
    """

    NAME = 96
    ADDRESS = 128
    PLAIN = 48


def grade_of(param: str) -> Grade:
    """How finely a parameter is indexed, by what kind of text it holds."""
    match _KEPT_WITH.get(param, param):
        case "name":
            return Grade.NAME
        case "address":
            return Grade.ADDRESS
        case _:
            return Grade.PLAIN


def index_words(keying: Keying, type_: str, param: str, texts: Iterable[str]) -> list[int]:
    """The keys of a text: about 17 for a Chinese name of three characters, one a Latin letter.

    A bounded number: texts beyond it are marked as cut, which makes them candidates of every
    question, so that nothing is missed. The parts of a name or address have no keys of their own.
    """
    if param in _KEPT_WITH:
        return []
    grade = grade_of(param)
    grams: dict[str, None] = {}
    for text in texts:
        grams.update(dict.fromkeys(_grams(text, grade)))
    kept = list(grams)[: grade.value]
    if len(kept) < len(grams):
        kept.append(_CUT)
    return [keying.word(type_, param, gram) for gram in kept]


def needed_keys(keying: Keying, type_: str, param: str, modifier: Modifier, text: str) -> Needed:
    """The keys of every record where `is_found` holds; empty when no key narrows."""
    grade, kept_with = grade_of(param), _KEPT_WITH.get(param, param)
    needed: list[tuple[Alternative, ...]] = []
    for place, run in enumerate(_parts(text)):
        alternatives = _alternatives(run, grade, modifier, is_first=place == 0)
        if any(not grams for grams in alternatives):
            continue
        with_cut = dict.fromkeys([*map(tuple, alternatives), (_CUT,)])
        needed.append(
            tuple(
                tuple(keying.word(type_, kept_with, gram) for gram in grams) for grams in with_cut
            )
        )
    return tuple(needed)


def is_found(param: str, modifier: Modifier, text: str, values: Collection[str]) -> bool:
    """Whether one of the values answers to `text`.

    `:exact` compares as written. Otherwise case, accents, width and punctuation do not count, and a
    value answers when it, or one of its words, starts with the text (`:contains`: has it anywhere).
    A value with Chinese characters answers too when every word of the text is found in any part of
    it: by characters, in names and addresses by pinyin with or without tones, in names by initials.
    A single character is found in any part of a name, but elsewhere only at a word's start.
    """
    if modifier == "exact":
        return text in values
    asked, parts, grade = fold(text), _parts(text), grade_of(param)
    if not asked:
        return False
    for value in values:
        folded = fold(value)
        if f" {asked}" in f" {folded}" or (modifier == "contains" and asked in folded):
            return True
        found = runs(folded)
        if any(run.is_han for run in found) and all(
            _is_part(part, found, folded, grade) for part in parts
        ):
            return True
    return False


def _parts(text: str) -> list[Run]:
    return [run for word in words(text) for run in runs(word)]


# ---- what counts as found ------------------------------------------------------------------------


def _is_part(part: Run, found: tuple[Run, ...], folded: str, grade: Grade) -> bool:
    if part.is_han:
        if len(part.text) == 1 and grade is not Grade.NAME:
            return any(start == part.text for start in _starts(folded))
        return any(run.is_han and part.text in run.text for run in found)
    letters = fold(part.text)
    return any(
        _is_read(part.text, run.text, grade) if run.is_han else run.text.startswith(letters)
        for run in found
    )


def _starts(folded: str) -> Iterator[str]:
    """The first character of each stretch of Chinese within a word."""
    for word in folded.split():
        yield from (run.text[0] for run in runs(word) if run.is_han)


def _is_read(letters: str, han: str, grade: Grade) -> bool:
    read = _readings(han, grade)
    return any(
        all(piece.is_read_in(read[start + place]) for place, piece in enumerate(spelling))
        for spelling in _spellings(letters, grade)
        for start in range(len(read) - len(spelling) + 1)
    )


def _spellings(letters: str, grade: Grade) -> tuple[Spelling, ...]:
    if grade is Grade.PLAIN:
        return ()
    if grade is Grade.ADDRESS:
        # An address has so many characters that one syllable would find every other one.
        return tuple(
            spelling
            for spelling in spellings(letters)
            if len(spelling) > 1 and all(piece.is_whole for piece in spelling[:2])
        )
    return spellings(letters)


def _readings(han: str, grade: Grade) -> tuple[tuple[str, ...], ...]:
    if grade is Grade.ADDRESS:
        return tuple(read[:1] for read in readings(han))
    return readings(han)


# ---- keys ----------------------------------------------------------------------------------------
# h: Chinese characters, one or two. s: syllables, one or two. a: one or two letters that a word or
# that neighbouring syllables begin with. t: three letters within a word.


def _grams(text: str, grade: Grade) -> Iterator[str]:
    folded = fold(text)
    for run in runs(folded):
        if run.is_han:
            yield from _han_grams(run.text, grade)
        else:
            yield from _word_grams(run.text)
    if grade is not Grade.NAME:
        yield from (f"h{start}" for start in _starts(folded))


def _han_grams(han: str, grade: Grade) -> Iterator[str]:
    yield from (f"h{first}{second}" for first, second in pairwise(han))
    if grade is Grade.PLAIN:
        return
    read = [dict.fromkeys(syllable[:-1] for syllable in each) for each in _readings(han, grade)]
    for pair in pairwise(read):
        for first, second in product(*pair):
            yield f"s{first} {second}"
            if grade is Grade.NAME:
                yield f"a{first[0]}{second[0]}"
    if grade is Grade.NAME:
        yield from (f"h{character}" for character in han)
        for syllable in dict.fromkeys(syllable for each in read for syllable in each):
            yield f"s{syllable}"
            yield f"a{syllable[0]}"


def _word_grams(word: str) -> Iterator[str]:
    yield f"a{word[0]}"
    if len(word) > 1:
        yield f"a{word[:2]}"
    yield from (f"t{word[start : start + 3]}" for start in range(len(word) - 2))


def _alternatives(run: Run, grade: Grade, modifier: Modifier, *, is_first: bool) -> list[list[str]]:
    """The grams to ask for, a list for each way to find the run; an empty list narrows nothing."""
    if run.is_han:
        return [_asked_han(run.text, grade, modifier)]
    letters = fold(run.text)
    if not letters:
        return [[]]
    within = modifier == "contains" and is_first
    found = [_asked_letters(letters, is_within=within)]
    if modifier != "exact":
        found += [_asked_spelling(spelling) for spelling in _spellings(run.text, grade)]
    return found


def _asked_han(han: str, grade: Grade, modifier: Modifier) -> list[str]:
    if len(han) > 1:
        return [f"h{first}{second}" for first, second in pairwise(han)]
    if grade is Grade.NAME or modifier != "contains":
        return [f"h{han}"]
    return []


def _asked_letters(letters: str, *, is_within: bool) -> list[str]:
    triples = [f"t{letters[start : start + 3]}" for start in range(len(letters) - 2)]
    return triples if is_within else [f"a{letters[:2]}", *triples]


def _asked_spelling(spelling: Spelling) -> list[str]:
    if len(spelling) == 1:
        piece = spelling[0]
        return [f"s{piece.letters}" if piece.is_whole else f"a{piece.letters[0]}"]
    return [
        f"s{first.letters} {second.letters}"
        if first.is_whole and second.is_whole
        else f"a{first.letters[0]}{second.letters[0]}"
        for first, second in pairwise(spelling)
    ]
