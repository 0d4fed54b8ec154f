"""What an operator decides of the pages: whose maps they draw, what a PDF may cost, and how much of
one record a page shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    counted_max: Annotated[
        int,
        Meta(
            description="Of how many rows a page counts while somebody waits: of the cases of an"
            " institution for its rates, of the registrations of a county.",
            ge=1000,
        ),
    ] = 20_000
    made_kept_hours: Annotated[
        int,
        Meta(
            description="How long a file that a page had made, such as a copy of one's record, is"
            " kept to be fetched.",
            ge=1,
        ),
    ] = 24
    made_open_max: Annotated[
        int,
        Meta(description="How many such files somebody may have made at a time.", ge=1, le=100),
    ] = 3
    made_step_seconds: Annotated[
        float,
        Meta(description="After how long it is told how far such a file has come.", gt=0),
    ] = 1.0
    made_look_seconds: Annotated[
        int,
        Meta(
            description="After how many seconds the page of such a file looks again by itself.",
            ge=2,
            le=60,
        ),
    ] = 3
    sent_wait_seconds_max: Annotated[
        float,
        Meta(
            description="How long a form that is sent twice, as by a double click, waits for what"
            " comes of the first: then a page says to look whether it was stored.",
            gt=0,
            le=60,
        ),
    ] = 10.0
    sent_kept_seconds: Annotated[
        int,
        Meta(
            description="For how many seconds the same form of the same page, sent again, is"
            " answered as the first was and not done again.",
            ge=60,
            le=86_400,
        ),
    ] = 600
    offline_hours_max: Annotated[
        int,
        Meta(
            description="For how many hours the people that a worker takes along to where there is"
            " no connection stay on the device: the device deletes them then, and the node takes"
            " what was filled in only after the worker has seen what is recorded since.",
            ge=1,
            le=720,
        ),
    ] = 72
    offline_persons_max: Annotated[
        int,
        Meta(description="How many people a worker takes along at most.", ge=1, le=500),
    ] = 100
    offline_days_ahead: Annotated[
        int,
        Meta(
            description="Taken along is who is due within so many days.",
            ge=0,
            le=366,
        ),
    ] = 14
    offline_devices_max: Annotated[
        int,
        Meta(description="How many devices somebody may take people along on.", ge=1, le=20),
    ] = 3
    draft_days: Annotated[
        int,
        Meta(
            description="For how many days a form that somebody has begun and not sent is kept for"
            " them, counted from when it was kept last.",
            ge=1,
            le=366,
        ),
    ] = 30
    drafts_max: Annotated[
        int,
        Meta(
            description="How many such forms somebody may have, for themselves and for each whom"
            " they act for.",
            ge=1,
            le=200,
        ),
    ] = 20
    draft_bytes_max: Annotated[
        int,
        Meta(
            description="How large such a form may be, in bytes; its files are not kept with it.",
            ge=1000,
        ),
    ] = 100_000
    draft_seconds: Annotated[
        int,
        Meta(
            description="How many seconds after the last change the page of a form has it kept, and"
            " after how many it tries again where that fails.",
            ge=1,
            le=300,
        ),
    ] = 5
    paper_days_max: Annotated[
        int,
        Meta(
            description="For how many days the node tells of a paper that it has signed, a"
            " certificate, by the QR code on it.",
            ge=1,
        ),
    ] = 366
    codes_listed_max: Annotated[
        int,
        Meta(
            description="Of how many codes a value set may be to be listed in a form as a whole; of"
            " a larger one people choose by typing.",
            ge=1,
            le=500,
        ),
    ] = 30
    codes_found_max: Annotated[
        int,
        Meta(
            description="How many codes are shown at a time to who looks for one by typing.",
            ge=1,
            le=200,
        ),
    ] = 20
    upload_bytes_max: Annotated[
        int, Meta(description="How large one file sent with a form may be, in bytes.", ge=1)
    ] = 5_000_000
    uploads_bytes_max: Annotated[
        int,
        Meta(description="How large all files may be that are sent with a form at once.", ge=1),
    ] = 16_000_000
    uploads_max: Annotated[
        int, Meta(description="How many files may be sent with a form at once.", ge=1)
    ] = 20
    uploads_kept_bytes_max: Annotated[
        int,
        Meta(description="How large all files may be that wait for their forms.", ge=1),
    ] = 2_000_000_000
    upload_kinds: Annotated[
        tuple[Literal["image/jpeg", "image/png", "application/pdf"], ...],
        Meta(description="Of which kinds files sent with a form may be, told by their content."),
    ] = ("image/jpeg", "image/png", "application/pdf")


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
