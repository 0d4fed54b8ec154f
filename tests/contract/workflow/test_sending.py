"""Messages that leave the node: to whom has chosen a way, once, by servers that are real."""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from clinic import Clinic
from sending import Hands, delivery, mail_server, web_server

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound, Unusable
from quanmin.trust import Actor
from quanmin.trust.notices import (
    About,
    Channel,
    Contact,
    NoticeKind,
    tell_account,
    tell_persons,
    withdraw,
)
from quanmin.trust.notices.telling import sealed_words
from quanmin.workflow.notices import Delivery, Messages, NoticeSettings, open_ports
from quanmin.workflow.notices.queue import list_messages, resend

PROCESS = Path(__file__).parents[2] / "notice_process.py"
PHONE = "+8615400001234"
DUE = NoticeKind(code="trial.due", class_="reminder", zh="{vaccine}到期", en="{vaccine} is due")
NEWS, ALARM = "petition-moved", "new-browser"


@pytest.fixture
async def clinic(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Clinic:
    opened = Clinic(pool, tmp_path)
    await opened.fill()
    return opened


async def choose(
    clinic: Clinic,
    channel: Channel = "sms",
    address: str = PHONE,
    language: str = "en",
    quiet: tuple[int, int] | None = None,
) -> None:
    contacts = [Contact(channel, address, language)]
    await clinic.sign_in.notices.choose("resident", contacts, quiet, clinic.guard.store.context)


async def tell(clinic: Clinic, kind: str | NoticeKind = NEWS, **about: Any) -> int:
    return await tell_account(
        clinic.pool, "resident", clinic.guard.now(), kind, about=About(**about)
    )


def sender(clinic: Clinic, folder: Path, now: Hands, **settings: Any) -> Delivery:
    settings.setdefault("gather_seconds", 0)
    return delivery(clinic.pool, clinic.guard, folder / "notices", now, **settings)


def files(folder: Path) -> list[dict[str, Any]]:
    found = sorted((folder / "notices").glob("*/*.json"))
    return [json.loads(path.read_bytes()) for path in found]


async def numbers(clinic: Clinic) -> list[int]:
    rows = await clinic.pool.fetch("select id from trust.notice")
    return [row["id"] for row in rows]


async def states(clinic: Clinic) -> list[str]:
    rows = await clinic.pool.fetch("select state from trust.message order by message")
    return [row["state"] for row in rows]


# ---- what leaves, and to whom --------------------------------------------------------------------


async def test_nothing_leaves_for_one_who_has_chosen_nothing(
    clinic: Clinic, tmp_path: Path
) -> None:
    assert await tell(clinic) == 1
    await sender(clinic, tmp_path, Hands()).work()
    assert files(tmp_path) == []
    assert await states(clinic) == []


async def test_a_message_says_that_there_is_news_and_where_and_nothing_else(
    clinic: Clinic, tmp_path: Path
) -> None:
    await choose(clinic)
    words = sealed_words(clinic.guard.store.context, DUE, {"vaccine": "measles vaccine"})
    await tell(clinic, DUE, words=words)
    await sender(clinic, tmp_path, Hands()).work()
    (message,) = files(tmp_path)
    assert message["address"] == PHONE
    assert message["words"] == (
        "There is news for you at Qing County Platform (notices: 1)."
        " Sign in at https://health.test/notices to read it."
        " This message says nothing of your health."
    )
    told = json.dumps(message)
    assert "measles" not in told
    assert "trial" not in told
    kept = str(await clinic.pool.fetch("select * from trust.notice, trust.contact, trust.message"))
    assert PHONE not in kept
    assert "measles" not in kept
    (notice,) = await clinic.sign_in.notices.listed("resident", count=10)
    assert notice.told(DUE, "en", clinic.guard.store.context) == "measles vaccine is due"


async def test_several_to_one_person_go_as_one_message_once_they_have_waited(
    clinic: Clinic, tmp_path: Path
) -> None:
    await choose(clinic, language="zh")
    hands = Hands()
    work = sender(clinic, tmp_path, hands, gather_seconds=60)
    for _ in range(3):
        await tell_account(clinic.pool, "resident", hands(), NEWS)
    await work.work()
    assert files(tmp_path) == [], "others may come"
    hands.set(12, 1)
    await work.work()
    await work.work()
    (message,) = files(tmp_path)
    assert "有3条新通知" in message["words"]


async def test_what_does_not_leave_is_on_the_page_alone(clinic: Clinic, tmp_path: Path) -> None:
    await choose(clinic)
    kind = NoticeKind(code="trial.quiet", class_="result", zh="甲", en="a", leaves=False)
    await tell(clinic, kind)
    await sender(clinic, tmp_path, Hands()).work()
    assert files(tmp_path) == []
    assert len(await clinic.sign_in.notices.listed("resident", count=10)) == 1


@pytest.mark.parametrize("ended", ["read", "withdrawn", "over", "erased", "unchosen"])
async def test_what_is_over_before_it_is_sent_is_not_sent(
    clinic: Clinic, tmp_path: Path, ended: str
) -> None:
    await choose(clinic)
    hands = Hands()
    patient = clinic.guard.store.context.rid_of("Patient", clinic.ids["hospital-a man"])
    assert patient is not None
    async with clinic.pool.acquire() as connection, connection.transaction():
        until = hands() + 60_000_000
        about = About(matter="Task/1", until=until)
        await tell_persons(connection, [patient], clinic.guard.now(), NEWS, about=about)
    work = sender(clinic, tmp_path, hands)
    await work.gather()
    assert await states(clinic) == ["waiting"]
    if ended == "read":
        await clinic.sign_in.notices.mark_seen("resident", await numbers(clinic))
    elif ended == "withdrawn":
        async with clinic.pool.acquire() as connection, connection.transaction():
            await withdraw(connection, ["Task/1"], [NEWS], clinic.guard.now())
    elif ended == "over":
        hands.set(12, 1)
    elif ended == "erased":
        keeper = clinic.guard.records(
            Actor("keeper", "operator", "k", "k"), purpose="HSYSADMIN", request_id="r"
        )
        await keeper.erase(clinic.ids["hospital-a man"])
        assert await clinic.pool.fetchval("select count(*) from trust.notice") == 0
    else:
        context = clinic.guard.store.context
        await clinic.sign_in.notices.choose("resident", [], None, context)
    await work.work()
    assert await states(clinic) == ["needless"]
    assert files(tmp_path) == []


async def test_under_one_key_an_account_is_told_once(clinic: Clinic) -> None:
    assert await tell(clinic, once="dose-2") == 1
    assert await tell(clinic, once="dose-2") == 0
    await clinic.sign_in.notices.mark_seen("resident", await numbers(clinic))
    assert await tell(clinic, once="dose-2") == 0
    assert await tell(clinic, once="dose-3") == 1
    assert await tell(clinic) + await tell(clinic) == 2, "without a key each is one"


async def test_a_kind_says_after_how_many_days_it_is_over(clinic: Clinic) -> None:
    kind = NoticeKind(code="trial.brief", class_="reminder", zh="甲", en="a", days=30)
    at = clinic.sign_in.notices._now()
    await tell_account(clinic.pool, "resident", at - 30 * 86_400_000_000, kind)
    assert await clinic.sign_in.notices.listed("resident", count=10) == ()
    await tell_account(clinic.pool, "resident", at - 29 * 86_400_000_000, kind)
    assert len(await clinic.sign_in.notices.listed("resident", count=10)) == 1


# ---- when ----------------------------------------------------------------------------------------


async def test_at_night_only_what_is_urgent_is_sent(clinic: Clinic, tmp_path: Path) -> None:
    await choose(clinic)
    hands = Hands(22, 0)
    work = sender(clinic, tmp_path, hands)
    await tell(clinic)
    await tell(clinic, ALARM)
    await tell(clinic)
    await work.work()
    assert ["(notices: 1)" in one["words"] for one in files(tmp_path)] == [True]
    hands.set(7, 59, day=2)
    await work.work()
    assert len(files(tmp_path)) == 1
    hands.set(8, 0, day=2)
    await work.work()
    assert sorted("(notices: 2)" in one["words"] for one in files(tmp_path)) == [False, True]


async def test_hours_of_ones_own_stand_for_those_of_the_node(
    clinic: Clinic, tmp_path: Path
) -> None:
    await choose(clinic, quiet=(13 * 60, 14 * 60 + 30))
    hands = Hands(23, 0)
    work = sender(clinic, tmp_path, hands)
    await tell(clinic)
    await work.work()
    assert len(files(tmp_path)) == 1
    hands.set(13, 0, day=2)
    await tell(clinic)
    await work.work()
    assert len(files(tmp_path)) == 1
    hands.set(14, 30, day=2)
    await work.work()
    assert len(files(tmp_path)) == 2


async def test_an_attempt_that_would_fall_into_the_night_waits_for_its_end(
    clinic: Clinic, tmp_path: Path
) -> None:
    hands, taken = Hands(21, 59), list[tuple[dict[str, str], bytes]]()
    (tmp_path / "secret").write_text("between us\n")
    await choose(clinic)
    await tell(clinic)
    async with web_server([503], taken) as url:
        work = sender(
            clinic, tmp_path, hands, sms_url=url, secret_file=tmp_path / "secret",
            backoff_seconds=60,
        )  # fmt: skip
        await work.work()
        hands.set(22, 0)
        await work.work()
        assert len(taken) == 1
        hands.set(8, 0, day=2)
        await work.work()
    assert len(taken) == 2
    assert await states(clinic) == ["sent"]


# ---- once, whatever happens ----------------------------------------------------------------------


async def test_two_processes_send_each_message_once(clinic: Clinic, tmp_path: Path) -> None:
    taken: list[tuple[dict[str, str], bytes]] = []
    (tmp_path / "secret").write_text("between us\n")
    await choose(clinic)
    async with web_server([], taken) as url:
        settings = {"sms_url": url, "secret_file": tmp_path / "secret"}
        workers = [sender(clinic, tmp_path, Hands(), **settings) for _ in range(3)]
        for _ in range(10):
            await tell(clinic)
            await asyncio.gather(*(one.work() for one in workers))
    keys = [headers["idempotency-key"] for headers, _ in taken]
    assert len(keys) == len(set(keys))
    assert await clinic.pool.fetchval("select sum(cardinality(notices)) from trust.message") == 10
    assert await clinic.pool.fetchval("select count(*) from trust.pending_notice") == 0
    assert set(await states(clinic)) == {"sent"}


async def test_a_process_killed_in_mid_sending_doubles_nothing(
    clinic: Clinic, tmp_path: Path, database: str
) -> None:
    await choose(clinic)
    await tell(clinic)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), database, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"taken\n"
    hands = Hands()
    work = sender(clinic, tmp_path, hands)
    await tell(clinic)  # must not slip into the message that was begun
    await work.work()
    assert sorted(await states(clinic)) == ["sent", "waiting"], "the other still holds its own"
    process.kill()
    await process.wait()
    async with asyncio.timeout(20):
        while "waiting" in await states(clinic):
            await work.work()
    assert await states(clinic) == ["sent", "sent"]
    assert len(files(tmp_path)) == 2
    assert all("(notices: 1)" in one["words"] for one in files(tmp_path))
    assert len(await clinic.sign_in.notices.listed("resident", count=10)) == 2


