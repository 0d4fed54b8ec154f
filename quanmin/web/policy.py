"""What browsers are told with every answer of the pages: above all what a page may load and run,
which is what this node serves, and no script but where one is needed.
"""

from __future__ import annotations

from typing import Final

_REST: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; script-src "
)
WITHOUT_SCRIPT: Final = f"{_REST}'none'"
WITH_SCRIPT: Final = f"{_REST}'self'"

# `same-origin` and not `no-referrer`: under the latter browsers send `Origin: null` with a page's
# own forms, and the check of where a form came from could not be made.
HEADERS: Final = {
    "Content-Security-Policy": WITHOUT_SCRIPT,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
