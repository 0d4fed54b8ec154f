"""Signing in by the pages, and what somebody might try against it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re

import msgspec
import pytest
from clinic import Browser, Clinic
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from entrance import PASSWORD
from webauthn.helpers import bytes_to_base64url

from quanmin.base.clock import Clock
from quanmin.base.problems import Forbidden, Unauthenticated
from quanmin.trust import AccessLog, Actor
from quanmin.trust.notices import Notices
from quanmin.trust.sign_in import Accounts, Passwords, SignIn, SignInLimits, present_code
from quanmin.trust.sign_in.attempts import Attempts

WRONG = "this is not the password 7"
SESSION = "quanmin_session"


async def at_sign_in(clinic: Clinic) -> Browser:
    browser = Browser(clinic.pages())
    await browser.get("/sign-in")
    return browser


async def accesses(clinic: Clinic) -> list[tuple[str, str, str]]:
    rows = await clinic.pool.fetch("select action, outcome, actor from trust.access order by at")
    return [(row["action"], row["outcome"], row["actor"]) for row in rows]


async def another_worker(clinic: Clinic, **limits: int) -> Clinic:
    """The same node in another process: nothing shared but the database."""
    other = Clinic.__new__(Clinic)
    other.__dict__.update(clinic.__dict__)
    old = clinic.sign_in
    other.sign_in = SignIn(
        clinic.pool,
        clinic.guard.store.context.keys,
        clinic.guard.log,
        old.sessions._now,
        limits=msgspec.structs.replace(SignInLimits(), **limits),
        passwords=old.passwords,
        relying=old.passkeys._relying,
    )
    return other


@pytest.mark.parametrize("code", ["centre", "resident"])
async def test_everybody_signs_in_by_password_and_code(clinic: Clinic, code: str) -> None:
    browser = await at_sign_in(clinic)
    answer = await browser.send("/sign-in", name=f" {code.title()} ", password=PASSWORD)
    assert answer.headers["location"] == "/sign-in/factor"
    assert (await browser.get("/")).headers["location"] == "/sign-in"
    await browser.get("/sign-in/factor")
    answer = await browser.send("/sign-in/factor", code=present_code(clinic.secrets[code]))
    assert answer.headers["location"] == "/"
    assert (await browser.get("/")).status_code == 200
    assert ("sign-in", "ok", code) in await accesses(clinic)


async def test_staff_without_a_second_factor_may_do_nothing_but_add_one(clinic: Clinic) -> None:
    clerk = Actor("wang", "institution", "hospital-a desk", "hospital-a")
    invitation = await clinic.sign_in.accounts.add("wang", clerk)
    browser = Browser(clinic.pages())
    await browser.get("/invitation")
    answer = await browser.send("/invitation", code=invitation, password=PASSWORD, again=PASSWORD)
    assert answer.headers["location"] == "/account/factors"
    for path in ("/", "/account", "/account/password", "/account/recovery-codes", "/post"):
        assert (await browser.get(path)).headers["location"] == "/sign-in"
    page = (await browser.get("/account/factors")).text
    kept = re.findall(r'name="secret" value="([^"]+)"', page)[0]
    fields = {"what": "authenticator", "secret": kept}
    refused = await browser.send("/account/factors", **fields, code="000000")
    assert refused.status_code == 422
    done = await browser.add_authenticator()
    assert done.status_code == 200
    assert len(re.findall(r"<li><code>[A-Z2-9-]{19}</code>", done.text)) == 10
    assert (await browser.get("/")).status_code == 200


async def test_a_refusal_is_the_same_whatever_stands_behind_it(clinic: Clinic) -> None:
    accounts = clinic.sign_in.accounts
    await accounts.lock("hospital-b")
    await accounts.add("invited", Actor("invited", "resident", "Resident", ""))
    told = set()
    for name in ("hospital-a", "hospital-b", "invited", "nobody", "x" * 300, "令牌", "a\r\nb"):
        browser = await at_sign_in(clinic)
        password = PASSWORD if name == "hospital-b" else WRONG
        answer = await browser.send("/sign-in", name=name, password=password)
        text = re.sub(r'(value|data-options)="[^"]*"', "", answer.text)
        told.add((answer.status_code, text))
    assert len(told) == 1
    assert {status for status, _ in told} == {401}


async def test_the_same_work_is_done_for_an_account_that_is_not_there(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clinic.sign_in.accounts.lock("hospital-b")
    work: list[str] = []

    def counted(kind: type, name: str) -> None:
        real = getattr(kind, name)

        async def count(*given: object, **named: object) -> object:
            work.append(f"{kind.__name__}.{name}")
            return await real(*given, **named)

        monkeypatch.setattr(kind, name, count)

    counted(Passwords, "is_right")
    for kind, name in ((Accounts, "find"), (Attempts, "take"), (Notices, "leave")):
        counted(kind, name)
    counted(AccessLog, "note")
    done = {}
    for name in ("hospital-a", "nobody", "hospital-b"):
        work.clear()
        for _ in range(5):
            browser = await at_sign_in(clinic)
            password = PASSWORD if name == "hospital-b" else WRONG
            await browser.send("/sign-in", name=name, password=password)
        done[name] = tuple(work)
    assert done["nobody"].count("Passwords.is_right") == 5
    assert done["nobody"].count("Notices.leave") == 1
    assert len(set(done.values())) == 1


async def test_failures_close_an_account_for_a_time_and_longer_each_time(clinic: Clinic) -> None:
    for name in ("hospital-a", "nobody"):
        for _ in range(5):
            browser = await at_sign_in(clinic)
            answer = await browser.send("/sign-in", name=name, password=WRONG)
            assert answer.status_code == 401
        browser = await at_sign_in(clinic)
        answer = await browser.send("/sign-in", name=name, password=WRONG)
        assert answer.status_code == 429
        assert 25 <= int(answer.headers["retry-after"]) <= 31
        browser = await at_sign_in(clinic)
        assert (await browser.send("/sign-in", name=name, password=PASSWORD)).status_code == 429
    noted = await accesses(clinic)
    assert noted.count(("sign-in", "refused", "hospital-a")) == 4
    assert ("lock", "refused", "hospital-a") in noted
    assert ("sign-in", "waiting", "") in noted


async def test_all_workers_together_let_through_no_more_than_one_would(clinic: Clinic) -> None:
    workers = [clinic, await another_worker(clinic)]
    browsers = [await at_sign_in(workers[number % 2]) for number in range(24)]
    answers = await asyncio.gather(
        *(one.send("/sign-in", name="hospital-a", password=WRONG) for one in browsers)
    )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 19


async def test_nobody_is_shut_out_by_anothers_failures(clinic: Clinic) -> None:
    own = await at_sign_in(clinic)
    await clinic.walk_in(own, "resident")
    await own.get("/account")
    await own.send("/sign-out")
    for _ in range(8):
        stranger = await at_sign_in(clinic)
        await stranger.send("/sign-in", name="resident", password=WRONG)
    stranger = await at_sign_in(clinic)
    answer = await stranger.send("/sign-in", name="resident", password=PASSWORD)
    assert answer.status_code == 429
    answer = await clinic.walk_in(own, "resident")
    assert answer.headers["location"] == "/"


async def test_a_known_browser_guesses_no_more_often_either(clinic: Clinic) -> None:
    own = await at_sign_in(clinic)
    await clinic.walk_in(own, "resident")
    await own.get("/account")
    await own.send("/sign-out")
    statuses = []
    for _ in range(7):
        await own.get("/sign-in")
        statuses.append((await own.send("/sign-in", name="resident", password=WRONG)).status_code)
    assert statuses == [401] * 5 + [429] * 2


async def test_who_tries_passwords_of_many_from_one_address_is_stopped(clinic: Clinic) -> None:
    statuses = []
    for number in range(40):
        browser = await at_sign_in(clinic)
        answer = await browser.send("/sign-in", name=f"account-{number}", password=WRONG)
        statuses.append(answer.status_code)
    assert statuses == [401] * 30 + [429] * 10
    browser = await at_sign_in(clinic)
    answer = await browser.send("/sign-in", name="resident", password=PASSWORD)
    assert answer.status_code == 429


async def test_signing_in_to_ones_own_in_between_does_not_help_who_guesses(
    clinic: Clinic,
) -> None:
    statuses = []
    for number in range(31):
        browser = await at_sign_in(clinic)
        await browser.send("/sign-in", name="resident", password=PASSWORD)
        browser = await at_sign_in(clinic)
        answer = await browser.send("/sign-in", name=f"account-{number}", password=WRONG)
        statuses.append(answer.status_code)
    assert statuses[-1] == 429


async def test_the_address_is_what_the_one_in_front_says_and_not_the_client(
    clinic: Clinic,
) -> None:
    pages = clinic.pages(address_header="X-Forwarded-For")
    statuses = []
    for number in range(32):
        network = 1 if number == 31 else 0
        browser = Browser(pages)
        said = f"9.9.9.{number}, 2001:db8:{network}::{number:x}"
        browser.client.headers["X-Forwarded-For"] = said
        await browser.get("/sign-in")
        answer = await browser.send("/sign-in", name=f"account-{number}", password=WRONG)
        statuses.append(answer.status_code)
    assert statuses == [401] * 30 + [429, 401]


async def test_a_code_is_taken_once_in_all_workers(clinic: Clinic) -> None:
    workers = [clinic, await another_worker(clinic)]
    code = present_code(clinic.secrets["centre"])
    browsers = []
    for number in range(6):
        browser = await at_sign_in(workers[number % 2])
        await browser.send("/sign-in", name="centre", password=PASSWORD)
        await browser.get("/sign-in/factor")
        browsers.append(browser)
    answers = await asyncio.gather(*(one.send("/sign-in/factor", code=code) for one in browsers))
    assert sum(answer.status_code == 303 for answer in answers) == 1


async def test_codes_are_not_guessed(clinic: Clinic) -> None:
    browser = await at_sign_in(clinic)
    await browser.send("/sign-in", name="centre", password=PASSWORD)
    statuses = []
    for number in range(7):
        await browser.get("/sign-in/factor")
        answer = await browser.send("/sign-in/factor", code=f"{number:06}")
        statuses.append(answer.status_code)
    assert statuses[-2:] == [429, 429]
    again = await at_sign_in(clinic)
    await again.send("/sign-in", name="centre", password=PASSWORD)
    await again.get("/sign-in/factor")
    answer = await again.send("/sign-in/factor", code=present_code(clinic.secrets["centre"]))
    assert answer.status_code == 429


async def test_a_recovery_code_stands_once_for_the_second_factor(clinic: Clinic) -> None:
    codes = await clinic.sign_in.recovery.renew("centre")
    for expected in (303, 401):
        browser = await at_sign_in(clinic)
        await browser.send("/sign-in", name="centre", password=PASSWORD)
        await browser.get("/sign-in/factor")
        answer = await browser.send("/sign-in/factor", code=codes[0].lower())
        assert answer.status_code == expected
    notices = await clinic.sign_in.notices.listed("centre", count=20)
    assert "recovery-code-used" in {notice.kind for notice in notices}


async def test_a_planted_session_is_worth_nothing_after_signing_in(clinic: Clinic) -> None:
    attacker = await at_sign_in(clinic)
    await attacker.send("/sign-in", name="centre", password=PASSWORD)
    planted = attacker.client.cookies[SESSION]
    victim = Browser(clinic.pages())
    victim.client.cookies.set(SESSION, planted, domain="node.test")
    await victim.get("/sign-in/factor")
    answer = await victim.send("/sign-in/factor", code=present_code(clinic.secrets["centre"]))
    assert answer.status_code == 303
    assert victim.client.cookies[SESSION] != planted
    assert (await attacker.get("/")).headers["location"] == "/sign-in"


async def test_a_second_factor_cannot_be_sent_from_another_session(clinic: Clinic) -> None:
    one, other = await at_sign_in(clinic), await at_sign_in(clinic)
    for browser in (one, other):
        await browser.send("/sign-in", name="centre", password=PASSWORD)
        await browser.get("/sign-in/factor")
    other.token = one.token
    code = present_code(clinic.secrets["centre"])
    assert (await other.send("/sign-in/factor", code=code)).status_code == 400
    assert (await one.send("/sign-in/factor", code=code)).status_code == 303


async def test_what_one_signs_in_by_is_changed_after_proving_oneself_again(
    clinic: Clinic, browser: Browser
) -> None:
    await clinic.pool.execute(
        "update trust.session set authenticated_at = authenticated_at - 3600000000"
    )
    for path in ("/account/password", "/account/factors", "/account/recovery-codes"):
        answer = await browser.get(path)
        assert answer.headers["location"] == f"/account/again?for={path}"
        await browser.get("/account")
        late = await browser.send(path)
        assert late.status_code == 403
        assert "What you sent was not taken" in late.text
        assert f'action="/account/again?for={path}"' in late.text
    await browser.get("/account/again?for=/account/password")
    refused = await browser.send("/account/again?for=/account/password", password=PASSWORD)
    assert refused.status_code == 401
    code = present_code(clinic.secrets["centre"])
    done = await browser.send("/account/again?for=/account/password", password=PASSWORD, code=code)
    assert done.headers["location"] == "/account/password"
    assert (await browser.get("/account/password")).status_code == 200
    elsewhere = await browser.get("/account/again?for=//evil.test")
    assert "evil" not in elsewhere.text.replace("lang=", "").split("<main")[1]


async def test_a_changed_password_signs_out_everywhere_else(
    clinic: Clinic, browser: Browser
) -> None:
    other = await clinic.enter("centre")
    await browser.get("/account/password")
    weak = await browser.send("/account/password", password="short", again="short")
    assert weak.status_code == 422
    assert "12 characters" in weak.text
    unlike = await browser.send("/account/password", password=WRONG, again=PASSWORD)
    assert "not the same" in unlike.text
    done = await browser.send("/account/password", password=WRONG, again=WRONG)
    assert done.headers["location"] == "/account"
    assert (await browser.get("/account")).status_code == 200
    assert (await other.get("/account")).headers["location"] == "/sign-in"


async def test_one_sees_and_ends_ones_own_sessions(clinic: Clinic, browser: Browser) -> None:
    other, foreign = await clinic.enter("centre"), await clinic.enter("hospital-a")
    page = await browser.get("/account")
    assert page.text.count("Sign out there") == 2
    sessions = await clinic.sign_in.sessions.listed("hospital-a")
    await browser.send("/account", session=str(sessions[0].id))
    assert (await foreign.get("/")).status_code == 200
    begun = await clinic.sign_in.sessions.begun(other.client.cookies[SESSION])
    assert begun is not None
    await browser.send("/account", session=str(begun.id))
    assert (await other.get("/")).headers["location"] == "/sign-in"
    await browser.get("/account")
    await browser.send("/sign-out", where="everywhere")
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_a_new_browser_is_told_of(clinic: Clinic) -> None:
    browser = await at_sign_in(clinic)
    browser.client.headers["User-Agent"] = "Some browser\x01 7"
    await clinic.walk_in(browser, "resident")
    page = (await browser.get("/notices")).text
    assert page.count("Signed in from a new browser") == 1
    assert "Some browser 7" in page
    await browser.get("/")
    await browser.send("/sign-out")
    await clinic.walk_in(browser, "resident")
    assert (await browser.get("/notices")).text.count("Signed in from a new browser") == 1


async def test_the_only_second_factor_is_not_removed(clinic: Clinic, browser: Browser) -> None:
    await browser.get("/account/factors")
    answer = await browser.send("/account/factors", what="remove-authenticator")
    assert answer.status_code == 422
    assert await clinic.sign_in.totp.is_there("centre")


async def test_an_account_of_several_posts_chooses_one_and_changes_it(clinic: Clinic) -> None:
    second = Actor("centre-b", "institution", "hospital-b desk", "hospital-b")
    await clinic.sign_in.accounts.add_post("centre", second)
    browser = await at_sign_in(clinic)
    await browser.send("/sign-in", name="centre", password=PASSWORD)
    await browser.get("/sign-in/factor")
    answer = await browser.send("/sign-in/factor", code=present_code(clinic.secrets["centre"]))
    assert answer.headers["location"] == "/post"
    assert (await browser.get("/post")).text.count('name="post"') == 2
    answer = await browser.send("/post", post="centre-b")
    assert answer.headers["location"] == "/"
    assert "hospital-b desk" in (await browser.get("/")).text
    await browser.get("/post")
    assert (await browser.send("/post", post="hospital-a")).status_code == Forbidden.status


async def test_a_post_that_has_ended_is_neither_offered_nor_acted_in(clinic: Clinic) -> None:
    second = Actor("centre-b", "institution", "hospital-b desk", "hospital-b")
    await clinic.sign_in.accounts.add_post("centre", second)
    browser = await clinic.enter("centre")
    await browser.get("/post")
    assert (await browser.send("/post", post="centre-b")).status_code == 303
    assert (await browser.get("/account")).status_code == 200
    await clinic.pool.execute(
        "insert into trust.institution_entry values (1, 'x', '1', 'x') on conflict do nothing"
    )
    await clinic.pool.execute(
        "insert into trust.post (actor, organization, duties, since, until, decided_at, decided_by)"
        " values ('centre-b', 1, '{}', 1, $1, 1, 'test')",
        Clock().now() + 3600_000_000,
    )
    assert (await browser.get("/account")).status_code == 200
    await clinic.pool.execute("update trust.post set until = 2")
    assert (await browser.get("/account")).headers["location"] == "/sign-in"
    again = await clinic.enter("centre")
    page = await again.get("/post")
    assert page.text.count('name="post"') == 1
    assert (await again.send("/post", post="centre-b")).status_code == Forbidden.status


async def test_the_reasons_against_a_password_are_told_in_the_language_of_the_page(
    clinic: Clinic,
) -> None:
    invitation = await clinic.sign_in.accounts.add("li", Actor("li", "resident", "李", ""))
    browser = await at_sign_in(clinic)
    told = {}
    for language in ("en", "zh"):
        await browser.get(f"/invitation?lang={language}")
        for password, again in (("short", "short"), (PASSWORD, "another")):
            page = await browser.send(
                "/invitation", code=invitation, password=password, again=again, lang=language
            )
            assert page.status_code == 422
            told[language, password] = page.text
    assert "12 characters or more" in told["en", "short"]
    assert "密码至少 12 个字符" in told["zh", "short"]
    assert "characters or more" not in told["zh", "short"]
    assert "两次输入的密码不一致" in told["zh", PASSWORD]


async def test_webauthn_7_2_a_passkey_whose_count_goes_back_is_refused(clinic: Clinic) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    x, y = (one.to_bytes(32, "big") for one in (numbers.x, numbers.y))
    cose = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y
    await clinic.pool.execute(
        "insert into trust.passkey (id, account, public_key, sign_count, name, made_at)"
        " values ($1, 'centre', $2, 7, 'key', 1)",
        b"an id",
        cose,
    )

    async def prove(count: int) -> str:
        challenge = os.urandom(32)
        told = {
            "type": "webauthn.get",
            "challenge": bytes_to_base64url(challenge),
            "origin": "http://node.test",
        }
        client = json.dumps(told).encode()
        seen = hashlib.sha256(b"localhost").digest() + b"\x05" + count.to_bytes(4, "big")
        signature = key.sign(seen + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        answer = {
            "clientDataJSON": bytes_to_base64url(client),
            "authenticatorData": bytes_to_base64url(seen),
            "signature": bytes_to_base64url(signature),
        }
        name = bytes_to_base64url(b"an id")
        whole = {"id": name, "rawId": name, "type": "public-key", "response": answer}
        return await clinic.sign_in.passkeys.prove(json.dumps(whole), challenge)

    assert await prove(8) == "centre"
    for count in (8, 7, 0):
        with pytest.raises(Unauthenticated):
            await prove(count)
    assert await prove(9) == "centre"


async def test_an_administrator_sees_no_page_with_records(clinic: Clinic) -> None:
    keeper = Actor("keeper", "security_administrator", "Keeper", "")
    await clinic.add(keeper)
    browser = await clinic.enter("keeper")
    man = clinic.ids["hospital-a man"]
    for path in ("/people", f"/person/{man}", f"/record/Patient/{man}"):
        assert (await browser.get(path)).status_code == Forbidden.status
    assert (await browser.get("/account")).status_code == 200


async def test_no_password_code_or_cookie_is_written_down(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    code = present_code(clinic.secrets["centre"])
    browser = await at_sign_in(clinic)
    await browser.send("/sign-in", name=WRONG, password=WRONG)
    await browser.send("/sign-in", name="centre", password=PASSWORD)
    await browser.get("/sign-in/factor")
    await browser.send("/sign-in/factor", code=code)
    secrets = {PASSWORD, WRONG, browser.client.cookies[SESSION], clinic.secrets["centre"]}
    tables = await clinic.pool.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname = 'trust'"
    )
    written = [record.getMessage() for record in caplog.records]
    for table in tables:
        rows = await clinic.pool.fetch(f"select t::text as row from {table['name']} t")
        written += [row["row"] for row in rows]
    assert written
    assert not [text for text in written for secret in secrets if secret in text]


async def test_a_header_cannot_be_smuggled_in_by_a_name(clinic: Clinic) -> None:
    browser = await at_sign_in(clinic)
    for name in ("x\r\nSet-Cookie: a=b", "x%0d%0aLocation: //evil.test", "<script>"):
        answer = await browser.send("/sign-in", name=name, password=WRONG)
        assert answer.status_code == 401
        assert "a=b" not in str(answer.headers)
        assert "<script>" not in answer.text.replace("<script src", "")


async def test_only_pages_that_need_it_may_run_the_one_script(
    clinic: Clinic, browser: Browser
) -> None:
    del clinic
    for path, allowed in (("/account", "'none'"), ("/account/factors", "'self'")):
        answer = await browser.get(path)
        assert f"script-src {allowed}" in answer.headers["content-security-policy"]
        assert ("<script" in answer.text) == (allowed == "'self'")
        assert not re.findall(r"<script(?! src=\"/static/)", answer.text)


async def test_what_counts_no_more_is_swept_away(clinic: Clinic) -> None:
    await (await at_sign_in(clinic)).send("/sign-in", name="resident", password="wrong")
    await clinic.session("resident")
    await clinic.pool.execute("update trust.attempt set last_at = 0, closed_until = 0")
    await clinic.pool.execute("update trust.session set ends_at = 0")
    browser = await at_sign_in(clinic)
    await browser.send("/sign-in", name="centre", password="wrong")
    fresh = await clinic.pool.fetchval("select count(*) from trust.attempt where last_at > 0")
    await clinic.sign_in.sweep()
    assert await clinic.pool.fetchval("select count(*) from trust.attempt") == fresh > 0
    assert await clinic.pool.fetchval("select count(*) from trust.session") == 0
