"""Fills the registers of a demonstration: the invented institutions and their staff, posts of its
accounts, an application and a device that are admitted, a mother who acts for her child, and the
codes that its forms have chosen.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec
from rich.console import Console

from quanmin.base.problems import Conflict
from quanmin.demo.province import Province
from quanmin.demo.register_sheets import (
    ParentAndChild,
    first_of_staff,
    institution_sheet,
    staff_sheet,
)
from quanmin.demo.vocabulary import terminology
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import encode
from quanmin.node.demo_actors import HOSPITALS
from quanmin.node.first_actors import OPERATOR
from quanmin.node.register_loading import load_parcels
from quanmin.node.server import Node
from quanmin.node.settings import Settings
from quanmin.records.model import Stored
from quanmin.trust import Guard
from quanmin.trust.registers import Admissions, Application, Posts, Proxies
from quanmin.trust.registers.licensing import licence_rule
from quanmin.trust.registers.sheets import institutions, practitioners

_DAY: Final = 86_400_000_000
_BY: Final = "demo"
_PARTIES: Final = (
    Application(
        party="demo-growth-chart",
        kind="app",
        name="儿童生长曲线",
        purpose="growth curves of children",
        members=(("client", "demo-growth-chart"),),
    ),
    Application(
        party="demo-pressure-gauge",
        kind="device",
        name="村卫生室血压计",
        purpose="blood pressure measured in village clinics",
        members=(("actor", "demo-pressure-gauge"),),
    ),
)
# Account, duties, and the department whose first doctor of the register it is.
_POSTS: Final = (
    ("demo-clerk", ("registrar",), ""),
    ("demo-doctor", ("family_doctor",), "心血管内科"),
    ("demo-prevention", ("immunization", "infection_report"), "儿科"),
    ("demo-mental", ("mental_health",), ""),
    ("demo-cdc", ("immunization", "infection_report"), ""),
    ("demo-supervisor", (), ""),
)


ACCOUNTS_WITH_POSTS: Final = frozenset(account for account, *_ in _POSTS)


async def fill_registers(node: Node, province: Province, console: Console) -> None:
    """Enter institutions and staff, and admit the parties; what is there stays, so that a
    demonstration can go on.
    """
    records = node.guard.records(OPERATOR, purpose="HOPERAT", request_id="demo")
    files = institutions(institution_sheet(province)), practitioners(staff_sheet(province))
    with console.status("filling the registers ..."):
        for parcels in files:
            await load_parcels(records, parcels, lambda *_: None, is_rehearsal=False)
    for party in _PARTIES:
        with suppress(Conflict):
            await _admit(node, party)
    await fill_terminology(node.guard, node.settings)
    console.print(f"{len(files[0])} institutions and {len(files[1])} staff are registered.")


async def fill_terminology(guard: Guard, settings: Settings) -> None:
    """Store the codes of the province; what is there stays."""
    records = guard.records(OPERATOR, purpose="HOPERAT", request_id="demo")
    for resource in terminology():
        type_, asked = resource["resourceType"], [("url", resource["url"])]
        unless = parse_query(type_, asked, strict=True, zone=settings.zone, limits=settings.search)
        await records.create(type_, encode(resource), if_none_exist=unless)


async def fill_posts(node: Node, province: Province) -> None:
    """Give the accounts of staff their posts, some as doctors of the register."""
    register, now = Posts(node.pool), node.guard.now()
    for actor, duties, department in _POSTS:
        if await register.history(actor):
            continue
        practitioner = None
        if department:
            staff = first_of_staff(province, HOSPITALS[0].sender, department)
            system = licence_rule().address.staff
            found = await _found(node, "Practitioner", f"{system}|{staff.number}")
            practitioner = None if found is None else found.rid
        since = now - 30 * _DAY
        await register.appoint(
            actor, duties=duties, practitioner=practitioner, since=since, at=now, by=_BY
        )


async def enter_parent(node: Node, both: ParentAndChild) -> None:
    """That the mother acts for her child, unless it is entered."""
    parent, child = await person_with(node, both.parent), await person_with(node, both.child)
    if parent is None or child is None:
        return
    with suppress(Conflict):
        await Proxies(node.pool, node.settings.zone).enter(
            parent,
            child,
            kind="parent",
            evidence="birth-certificate",
            born=both.born,
            at=node.guard.now(),
            by=_BY,
        )


async def person_with(node: Node, number: str) -> int | None:
    """The person with this identity number; None when nobody is registered with it."""
    patient = await _found(node, "Patient", number)
    if patient is None:
        return None
    async with node.guard.store.glancing() as connection:
        return await node.guard.people.person_of(connection, patient.rid)


async def _found(node: Node, type_: str, identifier: str) -> Stored | None:
    settings = node.settings
    asked: list[Any] = [("identifier", identifier)]
    query = parse_query(type_, asked, strict=True, zone=settings.zone, limits=settings.search)
    records = node.guard.records(OPERATOR, purpose="HSYSADMIN", request_id="demo")
    hits = await records.search(msgspec.structs.replace(query, count=1))
    return hits.matches[0] if hits.matches else None


async def _admit(node: Node, party: Application) -> None:
    register, now = Admissions(node.pool), node.guard.now()
    known = await node.pool.fetchval(
        "select true from trust.admission where party = $1", party.party
    )
    if known:
        return
    made = await register.apply(party, at=now, by="demo-desk")
    await register.review(
        made.admission, is_recommended=True, opinion="invented, for showing", at=now, by=_BY
    )
    await register.admit(
        made.admission,
        agreement="demo-2026-1",
        since=now,
        until=now + 2 * 365 * _DAY,
        at=now,
        by=_BY,
    )
