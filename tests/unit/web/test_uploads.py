"""What is in a file decides of what kind it is; a form with files is read as browsers write it."""

from __future__ import annotations

import pytest
from sent_files import HEAD, PAPER, PHOTO, PICTURE, START, chunk

from quanmin.base.problems import Malformed
from quanmin.web.multipart import SentFile, is_multipart, parse_multipart
from quanmin.web.sniffing import JPEG, PDF, PNG, kind_of
from quanmin.web.uploads import title_of

ZIP = b"PK\x03\x04 anything"


def test_a_file_is_of_the_kind_that_is_in_it() -> None:
    assert [kind_of(one) for one in (PICTURE, PHOTO, PAPER)] == [PNG, JPEG, PDF]
    assert kind_of(PHOTO + b"\0\0") == JPEG  # cameras fill up blocks


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"x",
            ZIP,
            b"<html>",
            b"GIF89a",
            b"MZ",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        ),
        *(whole + behind for whole in (PICTURE, PHOTO, PAPER) for behind in (ZIP, b"<script>")),
        *(whole[:-9] for whole in (PICTURE, PHOTO, PAPER)),
        *(before + PAPER for before in (b"MZ", b"\n", PICTURE, PHOTO)),
        *(HEAD, HEAD + chunk(b"IEND"), HEAD + START + START + chunk(b"IEND")),
        *(PICTURE[:40] + PICTURE[41:], HEAD + START + b"\xff\xff\xff\xffIDAT"),
        *(b"\xff\xd8\xff\xd9", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1"),
        *(b"\xff\xd8\xff\xe1\xff\xff", b"\xff\xd8\xff\xe1\x00\x00\xff\xd9"),
        *(b"%PDF-", b"%%EOF%PDF-"),
    ],
)
def test_what_is_cut_short_or_goes_on_behind_its_end_is_of_none(content: bytes) -> None:
    assert kind_of(content) == ""


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("皮疹 照片.JPG", "皮疹 照片.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\Users\\a\\rash.jpeg", "rash.png"),
        ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie x=1.png"),
        ("evil\u202egnp.exe", "evilgnp.png"),
        ("", "file.png"),
        (".png", "file.png"),
        ("...", "file.png"),
        ('a";filename="b.html', 'a";filename="b.png'),
        ("长" * 300 + ".png", "长" * 100 + ".png"),
        ("a.html", "a.png"),
    ],
)
def test_a_name_is_made_harmless_and_ends_as_its_kind(name: str, title: str) -> None:
    assert title_of(name, PNG).replace(":", "") == title


KIND = "multipart/form-data; boundary=----x"


def body(*parts: str, ends: str = "------x--\r\n") -> bytes:
    return ("".join(f"------x\r\n{part}\r\n" for part in parts) + ends).encode()


FIELD = 'Content-Disposition: form-data; name="a"\r\n\r\n'
FILE = 'Content-Disposition: form-data; name="b"; filename="%s"\r\nContent-Type: image/png\r\n\r\n'


def test_a_form_with_files_is_read_as_browsers_write_it() -> None:
    sent = body(
        FIELD + "行\r\n-- two",
        FILE % "c%22d.png" + "\r\n\r\n--",
        FILE % "" + "",
        FILE % "empty.png" + "",
    )
    fields, files = parse_multipart(KIND, sent, fields_max=4)
    assert fields == [("a", "行\r\n-- two")]
    assert files == [SentFile("b", 'c"d.png', b"\r\n\r\n--"), SentFile("b", "empty.png", b"")]
    assert is_multipart('Multipart/Form-Data; boundary="x"')
    assert not is_multipart("multipart/mixed; boundary=x")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("multipart/form-data", body(FIELD)),
        (KIND, b""),
        (KIND, b"\r\n"),
        (KIND, body(FIELD, ends="")),
        (KIND, body(FIELD)[:20]),
        (KIND, b"before" + body(FIELD)),
        (KIND, body("no head")),
        (KIND, body("X: y\r\n\r\nz")),
        (KIND, body("Content-Disposition: form-data\r\n\r\nz")),
        (KIND, body('Content-Disposition: attachment; name="a"\r\n\r\nz')),
        (KIND, body("X: " + "y" * 5000 + "\r\n" + FIELD)),
        (KIND, body(*[FIELD] * 5)),
        (KIND, b"------x\r\n" + FIELD.encode() + b"\xff\r\n------x--\r\n"),
    ],
)
def test_what_is_no_such_form_is_refused(kind: str, sent: bytes) -> None:
    with pytest.raises(Malformed):
        parse_multipart(kind, sent, fields_max=4)
