"""The queue of messages, as those who run the node see it."""

from __future__ import annotations

from pathlib import Path

from clinic import Clinic
from sending import Hands, delivery

from quanmin.trust.notices import Contact, tell_account


async def test_a_refused_message_is_seen_with_its_reason_and_sent_again(
    clinic: Clinic, tmp_path: Path
) -> None:
    context, hands = clinic.guard.store.context, Hands()
    contact = Contact("mail", "zhang@example.org", "en")
    await clinic.sign_in.notices.choose("resident", [contact], None, context)
    await tell_account(clinic.pool, "resident", clinic.guard.now(), "petition-moved")
    broken = delivery(
        clinic.pool, clinic.guard, tmp_path, hands, attempts_max=1, gather_seconds=0,
        mail_server="127.0.0.1:1", mail_from="a@health.test",
    )  # fmt: skip
    await broken.work()
    browser = await clinic.enter("centre")
    html = (await browser.get("/messages?lang=en")).text
    assert "the mail server cannot be used" in html
    assert "zhang@example.org" not in html
    assert "重发" in (await browser.get("/messages?lang=zh")).text
    sheet = (await browser.get("/messages.csv?lang=en")).text
    assert "resident,Mail,1,refused,1,the mail server cannot be used" in sheet
    number = str(await clinic.pool.fetchval("select message from trust.message"))
    way = f"/messages/{number}/again"
    assert f'href="{way}"' in html
    await browser.get(way)
    assert (await browser.send(way)).status_code == 303
    assert "waiting" in (await browser.get("/messages.csv?state=waiting&lang=en")).text
    await browser.get("/messages")
    again = await browser.send(way)
    assert again.status_code == 422
    assert "is refused no more" in again.text
    for wrong in ("0", "x", "9" * 30):
        assert (await browser.send(f"/messages/{wrong}/again")).status_code == 422
    assert (await browser.get("/messages?state=lost")).status_code == 400
    rest = await browser.get(f"/messages?state=waiting&after={number}&lang=en")
    assert "No message is in this state." in rest.text
    noted = "select count(*) from trust.access where action = 'resend-message'"
    assert await clinic.pool.fetchval(noted) == 1
    resident = await clinic.enter("resident")
    assert (await resident.get("/messages")).status_code == 403
    for one in (browser, resident):
        await one.client.aclose()
