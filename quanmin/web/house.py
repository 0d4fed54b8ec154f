"""What all pages of one node share.

Settings, templates in both languages, seals, files, the menu.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import msgspec
from markupsafe import Markup, escape

from quanmin.base.growing import Shelf
from quanmin.base.rooted import Rooted
from quanmin.base.spool import Spool
from quanmin.terminology import TermLimits
from quanmin.trust import Actor, Guard, GuardedRecords, Together
from quanmin.trust.notices import NoticeKind, kernel_kinds
from quanmin.trust.registers import Standing
from quanmin.trust.sign_in import SignIn
from quanmin.trust.sign_in.server import AuthorizationServer
from quanmin.trust.signatures.papers import Papers
from quanmin.web.application import Application, Installed, Level
from quanmin.web.assets import Assets
from quanmin.web.case_notices import notice_kinds
from quanmin.web.labels import Label
from quanmin.web.languages import KIT, KIT_FOLDER, Words
from quanmin.web.maps import Boundaries
from quanmin.web.page_settings import PageSettings
from quanmin.web.pdf import PdfMaker
from quanmin.web.records import DeclaredRecords
from quanmin.web.seal import Seal
from quanmin.web.text import COLON, LANGUAGES, SEMICOLON, Language, Text, other_language
from quanmin.workflow.states import Words as CaseWords


class KitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the node decides for its pages.

    `secret` (16 bytes or more, the same in every worker) closes cookies, forms and list positions.
    `is_fictional` puts the banner on every page. `is_secure` marks cookies for HTTPS only.
    `passkey_host` is the host that passkeys are made for: no browser uses them elsewhere.
    `origin` is where everybody finds the pages, for what is printed; "": where they were asked for.
    An application has `work_seconds_max` to tell the first page its work, and what there is more of
    than `work_count_max` is told as that.
    `address_header` is the header in which whoever stands in front says who asked; "": nobody does.
    `uploads` is where files wait that were sent with a form which is not kept yet, `made` where
    those are that jobs make for who asks.
    `boundaries` are those that maps are drawn by; None: as squares.
    """

    secret: bytes | Rooted
    zone: ZoneInfo
    title: Text = Text(zh="全民健康信息平台", en="Population Health Platform")
    level: Level = "county"
    is_fictional: bool = False
    is_secure: bool = False
    passkey_host: str = "localhost"
    origin: str = ""
    address_header: str = ""
    session_hours_max: int = 12
    form_bytes_max: int = 262_144
    form_fields_max: int = 2000
    form_seconds_max: float = 60.0
    link_hours_max: int = 24
    boundaries: Boundaries | None = None
    pages: PageSettings = PageSettings()
    term_limits: TermLimits = TermLimits()
    uploads: Spool | None = None
    made: Shelf | None = None
    work_seconds_max: float = 1.0
    work_count_max: int = 99


