"""What waits for somebody: how many of what, where the rows are, and how it is asked for on the
first page without one slow or broken application keeping the others away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from quanmin.base.problems import Forbidden

log = logging.getLogger("quanmin.web")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A number of things that wait, in words, and the list of exactly these. `late` of them are
    past their time, which `late_link` lists, if there is such a list. Numbers may stop one beyond
    the cap of the page (`first_page.work_count_max`), which is then told as "more than".
    """

    words: str
    link: str
    number: int
    late: int = 0
    late_link: str = ""


WorkFunction = Callable[[Any, Any], Awaitable[Sequence[Work]]]
"""From a visit and the records that the application has declared to what waits for the visitor."""


class Asked(msgspec.Struct, frozen=True):
    """What an application said of the work it has for somebody; None: it did not say."""

    application: str
    work: tuple[Work, ...] | None


async def ask_all(
    asking: Iterable[tuple[str, Callable[[], Awaitable[Sequence[Work]]]]], *, seconds_max: float
) -> tuple[Asked, ...]:
    """Ask all at once, each for so long at most; what fails or takes longer is None. Whoever is
    refused has no work there. Nothing of what went wrong is lost: it is in the log.
    """
    return tuple(await asyncio.gather(*(_asked(name, ask, seconds_max) for name, ask in asking)))


async def _asked(
    name: str, ask: Callable[[], Awaitable[Sequence[Work]]], seconds_max: float
) -> Asked:
    try:
        async with asyncio.timeout(seconds_max):
            return Asked(name, tuple(one for one in await ask() if one.number))
    except Forbidden:
        return Asked(name, ())
    except TimeoutError:
        log.warning("an application did not tell its work in time", extra={"route": name})
    except Exception:
        log.exception("an application could not tell its work", extra={"route": name})
    return Asked(name, None)
