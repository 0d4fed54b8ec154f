"""Lines of CSV that any spreadsheet opens, Chinese intact, nothing in them executed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

# Without the mark, the spreadsheet most offices use reads UTF-8 as the local legacy encoding.
MARK: Final = "\ufeff"
# A cell that begins with one of these is run as a formula; the apostrophe keeps it text.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def line(cells: Iterable[str]) -> str:
    """One line of CSV.

    A cell that a spreadsheet would run is made plain text, unless it is a number.
    """
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\r\n").writerow([_plain(cell) for cell in cells])
    return kept.getvalue()


def _plain(cell: str) -> str:
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
