"""The smallest files of the kinds that forms take."""

from __future__ import annotations

import struct
import zlib


def chunk(name: bytes, content: bytes = b"") -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


HEAD = b"\x89PNG\r\n\x1a\n"
START = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
PICTURE = HEAD + START + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND")
# An APP1 segment whose content looks like an end, a table, and two scans with a restart between.
PHOTO = (
    b"\xff\xd8\xff\xe1\x00\x06\xff\xd9ab\xff\xdb\x00\x03c"
    b"\xff\xda\x00\x03x12\xff\x00\xff\xd0345\xff\xda\x00\x03y67\xff\xd9"
)
PAPER = b"%PDF-1.7\n1 0 obj<<>>endobj\n%%EOF\n2 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
