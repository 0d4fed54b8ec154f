"""How a process that writes records looks after its memory."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 100_000
_YOUNG_ROUNDS, _OLD_ROUNDS = 50, 100


def rest_the_collector() -> None:
    """Let the cycle collector run seldom: records make trees, not cycles.

    A bundle makes some hundred thousand objects that all die with it; looking through them at the
    default thresholds took a tenth of an import. What was loaded at start is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG_ROUNDS, _OLD_ROUNDS)
