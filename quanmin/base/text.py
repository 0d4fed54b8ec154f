"""Names and addresses as people write and say them: folded text, pinyin readings, ways to spell.

Pure: nothing here stores or compares on anyone's behalf. What counts as found is decided in
`quanmin.records.words`, so that keys and comparison cannot drift apart.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, wraps
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

_DEFINITIONS = Path(__file__).resolve().parent.parent / "definitions"

_HAN_RANGES: Final = (
    (0x3007, 0x3007),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
# Written inside one word, so dropping them must not split it: O'Brien is found as obrien.
_JOINING = dict.fromkeys(map(ord, "'`\u2018\u2019\u02bc\uff07\u00b4"))
_TONE_MARKS: Final = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_ACCENTS = re.compile("[\u0300-\u036f]")
_READINGS_MAX = 2
_SPELLINGS_MAX = 6
_TRIES_MAX = 64
_LETTERS_MAX = 48
_SYLLABLE_LENGTH_MAX = 6
_VOWEL_INITIALS_MAX = 4
# Few keyboards have a ü: who types lu may mean lü; who types lv or lyu means it.
_UMLAUTS: Final = {"lu": "lv", "nu": "nv", "lue": "lve", "nue": "nve"}
_PINYIN = re.compile(r"(?:[a-z]+[1-5]?)+")
_REMEMBERED_LENGTH_MAX = 100
# A character costs 15 µs to read: a text as long as a record may have would stop a worker for
# half a minute. Nobody is called by so many characters, and no address is looked for behind them.
_READ_LENGTH_MAX = 256
_Made = TypeVar("_Made")


def _remembered(make: Callable[[str], _Made]) -> Callable[[str], _Made]:
    """Names and places come again and again; long texts do not, and would fill the memory."""
    at_hand = lru_cache(maxsize=65536)(make)

    @wraps(make)
    def made(text: str) -> _Made:
        return at_hand(text) if len(text) <= _REMEMBERED_LENGTH_MAX else make(text)

    return made


class Run(msgspec.Struct, frozen=True):
    """A stretch of text: Chinese characters with nothing between them, or one other word."""

    text: str
    is_han: bool


class Piece(msgspec.Struct, frozen=True):
    """One syllable as typed: whole, or only its first letters; `tone` "" when none was given."""

    letters: str
    tone: str = ""
    is_whole: bool = True

    def is_read_in(self, readings: tuple[str, ...]) -> bool:
        """Whether a character with these toned readings can be meant."""
        if not self.is_whole:
            return any(reading.startswith(self.letters) for reading in readings)
        if self.tone:
            return self.letters + self.tone in readings
        return any(reading[:-1] == self.letters for reading in readings)


Spelling = tuple[Piece, ...]


def is_han(character: str) -> bool:
    """Whether this is a Chinese character, extensions included."""
    point = ord(character)
    return any(first <= point <= last for first, last in _HAN_RANGES)


@_remembered
def words(text: str) -> tuple[str, ...]:
    """The words of a text without case, width and punctuation; accents stay, they may be tones.

    Apostrophes vanish; every other mark, the middle dots of minority names among them, parts words.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_JOINING).casefold()
    kept = (
        character if unicodedata.category(character)[0] in "LNM" else " "
        for character in unicodedata.normalize("NFC", plain)
    )
    return tuple("".join(kept).split())


@_remembered
def fold(text: str) -> str:
    """The words of a text without accents, one space between them.

    Marks that carry vowels (Tibetan, Uyghur, Thai) stay.
    """
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", " ".join(words(text))))
    return " ".join(unicodedata.normalize("NFC", bare).split())


@_remembered
def runs(folded: str) -> tuple[Run, ...]:
    """The runs of a folded text in order. Spaces between Chinese characters do not part a run."""
    found: list[Run] = []
    stretches = (stretch for word in folded.split() for stretch in _stretches(word))
    for is_chinese, group in groupby(stretches, key=attrgetter("is_han")):
        if is_chinese:
            found.append(Run("".join(stretch.text for stretch in group), is_han=True))
        else:
            found += group
    return tuple(found)


