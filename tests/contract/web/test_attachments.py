"""Files that a form is answered with: looked at, kept over every sending, stored as documents of
the person, and handed out so that no browser opens them.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from clinic import Browser, Clinic
from questionnaires import CORE, extension, item, questionnaire
from sent_files import PAPER, PHOTO, PICTURE
from shelf import query_of
from starlette.applications import Starlette
from starlette.responses import Response
from trial_form import page_of, trial_pages

from quanmin.base.crypto import SUITES
from quanmin.base.spool import Spool
from quanmin.fhir.json import decode
from quanmin.trust import Actor
from quanmin.web import DeclaredRecords, Visit, page
from quanmin.web.page_settings import PageSettings
from quanmin.web.route import READERS
from quanmin.web.uploads import file_page, with_files
from quanmin.workflow.forms import Around, compile_form
from quanmin.workflow.forms.filling import Filling

FORM = compile_form(
    questionnaire(
        item("photo", "attachment", required=True, text="Photo"),
        item("papers", "attachment", extension(f"{CORE}mimeType", valueCode="application/pdf"),
             extension(f"{CORE}questionnaire-maxOccurs", valueInteger=2), repeats=True,
             text="Papers"),
        item("words", text="Words"),
        title="Trial",
    )
)  # fmt: skip


async def files_sent(visit: Visit, _: DeclaredRecords, begun: Filling) -> Around:
    return await with_files(visit, begun)


@page("/trial/file/{id}", access=READERS)
async def hand_out(visit: Visit, records: DeclaredRecords) -> Response:
    """A file."""
    return await file_page(records, visit.path("id"))


@page("/trial/plain/{id}", access=READERS, methods=("POST",))
async def plain(visit: Visit, _records: DeclaredRecords) -> Response:
    """A page that takes no files."""
    return visit.go("/")


@pytest.fixture
def pages(clinic: Clinic, tmp_path: Path) -> Starlette:
    kept = frozenset({"DocumentReference"})
    limits = PageSettings(
        upload_bytes_max=2000, uploads_bytes_max=5000, uploads_max=4, uploads_kept_bytes_max=3000
    )
    suite = next(iter(SUITES.values()))
    spool = Spool(tmp_path / "uploads", b"s" * 32, suite, lambda: True)
    fill_in = page_of(FORM, files_sent, takes_files=True)
    return trial_pages(
        clinic, tmp_path, fill_in, hand_out, plain, reads=kept, writes=kept, limits=limits,
        form_bytes_max=20_000, uploads=spool,
    )  # fmt: skip


@pytest.fixture
async def browser(clinic: Clinic, pages: Starlette) -> Browser:
    return await clinic.enter("hospital-a", pages)


Files = list[tuple[str, tuple[str, bytes, str]]]


async def send(
    browser: Browser, where: str, files: Files | None = None, **fields: Any
) -> httpx.Response:
    sent = {"token": browser.token, "~form": browser.form, **fields}
    nothing: Files = [("x~file", ("", b"", ""))]  # as a browser sends a box without a file
    answer = await browser.client.post(where, data=sent, files=files or nothing)
    return browser.on(answer)


def png(field: str = "photo", name: str = "皮疹.png", content: bytes = PICTURE) -> Any:
    return f"{field}~file", (name, content, "text/html")


def kept(html: str, key: str) -> list[str]:
    """What stands for the files of a question."""
    return re.findall(rf'type="checkbox" name="{key}" value="([^"]+)"\s+checked', html)


def fault(html: str, key: str) -> str:
    found = re.search(rf'id="fault-{re.escape(key)}">\s*([^<]*?)\s*</p>', html)
    return found[1] if found else ""


async def stored(clinic: Clinic, type_: str) -> list[dict[str, Any]]:
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    return [decode(hit.body or b"") for hit in (await records.search(query_of(type_))).matches]


async def test_a_file_is_a_document_of_the_person_that_its_answer_names(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    page_ = await browser.get(where)
    assert 'enctype="multipart/form-data"' in page_.text
    assert (await send(browser, where, [png()], do="send", words="w")).status_code == 303
    (document,) = await stored(clinic, "DocumentReference")
    (response,) = await stored(clinic, "QuestionnaireResponse")
    answer = response["item"][0]["answer"][0]["valueAttachment"]
    inside = document["content"][0]["attachment"]
    assert document["subject"] == response["subject"]
    assert base64.b64decode(inside["data"]) == PICTURE
    assert (inside["contentType"], inside["title"]) == ("image/png", "皮疹.png")
    assert answer["url"].endswith(f"DocumentReference/{document['id']}")
    assert "data" not in answer
    assert (answer["size"], answer["hash"]) == (len(PICTURE), inside["hash"])


async def test_a_file_is_handed_out_so_that_no_browser_opens_it(
    clinic: Clinic, browser: Browser, pages: Starlette
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    await send(browser, where, [png(name='a"\r\nX: y.html')], do="send")
    (document,) = await stored(clinic, "DocumentReference")
    file = await browser.get(f"/trial/file/{document['id']}")
    assert (file.content, file.headers["content-type"]) == (PICTURE, "image/png")
    assert file.headers["content-disposition"].startswith('attachment; filename="file.png"; ')
    assert "sandbox" in file.headers["content-security-policy"]
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["cache-control"] == "no-store"
    foreign = {**document, "content": [{"attachment": {
        "contentType": "text/html", "title": "x.html",
        "data": base64.b64encode(b"<script>").decode()}}]}  # fmt: skip
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    await records.update("DocumentReference", document["id"], json.dumps(foreign).encode())
    file = await browser.get(f"/trial/file/{document['id']}")
    assert file.headers["content-type"] == "application/octet-stream"
    assert 'filename="file.bin"' in file.headers["content-disposition"]
    other = await clinic.enter("hospital-b", pages)
    assert (await other.get(f"/trial/file/{document['id']}")).status_code == 404


async def test_files_stay_over_every_sending_and_in_a_draft(
    clinic: Clinic, browser: Browser, pages: Starlette, tmp_path: Path
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    two = [png("papers", f"{n}.pdf", PAPER) for n in "ab"]
    page_ = await send(browser, where, two, do="send")
    assert page_.status_code == 422
    papers = kept(page_.text, "papers")
    assert len(papers) == 2
    assert all(PAPER[:8] not in one.read_bytes() for one in (tmp_path / "uploads").iterdir())
    page_ = await send(browser, where, [png()], do="look", papers=papers[1:])
    photo = kept(page_.text, "photo")
    assert (len(photo), len(kept(page_.text, "papers"))) == (1, 1)
    stranger = await clinic.enter("hospital-b", pages)
    await stranger.get("/account")
    theirs = await send(stranger, where, do="send", photo=photo)
    assert theirs.status_code in {404, 422}
    page_ = await send(
        browser, where, [png("papers", "c.pdf", PAPER)], do="draft", photo=photo, papers=papers[1:]
    )
    assert "All is kept but the files" in page_.text
    assert len(kept(page_.text, "papers")) == 2
    await browser.get(where)
    page_ = await send(browser, where, do="resume")
    again: Any = {key: kept(page_.text, key) for key in ("photo", "papers")}
    assert (await send(browser, where, do="send", **again)).status_code == 303
    assert len(await stored(clinic, "DocumentReference")) == 2
    (response,) = await stored(clinic, "QuestionnaireResponse")
    assert [one["answer"][0]["valueAttachment"]["title"] for one in response["item"]] == [
        "皮疹.png", "b.pdf"]  # fmt: skip


async def test_what_is_no_such_file_is_told_beside_its_field(
    clinic: Clinic, browser: Browser
) -> None:
    where = f"/trial/{clinic.ids['hospital-a Patient']}"
    await browser.get(where)
    kinds = "A file is one of JPEG, PNG, PDF, whole and nothing else."
    refused: list[tuple[Files, str, str]] = [
        ([png(content=b"")], "photo", "This file is empty."),
        ([png(content=PHOTO + bytes(3000))], "photo", "A file has at most 0.002 MB."),
        ([png(content=b"<script>alert(1)</script>")], "photo", kinds),
        ([png(content=PICTURE + b"PK\x03\x04")], "photo", kinds),
        ([png("papers")], "papers", "A file is one of PDF, whole and nothing else."),
        ([png("papers", "a.pdf", PAPER)] * 3, "papers", "At most 2 may be given."),
        ([], "photo", "Fill this in."),
    ]
    for files, key, said in refused:
        # What is missing may still come; a file that is not taken is gone whatever the button.
        of_file = said.startswith(("A file", "This"))
        for action in ("send", "draft", "look") if of_file else ("send",):
            answer = await send(browser, where, files, do=action, words="kept words")
            assert (answer.status_code, fault(answer.text, key)) == (422, said)
            assert "kept words" in answer.text
    for token in ("x", "DocumentReference/1", "urn:uuid:1"):
        answer = await send(browser, where, do="send", photo=token)
        assert fault(answer.text, "photo") == "This file is not here any more: choose it again."
    assert await stored(clinic, "DocumentReference") == []


async def test_too_large_a_sending_and_one_to_another_page_are_refused(
    clinic: Clinic, browser: Browser
) -> None:
    id_ = clinic.ids["hospital-a Patient"]
    await browser.get(f"/trial/{id_}")
    large = await send(browser, f"/trial/{id_}", [png(content=bytes(30_000))], do="send")
    assert large.status_code == 413
    assert "25000" in large.text.replace(",", "")
    many = await send(browser, f"/trial/{id_}", [png()] * 5, do="look")
    assert (many.status_code, "at most 4 files" in many.text) == (413, True)
    answers = [
        await send(
            browser, f"/trial/{id_}", [png("papers", "a.pdf", PAPER + b" " * 900)], do="look"
        )
        for _ in range(20)
    ]
    assert {one.status_code for one in answers} == {200, 507}
    assert (await send(browser, f"/trial/plain/{id_}", [png()])).status_code == 400
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await browser.client.post(f"/trial/{id_}", content=b"--x\r\n", headers=broken)
    assert answer.status_code == 400
