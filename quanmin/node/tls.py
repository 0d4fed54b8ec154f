"""TLS of the node's own door: 1.3 and nothing older; a renewed certificate is taken up as it is
found.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from quanmin.base.problems import Unusable
from quanmin.node.settings import NodeSettings

log = logging.getLogger("quanmin.node")

_LOOK_SECONDS: Final = 30.0
# Two years: whoever has come by TLS once comes by nothing else (RFC 6797).
HEADERS: Final = [("Strict-Transport-Security", "max-age=63072000")]


class DoorTls:
    """What the door of one process speaks TLS with."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises Unusable for files that cannot be read or do not belong together."""
        self._files = (certificate, key)
        self._read_at = self._written_at()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._load(self.context)

    def refresh(self) -> bool:
        """Read the files again if they were written since; whether they were. What cannot be used
        is left for later, and the log says so.
        """
        try:
            written_at = self._written_at()
            if written_at == self._read_at:
                return False
            # Tried apart: a failure must not leave a new certificate with an old key.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except Unusable as problem:
            log.warning("the door's certificate was not renewed: %s", problem.text)
            return False
        self._read_at = written_at
        log.info("the door's certificate was renewed")
        return True

    async def watch(self) -> None:
        """Look from time to time whether the files were written."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files
        try:
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise Unusable(
                f"The door's certificate {certificate} and key {key} cannot be used "
                f"({getattr(error, 'reason', None) or error}): look at `node.tls_certificate` and "
                "`node.tls_key`."
            ) from error

    def _written_at(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in self._files)
        except OSError as error:
            raise Unusable(
                f"{error.filename} cannot be read: look at `node.tls_certificate` and "
                "`node.tls_key`."
            ) from error


def open_tls(settings: NodeSettings) -> DoorTls | None:
    """What the settings say; None without. Raises Unusable."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise Unusable("TLS needs both `node.tls_certificate` and `node.tls_key`: set the other.")
    return DoorTls(certificate, key)
