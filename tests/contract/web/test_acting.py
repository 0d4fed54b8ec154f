"""A resident acts for somebody whose guardian or proxy they are: on pages, by applications, and
until it ends.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from clients import bearing
from clinic import Browser, Clinic
from stores import START

from quanmin.base.problems import Forbidden, NotFound
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.trust import Actor
from quanmin.trust.actors import Acting
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.errands import Mandate
from quanmin.trust.registers.proxies import Proxies, Proxy
from quanmin.trust.sign_in.acting import person_asked_for

from .test_approving import Stage, app, state_of, went_back

ZONE = ZoneInfo("Asia/Shanghai")
DAY = 86_400_000_000
LATER = START + 3000 * DAY


async def enter(clinic: Clinic, **more: Any) -> Proxy:
    """The resident is the parent of the woman of the clinic, as if she were a child."""
    woman = await person_of(clinic, "hospital-a crowd")
    man = await person_of(clinic, "hospital-a man")
    usual: dict[str, Any] = {
        "kind": "parent",
        "evidence": "birth-certificate",
        "born": date(2022, 1, 1),
        "at": START - DAY,
        "by": "test",
    }
    return await Proxies(clinic.pool, ZONE).enter(man, woman, **(usual | more))


async def person_of(clinic: Clinic, name: str) -> int:
    rid = clinic.guard.store.context.rid_of("Patient", clinic.ids[name])
    found: int = await clinic.pool.fetchval(
        "select person from people.link where patient = $1", rid
    )
    return found


@pytest.fixture
async def parent(clinic: Clinic) -> AsyncIterator[Browser]:
    opened = await clinic.enter("resident")
    yield opened
    await opened.client.aclose()


async def begin(browser: Browser, proxy: Proxy) -> None:
    await browser.get("/acting-for")
    answer = await browser.send("/acting-for", whom=str(proxy.proxy))
    assert answer.status_code == 303, answer.text


async def test_a_parent_opens_the_childs_record_and_the_log_tells_both(
    clinic: Clinic, parent: Browser
) -> None:
    own, child = clinic.ids["hospital-a man"], clinic.ids["hospital-a crowd"]
    assert (await parent.get(f"/person/{own}")).status_code == 200
    assert (await parent.get(f"/person/{child}")).status_code == 404
    proxy = await enter(clinic)
    page = await parent.get("/acting-for")
    assert "欧阳明月" in page.text
    assert "Parent of a child under 14" in page.text
    await begin(parent, proxy)
    page = await parent.get(f"/person/{child}")
    assert page.status_code == 200
    assert "You act for" in page.text
    assert re.search(r'class="acting".*欧阳明月', page.text, re.DOTALL)
    assert (await parent.get(f"/person/{own}")).status_code == 404, "not both at once"
    row = await clinic.pool.fetchrow(
        "select actor, role, note, patients from trust.access where action = 'timeline'"
        " and outcome = 'ok' and role = 'guardian'"
    )
    assert row is not None
    rid = clinic.guard.store.context.rid_of("Patient", child)
    assert (row["actor"], row["note"], row["patients"]) == (
        "resident",
        f"proxy:{proxy.proxy}",
        [rid],
    )
    await parent.send("/acting-for", whom="0")
    assert "You act for" not in (await parent.get(f"/person/{own}")).text


async def test_who_acts_for_a_child_is_told_of_its_emergency_while_they_act(
    clinic: Clinic, parent: Browser
) -> None:
    proxy = await enter(clinic)
    doctor = Actor("doctor-c", "doctor", "Li", "hospital-c")
    records = clinic.guard.records(doctor, purpose="BTG", request_id="r-1")
    child = clinic.ids["hospital-a crowd"]
    words = "The record of somebody for whom you act was opened in an emergency"
    reason = "unconscious after a fall, allergies unknown"
    assert words not in (await parent.get("/notices")).text
    await records.desk(Emergencies).open(child, reason)
    page = await parent.get("/notices")
    assert words in page.text
    assert "Your record was opened" not in page.text
    assert "您所代办的人的档案" in (await parent.get("/notices?lang=zh")).text
    await Proxies(clinic.pool, ZONE).end(proxy.proxy, at=clinic.guard.now())
    await records.desk(Emergencies).open(child, reason)
    assert await clinic.pool.fetchval("select count(*) from trust.notice") == 1


async def test_it_is_told_in_audit_events(clinic: Clinic, parent: Browser) -> None:
    proxy = await enter(clinic)
    await begin(parent, proxy)
    await parent.get(f"/person/{clinic.ids['hospital-a crowd']}")
    records = clinic.guard.records(
        Actor("centre", "operator", "c", "centre"), purpose="HSYSADMIN", request_id="r"
    )
    query = parse_query(
        "AuditEvent",
        [("agent-role", "guardian"), ("_count", "50")],
        strict=True,
        zone=ZONE,
        limits=QueryLimits(),
    )
    events = (await records.search(query)).matches
    assert events
    for event in events:
        assert b"auditevent-OnBehalfOf" in (event.body or b"")
        assert f"proxy:{proxy.proxy}".encode() in (event.body or b"")


async def test_what_was_begun_for_one_person_is_not_done_for_another(
    clinic: Clinic, parent: Browser
) -> None:
    proxy = await enter(clinic)
    await begin(parent, proxy)
    read = await _chosen(parent)
    begun, token = re.findall(r'name="chosen" value="([^"]+)"', read)[0], parent.token
    await parent.send("/acting-for", whom="0")
    late = await parent.send("/my-record-access/refuse", token=token, chosen=begun)
    assert late.status_code == 400
    assert "you act as somebody else" in late.text
    await parent.get("/my-record-access")
    assert (await parent.send("/my-record-access/refuse", chosen=begun)).status_code == 400
    assert await _consents(clinic) == 0
    own = re.findall(r'name="chosen" value="([^"]+)"', await _chosen(parent))[0]
    assert (await parent.send("/my-record-access/refuse", chosen=own)).status_code == 303
    assert await _consents(clinic) == 1
    assert (await parent.send("/sign-out", token=token)).status_code == 303, "from any tab"


async def _chosen(parent: Browser) -> str:
    await parent.get("/my-record-access/refuse?institution=all")
    return (await parent.send("/my-record-access/refuse", institution="all")).text


async def _consents(clinic: Clinic) -> int:
    desk = Actor("centre", "operator", "c", "centre")
    records = clinic.guard.records(desk, purpose="HSYSADMIN", request_id="r")
    asked = parse_query("Consent", [], strict=True, zone=ZONE, limits=QueryLimits())
    return len((await records.search(asked)).matches)


async def test_who_may_act_for_another_chooses_after_signing_in(clinic: Clinic) -> None:
    await enter(clinic)
    browser = Browser(clinic.pages())
    answer = await clinic.walk_in(browser, "resident")
    assert answer.headers["location"] == "/acting-for"
    assert "欧阳明月" in (await browser.get("/acting-for")).text
    await browser.client.aclose()


async def test_nobody_acts_for_whom_they_do_not(clinic: Clinic) -> None:
    proxy = await enter(clinic)
    stranger = Actor("stranger", "resident", "陌生人", "", str(proxy.for_person))
    await clinic.add(stranger)
    other = await clinic.enter("stranger")
    await other.get("/acting-for")
    for whom in (str(proxy.proxy), "999999", "9" * 40, "-1", "x", "１"):
        assert (await other.send("/acting-for", whom=whom)).status_code in {403, 404}
        assert (await other.send("/acting-for", whom="0", end="77")).status_code == 404
    desk = await clinic.enter("centre")
    await desk.get("/account")
    assert (await desk.send("/acting-for", whom=str(proxy.proxy))).status_code == 403
    assert (await desk.get("/acting-for")).status_code == 403
    await other.client.aclose()
    await desk.client.aclose()


async def test_a_proxy_that_is_ended_ends_with_the_next_request_and_both_are_told(
    clinic: Clinic, parent: Browser
) -> None:
    proxy = await enter(clinic)
    ward = Actor("ward", "resident", "欧阳明月", "", str(proxy.for_person))
    await clinic.add(ward)
    await begin(parent, proxy)
    child = clinic.ids["hospital-a crowd"]
    assert (await parent.get(f"/person/{child}")).status_code == 200
    hers = await clinic.enter("ward")
    page = await hers.get("/acting-for")
    assert "张伟" in page.text, "theirs to know who acts for them"
    assert "张伟" in (await hers.get("/acting-for.csv")).text
    assert (await hers.send("/acting-for", end=str(proxy.proxy))).status_code == 303
    assert (await parent.get(f"/person/{child}")).status_code == 404
    assert "has ended" in (await parent.get("/account")).text
    assert "Your acting for another person has ended" in (await parent.get("/notices")).text
    assert "Somebody who acted for you does so no more" in (await hers.get("/notices")).text
    assert await clinic.sign_in.acting.tell_ended() == 0, "once"
    await hers.client.aclose()


async def test_it_ends_by_itself_and_the_guard_does_not_believe_anybody(
    clinic: Clinic, parent: Browser
) -> None:
    proxy = await enter(clinic)
    acting = Acting(proxy.proxy, str(proxy.for_person), LATER, frozenset({"read"}))
    asked = Actor("resident", "guardian", "张伟", "", str(proxy.person), acting=acting)
    last = await person_asked_for(clinic.pool, asked, proxy.until - 1, "own_record")
    assert last == proxy.for_person
    with pytest.raises(Forbidden):
        await person_asked_for(clinic.pool, asked, proxy.until, "own_record")
    other = msgspec.structs.replace(asked, acting=msgspec.structs.replace(acting, proxy=99))
    with pytest.raises(Forbidden):
        await person_asked_for(clinic.pool, other, proxy.until - 1, "own_record")
    await begin(parent, proxy)
    await clinic.pool.execute("update trust.proxy set until = since + 1")
    assert (await parent.get(f"/person/{clinic.ids['hospital-a crowd']}")).status_code == 404
    assert await clinic.sign_in.acting.tell_ended() == 1
    assert "Your acting for another person has ended" in (await parent.get("/account")).text


async def test_a_proxy_is_for_its_scope_alone(clinic: Clinic) -> None:
    proxy = await enter(
        clinic, kind="entrusted", evidence="power-of-attorney", born=None, until=LATER
    )
    assert proxy.scope == ["read"]
    acting = Acting(proxy.proxy, str(proxy.for_person), proxy.until, frozenset(proxy.scope))
    actor = Actor("resident", "guardian", "张伟", "", str(proxy.person), acting=acting)
    now = START
    assert await person_asked_for(clinic.pool, actor, now, "own_record") == proxy.for_person
    assert await person_asked_for(clinic.pool, actor, now, "consent") is None
    await clinic.pool.execute("update trust.proxy set scope = '{consent}'")
    assert await person_asked_for(clinic.pool, actor, now, "own_record") is None
    await clinic.pool.execute("update trust.account set real_name_level = 1")
    assert await person_asked_for(clinic.pool, actor, now, "consent") is None
    own = Actor("resident", "resident", "张伟", "", str(proxy.person))
    assert await person_asked_for(clinic.pool, own, now, "own_record") is None


async def test_smart_standalone_launch_offers_oneself_and_ones_wards(clinic: Clinic) -> None:
    stage = Stage(clinic)
    await stage.server.clients.add(app())
    proxy = await enter(clinic)
    browser = await clinic.enter("resident", stage.pages)
    page = await browser.get(stage.wish())
    assert "For whom?" in page.text
    assert re.findall(r'name="whom" value="(\d+)"', page.text) == ["0", str(proxy.proxy)]
    refused = await browser.send("/oauth/authorize", state=state_of(page), whom="999")
    assert refused.status_code == 403
    asking = await browser.send("/oauth/authorize", state=state_of(page), whom=str(proxy.proxy))
    assert "欧阳明月" in asking.text
    keep = {f"keep-{at}": "1" for at in range(asking.text.count('name="keep-'))}
    done = await browser.send("/oauth/authorize", state=state_of(asking), say="approve", **keep)
    told = (await stage.exchange(went_back(done)["code"])).json()
    child = clinic.ids["hospital-a crowd"]
    assert told["patient"] == child
    mine = bearing(told["access_token"])
    found = await stage.api.get("/fhir/Patient", headers=mine)
    assert [one["resource"]["id"] for one in found.json()["entry"]] == [child]
    own = clinic.ids["hospital-a man"]
    assert (await stage.api.get(f"/fhir/Patient/{own}", headers=mine)).status_code == 404
    await Proxies(clinic.pool, ZONE).end(proxy.proxy, at=clinic.sign_in.acting._now())
    stage.server.tokens.announce()
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.renew(told["refresh_token"])).status_code == 400
    page = await browser.get(stage.wish())
    assert "For whom?" not in page.text
    await browser.client.aclose()


async def test_the_database_keeps_a_proxy_apart_from_its_holders_own_errands(
    clinic: Clinic,
) -> None:
    proxy = await enter(clinic)
    own = Actor("resident", "resident", "张伟", "", str(proxy.person))
    acting = Acting(proxy.proxy, str(proxy.for_person), proxy.until, frozenset(proxy.scope))
    ward = await clinic.actors.by_code("resident", acting=acting)
    assert ward is not None
    assert (ward.role, ward.acting) == ("guardian", acting)

    def errands(actor: Actor) -> Any:
        return clinic.guard.records(actor, purpose="PATRQT", request_id="r").errands

    number = await errands(ward).begin("export", Mandate("address", {}), open_max=2)
    assert (await errands(ward).find(number)).mandate.address == "address"
    with pytest.raises(NotFound):
        await errands(own).find(number)
