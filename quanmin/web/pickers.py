"""Codes out of value sets that are too large to list: people type a code, a name or the initials of
its pinyin and choose of what is found.

Without a script a button shows what is found on the same page; with it the box is a combobox. What
is typed goes by POST, for beside a patient it tells of the patient, and is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import JSONResponse, Response

from quanmin.base.problems import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    NotSupported,
    Sentence,
    TooCostly,
)
from quanmin.fhir.json import Json
from quanmin.terminology import Canonical, Check, Choice, Terms
from quanmin.web.buttons import FIND, MORE, SEND, Pressed, pressed
from quanmin.web.own_codes import brought, carried, choice_of, found_in
from quanmin.web.records import DeclaredRecords
from quanmin.web.route import SIGNED_IN, Page, page
from quanmin.web.visit import Visit
from quanmin.workflow.forms import Around, Filling, Form, Item, Option, Words
from quanmin.workflow.forms.filling import Place
from quanmin.workflow.forms.model import code_of
from quanmin.workflow.forms.sending import AS_TYPED, TYPED

CODES: Final = "/codes"
# Beside what was typed: for which words the list on the page was found, and after which place.
_LISTED, _FROM = "~found", "~from"
_WORDS_LENGTH_MAX: Final = 100
# Each is a walk through a code system: so many of one page are looked for at a time.
_SEARCHES_MAX: Final = 20
_CODES_MAX: Final = 2000
# What a value set may be at fault with. It is no fault of the form or of who fills it in.
_UNUSABLE: Final = (NotFound, Conflict, Invalid, NotSupported, TooCostly)


class Found(msgspec.Struct, frozen=True):
    """What was found for the words in a box: the codes, and the places at which this part of them
    begins and after which there are more.
    """

    words: str
    listed: tuple[Choice, ...] = ()
    start: str = ""
    after: str = ""


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """A question of this kind as the page shows it: what is typed, what is found for it (value and
    words), the buttons. `source` is what the script sends to have more found.
    """

    words: str = ""
    found: tuple[tuple[str, str], ...] = ()
    said: str = ""
    start: str = ""
    more: str = ""
    source: str = ""
    is_here: bool = True
    is_asked: bool = False
    length_max: int = _WORDS_LENGTH_MAX


class _Known:
    """What the terminology says of the value sets of one form: the `Codes` of its `Around`."""

    def __init__(self) -> None:
        self.lists: dict[str, tuple[Option, ...] | None] = {}
        self.codes: dict[tuple[str, str], Choice | None] = {}
        self.found: dict[str, Found] = {}
        self.own: dict[str, Sequence[Option]] = {}
        self.asked = ""

    def is_here(self, value_set: str) -> bool:
        """Whether the node has the value set, and can tell its codes."""
        return value_set in self.lists

    def listed(self, value_set: str) -> Sequence[Option] | None:
        """The options of one that is listed as a whole."""
        return self.lists.get(value_set)

    def coding(self, value_set: str, code: str) -> Json | None:
        """A code of the value set."""
        choice = self.codes.get((value_set, code))
        return None if choice is None else _coding(choice)

    def words(self, value_set: str, code: str) -> str:
        """What a code is called in the language of the page; "" for one that is not known."""
        choice = self.codes.get((value_set, code))
        return "" if choice is None else self.told(value_set, choice)

    def told(self, value_set: str, choice: Choice) -> str:
        """A code with its words; of the application's own, whose codes nobody knows, the words."""
        return choice.shown if value_set in self.own else _words(choice)


