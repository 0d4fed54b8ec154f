"""The register of institutions: who enters what, what it says as of a day, and whom it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from books import ADDRESS, CODE, CREDIT, OTHER, Books, as_, organization
from stores import START, observation, open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Invalid
from quanmin.fhir.dates import interval
from quanmin.records.context import Context
from quanmin.trust import Guard
from quanmin.trust.registers import Institutions
from quanmin.trust.registers.credit_code import code_rule
from quanmin.trust.registers.institutions import Wanted


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return open_context(tmp_path)


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], context: Context) -> Guard:
    return open_guard(pool, context)


def stage(state: str, start: str | None, end: str | None = None, **more: str) -> dict[str, Any]:
    """The extension that says in which state an institution is from a day to another."""
    period = {name: day for name, day in (("start", start), ("end", end)) if day is not None}
    parts: list[dict[str, Any]] = [
        {"url": "state", "valueCode": state},
        {"url": "period", "valuePeriod": period},
    ]
    parts += [{"url": name, "valueCode": code} for name, code in more.items()]
    return {"url": ADDRESS.status, "extension": parts}


def entry(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An institution with these states."""
    return organization(extension=list(stages) or None, **more)


async def register(guard: Guard, body: dict[str, Any]) -> str:
    return await Books(guard, guard.store._pool).enter(body)


async def change(guard: Guard, id_: str, body: dict[str, Any]) -> None:
    await Books(guard, guard.store._pool).change(id_, body)


def noon(context: Context, day: str) -> int:
    found = interval(f"{day}T12:00:00", context.zone)
    assert found is not None
    return found[0]


