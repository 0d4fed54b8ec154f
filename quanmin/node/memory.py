"""How a process of the node looks after its memory."""

from __future__ import annotations

import gc

from quanmin.base.text import load_dictionaries


def settle() -> None:
    """Load what the first request would wait for, and let the collector pass over all that is there
    when a process begins to serve: it lives as long as the process.
    """
    load_dictionaries()
    gc.collect()
    gc.freeze()