def _stretches(word: str) -> list[Run]:
    found: list[Run] = []
    start, kind = 0, is_han(word[0])
    for place, character in enumerate(word):
        if is_han(character) is not kind:
            found.append(Run(word[start:place], kind))
            start, kind = place, not kind
    found.append(Run(word[start:], kind))
    return found


@_remembered
def readings(run: str) -> tuple[tuple[str, ...], ...]:
    """For each character of a Chinese run its toned readings ("wang2"), the likeliest first; of a
    very long run for the characters it begins with.

    A reading comes from the words the run contains, from the surname it may begin with, and from
    the character itself: at most two of the latter, since rare readings would make every name
    answer to everything. A character that no dictionary knows has none.
    """
    run = run[:_READ_LENGTH_MAX]
    in_words = _syllables(run)
    found = [
        _ordered([*in_words[place : place + 1], *_alone(character)])
        for place, character in enumerate(run)
    ]
    for length in (2, 1):
        for reading in _surnames().get(run[:length], ()):
            for place, syllable in enumerate(reading.split()):
                found[place] = _ordered([*found[place], syllable])
    return tuple(found)


def load_dictionaries() -> None:
    """Read what the readings come from, so that the first who asks does not wait for it."""
    _toned("\u4e00", errors="ignore")


def surname_readings(run: str) -> tuple[str, ...]:
    """How the surname is read that a Chinese run begins with, syllable by syllable; empty where it
    is read as the word.
    """
    several = next((_surnames()[run[:n]] for n in (2, 1) if run[:n] in _surnames()), ("",))
    return tuple(several[0].split())


def _toned(text: str, **options: Any) -> list[list[str]]:
    # Loaded where it is first needed: its dictionaries take a quarter of a second, which every
    # command would wait for. A process that serves loads them when it starts.
    from pypinyin import Style, pinyin  # noqa: PLC0415 - see above

    return pinyin(text, style=Style.TONE3, neutral_tone_with_five=True, **options)


def _syllables(run: str) -> list[str]:
    found = _toned(run, errors=_unread)
    syllables = [_plain(syllable[0]) for syllable in found]
    # A dictionary entry of another length than its characters would shift all that follow.
    return syllables if len(syllables) == len(run) else ["" for _ in run]


@cache
def _alone(character: str) -> tuple[str, ...]:
    found = _toned(character, heteronym=True, errors="ignore")
    return _ordered([_plain(reading) for reading in found[0]] if found else [])[:_READINGS_MAX]


@cache
def common_syllables(character: str) -> tuple[str, ...]:
    """How a Chinese character is read in words, without tones, the likeliest first.

    A reading of one word in twenty or more counts: 血 is xue and xie, while the dai of 毒, which a
    dictionary of characters lists as well, would make every term answer to everything.
    """
    found = _syllables_in_phrases().get(character)
    if not found:
        return tuple(reading[:-1] for reading in _alone(character)[:1])
    least = found.total() / 20
    return tuple(syllable for syllable, count in found.most_common() if count >= least)


@cache
def _syllables_in_phrases() -> dict[str, Counter[str]]:
    from pypinyin import constants as dictionaries  # noqa: PLC0415 - see `_toned`

    bare = cache(lambda reading: _untoned(reading)[0])
    found: dict[str, Counter[str]] = {}
    for phrase, syllables in dictionaries.PHRASES_DICT.items():
        if len(phrase) == len(syllables):
            for character, readings_ in zip(phrase, syllables, strict=True):
                found.setdefault(character, Counter())[bare(readings_[0])] += 1
    return found


def _unread(text: str) -> str:
    # One mark for each character, so that the places of the others stay.
    return "?" * len(text)


def _plain(reading: str) -> str:
    return reading.replace("ü", "v")


def _ordered(syllables: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in syllables if text[:-1] in _all_syllables()))


@cache
def _surnames() -> dict[str, tuple[str, ...]]:
    path = _DEFINITIONS / "names" / "surname_readings.toml"
    tables = tomllib.loads(path.read_text("utf-8"))
    return {name: tuple(read) for part in ("one", "two") for name, read in tables[part].items()}


