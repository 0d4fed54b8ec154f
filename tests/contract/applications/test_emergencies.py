"""Opening a record in an emergency on pages, and judging it, over a real store."""

from __future__ import annotations

import re

import pytest
from books import CODE, Books, organization, practice, practitioner, qualification
from clinic import MAN, Browser, Clinic, with_check_digit

from quanmin.trust import Actor
from quanmin.trust.deciding.glass import load_glass_rules

REASON = "昏迷送入急诊，无法询问过敏史"
OPINION = "急诊病历与理由相符"


@pytest.fixture
async def doctor(clinic: Clinic) -> Browser:
    await clinic.add(Actor("chen", "doctor", "陈医师", "hospital-c"))
    return await clinic.enter("chen")


@pytest.fixture
async def keeper(clinic: Clinic) -> Browser:
    await clinic.add(Actor("keeper", "security_administrator", "安全员", ""))
    return await clinic.enter("keeper")


async def opened(clinic: Clinic, doctor: Browser) -> str:
    """The page of the man of hospital b, opened in an emergency."""
    patient = clinic.ids["hospital-b man"]
    await doctor.get(f"/emergency?patient={patient}")
    answer = await doctor.send("/emergency", patient=patient, reason=REASON)
    assert answer.headers["location"] == f"/person/{patient}"
    return f"/person/{patient}"


async def test_what_is_closed_offers_to_be_opened_whether_it_is_there_or_not(
    clinic: Clinic, doctor: Browser
) -> None:
    bare = []
    for id_ in (clinic.ids["hospital-b man"], "q0000000000000"):
        answer = await doctor.get(f"/person/{id_}")
        assert answer.status_code == 404
        assert f'href="/emergency?patient={id_}"' in answer.text
        text = answer.text.replace(id_, "ID").replace(answer.headers["x-request-id"], "N")
        bare.append(re.sub(r'name="token" value="[^"]+"', "", text))
    assert bare[0] == bare[1]
    desk = await clinic.enter("hospital-a")
    assert "/emergency" not in (await desk.get("/person/q0000000000000")).text
    await desk.client.aclose()


async def test_an_opened_record_is_read_with_a_banner_and_closed_again(
    clinic: Clinic, doctor: Browser
) -> None:
    page = await opened(clinic, doctor)
    answer = await doctor.get(f"{page}?lang=en")
    assert answer.status_code == 200
    assert "张伟" in answer.text
    assert "Opened in an emergency" in answer.text
    assert "Read for the purpose: <strong>" in answer.text
    main = answer.text[answer.text.index("<main") :]
    assert all("<button" in form for form in main.split("<form")[1:]), "each is sent without script"
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d, \d+ minutes left", answer.text)
    (record,) = re.findall(r'href="(/record/Condition/[^"]+)"', answer.text)[:1]
    assert "Opened in an emergency" in (await doctor.get(record)).text
    assert (await doctor.get(f"{record}/history")).status_code == 200
    assert (await doctor.get(f"{page}/timeline.csv")).status_code == 200
    purposes = await clinic.pool.fetch(
        "select distinct purpose from trust.access where actor = 'chen' and action = 'timeline'"
    )
    assert {row["purpose"] for row in purposes} == {"BTG"}
    await doctor.get(page)
    patient = page.rpartition("/")[2]
    closed = await doctor.send("/emergency/close", patient=patient)
    assert closed.headers["location"] == "/emergency"
    assert (await doctor.get(page)).status_code == 404
    assert (await doctor.get(record)).status_code == 404


async def test_a_person_who_is_not_found_is_opened_by_their_number(doctor: Browser) -> None:
    await doctor.get("/?lang=en")
    nobody = await doctor.send("/people", term=with_check_digit(MAN))
    assert 'href="/emergency"' in nobody.text
    await doctor.get("/emergency")
    wrong = await doctor.send("/emergency", number="110101199003070000", reason=REASON)
    assert (wrong.status_code, REASON in wrong.text) == (404, True)
    short = await doctor.send("/emergency", number=with_check_digit(MAN), reason="hm")
    assert short.status_code == 422
    answer = await doctor.send("/emergency", number=with_check_digit(MAN), reason=REASON)
    assert (await doctor.get(answer.headers["location"])).status_code == 200


async def test_a_security_administrator_judges_it_once_and_both_are_told(
    clinic: Clinic, doctor: Browser, keeper: Browser
) -> None:
    page = await opened(clinic, doctor)
    await doctor.get(page)
    queue = await keeper.get("/emergency-review?lang=en")
    (case,) = re.findall(r'href="(/emergency-review/case/\d+)"', queue.text)
    one = await keeper.get(case)
    assert REASON in one.text
    assert "张伟" not in one.text
    assert "青霉素" not in one.text
    assert re.search(r"Observation|Result|Finding|Measurement", one.text) is not None
    short = await keeper.send(case, state="unjustified", opinion="hm")
    assert short.status_code == 422
    unknown = await keeper.send(case, state="maybe", opinion=OPINION)
    assert unknown.status_code == 422
    await keeper.send(case, state="unjustified", opinion=OPINION)
    again = await keeper.send(case, state="justified", opinion=OPINION)
    assert again.status_code == 409
    assert 'name="opinion"' not in (await keeper.get(case)).text
    assert re.findall(r"/case/\d+", (await keeper.get("/emergency-review")).text) == []
    own = await doctor.get("/emergency/own?lang=en")
    assert OPINION in own.text
    assert "unjustified" in own.text
    sheet = await doctor.get("/emergency/own.csv")
    assert OPINION in sheet.text


