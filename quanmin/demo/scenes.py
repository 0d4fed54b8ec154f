"""Scenes of a demonstration: its accounts open pages of the node and send their forms, as a browser
without script does. What they do is a definition (`definitions/demo/scenes.toml`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any, Final

import httpx
import msgspec

from quanmin.base.problems import Invalid
from quanmin.demo.numbering import identity_number
from quanmin.demo.tables import Source, load

_PLACE: Final = re.compile(r"\{([a-z_0-9]+)(?:([-+]\d+))?\}")
_OWN: Final = "https://quanmin.example/fhir/CodeSystem/"
_HL7: Final = "http://hl7.org/fhir/"
_V3: Final = "http://terminology.hl7.org/CodeSystem/v3-"
_VOID: Final = frozenset({"token", "do"})
_SAID_MAX: Final = 400
_REGISTRATION: Final = "/registration"
_FIELDS: Final = frozenset({"input", "select", "textarea", "option"})


class Act(msgspec.Struct, frozen=True):
    """A form that an account sends to an address. `fills_in`: on top of what stands in its fields;
    `keep`: the end of the address that is answered under this name, beside `last`. Of the Patient
    `at` instead: `earlier`: the registration of a severe mental disorder began so many days ago;
    `diagnosis`: diagnosed just now, as a code of ICD-10 and words. Of a report card: `sent` so many
    days ago, which a row may tell.
    """

    by: str
    at: str
    send: Mapping[str, str] = {}
    keep: str = ""
    fills_in: bool = False
    earlier: int = 0
    diagnosis: tuple[str, str] = ("", "")
    sent: str = ""

    @property
    def is_aside(self) -> bool:
        """Whether no form does it."""
        return bool(self.earlier or self.diagnosis[0] or self.sent)


class Person(msgspec.Struct, frozen=True):
    """Somebody who is registered: the name, the sex, how many days old."""

    key: str
    name: str
    is_male: bool
    days: int


class Scene(msgspec.Struct, frozen=True):
    """What belongs together: people who are registered, then acts, once for each of `each`."""

    name: str
    by: str
    person: tuple[Person, ...] = ()
    each: tuple[Mapping[str, str], ...] = ({},)
    act: tuple[Act, ...] = ()


class Scenes(Source, frozen=True, kw_only=True):
    """All scenes, in their order; `division` is where those who are registered were born."""

    division: str
    order: int
    scene: tuple[Scene, ...]


class Visitor:
    """An account that opens pages; `client` has the node's address and the account's cookie."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._token = ""

    async def open(self, path: str) -> str:
        """A page. Raises Invalid where the node does not show it."""
        answer = await self._client.get(path)
        if answer.status_code != httpx.codes.OK:
            raise Invalid(f"the node answers {answer.status_code} to a demonstration at {path}")
        return answer.text

    async def send(self, path: str, fields: Mapping[str, str], *, fills_in: bool = False) -> str:
        """Send a form; gives the address that it leads to. Raises Invalid with what the page has
        against it.
        """
        shown: dict[str, str] = {}
        if fills_in or not self._token:
            page = await self.open(path)
            self._token = _found(r'name="token" value="([^"]+)"', page)
            shown = dict(_shown(page)) if fills_in else {}
        sent = {**shown, **fields, "token": self._token}
        answer = await self._client.post(path, data=sent)
        if answer.status_code != httpx.codes.SEE_OTHER:
            alert = _found(r'(?s)role="alert"[^>]*>(.*?)</div>', answer.text)
            said = " ".join(re.sub(r"<[^>]+>", " ", alert).split())
            text = html.unescape(said)[:_SAID_MAX]
            raise Invalid(f"{path} answers {answer.status_code} to a demonstration: {text}")
        return answer.headers["location"]


Aside = Callable[[Act, str], Awaitable[str]]
"""Does what no form does, to a Patient or a card; gives the id of what was made of it."""


class Playing:
    """Goes through scenes; what is kept of one is known to those after it."""

    def __init__(
        self,
        visitors: Mapping[str, Visitor],
        moment: datetime,
        aside: Aside,
        kept: Mapping[str, str] | None = None,
    ) -> None:
        """`moment` is now, with the zone of the node; `kept` what earlier scenes kept."""
        self.kept = dict(kept or {})
        self._visitors, self._moment, self._aside = visitors, moment, aside

    async def go_through(self, scene: Scene) -> None:
        """All of a scene. Raises Invalid where the node has something against it."""
        every = scenes_of_accounts()
        for number, one in enumerate(scene.person):
            born = self._moment.date() - timedelta(days=one.days)
            sex = "male" if one.is_male else "female"
            order = every.order + number
            identity = identity_number(every.division, born, order, male=one.is_male)
            fields = {"name": one.name, "sex": sex, "born": f"{born}", "identity": identity}
            sent = await self._visitors[scene.by].send(_REGISTRATION, fields)
            self.kept[one.key] = sent.rpartition("/")[2]
        for row in scene.each:
            values = {name: self.filled(text, {}) for name, text in row.items()}
            for act in scene.act:
                await self._do(act, values)

    def filled(self, text: str, row: Mapping[str, str]) -> str:
        """A text with its places filled: `{day-3}` three days ago, `{minute-90}` a moment, `{own}`,
        `{hl7}` and `{v3}` the beginnings of code systems, else what a row or an earlier act says.
        """

        def value(found: re.Match[str]) -> str:
            name, more = found[1], int(found[2] or 0)
            if name == "day":
                return date.isoformat(self._moment.date() + timedelta(days=more))
            if name == "minute":
                return f"{self._moment + timedelta(minutes=more):%Y-%m-%dT%H:%M}"
            known = {"own": _OWN, "hl7": _HL7, "v3": _V3, **self.kept, **row}
            if name not in known:
                raise Invalid(f"nothing was kept under {name} by an earlier scene")
            return known[name]

        return _PLACE.sub(value, text)

    async def _do(self, act: Act, row: Mapping[str, str]) -> None:
        at = self.filled(act.at, row)
        if act.is_aside:
            told = msgspec.structs.replace(act, sent=self.filled(act.sent, row))
            self.kept["last"] = await self._aside(told, at)
        else:
            fields = {name: self.filled(text, row) for name, text in act.send.items()}
            sent = await self._visitors[act.by].send(at, fields, fills_in=act.fills_in)
            self.kept["last"] = sent.rpartition("/")[2]
        if act.keep:
            self.kept[self.filled(act.keep, row)] = self.kept["last"]


def scenes_of_accounts() -> Scenes:
    """The definition."""
    return load("scenes", Scenes)


def _found(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    return found[1] if found else ""


def _shown(page: str) -> Iterator[tuple[str, str]]:
    """What stands in the fields of the forms of a page that are sent by POST."""
    parser = _Fields()
    parser.feed(page)
    yield from parser.found.items()


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._is_sent, self._select, self._text = False, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said: dict[str, Any] = dict(attrs)
        if tag == "form":
            self._is_sent = said.get("method") == "post"
        name, value = str(said.get("name") or ""), str(said.get("value") or "")
        if not self._is_sent or tag not in _FIELDS or name in _VOID:
            return
        is_box = said.get("type") in {"radio", "checkbox"}
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in said:
            self.found[self._select] = value
        elif tag == "textarea":
            self._text, self.found[name] = name, ""
        elif tag == "input" and name and (not is_box or "checked" in said):
            self.found[name] = value

    def handle_data(self, data: str) -> None:
        if self._text:
            self.found[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = ""