async def with_codes(visit: Visit, records: DeclaredRecords, filling: Filling) -> Around:
    """What the filling is within, with what the node's terminology says of the codes that its form
    asks for: those that were sent, those that it holds, and what is found for the words that were
    typed. The filling has it from then on.
    """
    form, within = filling.form, filling.around
    asked = {link: item for link, item in form.by_link.items() if _is_asked(item, within)}
    if not asked:
        return within
    is_sent = visit.request.method == "POST"
    sent = pressed(visit) if is_sent else Pressed("", "", {})
    known = _Known()
    limits = visit.house.settings.pages
    async with records.terminology(visit.house.settings.term_limits) as terms:
        looking = _Looking(terms, known, within, visit.language, limits.codes_found_max)
        for item in asked.values():
            await looking.open(form, item, limits.codes_listed_max)
        held = list(_held(asked, filling.response()))
        given = [(item, code_of(coding)) for item, coding in held]
        await looking.check([*_sent(asked, sent.fields), *given])
        looking.keep(held)
        if is_sent:
            await looking.search(asked, sent)
    filling.around = msgspec.structs.replace(within, codes=known)
    return filling.around


class _Looking:
    def __init__(
        self, terms: Terms, known: _Known, within: Around, language: str, count: int
    ) -> None:
        self._terms = terms
        self._members = within.members
        self._known = known
        self._language = language
        self._count = count
        self._heads: dict[str, Mapping[str, Any]] = {}

    async def open(self, form: Form, item: Item, listed_max: int) -> None:
        """Whether the value set of an item is here, and its options where they are few."""
        url = item.value_set
        if url in self._known.lists:
            return
        own = self._members(url) if self._members else None
        if own is not None:
            self._known.lists[url], self._known.own[url] = None, own
            return
        try:
            head = await head_of(self._terms, form.contained(url) or url)
            if item.is_looked_for:
                await self._terms.chosen(head, [])  # whether it can be told what it holds
                listed = None
            else:
                found = await self._terms.choose(head, count=listed_max, language=self._language)
                listed = None if found.after else tuple(map(self._option, found.listed))
        except _UNUSABLE:
            return
        self._heads[url] = head
        self._known.lists[url] = listed

    async def check(self, given: Iterable[tuple[Item, str]]) -> None:
        """Which of these codes the value sets have."""
        by_set: dict[str, set[str]] = {}
        for item, text in given:
            by_set.setdefault(item.value_set, set()).add(text)
        if sum(map(len, by_set.values())) > _CODES_MAX:
            raise Malformed(
                Sentence("a form may hold %(codes_max)s different codes", codes_max=_CODES_MAX)
            )
        for url, texts in by_set.items():
            for one in self._known.own.get(url, ()):
                if one.code in texts:
                    self._known.codes[url, one.code] = choice_of(one, self._language)
            if url in self._heads:
                checks = {text: Check(*_parted(text)) for text in texts}
                found = await self._terms.chosen(
                    self._heads[url], list(checks.values()), self._language
                )
                for text, check in checks.items():
                    self._known.codes[url, text] = found.get((check.system, check.code))

    def keep(self, held: Iterable[tuple[Item, Json]]) -> None:
        """Take what a form was filled in with as the records have it where its question is open: a
        visit may be coded by an edition that the value set does not have.
        """
        for item, coding in held:
            place = item.value_set, code_of(coding)
            if item.kind == "open-choice" and self._known.codes.get(place) is None:
                display = str(coding.get("display") or "")
                self._known.codes[place] = Choice(
                    str(coding.get("system", "")), str(coding.get("code", "")), display, display
                )

    async def search(self, asked: Mapping[str, Item], sent: Pressed) -> None:
        """What is found for the words in the boxes."""
        where, _, place = (
            sent.where.rpartition(" ") if sent.action == MORE else (sent.where, "", "")
        )
        self._known.asked = where if sent.action in {FIND, MORE} else ""
        count = 0
        for name in sent.fields:
            key = name.removesuffix(TYPED)
            item = asked.get(_link(key))
            words = _first(sent.fields, name)[:_WORDS_LENGTH_MAX]
            if key == name or item is None or not words:
                continue
            found = Found(words)
            count += 1
            if item.value_set in self._known.lists and count <= _SEARCHES_MAX:
                is_same = words == _first(sent.fields, key + _LISTED)
                start = _first(sent.fields, key + _FROM) if is_same else ""
                start = place if key == where and sent.action == MORE and is_same else start
                found = await self._found(item.value_set, words, start)
            self._known.found[key] = found

    async def _found(self, url: str, words: str, start: str) -> Found:
        own = self._known.own.get(url)
        if own is not None:
            listed, after = found_in(own, words, self._language, after=start, count=self._count)
            self._known.codes |= {(url, _value(one)): one for one in listed}
            return Found(words, listed, start, after)
        found = await self._terms.choose(
            self._heads[url], words=words, after=start, count=self._count, language=self._language
        )
        for one in found.listed:
            self._known.codes[url, _value(one)] = one
        return Found(words, found.listed, start, found.after)

    def _option(self, choice: Choice) -> Option:
        told = Words(choice.display, {self._language: choice.shown})
        return Option("valueCoding", _coding(choice), told)


