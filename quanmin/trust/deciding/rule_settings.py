"""Where a node has rules of access of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may see what."""

    folder: Annotated[
        Path | None,
        Meta(
            description="A folder whose files (.toml) hold further rules of access, in the form of"
            " those that every node has. They are read when the node starts; with a faulty one it"
            " does not, and says what is wrong where. Nothing: no further rules."
        ),
    ] = None
