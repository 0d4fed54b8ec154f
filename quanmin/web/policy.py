"""What a page may load and run: what this node serves, and no script but where one is needed."""

from __future__ import annotations

from typing import Final

_REST: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; script-src "
)
WITHOUT_SCRIPT: Final = f"{_REST}'none'"
WITH_SCRIPT: Final = f"{_REST}'self'"
