"""What an operator decides of the pages: whose maps they draw, and what a PDF may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from quanmin.base.problems import Unusable
from quanmin.web.maps import Boundaries, read_boundaries


class PageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pages: maps and PDFs."""

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
    pdf_processes: Annotated[
        int, Meta(description="How many PDFs one worker makes at a time.", ge=1, le=16)
    ] = 1
    pdf_seconds_max: Annotated[
        float, Meta(description="How long a PDF waits for its turn, and how long it takes.", gt=0)
    ] = 30.0
    pdf_mebibytes_max: Annotated[
        int, Meta(description="How much memory the making of one PDF may address.", ge=64)
    ] = 2048
    pdf_pages_max: Annotated[int, Meta(description="How many pages a PDF may have.", ge=1)] = 200
    pdf_html_bytes_max: Annotated[
        int,
        Meta(description="How large the page may be that a PDF is made of, in bytes.", ge=65_536),
    ] = 4_194_304


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