class House:
    """Made once at start; holds no state of any visit."""

    def __init__(
        self,
        guard: Guard,
        sign_in: SignIn,
        settings: KitSettings,
        installed: tuple[Installed, ...],
        authorization: AuthorizationServer | None = None,
        *,
        papers: Papers | None = None,
    ) -> None:
        self.guard = guard
        self.sign_in = sign_in
        self.authorization = authorization
        self.papers = papers
        self.settings = settings
        self.seal = Seal(settings.secret)
        self.assets = _assets()
        self.pdf_maker = PdfMaker(settings.pages)
        self.applications = tuple(
            one.application for one in installed if settings.level in one.application.levels
        )
        workflows = [one.application.workflow for one in installed]
        self.case_codes: dict[tuple[str, str], CaseWords] = {
            key: words for one in workflows if one for key, words in one.codes().items()
        }
        self._kinds = {one.application.name: notice_kinds(one) for one in installed}
        folders = ((KIT, KIT_FOLDER), *((one.application.name, one.folder) for one in installed))
        self._words = _words(folders)
        self._templates = {language: _environment(language, folders) for language in LANGUAGES}

    def render(self, template: str, language: Language, values: Mapping[str, Any]) -> str:
        """The page as HTML.

        A name that the template uses and nobody gives is an error, not a gap.
        """
        return self._templates[language].get_template(template).render(values)

    def say(self, message: str, language: Language, *owners: str) -> str:
        """A message of the sources in a language, as the first of these says it that does: an
        application by its name, or `KIT`; else as the kit does.
        """
        return self._words.say(message, language, *owners)

    def offered(
        self, actor: Actor, standing: Standing, lacking: frozenset[str]
    ) -> tuple[Application, ...]:
        """The applications that have an entry in the menu of an actor: those whose first page would
        answer. `lacking` are those that the processing register does not hold.
        """
        if standing.refusal(actor.role, posts_required=self.guard.standings.posts_required):
            return ()
        if actor.role == "guardian" and actor.acting is None:  # there is nobody to see anything of
            return ()
        return tuple(
            one
            for one in self.applications
            if actor.role in one.in_menu_of
            and one.name not in lacking
            and standing.has(one.name)
            and one.home_access is not None
            and one.home_access.opens_to(actor, standing)
        )

    def records(
        self,
        actor: Actor,
        application: Application,
        correlation: str,
        together: Together | None = None,
    ) -> DeclaredRecords:
        """The records that an application gets for an actor; noted `together`."""
        records = self.guard.records(actor, purpose=application.purpose, request_id=correlation)
        records.wait_with(together)
        return self.declared(records, application)

    def declared(self, records: GuardedRecords, application: Application) -> DeclaredRecords:
        """Guarded records, narrowed to what an application declares."""
        kinds = self.notice_kinds_of(application.name)
        return DeclaredRecords(records, application, self.settings.zone, kinds)

    def notice_kinds_of(self, application: str) -> Mapping[str, NoticeKind]:
        """The kinds of notice that an application declares, by code."""
        return self._kinds.get(application, {})

    def notice_kind(self, code: str) -> NoticeKind | None:
        """A kind of notice, of the node or of an application; None for one declared no more."""
        own = self.notice_kinds_of(code.partition(".")[0])
        return own.get(code) or kernel_kinds().get(code)

    def today(self) -> date:
        """The day it is where the node stands, by the clock that records and cases go by."""
        return datetime.fromtimestamp(self.guard.now() / 1e6, self.settings.zone).date()


_Named = tuple[tuple[str, Path], ...]


# What is packed and compiled holds for the process.
@cache
def _assets() -> Assets:
    return Assets()


@cache
def _words(folders: _Named) -> Words:
    return Words(dict(folders))


@cache
def _environment(language: Language, folders: _Named) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=_Folders(
            {name: jinja2.FileSystemLoader(folder / "templates") for name, folder in folders}
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    words = _words(folders)

    # A template speaks as its folder does; one that extends another, for both.
    @jinja2.pass_context
    def say(context: jinja2.runtime.Context, message: str) -> str:
        return words.say(message, language, _folder_of(context))

    @jinja2.pass_context
    def count(context: jinja2.runtime.Context, one: str, several: str, n: int) -> str:
        return words.count(one, several, n, language, _folder_of(context))

    # Newstyle formats with `%` after translating, so no message may hold a bare one; a test keeps
    # it.
    install = environment.install_gettext_callables  # type: ignore[attr-defined]  # by i18n
    install(say, count, newstyle=True)
    environment.globals |= {"colon": COLON.told(language), "semicolon": SEMICOLON.told(language)}
    environment.globals["asset"] = _assets().address
    environment.filters["spoken"] = lambda words: spoken(words, language)
    environment.filters["marked"] = lambda words: marked(words, language)
    return environment


class _Folders(jinja2.PrefixLoader):
    """Templates by the name of their folder, of which a PrefixLoader of its own makes nothing known
    to what it loads.
    """

    load = jinja2.BaseLoader.load


def _folder_of(context: jinja2.runtime.Context) -> str:
    return (context.name or "").partition("/")[0]


def spoken(words: str | Label, page_language: Language) -> Markup:
    """Words of a record, their language marked where it is not the page's, to be read out rightly.

    Digits and signs belong to every language and are left alone.
    """
    text = words.text if isinstance(words, Label) else words
    other = other_language(text, page_language)
    return Markup('<span lang="{}">{}</span>').format(other, text) if other else escape(text)


def marked(words: str, page_language: Language) -> Markup:
    """The same as an attribute, of an element that holds the words and no other element."""
    other = other_language(words, page_language)
    return Markup(' lang="{}"').format(other) if other else Markup()
