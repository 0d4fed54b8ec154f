"""What an operator decides of the pages' drawings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from quanmin.base.problems import Unusable
from quanmin.web.maps import Boundaries, read_boundaries


class PageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Maps on the pages."""

    map_file: Annotated[
        Path | None,
        Meta(
            description="Boundaries for maps: a GeoJSON or TopoJSON file whose features have the"
            " code of GB/T 2260 as `id` or as a property `code`, `adcode`, `gb` or `pcode`. With a"
            " faulty one the node does not start, and says why. Nothing: maps are of squares."
        ),
    ] = None
    map_approval: Annotated[
        str,
        Meta(
            description="What is said under each map of these boundaries, such as the number of"
            " their approval.",
            max_length=200,
        ),
    ] = ""


def load_boundaries(settings: PageSettings) -> Boundaries | None:
    """The boundaries of the operator's map. Raises Unusable, which says what is wrong with it."""
    if settings.map_file is None:
        return None
    try:
        return read_boundaries(settings.map_file, settings.map_approval)
    except OSError as error:
        raise Unusable(f"{settings.map_file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Unusable(f"{error}.") from error
