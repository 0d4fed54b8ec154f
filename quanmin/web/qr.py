"""QR codes as SVG: black on white whatever the page looks like, so that every camera reads them."""

from __future__ import annotations

from typing import Final

import segno
from markupsafe import Markup

# Half the largest symbol: what is longer is hard to photograph from a screen or from paper.
TEXT_BYTES_MAX: Final = 1200
_MARGIN: Final = 4


def qr_code(text: str, words: str) -> Markup:
    """The text as a QR code (ISO/IEC 18004, error correction M, four modules of margin), an image
    called `words`.

    Never put what a person's record says into one: anybody reads it. Raises ValueError for a text
    that is empty or too long.
    """
    size = len(text.encode())
    if not 0 < size <= TEXT_BYTES_MAX:
        raise ValueError(f"a QR code holds 1 to {TEXT_BYTES_MAX} bytes, not {size}")
    drawn: str = segno.make(text, error="m", micro=False).svg_inline(
        scale=5, border=_MARGIN, dark="#000", light="#fff", omitsize=True
    )
    # Lines and numbers that the library has drawn: no text of anybody stands in it.
    inside = Markup(drawn)  # noqa: S704 - see above
    return Markup('<div class="qr" role="img" aria-label="{}">{}</div>').format(words, inside)
