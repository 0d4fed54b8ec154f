"""Makes one PDF: HTML comes in by standard input, the PDF goes out by standard output.

Run as a program of its own by `quanmin/web/pdf.py`, so that a document that takes too long or too
much memory ends with its process, and what one document held is never in the memory of another. It
fetches nothing: what a page needs is in it.
"""

from __future__ import annotations

import resource
import sys
from typing import Any, NoReturn

TOO_MANY_PAGES, TOO_LARGE, NO_LIBRARY = 3, 4, 5


def main(pages_max: int, mebibytes_max: int, seconds_max: int) -> int:
    """Make the PDF; 0, or one of the numbers above."""
    size = mebibytes_max << 20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Should the node end before it has ended this process.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds_max, seconds_max + 1))
    try:
        # Here, as it loads libraries of the system, which may be missing.
        import weasyprint  # noqa: PLC0415 - see above
        from weasyprint.urls import URLFetcher  # noqa: PLC0415 - see above
    except OSError:
        return NO_LIBRARY

    class Nothing(URLFetcher):  # type: ignore[misc]  # the library has no types
        """Fetches nothing, whatever the address: neither from a network nor from this machine."""

        def fetch(self, *_asked: Any, **_more: Any) -> NoReturn:
            raise ValueError("a PDF is made of its page alone")

    html = sys.stdin.buffer.read().decode("utf-8")
    try:
        document = weasyprint.HTML(string=html, url_fetcher=Nothing()).render(
            pdf_variant="pdf/ua-1"
        )
        if len(document.pages) > pages_max:
            sys.stdout.write(str(len(document.pages)))
            return TOO_MANY_PAGES
        made = document.write_pdf(pdf_variant="pdf/ua-1")
    except MemoryError:
        return TOO_LARGE
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
