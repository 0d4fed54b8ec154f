"""Refuses what the processing register does not hold any more or, as a setting has it, not yet.

What is read of the register is believed until a number that all processes share is advanced, as
every change of the register does. So it costs a request nothing, and a change holds with the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from quanmin.base.database import Reader
from quanmin.base.epoch import Epoch
from quanmin.base.problems import Sentence, Stopped
from quanmin.trust.lifecycle.activity_rules import activity_rules

Mode = Literal["show", "ended", "refuse"]

_STATES: Final = """
    select u.kind, u.name, (
        select a.is_in_force from trust.activity a where a.activity = u.activity
        order by a.version desc limit 1) as is_in_force
    from trust.activity_use u
"""


class ProcessingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done with personal data, and the register of it."""

    unregistered: Annotated[
        Mode,
        Meta(
            description="What is refused (403): with `show` nothing, the register shows what "
            "lacks; with `ended` an application, purpose, client or export whose entry was ended; "
            "with `refuse` also what is part of no entry. What the definition names `always` is "
            "never refused."
        ),
    ] = "ended"


class Registered:
    """What the register holds, for one process."""

    def __init__(self, reader: Reader, changed: Epoch, mode: Mode) -> None:
        """`changed` is advanced by whoever changes the register."""
        self._reader = reader
        self._changed = changed
        self._mode = mode
        self._known: tuple[int, dict[tuple[str, str], bool]] | None = None

    async def refuse(self, **uses: str) -> None:
        """Raises Stopped for a use (kind and name; "" is none) that the register does not hold."""
        if self._mode == "show":
            return
        for kind, name in uses.items():
            if name and await self.lacking(kind, (name,)):
                raise Stopped(
                    Sentence(
                        "the processing register has no entry in force of which this %(kind)s is "
                        "a part (%(name)s): ask the security administrator who keeps it",
                        kind=kind,
                        name=name,
                    )
                )

    async def lacking(self, kind: str, names: Iterable[str]) -> frozenset[str]:
        """Which of these uses of a kind `refuse` would refuse."""
        if self._mode == "show":
            return frozenset()
        states, unknown = await self._states(), self._mode == "ended"
        return frozenset(name for name in names if not states.get((kind, name), unknown))

    async def _states(self) -> dict[tuple[str, str], bool]:
        known, number = self._known, self._changed.number
        if known is not None and known[0] == number:
            return known[1]
        rows = await self._reader.fetch(_STATES)
        states = {(row["kind"], row["name"]): bool(row["is_in_force"]) for row in rows}
        for use in activity_rules().definition.always:
            kind, _, name = use.partition(":")
            states[kind, name] = True
        self._known = number, states
        return states
