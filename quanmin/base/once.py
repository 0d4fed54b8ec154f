"""What one request asks several times is told once.

Who may do what is asked anew for each request and not for each thing that a page does: so all of a
page holds of one moment, and costs one question.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

_Answer = TypeVar("_Answer")
_TOLD: Final[ContextVar[dict[Hashable, Any] | None]] = ContextVar("told", default=None)


@contextmanager
def asking_once() -> Iterator[None]:
    """While it lasts, what is asked by `once` is asked once."""
    token = _TOLD.set({})
    try:
        yield
    finally:
        _TOLD.reset(token)


async def once(key: Hashable, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """The answer that the request has for this key; beyond a request the answer of now."""
    told = _TOLD.get()
    if told is None:
        return await ask()
    if key not in told:
        told[key] = await ask()
    return cast("_Answer", told[key])


def ask_anew() -> None:
    """The request has changed something: from here on it asks again."""
    told = _TOLD.get()
    if told is not None:
        told.clear()
