"""A visitor without script and without eyes: follows links, fills in forms, keeps cookies."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx
import msgspec

_SECONDS_MAX: Final = 60.0
_OF_THE_FRAME: Final = re.compile(r"/(sign-out|acting-for)$")


class Form(msgspec.Struct):
    """A form as it stands: what it sends if nobody changes anything, and its buttons."""

    method: str
    action: str
    sent: list[tuple[str, str]] = msgspec.field(default_factory=list)
    fields: set[str] = msgspec.field(default_factory=set)
    buttons: list[tuple[str, str]] = msgspec.field(default_factory=list)
    choices: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Opened(msgspec.Struct):
    """What a page leads to: whole links, and forms."""

    address: str
    links: list[str]
    forms: list[Form]


class _Reading(HTMLParser):
    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = address
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select: tuple[str, list[tuple[bool, str]]] | None = None
        self._area: tuple[str, list[str]] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and given.get("href"):
            self.links.append(urldefrag(urljoin(self.address, given["href"])).url)
        elif tag == "form":
            action = urljoin(self.address, given.get("action", ""))
            self._form = Form(given.get("method", "get").lower(), action)
            self.forms.append(self._form)
        elif self._form is not None:
            self._within(self._form, tag, given)

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select" and self._select is not None and self._form is not None:
            name, options = self._select
            chosen = [value for is_chosen, value in options if is_chosen] or [
                value for _, value in options[:1]
            ]
            self._form.sent += [(name, value) for value in chosen[:1]]
            self._select = None
        elif tag == "textarea" and self._area is not None and self._form is not None:
            self._form.sent.append((self._area[0], "".join(self._area[1])))
            self._area = None

    def _within(self, form: Form, tag: str, given: dict[str, str]) -> None:
        name, value, kind = given.get("name", ""), given.get("value", ""), given.get("type", "")
        if tag == "option" and self._select is not None:
            self._select[1].append(("selected" in given, value))
            form.choices.setdefault(self._select[0], []).append(value)
        elif tag == "button":
            form.buttons.append((name, value))
        elif name and tag in {"input", "select", "textarea"}:
            form.fields.add(name)
            if kind in {"checkbox", "radio"}:
                form.choices.setdefault(name, []).append(value)
            if tag == "select":
                self._select = (name, [])
            elif tag == "textarea":
                self._area = (name, [])
            elif kind not in {"checkbox", "radio"} or "checked" in given:
                form.sent.append((name, value))


class Visitor:
    """One browser of one account; `cookies` are those of its session."""

    def __init__(self, base: str) -> None:
        self.base = base
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(base))
        self._client = httpx.Client(
            base_url=base,
            headers={"Accept-Language": "zh", "Origin": origin},
            follow_redirects=True,
            timeout=_SECONDS_MAX,
            trust_env=False,
        )
        self.page = Opened(base, [], [])
        self.status = 0

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def get(self, address: str) -> Opened | None:
        """Go to an address of the node; None where no page is."""
        return self._arrive(self._client.get(address))

    def send(self, fields: dict[str, str], *, button: str = "") -> Opened | None:
        """Fill in and send the form of this page that has these fields, by the button whose value
        that is; "*" is the first choice that says something. Raises LookupError where none has.
        """
        for form in self.page.forms:
            names = {name for name, value in form.buttons if value == button}
            is_own = not _OF_THE_FRAME.search(form.action)
            if is_own and form.fields >= fields.keys() and (names or not button):
                return self._post(form, fields, [(name, button) for name in names if button])
        raise LookupError(f"{self.page.address}: no form has {sorted(fields)} and {button!r}")

    def cookies(self) -> list[dict[str, Any]]:
        """The cookies as a browser takes them."""
        return [
            {"name": one.name, "value": one.value or "", "url": self.base}
            for one in self._client.cookies.jar
        ]

    def _post(
        self, form: Form, fields: dict[str, str], pressed: list[tuple[str, str]]
    ) -> Opened | None:
        sent = [(name, value) for name, value in form.sent if name not in fields]
        sent += [
            (name, next(filter(None, form.choices[name])) if value == "*" else value)
            for name, value in fields.items()
        ]
        sent += pressed
        data: dict[str, list[str]] = {}
        for name, value in sent:
            data.setdefault(name, []).append(value)
        if form.method == "post":
            return self._arrive(self._client.post(form.action, data=data))
        return self._arrive(self._client.get(form.action, params=data))

    def _arrive(self, answer: httpx.Response) -> Opened | None:
        self.status = answer.status_code
        if not answer.headers.get("content-type", "").startswith("text/html"):
            return None
        read = _Reading(str(answer.url), answer.text)
        self.page = Opened(read.address, read.links, read.forms)
        return self.page
