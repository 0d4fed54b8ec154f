"""How a page is declared: its path, what it answers to, and who may open it, in one value.

`access` has no default. A page that nobody thought about must not be a page that everybody can
open, so the kit serves `Page` values only, and a `Page` cannot be made without saying.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import msgspec
from starlette.responses import Response

from quanmin.trust import Role

Method = Literal["GET", "POST"]
ROLES: frozenset[Role] = frozenset(get_args(Role))

# A page of the kit takes (visit), a page of an application (visit, records); `whole` calls each
# rightly.
PageFunction = Callable[..., Awaitable[Response]]


class Access(msgspec.Struct, frozen=True):
    """Who may open a page.

    Actors with one of these roles; None opens it to anybody, signed in or not.
    """

    roles: frozenset[Role] | None

    def admits(self, role: Role | None) -> bool:
        """Whether an asker with this role (None: not signed in) may open the page."""
        return self.roles is None or role in self.roles


ANYBODY = Access(None)
SIGNED_IN = Access(ROLES)
# Who may see records of persons at all; which ones, the guard decides. The administrators may not.
READERS = Access(
    frozenset(
        {
            *("operator", "institution", "doctor", "nurse", "public_health_worker"),
            *("resident", "guardian"),
        }
    )
)
STAFF = Access(frozenset({"operator", "institution"}))
# Everybody who works here, whatever as.
WORKERS = Access(ROLES - {"resident", "guardian"})


class Page(msgspec.Struct, frozen=True):
    """One declared page. `path` is a Starlette path; `call` makes the answer. With
    `is_asked_by_post` other sites may post what they could have put into its address, where the
    browser is then sent: a form of theirs never does anything.
    """

    path: str
    access: Access
    methods: tuple[Method, ...]
    call: PageFunction
    name: str
    is_asked_by_post: bool = False


def page(
    path: str,
    *,
    access: Access,
    methods: tuple[Method, ...] = ("GET",),
    is_asked_by_post: bool = False,
) -> Callable[[PageFunction], Page]:
    """Declare the function below as a page; raises TypeError when the access is not an `Access`."""
    # Python would accept any truthy thing here and the mistake would show as an open page.
    if not _is_access(access):
        message = f"the page {path} must state its access as an Access value"
        raise TypeError(message)

    def declared(call: PageFunction) -> Page:
        name = getattr(call, "__name__", path)
        return Page(path, access, methods, call, name, is_asked_by_post)

    return declared


def _is_access(value: object) -> bool:
    return isinstance(value, Access)


def checked(pages: tuple[Any, ...], owner: str) -> tuple[Page, ...]:
    """The pages, when each one is a declared `Page` and no path is given twice.

    Raises TypeError otherwise.
    """
    paths: set[str] = set()
    for one in pages:
        if not isinstance(one, Page):
            message = f"{owner} lists {one!r} as a page; declare it with @page(path, access=...)"
            raise TypeError(message)
        if one.path in paths:
            message = f"{owner} declares the path {one.path} twice"
            raise TypeError(message)
        paths.add(one.path)
    return pages
