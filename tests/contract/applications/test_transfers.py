"""The pages of transfers abroad, over a real store."""

from __future__ import annotations

import msgspec
from clinic import Clinic

from quanmin.trust import Actor
from quanmin.trust.lifecycle.activities import ProcessingRegister
from quanmin.trust.lifecycle.activity_rules import activity_rules

KEEPER = Actor("keeper", "security_administrator", "Keeper", "register")
APPROVAL = {
    "kind": "sender",
    "member": "hospital-b",
    "ground": "contract",
    "reference": "SC-17",
    "activity": "abroad",
    "types": "Observation Patient",
    "records": "5",
    "from": "2026-11-01",
    "until": "2027-10-31",
}


async def test_a_recipient_is_declared_approved_and_stopped_on_pages(clinic: Clinic) -> None:
    await clinic.add(KEEPER)
    keeper = await clinic.enter("keeper")
    doctor = await clinic.enter("hospital-b")
    assert (await doctor.get("/people")).status_code == 200
    await keeper.get("/transfers/declare")
    abroad = {"kind": "sender", "member": "hospital-b", "country": "sg"}
    wrong = await keeper.send("/transfers/declare", **(abroad | {"country": "CN"}))
    assert wrong.status_code == 422
    for kind, member, said in (
        ("sender", "register", "name the accounts"),
        ("actor", "keeper", "nobody shuts themselves out"),
    ):
        shut = await keeper.send("/transfers/declare", kind=kind, member=member, country="SG")
        assert (shut.status_code, said in shut.text) == (422, True)
    assert (await keeper.send("/transfers/declare", **abroad)).status_code == 303
    assert (await doctor.get("/people")).status_code == 403
    desk = clinic.guard.records(KEEPER, purpose="HOPERAT", request_id="r").desk(ProcessingRegister)
    whole = activity_rules().activity[0]
    entry = msgspec.structs.replace(whole, owner="the commission", country="SG")
    await keeper.get("/transfers/approve")
    assert (await keeper.send("/transfers/approve", **APPROVAL)).status_code == 422
    await desk.write("abroad", entry, seen=0)
    for faulty in ({"records": "many"}, {"until": "2033-01-01"}, {"types": "Nothing"}):
        answer = await keeper.send("/transfers/approve", **(APPROVAL | faulty))
        assert answer.status_code == 422
        assert "SC-17" in answer.text
    first = clinic.guard.store.context.instant(clinic.guard.now())[:10]
    now = APPROVAL | {"from": first, "until": f"{int(first[:4]) + 1}{first[4:]}"}
    assert (await keeper.send("/transfers/approve", **now)).status_code == 303
    assert (await doctor.get("/people")).status_code == 200
    listed = (await keeper.get("/transfers?lang=zh")).text
    assert "个人信息出境标准合同备案" in listed
    sheet = (await keeper.get("/transfers.csv")).text.splitlines()
    assert sheet[1].startswith("sender:hospital-b,SG,1,")
    number = await clinic.pool.fetchval("select transfer from trust.transfer")
    for path in ("x", "99", "9" * 30):
        assert (await keeper.get(f"/transfers/{path}/withdraw")).status_code == 404
    address = f"/transfers/{number}/withdraw"
    await keeper.get(address)
    asked = await keeper.send(address, reason="the contract has ended")
    assert asked.status_code == 200
    sure = await keeper.send(address, reason="the contract has ended", confirmed="1")
    assert sure.status_code == 303
    assert (await doctor.get("/people")).status_code == 403
    actions = await clinic.pool.fetch(
        "select action from trust.access where actor = 'keeper' and action like '%transfer'"
    )
    assert {row["action"] for row in actions} == {"approve-transfer", "withdraw-transfer"}
    for browser in (keeper, doctor):
        await browser.client.aclose()


async def test_who_only_reads_the_register_changes_no_transfer(clinic: Clinic) -> None:
    await clinic.add(Actor("watch", "audit_administrator", "Watch", ""))
    browser = await clinic.enter("watch")
    page = await browser.get("/transfers")
    assert page.status_code == 200
    assert "/transfers/declare" not in page.text
    for path in ("declare", "approve", "1/withdraw"):
        assert (await browser.get(f"/transfers/{path}")).status_code == 403
    await browser.client.aclose()
