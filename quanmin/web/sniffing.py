"""Says of what kind a file is by what is in it; what its sender calls it is not believed.

A file that is of a kind up to some place and goes on behind it is of none: what looks like a
picture to one program and is an archive or a page to another gets nowhere.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

JPEG, PNG, PDF = "image/jpeg", "image/png", "application/pdf"
ENDINGS: Final[Mapping[str, str]] = {JPEG: "jpg", PNG: "png", PDF: "pdf"}
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
# Restart marks and the escaped 0xFF stand within the picture itself (ITU-T T.81, B.1.1.2).
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})


def kind_of(content: bytes) -> str:
    """The media type of a file, "" for one that is none of those known here."""
    return next((kind for kind, is_one in _KINDS.items() if is_one(content)), "")


def _is_png(content: bytes) -> bool:
    """A chain of chunks with right sums from IHDR to IEND, and nothing behind (PNG, clause 5)."""
    if not content.startswith(_PNG_HEAD):
        return False
    at, is_first = len(_PNG_HEAD), True
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        name, ends = content[at + 4 : at + 8], at + 12 + length
        if ends > len(content) or is_first != (name == b"IHDR"):
            return False
        (total,) = struct.unpack_from(">I", content, ends - 4)
        if zlib.crc32(content[at + 4 : ends - 4]) != total:
            return False
        if name == b"IEND":
            return bool(ends == len(content))
        at, is_first = ends, False
    return False


def _is_jpeg(content: bytes) -> bool:
    """Segments from SOI to EOI, with a picture, and nothing behind (ITU-T T.81, annex B)."""
    if not content.startswith(b"\xff\xd8\xff"):
        return False
    at, has_scan = 2, False
    while at + 2 <= len(content) and content[at] == 0xFF:
        mark = content[at + 1]
        at += 2
        if mark == 0xFF:
            at -= 1
        elif mark == 0xD9:
            return has_scan and not content[at:].strip(b"\x00")
        elif mark not in _ALONE:
            at += int.from_bytes(content[at : at + 2], "big")
            if mark == 0xDA:
                has_scan = True
                found = _SCAN_END.search(content, at)
                at = found.start() if found else len(content)
    return False


def _is_pdf(content: bytes) -> bool:
    """From its head on the first byte to its last end mark, nothing behind (ISO 32000-1, 7.5)."""
    place = content.rfind(b"%%EOF")
    is_whole = content.startswith(b"%PDF-") and place > 0
    return is_whole and not content[place + 5 :].strip(b"\x00\t\n\r\f ")


_KINDS: Final[Mapping[str, Callable[[bytes], bool]]] = {JPEG: _is_jpeg, PNG: _is_png, PDF: _is_pdf}
