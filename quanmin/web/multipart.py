"""Takes apart a form that files were sent with (multipart/form-data, RFC 7578), read into memory
within a limit before: as browsers write it, and nothing else.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from quanmin.base.problems import Malformed, Sentence

_BOUNDARY: Final = re.compile(r"""boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))""")
_NAME: Final = re.compile(r';\s*name="([^"]*)"')
_FILE: Final = re.compile(r';\s*filename="([^"]*)"')
_HEAD_BYTES_MAX: Final = 4096
# How browsers write what would end a name (WHATWG HTML, multipart/form-data encoding algorithm).
_ESCAPED: Final = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))


class SentFile(msgspec.Struct, frozen=True):
    """A file as it was sent: the field, the name that its sender gives it, and what is in it."""

    field: str
    name: str
    content: bytes


def is_multipart(content_type: str) -> bool:
    """Whether a form says that it is one."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def parse_multipart(
    content_type: str, body: bytes, *, fields_max: int
) -> tuple[list[tuple[str, str]], list[SentFile]]:
    """The fields and files of a form. A file field without a file is none. Raises Malformed for
    what is none, is cut short, has more than `fields_max` parts, or text that is not UTF-8.
    """
    named = _BOUNDARY.search(content_type)
    if named is None:
        raise Malformed("the form does not say where its parts end (boundary)")
    mark = b"\r\n--" + (named[1] or named[2]).encode("latin-1", "replace")
    first, *parts = (b"\r\n" + body).split(mark, fields_max + 1)
    if first or not parts or not parts[-1].startswith(b"--"):
        raise Malformed(
            Sentence(
                "the form was cut short, or has more than %(fields_max)s fields",
                fields_max=fields_max,
            )
        )
    fields: list[tuple[str, str]] = []
    files: list[SentFile] = []
    for part in parts[:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank or len(head) > _HEAD_BYTES_MAX:
            raise Malformed("a part of the form has no head, or too long a one")
        try:
            field, name = _told(head.decode("utf-8"))
            if name is None:
                fields.append((field, content.decode("utf-8")))
            elif name or content:
                files.append(SentFile(field, name, content))
        except UnicodeDecodeError as error:
            raise Malformed("the form is not UTF-8 text") from error
    return fields, files


def _told(head: str) -> tuple[str, str | None]:
    """The field of a part, and the name of its file; None where it is no file."""
    for line in head.split("\r\n"):
        title, _, value = line.partition(":")
        if title.strip().lower() == "content-disposition" and value.strip().startswith("form-data"):
            field, file = _NAME.search(value), _FILE.search(value)
            if field is not None:
                return _plain(field[1]), _plain(file[1]) if file else None
    raise Malformed("a part of the form does not say which field it is of")


def _plain(text: str) -> str:
    for escaped, sign in _ESCAPED:
        text = text.replace(escaped, sign)
    return text