# ---- ports ---------------------------------------------------------------------------------------


async def test_an_address_gets_signed_json_and_the_same_key_at_every_attempt(
    clinic: Clinic, tmp_path: Path
) -> None:
    hands, taken = Hands(), list[tuple[dict[str, str], bytes]]()
    (tmp_path / "secret").write_text("between us\n")
    await choose(clinic, "mini-program", "openid_1234")
    await tell(clinic)
    async with web_server([500, 429], taken) as url:
        work = sender(
            clinic, tmp_path, hands, mini_program_url=url, secret_file=tmp_path / "secret",
            backoff_seconds=30,
        )  # fmt: skip
        for minute, expected in ((0, 1), (0, 1), (1, 2), (1, 2), (2, 3), (9, 3)):
            hands.set(12, minute)
            await work.work()
            assert len(taken) == expected, minute
    assert len({headers["idempotency-key"] for headers, _ in taken}) == 1
    assert len({body for _, body in taken}) == 1
    for headers, body in taken:
        signed = headers["x-quanmin-time"].encode() + b"." + body
        good = hmac.new(b"between us", signed, hashlib.sha256).hexdigest()
        assert headers["x-quanmin-signature"] == good
    message = json.loads(taken[0][1])
    assert message["key"] == taken[0][0]["idempotency-key"]
    assert (message["channel"], message["address"]) == ("mini-program", "openid_1234")