@cache
def _all_syllables() -> frozenset[str]:
    """Every syllable some character has, without tones, `v` for ü."""
    from pypinyin import constants as dictionaries  # noqa: PLC0415 - see `_toned`

    found = set()
    for row in dictionaries.PINYIN_DICT.values():
        for reading in row.split(","):
            letters, _ = _untoned(reading)
            if letters.isascii() and letters.isalpha():
                found.add(letters)
    # Interjections without a vowel would let almost any letters pass for pinyin.
    return frozenset(found - {"m", "n", "ng", "hm", "hng", "ê"})


@cache
def _first_letters() -> frozenset[str]:
    return frozenset(syllable[0] for syllable in _all_syllables())


def _untoned(text: str) -> tuple[str, dict[int, str]]:
    """Letters without tone marks, ü as v, and the tone marked at each letter's place."""
    letters: list[str] = []
    tones: dict[int, str] = {}
    for character in unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold()):
        if character in _TONE_MARKS and letters:
            tones[len(letters) - 1] = _TONE_MARKS[character]
        elif character == "\u0308" and letters and letters[-1] == "u":
            letters[-1] = "v"
        elif not unicodedata.combining(character):
            letters.append(character)
    return "".join(letters), tones


@lru_cache(maxsize=8192)
def spellings(word: str) -> tuple[Spelling, ...]:
    """The likeliest ways, at most six, to read a word of letters as pinyin; empty without any.

    Whole syllables with or without tones (marks or digits), then either the beginning of one more
    syllable or only initials: wangxiaoming, wang2, wangxiaom, wangxm, wxm. What can be read in
    whole syllables is; among those, fewer are likelier.
    """
    letters, marks = _untoned(word)
    if len(letters) > _LETTERS_MAX or not _PINYIN.fullmatch(letters):
        return ()
    found: list[Spelling] = []
    _spell(letters, 0, marks, (), found)
    whole = [spelling for spelling in found if all(piece.is_whole for piece in spelling)]
    return tuple(sorted(dict.fromkeys(whole or found), key=len)[:_SPELLINGS_MAX])


def _spell(
    letters: str, place: int, marks: dict[int, str], head: Spelling, found: list[Spelling]
) -> None:
    if len(found) >= _TRIES_MAX:
        return
    tail = letters[place:]
    if not tail:
        found.append(head)
        return
    for syllable, tone, after in _next_syllables(letters, place, marks):
        _spell(letters, after, marks, (*head, Piece(syllable, tone)), found)
    if len(tail) > 1 and tail in _beginnings() and tail not in _all_syllables():
        found.append((*head, Piece(tail, is_whole=False)))
    if _are_initials(tail, is_all=not head):
        found.append((*head, *(Piece(letter, is_whole=False) for letter in tail)))


def _next_syllables(
    letters: str, place: int, marks: dict[int, str]
) -> Iterator[tuple[str, str, int]]:
    """The whole syllables that may stand here, longest first: letters, tone, place after."""
    for end in range(min(len(letters), place + _SYLLABLE_LENGTH_MAX), place, -1):
        syllable = (
            letters[place:end].replace("yu", "v") if letters[place] in "ln" else letters[place:end]
        )
        tone = next((marks[at] for at in range(place, end) if at in marks), "")
        for meant in (syllable, _UMLAUTS.get(syllable, "")):
            if meant not in _all_syllables():
                continue
            if end < len(letters) and letters[end].isdigit():
                yield meant, letters[end], end + 1
            else:
                yield meant, tone, end


def _are_initials(tail: str, *, is_all: bool) -> bool:
    # Vowels begin few syllables: as initials they would let any English word pass for pinyin.
    if not is_all or len(tail) > _VOWEL_INITIALS_MAX:
        return set(tail) <= _first_letters() - set("aeo")
    return set(tail) <= _first_letters()


@cache
def _beginnings() -> frozenset[str]:
    return frozenset(
        syllable[:length] for syllable in _all_syllables() for length in range(1, len(syllable))
    )