def settled(form: Form, within: Around, sent: Pressed) -> dict[str, Sequence[str]]:
    """The fields with what was typed made an answer where it is one: it is a code or a whole name,
    or an open choice takes it as it is. `~find` stays of what is to be chosen first. Before the
    answers are sent nothing is: who looks for a code has not chosen one.
    """
    known = within.codes
    fields = dict(sent.fields)
    if not isinstance(known, _Known):
        return fields
    for key, found in known.found.items():
        fields.pop(key + TYPED, None)
        item = form.by_link.get(_link(key))
        if sent.action != SEND or item is None or known.listed(item.value_set) is not None:
            continue
        chosen = [text for text in fields.get(key, ()) if text.strip()]
        seen = _first(sent.fields, key + _LISTED)
        exact = [_value(one) for one in found.listed if one.is_exact]
        is_open = item.kind == "open-choice"
        if chosen and found.words == seen:
            continue
        if len(exact) == 1 and (item.repeats or not chosen):
            fields[key] = [*dict.fromkeys([*chosen, *exact])]
        elif is_open and (item.repeats or not chosen):
            fields[key] = [*chosen, AS_TYPED + found.words]
        else:
            fields[key + TYPED] = [found.words]
    return fields


def pick_of(visit: Visit, form: Form, place: Place, within: Around) -> Pick | None:
    """How the page asks for a code; None where the options are listed. Raises TypeError where
    nobody has asked the terminology (`with_codes`).
    """
    item, known = place.item, within.codes
    if not _is_asked(item, within):
        return None
    if not isinstance(known, _Known):
        message = f"the form asks for codes of {item.value_set}: give it with_codes"
        raise TypeError(message)
    if known.listed(item.value_set) is not None:
        return None
    found = known.found.get(place.key, Found(""))
    is_open = item.kind == "open-choice"
    if not known.is_here(item.value_set):
        return Pick(words=found.words, is_here=False, length_max=item.length_max or 200)
    listed = [(_value(one), known.told(item.value_set, one)) for one in found.listed]
    if is_open and found.words:
        listed.append((AS_TYPED + found.words, _as_typed(visit, found.words)))
    own, contained = known.own.get(item.value_set), form.contained(item.value_set)
    state = {"own": carried(own)} if own else {"codes": contained or item.value_set}
    return Pick(
        words=found.words,
        found=tuple(one for one in listed if one[0] not in chosen_of(place, within)),
        said=_said(visit, found) if found.words else "",
        start=found.start,
        more=f"{MORE} {place.key} {found.after}" if found.after else "",
        source=visit.keep("codes", {**state, "open": is_open}),
        is_asked=known.asked == place.key,
    )


def chosen_of(place: Place, within: Around) -> dict[str, str]:
    """What is chosen in such a question: value and words."""
    known, url = within.codes, place.item.value_set
    chosen = {}
    for value in (value for answer in place.answers for value in answer.values()):
        if isinstance(value, dict):
            code = code_of(value)
            words = known.words(url, code) if isinstance(known, _Known) else ""
            own = f"{value.get('code', '')} {value.get('display', '')}".strip()
            chosen[code] = words or own
        else:
            chosen[AS_TYPED + str(value)] = str(value)
    return chosen