async def test_mail_goes_to_a_server_under_its_key(clinic: Clinic, tmp_path: Path) -> None:
    hands, taken = Hands(), list[str]()
    await choose(clinic, "mail", "zhang@example.org", language="zh")
    await tell(clinic)
    async with mail_server(["451 later"], taken) as port:
        work = sender(
            clinic, tmp_path, hands, mail_server=f"127.0.0.1:{port}",
            mail_from="no-reply@health.test", mail_security="none",
        )  # fmt: skip
        await work.work()
        assert taken == []
        (waiting,) = await list_messages(clinic.pool, "waiting", count=5)
        assert waiting.reason == "the mail server answered 451"
        hands.set(12, 5)
        await work.work()
    (mail,) = [email.message_from_string(one, policy=email.policy.default) for one in taken]
    assert mail["To"] == "zhang@example.org"
    assert mail["Subject"] == "您有新通知"
    key = await clinic.pool.fetchval("select key::text from trust.message")
    assert mail["Message-ID"] == f"<{key}@health.test>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert await states(clinic) == ["sent"]


async def test_what_is_refused_stands_in_the_queue_with_its_reason_until_it_is_sent_again(
    clinic: Clinic, tmp_path: Path
) -> None:
    hands, taken = Hands(), list[str]()
    await choose(clinic, "mail", "zhang@example.org")
    await tell(clinic)
    async with mail_server(["550 zhang@example.org is unknown"], taken) as port:
        work = sender(
            clinic, tmp_path, hands, mail_server=f"127.0.0.1:{port}",
            mail_from="no-reply@health.test", mail_security="none",
        )  # fmt: skip
        await work.work()
        (refused,) = await list_messages(clinic.pool, "refused", count=5)
        assert refused.reason == "the mail server answered 550"
        hands.set(13, 0)
        await work.work()
        assert taken == []
        await resend(clinic.pool, refused.number, hands())
        await work.work()
        assert len(taken) == 1
    with pytest.raises(Conflict):
        await resend(clinic.pool, refused.number, hands())
    with pytest.raises(NotFound):
        await resend(clinic.pool, refused.number + 99, hands())


