"""What takes longer than a page may. An application says how a file is made, piece by piece; a form
begins it, a job makes it in the name of who asked, and it waits on a page of its own to be fetched.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

from quanmin.base.problems import NotFound
from quanmin.trust import Mandate
from quanmin.trust.lifecycle.handing_out import MAKING
from quanmin.web.text import Language, Text

if TYPE_CHECKING:
    from quanmin.web.records import DeclaredRecords
    from quanmin.web.visit import Visit

ADDRESS: Final = "/made"


class Piece(msgspec.Struct, frozen=True):
    """The next part of a file: its bytes, how many lines of the whole they are, and where to go on,
    as JSON; None: the file is whole.
    """

    content: bytes
    count: int = 0
    place: Any = None


class Making(msgspec.Struct, frozen=True):
    """What whoever makes a piece is given: a visit of who began it, whose path and address say what
    was asked for; the records for the purpose of that request; where the piece before said to go on
    (None: there was none); and what was written before.
    """

    visit: Visit
    records: DeclaredRecords
    place: Any
    written: Callable[[], Iterator[bytes]]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A file that an application makes when asked, and what makes its next piece. `file_name` goes
    into the download's name: letters, digits, hyphens and its ending, and nothing of a person.
    """

    name: str
    title: Text
    file_name: str
    media_type: str
    make: Callable[[Making], Awaitable[Piece]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, by whom and in which language; `about` says in words which part of the
    whole. `secret` encrypts the file, in the suite of this number.
    """

    application: str
    name: str
    asked: dict[str, str]
    about: str
    account: str
    language: Language
    is_large: bool
    secret: str
    suite: int

    def key(self) -> bytes:
        """What encrypts the file."""
        return base64.b64decode(self.secret)


async def begin(
    visit: Visit,
    records: DeclaredRecords,
    name: str,
    *,
    asked: Mapping[str, str],
    about: str = "",
) -> Response:
    """Begin a file that the application of the page declares, and lead to where its state is told.
    Raises NotFound for one that it does not declare, TooMany.
    """
    application, begun = visit.application, visit.begun
    if application is None or begun is None or name not in {one.name for one in application.makes}:
        raise NotFound("no such file is made here: choose one of the page")
    wanted = Asked(
        application=application.name,
        name=name,
        asked=dict(asked),
        about=about,
        account=begun.account,
        language=visit.language,
        is_large=visit.is_large,
        secret=base64.b64encode(secrets.token_bytes(32)).decode(),
        suite=visit.house.guard.store.context.suite.number,
    )
    mandate = Mandate(visit.request.url.path, msgspec.to_builtins(wanted))
    open_max = visit.house.settings.pages.made_open_max
    return visit.go(f"{ADDRESS}/{await records.begin(MAKING, mandate, open_max=open_max)}")
