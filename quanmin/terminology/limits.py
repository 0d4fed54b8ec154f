"""How far terminology goes before it says so; each is a setting of the node."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class TermLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Code systems, value sets and concept maps."""

    expansion_codes_max: Annotated[
        int,
        Meta(
            description="How many codes an expansion may hold; a larger one is asked for in parts "
            "(`count`, `offset`) or narrowed (`filter`).",
            ge=1,
        ),
    ] = 10_000
    import_depth_max: Annotated[
        int, Meta(description="How deep value sets may import one another.", ge=1, le=64)
    ] = 16
    concepts_max: Annotated[
        int, Meta(description="How many concepts one CodeSystem may have.", ge=1)
    ] = 500_000
    ancestors_max: Annotated[
        int,
        Meta(
            description="How many pairs of a concept and one of its ancestors one CodeSystem may "
            "have.",
            ge=1,
        ),
    ] = 20_000_000
