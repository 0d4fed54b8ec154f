"""A person's own pages: who may see the record, who has looked, and deciding about it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from books import CODE, OTHER, Books, organization
from clinic import Browser, Clinic
from persons import asking, consent, query, to_institution
from ruling import under, written

from quanmin.applications.my_record_access.choices import choices
from quanmin.trust import Actor
from quanmin.trust.deciding.glass import Wanted as Judging
from quanmin.trust.deciding.rules import load_rules
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.emergency_reviews import EmergencyReviews

HOME = "/my-record-access"
SENDER = f"sender-{CODE}"
END = f"{datetime.now(UTC).date() + timedelta(days=30)}"


@pytest.fixture
async def resident(clinic: Clinic) -> AsyncIterator[Browser]:
    """The man's own browser; of the register's institution nobody has heard yet."""
    await Books(clinic.guard, clinic.pool).enter(organization(name="<b>县医院</b>"))
    opened = await clinic.enter("resident")
    yield opened
    await opened.client.aclose()


async def seen_by(clinic: Clinic, sender: str, **more: Any) -> int:
    """How many results an institution is shown."""
    records = asking(clinic.guard, "institution", sender, **more)
    return len((await records.search(query(clinic.guard, "Observation"))).matches)


async def kept(clinic: Clinic) -> list[dict[str, Any]]:
    """The Consents there are."""
    records = asking(clinic.guard, "operator")
    hits = await records.search(query(clinic.guard, "Consent", _count="50"))
    return [json.loads(hit.body or b"") for hit in hits.matches]


def sealed(text: str) -> str:
    """What a page for reading once more carries."""
    found = re.search(r'name="chosen" value="([^"]+)"', text)
    assert found, text
    return found[1]


async def test_a_consent_is_chosen_read_once_more_given_and_taken_back(
    clinic: Clinic, resident: Browser
) -> None:
    found = await resident.get(f"{HOME}/give?text=县医院")
    assert f"{HOME}/give?institution={CODE}" in found.text
    assert "<b>" not in found.text
    form = await resident.get(f"{HOME}/give?institution={CODE}")
    assert "checked" not in form.text, "nothing is chosen beforehand"
    faulty = await resident.send(f"{HOME}/give", institution=CODE, scope="some", until="soon")
    assert faulty.status_code == 422
    for words in ("Choose what it is for", "Choose all records", "Say until which day"):
        assert words in faulty.text
    chosen = {"institution": CODE, "purpose": "TREAT", "scope": "all", "until": END}
    read = await resident.send(f"{HOME}/give", **chosen)
    assert "I consent" in read.text
    assert await seen_by(clinic, SENDER) == 0
    done = await resident.send(f"{HOME}/give", chosen=sealed(read.text))
    assert (done.status_code, done.headers["location"]) == (303, HOME)
    assert await seen_by(clinic, SENDER) == 2
    assert await seen_by(clinic, SENDER, purpose="HRESCH") == 0
    page = (await resident.get(HOME)).text
    assert "You permit" in page
    assert END in page
    link = re.findall(rf'href="({HOME}/consents/[^"]+/end)"', page)
    assert len(link) == 1
    asked = await resident.get(link[0])
    assert "not even while they treat you" in asked.text
    assert (await resident.send(link[0])).status_code == 303
    assert await seen_by(clinic, SENDER) == 0
    assert "taken back" in (await resident.get(HOME)).text
    assert (await resident.get(link[0])).status_code == 409
    told = (await resident.get("/notices")).text
    assert "A consent of yours was taken back" in told


async def test_taking_back_says_what_it_closes_and_what_stays_open(resident: Browser) -> None:
    for purpose, more, told in (
        ("HRESCH", {"scope": "all"}, "For this purpose they can read nothing more"),
        ("TREAT", {"scope": "none", "kind-HIV": "1"}, "All other records are as open to them"),
    ):
        await resident.get(f"{HOME}/give?institution={CODE}")
        chosen = {"institution": CODE, "purpose": purpose, "until": END, **more}
        read = await resident.send(f"{HOME}/give", **chosen)
        assert "nothing more" not in read.text
        await resident.send(f"{HOME}/give", chosen=sealed(read.text))
        link = re.findall(rf'href="({HOME}/consents/[^"]+/end)"', (await resident.get(HOME)).text)
        asked = (await resident.get(link[0])).text
        assert told in asked
        assert "not even while they treat you" not in asked
        await resident.send(link[0])


async def test_what_is_kept_apart_and_passing_on_are_consents_of_their_own(
    clinic: Clinic, resident: Browser
) -> None:
    await resident.get(f"{HOME}/give?institution={CODE}")
    chosen = {"institution": CODE, "purpose": "TREAT", "scope": "some", "until": END}
    ticks = {"category-result": "1", "kind-HIV": "1", "kind-PSY": "1", "onward": "1"}
    read = await resident.send(f"{HOME}/give", **chosen, **ticks)
    await resident.send(f"{HOME}/give", chosen=sealed(read.text))
    provisions = [one["provision"] for one in await kept(clinic)]
    labels = sorted(one["securityLabel"][0]["code"] for one in provisions if "securityLabel" in one)
    assert (len(provisions), labels) == (4, ["HIV", "PSY"])
    moments = {one["meta"]["lastUpdated"] for one in await kept(clinic)}
    written = "select count(distinct a.request) from trust.access a where a.action = 'transaction'"
    of_resident = f"{written} and a.role = 'resident' and a.hits = 4"
    assert (len(moments), await clinic.pool.fetchval(of_resident)) == (1, 1), "all at once"
    assert len([one for one in provisions if "action" in one]) == 1
    plain = next(one for one in provisions if "class" in one)
    assert "Observation" in {one["code"] for one in plain["class"]}
    sheet = (await resident.get(f"{HOME}.csv?lang=zh")).text
    assert "艾滋病" in sheet
    assert "您允许再提供" in sheet


async def test_all_others_are_refused_and_the_refusal_is_taken_back(
    clinic: Clinic, resident: Browser
) -> None:
    body = consent(clinic.ids["hospital-a man"], type="permit", actor=to_institution(SENDER))
    signed = body | {"sourceAttachment": {"title": "form"}}
    desk = asking(clinic.guard, "institution", "hospital-a")
    await desk.create("Consent", json.dumps(signed).encode())
    assert await seen_by(clinic, SENDER) == 2
    assert "An institution has recorded a consent" in (await resident.get("/notices")).text
    await resident.get(f"{HOME}/refuse?institution=all")
    read = await resident.send(f"{HOME}/refuse", institution="all")
    await resident.send(f"{HOME}/refuse", chosen=sealed(read.text))
    assert await seen_by(clinic, SENDER) == 0
    assert await seen_by(clinic, "hospital-a") == 1
    page = (await resident.get(HOME)).text
    links = re.findall(rf'href="({HOME}/consents/[^"]+/end)">Take this refusal', page)
    await resident.get(links[0])
    await resident.send(links[0])
    assert await seen_by(clinic, SENDER) == 2
    links = re.findall(rf'href="({HOME}/consents/[^"]+/end)">Take this consent', page)
    await resident.get(links[0])
    await resident.send(links[0])
    assert await seen_by(clinic, SENDER) == 0, "whoever recorded it, it is the person's to end"


async def test_every_access_is_told_in_words_and_can_be_complained_of(
    clinic: Clinic, resident: Browser
) -> None:
    staff = await clinic.enter("hospital-a")
    await staff.get(f"/person/{clinic.ids['hospital-a man']}")
    doctor = asking(clinic.guard, "doctor", "hospital-b", purpose="BTG")
    await doctor.desk(Emergencies).open(clinic.ids["hospital-a man"], "unconscious after a fall")
    await doctor.read("Observation", clinic.ids["hospital-a Observation"])
    assert "opened in an emergency" in (await resident.get("/notices")).text
    page = (await resident.get(f"{HOME}/looked")).text
    assert "unconscious after a fall; it waits for its review" in page
    assert page.count("/petitions/new?kind=complaint&amp;about=AuditEvent/log-") >= 3
    assert "An institution sees and changes the records that it sent itself." in page
    keeper = Actor("keeper", "security_administrator", "Keeper", "")
    reviews = clinic.guard.records(keeper, purpose="HSYSADMIN", request_id="r-9")
    ((one, _),) = (
        await asking(clinic.guard, "operator").desk(EmergencyReviews).listed(Judging(), count=9)
    )
    await reviews.desk(EmergencyReviews).judge(
        one.glass, "justified", "the chart of that hour speaks of it"
    )
    judged = (await resident.get(f"{HOME}/looked")).text
    assert "judged what was opened in an emergency" in judged
    assert "other use" not in judged
    assert ">refused<" not in judged, "it was done, whatever the judgement"
    assert "yourself" not in page
    assert "yourself" in (await resident.get(f"{HOME}/looked?own=1")).text
    only = (await resident.get(f"{HOME}/looked.csv?institution=hospital-a")).text
    rows = list(csv.DictReader(io.StringIO(only.removeprefix("\ufeff"))))
    assert rows
    assert {row["Institution"] for row in rows} == {"hospital-a"}
    enrol = "insert into trust.actor (code, role, name, sender) values ($1, $2, $3, $4)"
    system = Actor("system", "institution", "A County's Platform", "hospital-a")
    for actor in (system, Actor("op", "operator", "Op", "node")):
        await clinic.pool.execute(enrol, actor.code, actor.role, actor.name, actor.sender)
        looking = clinic.guard.records(actor, purpose="HSYSADMIN", request_id="r-10")
        await looking.read("Observation", clinic.ids["hospital-a Observation"])
    told = (await resident.get(f"{HOME}/looked.csv")).text.removeprefix("\ufeff")
    newest = [row["Institution"] for row in csv.DictReader(io.StringIO(told))][:2]
    assert newest == ["This platform", "A County's Platform"]
    other = asking(clinic.guard, "institution", "hospital-b")
    assert await other.delete("Observation", clinic.ids["hospital-a Observation"]) is None
    told = (await resident.get(f"{HOME}/looked.csv?own=1")).text.removeprefix("\ufeff")
    marks = [(row["Refused"], row["Yourself"]) for row in csv.DictReader(io.StringIO(told))]
    assert {("refused", ""), ("", "yourself"), ("", "")} <= set(marks)
    none = (await resident.get(f"{HOME}/looked?since=2031-01-01")).text
    assert "Nobody has looked" in none
    for asked in ("since=soon", "until=2026-02-30", "own=2", "colour=red"):
        wrong = await resident.get(f"{HOME}/looked?{asked}")
        assert wrong.status_code == 400, asked
        assert "hospital-a" not in wrong.text[wrong.text.index("<main") :], asked
        assert (await resident.get(f"{HOME}/looked.csv?{asked}")).status_code == 400, asked
    assert 'role="alert"' in (await resident.get(f"{HOME}/looked?since=soon")).text
    link = re.search(r'"(/petitions/new\?kind=complaint[^"]+)"', page)
    assert link
    assert (await resident.get(link[1].replace("&amp;", "&"))).status_code == 200
    await staff.client.aclose()


async def test_a_consent_whose_time_has_passed_is_not_taken_back(
    clinic: Clinic, resident: Browser
) -> None:
    man, whom = clinic.ids["hospital-a man"], to_institution("hospital-b")
    for end in ("2020-12-31", END):
        period = {"start": "2020-01-01", "end": end}
        given = consent(man, type="permit", period=period, actor=whom)
        given["sourceAttachment"] = {"title": "signed on paper"}
        records = asking(clinic.guard, "institution", "hospital-a")
        stored = (await records.create("Consent", json.dumps(given).encode())).stored
        link = f"{HOME}/consents/{stored.id}/end"
        is_on = end == END
        assert (link in (await resident.get(HOME)).text) is is_on
        assert (await resident.get(link)).status_code == (200 if is_on else 409)


async def test_lists_that_offer_some_alone_say_so(
    clinic: Clinic, resident: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Books(clinic.guard, clinic.pool).enter(organization(OTHER, name="市医院"))
    own = "quanmin.applications.my_record_access"
    for path, most, said in (
        ("looked", f"{own}.pages._ROWS", "Offered are those of this page"),
        ("give?text=医院", f"{own}.consent_pages._FOUND", "More than these 1 have this"),
    ):
        assert said not in (await resident.get(f"{HOME}/{path}")).text
        monkeypatch.setattr(most, 1)
        assert said in (await resident.get(f"{HOME}/{path}")).text


async def test_the_pages_are_of_the_person_and_show_nobody_else(
    clinic: Clinic, browser: Browser
) -> None:
    for path in (HOME, f"{HOME}.csv", f"{HOME}/looked", f"{HOME}/give", f"{HOME}/refuse"):
        assert (await browser.get(path)).status_code == 403
    theirs = consent(clinic.ids["hospital-a Patient"], type="permit")
    stored = (
        await asking(clinic.guard, "operator").create("Consent", json.dumps(theirs).encode())
    ).stored
    await clinic.add(Actor("stranger", "resident", "甲", "", "999999"))
    stranger = await clinic.enter("stranger")
    for id_ in (stored.id, "unknown"):
        assert (await stranger.get(f"{HOME}/consents/{id_}/end")).status_code == 404
    assert "You permit" not in (await stranger.get(HOME)).text
    assert "AuditEvent" not in (await stranger.get(f"{HOME}/looked")).text
    forged = await stranger.send(f"{HOME}/give", chosen="forged")
    assert forged.status_code == 400
    await stranger.client.aclose()


async def test_residents_are_told_the_nodes_own_rules_while_these_hold(
    clinic: Clinic, resident: Browser
) -> None:
    spans = {"ended": ("2020-01-01", "2021-01-01"), "held": ("2020-01-01", "9000-01-01"),
             "planned": ("9000-01-01", "9000-01-02")}  # fmt: skip
    texts = [
        written(name, en=f'"A rule that is {name}."', effective=first, ends=last)
        for name, (first, last) in spans.items()
    ]
    clinic.guard.deciding = under(clinic.guard, *texts).deciding
    page = (await resident.get(f"{HOME}?lang=en")).text
    told = [name for name in spans if f"A rule that is {name}." in page]
    assert told == ["held"]


def test_residents_are_told_the_law_behind_each_rule_in_their_language() -> None:
    by_id = {rule.id: rule for rule in load_rules()}
    told = [by_id[id_] for id_ in choices().rules]
    assert told
    assert [one.id for one in told if not one.law_en or not one.law_zh] == []