async def test_the_register_says_what_held_on_a_day(
    guard: Guard, context: Context, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    stages = (
        stage("preparing", "2020-01-01", "2020-12-31"),
        stage("active", "2021-01-01", "2025-06-30", grade="1"),
        stage("active", "2025-07-01"),
    )
    id_ = await register(guard, entry(*stages))
    institutions = Institutions(pool)
    told = {}
    for day in ("2019-12-31", "2020-12-31", "2021-01-01", "2025-06-30", "2025-07-01"):
        found = await institutions.as_of(noon(context, day), count=10)
        told[day] = [(one.state, one.grade) for one in found]
    assert told == {
        "2019-12-31": [],
        "2020-12-31": [("preparing", "2")],
        "2021-01-01": [("active", "1")],
        "2025-06-30": [("active", "1")],
        "2025-07-01": [("active", "2")],
    }
    history = await institutions.history(id_)
    assert [one.state for one in history] == ["preparing", "active", "active"]
    assert {one.region for one in history} == {"580101"}


async def test_an_entry_without_dates_is_dated_by_when_it_was_changed(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    id_ = await register(guard, organization())
    await change(guard, id_, organization())  # says nothing else, so nothing begins
    await change(guard, id_, organization(active=False))
    await change(guard, id_, organization(name="清河县第一人民医院"))
    history = await Institutions(pool).history(CODE)
    assert [one.state for one in history] == ["active", "closed", "active"]
    assert [one.until for one in history[:-1]] == [one.since for one in history[1:]]
    assert history[-1].name == "清河县第一人民医院"


async def test_institutions_are_found_by_what_the_register_says(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await register(guard, organization())
    await register(guard, organization(OTHER, name="柳林100%_卫生院"))
    institutions, now = Institutions(pool), START + 3_600_000_000

    async def codes(**wanted: str) -> list[str]:
        found = await institutions.as_of(now, Wanted(**wanted), count=10)
        return [one.code for one in found]

    assert await codes() == sorted([CODE, OTHER])
    assert await codes(region="580102") == [OTHER]
    assert await codes(region="5801") == sorted([CODE, OTHER])
    assert await codes(region="5801_2") == []
    assert await codes(text="100%_") == [OTHER]
    assert await codes(text=CODE.lower()) == [CODE]
    assert await codes(state="closed") == []
    assert await codes(level="county", kind="A") == sorted([CODE, OTHER])
    first = await institutions.as_of(now, count=1)
    then = await institutions.as_of(now, after=first[0].code, count=1)
    assert [one.code for one in (*first, *then)] == sorted([CODE, OTHER])


async def test_a_closed_institutions_actors_stop_with_the_next_request(guard: Guard) -> None:
    id_ = await register(guard, organization())
    staff = as_(guard, "institution", f"sender-{CODE}")
    await staff.create("Observation", observation())
    await change(guard, id_, organization(active=False))
    with pytest.raises(Forbidden, match="closed"):
        await staff.create("Observation", observation())
    with pytest.raises(Forbidden):
        await staff.history("Observation", None, count=1)
    await change(guard, id_, organization())
    await staff.create("Observation", observation())


@pytest.mark.parametrize(
    "stages",
    [
        (stage("suspended", "2020-01-01"),),
        (stage("active", "2020-01-01", "2026-01-01"),),  # over
        (stage("active", "2999-01-01"),),  # to come
    ],
)
async def test_an_institution_that_is_not_active_today_has_no_actors(
    guard: Guard, stages: tuple[dict[str, Any], ...]
) -> None:
    await register(guard, entry(*stages))
    with pytest.raises(Forbidden):
        await as_(guard, "institution", f"sender-{CODE}").create("Observation", observation())
    await as_(guard, "institution", "another").create("Observation", observation())


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (organization(CODE[:-1] + ("1" if CODE[-1] != "1" else "2")), "Organization.identifier"),
        (organization("X"), "Organization.identifier"),
        (organization(name=None), "Organization.name"),
        (
            organization(type=[{"coding": [{"system": ADDRESS.kind, "code": "Z9"}]}]),
            "Organization.type",
        ),
        (entry(stage("merry", "2020-01-01")), "Organization.extension[0]"),
        (entry(stage("active", None, "2019")), "Organization.extension[0]"),
        (entry(stage("active", "2020", grade="9")), "Organization.extension[0]"),
        (
            entry(stage("active", "2020-01-01"), stage("closed", "2021-01-01")),
            "Organization.extension",
        ),
    ],
)
async def test_what_the_register_does_not_take_is_told_with_its_place(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record], body: dict[str, Any], place: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await register(guard, body)
    assert place in [issue.expression for issue in refused.value.issues]
    assert await pool.fetchval("select count(*) from trust.institution_entry") == 0


async def test_a_code_is_registered_once_and_never_taken_out(guard: Guard) -> None:
    id_ = await register(guard, organization())
    with pytest.raises(Conflict, match=f"Organization/{id_}"):
        await register(guard, organization())
    registrar = as_(guard, "security_administrator", "register")
    with pytest.raises(Conflict, match="not deleted"):
        await registrar.delete("Organization", id_)
    with pytest.raises(Invalid):
        await change(guard, id_, organization(identifier=[]))
    moved = organization()
    moved["identifier"][1]["value"] = "another-sender"
    with pytest.raises(Conflict, match="keeps"):
        await change(guard, id_, moved)


async def test_what_an_institution_sends_is_no_entry(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    id_ = await register(guard, organization())
    other = as_(guard, "institution", "b")
    await other.create("Organization", json.dumps(organization(OTHER)).encode())
    with pytest.raises(Forbidden):
        await other.update(
            "Organization", id_, json.dumps({**organization(active=False), "id": id_}).encode()
        )
    assert [row["code"] for row in await pool.fetch("select code from trust.institution")] == [CODE]


async def test_a_security_administrator_keeps_what_the_operator_entered(guard: Guard) -> None:
    loaded = await as_(guard, "operator", "node").create(
        "Organization", json.dumps(organization()).encode()
    )
    id_, keeper = loaded.stored.id, as_(guard, "security_administrator", "register")
    closed = json.dumps({**organization(active=False), "id": id_}).encode()
    assert (await keeper.update("Organization", id_, closed)).stored.version == 2
    sent = await as_(guard, "institution", "b").create(
        "Organization", json.dumps(organization(OTHER)).encode()
    )
    with pytest.raises(Forbidden):
        await keeper.update(
            "Organization", sent.stored.id, json.dumps(organization(OTHER)).encode()
        )


async def test_a_security_administrator_writes_the_registers_and_nothing_else(
    guard: Guard,
) -> None:
    registrar = as_(guard, "security_administrator", "register")
    id_ = await register(guard, organization())
    site = {
        "resourceType": "Location",
        "name": "东院区",
        "mode": "instance",
        "managingOrganization": {"reference": f"Organization/{id_}"},
    }
    await registrar.create("Location", json.dumps(site).encode())
    with pytest.raises(Forbidden):
        await registrar.create("Observation", observation())
    for role in ("system_administrator", "audit_administrator", "supervisor"):
        with pytest.raises(Forbidden):
            await as_(guard, role, "register").create(
                "Organization", json.dumps(organization(OTHER)).encode()
            )


def test_the_systems_of_the_demonstration_are_known() -> None:
    assert CREDIT in code_rule().systems


async def test_a_change_of_name_holds_from_when_it_is_written(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    stage = {
        "url": ADDRESS.status,
        "extension": [
            {"url": "state", "valueCode": "active"},
            {"url": "period", "valuePeriod": {"start": "2020-01-01"}},
        ],
    }
    id_ = await register(guard, organization(extension=[stage]))
    keeper = as_(guard, "security_administrator", "register")
    for name, level in (("清河县医院", "county"), ("清河市医院", "city")):
        body = {**organization(level=level, name=name, extension=[stage]), "id": id_}
        await keeper.update("Organization", id_, json.dumps(body).encode())
    history = await Institutions(pool).history(CODE)
    told = [(one.name, one.level, one.state) for one in history]
    assert told == [
        ("清河县人民医院", "county", "active"),
        ("清河县医院", "county", "active"),
        ("清河市医院", "city", "active"),
    ]
    assert [one.until for one in history[:2]] == [one.since for one in history[1:]]


@pytest.mark.parametrize("sender", ["node", "register"])
async def test_no_institution_writes_as_those_who_keep_the_registers(
    guard: Guard, sender: str
) -> None:
    body = organization()
    body["identifier"][1]["value"] = sender
    with pytest.raises(Invalid) as refused:
        await register(guard, body)
    assert [issue.expression for issue in refused.value.issues] == ["Organization.identifier"]
