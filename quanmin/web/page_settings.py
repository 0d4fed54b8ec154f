"""What an operator decides of the pages: whose maps they draw, what a PDF may cost, and how much of
one record a page shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from quanmin.base.problems import Unusable
from quanmin.web.maps import Boundaries, read_boundaries


class PageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pages: maps, PDFs, and the pages of one record."""

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
    record_visits_max: Annotated[
        int,
        Meta(
            description="Of how many visits, the newest, pages about one person tell which"
            " institution gave what.",
            ge=1,
            le=5000,
        ),
    ] = 500
    record_diagnoses_max: Annotated[
        int,
        Meta(
            description="Of how many diagnoses, the newest, the identifiers of the front page are"
            " made.",
            ge=1,
            le=5000,
        ),
    ] = 1000
    record_results_max: Annotated[
        int,
        Meta(
            description="Of how many results at a time the newest of each examination is shown, and"
            " how many a trend has.",
            ge=1,
            le=1000,
        ),
    ] = 300
    record_paper_rows_max: Annotated[
        int, Meta(description="How many lines the PDF of a record may have.", ge=1, le=20_000)
    ] = 1000
    paper_days_max: Annotated[
        int,
        Meta(
            description="For how many days the node tells of a paper that it has signed, a"
            " certificate, by the QR code on it.",
            ge=1,
        ),
    ] = 366


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