@page(CODES, access=SIGNED_IN, methods=("POST",), is_taken_once=False)
async def codes(visit: Visit) -> Response:
    """What is found for the words in a box, for the script: as the page itself would list it."""
    kept = visit.kept("codes", visit.sent.get("of", ""))
    if not kept.keys() & {"codes", "own"} or visit.actor is None:
        raise Malformed("this is no list of codes: open the page of the form again")
    words = " ".join(visit.sent.get("words", "").split())[:_WORDS_LENGTH_MAX]
    start, count = visit.sent.get("after", ""), visit.house.settings.pages.codes_found_max
    if "own" in kept:
        options = brought(kept["own"])
        hits, after = found_in(options, words, visit.language, after=start, count=count)
        listed = [{"value": _value(one), "words": one.shown} for one in hits]
    else:
        records = visit.house.guard.records(
            visit.actor, purpose="TREAT", request_id=visit.correlation
        )
        async with records.terminology(visit.house.settings.term_limits) as terms:
            head = await head_of(terms, kept["codes"])
            found = await terms.choose(
                head, words=words, after=start, count=count, language=visit.language
            )
        hits, after = found.listed, found.after
        listed = [{"value": _value(one), "words": _words(one)} for one in hits]
    if kept.get("open") and words and not after:
        listed.append({"value": AS_TYPED + words, "words": _as_typed(visit, words)})
    said = _said(visit, Found(words, hits, start, after))
    return JSONResponse({"listed": listed, "after": after, "said": said})


PAGES: Final[tuple[Page, ...]] = (codes,)


async def head_of(terms: Terms, value_set: Json) -> Mapping[str, Any]:
    """The definition of a value set that is named by its address, or given."""
    if isinstance(value_set, dict):
        return value_set
    return (await terms.entry("ValueSet", Canonical.read(value_set))).head


def _is_asked(item: Item, within: Around) -> bool:
    is_own = within.members is not None and within.members(item.value_set) is not None
    return item.is_looked_for or (item.is_coded and not is_own)


def _sent(
    asked: Mapping[str, Item], fields: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Item, str]]:
    for key, texts in fields.items():
        item = asked.get(_link(key))
        if item is not None and "~" not in key:
            yield from ((item, text.strip()) for text in texts if "|" in text)


def _held(asked: Mapping[str, Item], held: Json | None) -> Iterator[tuple[Item, Json]]:
    """The codes that a response holds, at any depth."""
    for one in (held or {}).get("item") or ():
        item = asked.get(str(one.get("linkId")))
        for answer in one.get("answer") or ():
            if item is not None and "valueCoding" in answer:
                yield item, answer["valueCoding"]
            yield from _held(asked, answer)
        yield from _held(asked, one)


def _link(key: str) -> str:
    """The item that a field is of."""
    return key.rpartition("/")[2].partition("~")[0]


def _first(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return " ".join(next(iter(fields.get(name, ())), "").split())


def _parted(text: str) -> tuple[str, str]:
    system, _, code = text.rpartition("|")
    return system, code


def _value(choice: Choice) -> str:
    return f"{choice.system}|{choice.code}"


def _words(choice: Choice) -> str:
    return f"{choice.code} {choice.shown}".strip()


def _coding(choice: Choice) -> Json:
    told = {"system": choice.system, "code": choice.code, "display": choice.display}
    return {name: value for name, value in told.items() if value}


def _as_typed(visit: Visit, words: str) -> str:
    return visit.say("As typed: {words}").replace("{words}", words)


def _said(visit: Visit, found: Found) -> str:
    """How many codes were found, in words that are read out."""
    count = str(len(found.listed))
    if found.after:
        return visit.say("{n} are shown, there are more: type more words.").replace("{n}", count)
    if found.listed:
        return visit.say("{n} found.").replace("{n}", count)
    return visit.say("No code has these words.")