async def test_who_is_charged_with_it_is_led_to_the_emergencies_of_their_institution(
    clinic: Clinic, doctor: Browser
) -> None:
    await opened(clinic, doctor)
    for path in ("/emergency-review", "/emergency-review/statistics"):
        assert (await doctor.get(path)).status_code == 403
    assert "/emergency-review" not in (await doctor.get("/emergency")).text
    books = Books(clinic.guard, clinic.pool)
    home = await books.enter(organization(CODE))
    await clinic.add(Actor("quality", "doctor", "周医师", f"sender-{CODE}"))
    licensed = await books.enter(practitioner(qualification("physician", "clinical")))
    await books.enter(practice(licensed, home))
    await books.appoint("quality", practitioner_id=licensed, duties=["emergency_review"])
    number = await clinic.guard.store.sender(f"sender-{CODE}")
    await clinic.pool.execute("update trust.glass set sender = $1", number)
    reviewer = await clinic.enter("quality")
    assert 'href="/emergency-review"' in (await reviewer.get("/emergency")).text
    (case,) = re.findall(
        r'href="(/emergency-review/case/\d+)"', (await reviewer.get("/emergency-review")).text
    )
    await reviewer.get(case)
    done = await reviewer.send(case, state="justified", opinion=OPINION)
    assert done.status_code == 303
    await reviewer.client.aclose()


async def test_each_number_of_the_statistics_leads_to_its_rows(
    clinic: Clinic, doctor: Browser, keeper: Browser
) -> None:
    await opened(clinic, doctor)
    await opened(clinic, doctor)
    (case, _) = re.findall(
        r'href="(/emergency-review/case/\d+)"', (await keeper.get("/emergency-review")).text
    )
    await keeper.send(case, state="unjustified", opinion=OPINION)
    page = await keeper.get("/emergency-review/statistics?lang=en")
    assert "100 % (1/1)" in page.text
    links = re.findall(r'<a href="(/emergency-review\?[^"]+)">(\d+)</a>', page.text)
    assert [number for _, number in links] == ["2", "1", "1"] * 2
    for link, number in links:
        rows = await keeper.get(link.replace("&amp;", "&"))
        assert len(set(re.findall(r"/case/\d+", rows.text))) == int(number), link
    csv = await keeper.get("/emergency-review/statistics.csv?lang=en")
    assert csv.text.splitlines()[1] == "chen,hospital-c,2,1,0,1"
    rows = await keeper.get("/emergency-review.csv?state=any&lang=en")
    assert len(rows.text.splitlines()) == 3
    newest = await keeper.get("/emergency-review.csv?state=any&sort=-opened&lang=en")
    assert newest.text.splitlines()[1:] == rows.text.splitlines()[:0:-1]
    places = [
        f"{row['at']}.{row['glass']}"
        for row in await clinic.pool.fetch("select at, glass from trust.glass order by at, glass")
    ]
    for order, place in (("opened", places[0]), ("-opened", places[1])):
        rest = await keeper.get(f"/emergency-review?state=any&sort={order}&after={place}")
        assert len(re.findall(r"/case/\d+", rest.text)) == 1, order
    none = await keeper.get("/emergency-review/statistics?since=2020-01-01&before=2020-01-02")
    assert "Nothing was opened" in none.text
    wrong = await keeper.get("/emergency-review?since=soon")
    assert 'role="alert"' in wrong.text


async def test_what_waits_too_long_is_marked(
    clinic: Clinic, doctor: Browser, keeper: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(clinic, doctor)
    assert "overdue" not in (await keeper.get("/emergency-review?lang=en")).text
    later = clinic.guard.now() + (load_glass_rules().review_hours_max + 1) * 3_600_000_000
    monkeypatch.setattr(clinic.guard, "now", lambda: later)
    assert "overdue" in (await keeper.get("/emergency-review?lang=en")).text


async def test_nobody_else_sees_these_pages(clinic: Clinic, keeper: Browser) -> None:
    resident = await clinic.enter("resident")
    for path in ("/emergency", "/emergency-review", "/emergency-review/statistics.csv"):
        assert (await resident.get(path)).status_code == 403
    assert (await keeper.get("/emergency")).status_code == 403
    assert (await keeper.get("/emergency-review/case/999999")).status_code == 404
    for number in ("9" * 30, "9" * 5000, "²", "x"):
        assert (await keeper.get(f"/emergency-review/case/{number}")).status_code == 404
    assert (await keeper.get("/emergency-review?after=x.y")).status_code == 400
    await resident.client.aclose()