async def test_a_server_that_is_away_is_tried_so_often_and_no_more(
    clinic: Clinic, tmp_path: Path
) -> None:
    hands = Hands(8, 0)
    await choose(clinic, "mail", "zhang@example.org")
    await tell(clinic)
    work = sender(
        clinic, tmp_path, hands, mail_server="127.0.0.1:1", mail_from="a@health.test",
        attempts_max=3, backoff_seconds=60, backoff_seconds_max=90,
    )  # fmt: skip
    due = []
    for _ in range(3):
        await work.work()
        row = await clinic.pool.fetchrow("select state, due, attempts from trust.message")
        assert row is not None
        due.append((row["state"], (row["due"] - hands()) // 1_000_000, row["attempts"]))
        hands.moment = max(hands.moment, row["due"])
    assert due[:2] == [("waiting", 60, 1), ("waiting", 90, 2)]
    assert (due[2][0], due[2][2]) == ("refused", 3)


async def test_a_message_that_cannot_be_made_holds_up_no_other(
    clinic: Clinic, tmp_path: Path
) -> None:
    hands = Hands()
    await choose(clinic)
    await tell(clinic)
    await clinic.sign_in.notices.choose(
        "centre", [Contact("sms", PHONE, "en")], None, clinic.guard.store.context
    )
    work = sender(clinic, tmp_path, hands, attempts_max=1)
    await work.gather()
    await clinic.pool.execute(
        "update trust.contact set address = $1 where account = 'resident'", b"\x01spoilt"
    )
    await tell_account(clinic.pool, "centre", clinic.guard.now(), NEWS)
    await work.work()
    (refused,) = await list_messages(clinic.pool, "refused", count=5)
    assert refused.reason.startswith("a defect: ")
    assert len(files(tmp_path)) == 1


def test_a_port_that_is_set_by_halves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"notices\.secret_file"):
        open_ports(NoticeSettings(sms_url="https://sms.test/send"), tmp_path)
    with pytest.raises(Unusable, match=r"notices\.mail_from"):
        open_ports(NoticeSettings(mail_server="mail.test:25"), tmp_path)


# ---- who may see the queue, and what is kept -----------------------------------------------------


async def test_the_queue_is_for_those_who_run_the_node(clinic: Clinic) -> None:
    for role, is_let in (("operator", True), ("institution", False), ("resident", False)):
        actor = Actor("someone", role, "s", "hospital-a")  # type: ignore[arg-type]  # each is one
        desk = clinic.guard.records(actor, purpose="HSYSADMIN", request_id="r").desk(Messages)
        if is_let:
            assert await desk.listed(None, count=5) == []
        else:
            with pytest.raises(Forbidden):
                await desk.listed(None, count=5)
            with pytest.raises(Forbidden):
                await desk.resend(1)


async def test_notices_and_messages_go_when_they_were_kept_long_enough(
    clinic: Clinic, tmp_path: Path
) -> None:
    """And none that is to be read still."""
    await choose(clinic)
    await clinic.add(Actor("leaver", "doctor", "L", "hospital-a"))
    hands = Hands()

    async def leave(account: str = "resident", **about: Any) -> int:
        return await tell_account(clinic.pool, account, hands(), NEWS, about=About(**about))

    for detail in ("read", "unread", "withdrawn", "over"):
        over = hands() + 1 if detail == "over" else None
        await leave(detail=detail, matter=f"Task/{detail}", until=over)
    await leave(detail="key", once="key")
    await leave("leaver", detail="of nobody")
    await clinic.pool.execute("delete from trust.notice where kind <> $1", NEWS)
    await clinic.pool.execute(
        "update trust.notice set seen_at = at + 43200000000 where detail in ('read', 'key')"
    )
    async with clinic.pool.acquire() as connection:
        await withdraw(connection, ["Task/withdrawn"], [NEWS], hands())
    await clinic.pool.execute("update trust.account set retired_at = 1 where code = 'leaver'")
    work = sender(clinic, tmp_path, hands, kept_days=2)
    await work.work()

    async def kept() -> list[str]:
        found = await clinic.pool.fetch("select detail from trust.notice order by detail")
        return [row["detail"] for row in found]

    messages = "select count(*) from trust.message"
    hands.set(12, 0, day=3)
    await work.sweep()
    assert await kept() == ["key", "of nobody", "over", "read", "unread", "withdrawn"]
    hands.set(12, 1, day=3)
    await work.sweep()
    assert await kept() == ["key", "read", "unread"]
    assert await clinic.pool.fetchval(messages) == 0
    hands.set(0, 1, day=4)
    await work.sweep()
    assert await kept() == ["", "unread"]
    assert await leave(once="key") == 0, "its key outlives what it said"


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("mail", "zhang"),
        ("mail", "a@b.c\nBcc: x@y.z"),
        ("mail", "a@b.c,x@y.z"),
        ("sms", "12a45"),
        ("mini-program", "no spaces"),
    ],
)
async def test_an_address_that_none_can_be_is_refused(
    clinic: Clinic, channel: Channel, address: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await choose(clinic, channel, address)
    assert address not in refused.value.text
