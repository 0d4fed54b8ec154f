"""How a page is declared: its path, what it answers to, and who may open it, in one value.

`access` has no default. A page that nobody thought about must not be a page that everybody can
open, so the kit serves `Page` values only, and a `Page` cannot be made without saying.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import msgspec
from starlette.responses import Response

from quanmin.trust import Actor, Role
from quanmin.trust.registers import Standing

Method = Literal["GET", "POST"]
ROLES: frozenset[Role] = frozenset(get_args(Role))

# A page of the kit takes (visit), a page of an application (visit, records); `whole` calls each
# rightly.
PageFunction = Callable[..., Awaitable[Response]]


class Charge(msgspec.Struct, frozen=True):
    """Whom a page asks for a duty of their post: actors of `roles` always, those of `roles_in_post`
    once they have a post in the register. One of `duties` is enough.
    """

    duties: frozenset[str]
    roles: frozenset[Role]
    roles_in_post: frozenset[Role] = frozenset()

    def is_met(self, actor: Actor, standing: Standing) -> bool:
        """Whether the actor has such a duty, or needs none."""
        is_asked = actor.role in self.roles
        is_asked = is_asked or (standing.has_posts and actor.role in self.roles_in_post)
        return not is_asked or not self.duties.isdisjoint(actor.duties | standing.duties)


class Access(msgspec.Struct, frozen=True):
    """Who may open a page.

    Actors with one of these roles; None opens it to anybody, signed in or not. Some of them may
    need a duty (`charge`). What `is_of_node` is closed to who runs tenants under a contract.
    """

    roles: frozenset[Role] | None
    charge: Charge | None = None
    is_of_node: bool = False

    def admits(self, role: Role | None) -> bool:
        """Whether an asker with this role (None: not signed in) may open the page, if no duty
        lacks.
        """
        return self.roles is None or role in self.roles

    def opens_to(self, actor: Actor, standing: Standing) -> bool:
        """Whether the actor may open the page by all that it states, as the registers stand."""
        is_open = self.admits(actor.role) and not (self.is_of_node and standing.party)
        return is_open and (self.charge is None or self.charge.is_met(actor, standing))


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
    browser is then sent: a form of theirs never does anything. A page that `takes_files` reads
    forms that files are sent with. What is sent twice is done once, but for a page whose forms are
    not `is_taken_once`: one that only tells, or knows by itself what was sent before.
    """

    path: str
    access: Access
    methods: tuple[Method, ...]
    call: PageFunction
    name: str
    is_asked_by_post: bool = False
    takes_files: bool = False
    is_taken_once: bool = True


def page(
    path: str,
    *,
    access: Access,
    methods: tuple[Method, ...] = ("GET",),
    is_asked_by_post: bool = False,
    takes_files: bool = False,
    is_taken_once: bool = True,
) -> Callable[[PageFunction], Page]:
    """Declare the function below as a page; raises TypeError when the access is not an `Access`."""
    # Python would accept any truthy thing here and the mistake would show as an open page.
    if not _is_access(access):
        message = f"the page {path} must state its access as an Access value"
        raise TypeError(message)

    def declared(call: PageFunction) -> Page:
        name = getattr(call, "__name__", path)
        return Page(path, access, methods, call, name, is_asked_by_post, takes_files, is_taken_once)

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
