"""Registers of institutions, staff and posts, as a security administrator keeps them."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
from stores import START

from quanmin.demo.numbering import credit_code
from quanmin.trust import Actor, Actors, Guard, GuardedRecords, Role
from quanmin.trust.registers import Post, Posts
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.licensing import licence_rule

CODE, OTHER = credit_code("580101", 7), credit_code("580102", 8)
CREDIT = "https://quanmin.example/fhir/sid/credit-code"
ADDRESS, LICENCE = institution_rule().address, licence_rule().address
LONG_AGO = START - 10 * 365 * 86_400_000_000


def as_(guard: Guard, role: Role, sender: str, code: str | None = None) -> GuardedRecords:
    """The records through the eyes of somebody in this role."""
    actor = Actor(code or f"{role}-{sender}", role, "Somebody", sender)
    return guard.records(actor, purpose="TREAT", request_id="r-1")


def organization(
    code: str = CODE, level: str = "county", *, kind: str = "A", **more: Any
) -> dict[str, Any]:
    """An institution whose actors send as `sender-<its code>`; None takes a member out."""
    types = {ADDRESS.kind: kind, ADDRESS.level: level, ADDRESS.grade: "2"}
    body = {
        "resourceType": "Organization",
        "identifier": [
            {"system": CREDIT, "value": code},
            {"system": ADDRESS.sender, "value": f"sender-{code}"},
        ],
        "name": "清河县人民医院",
        "type": [{"coding": [{"system": url, "code": code}]} for url, code in types.items()],
        **more,
    }
    return {name: value for name, value in body.items() if value is not None}


def qualification(
    kind: str,
    scope: str | None,
    start: str | None = "2020-01-01",
    end: str | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """A licence as a Practitioner states it."""
    period = {name: day for name, day in (("start", start), ("end", end)) if day is not None}
    stated = {LICENCE.scope: scope, LICENCE.state: state}
    return {
        "code": {"coding": [{"system": LICENCE.kind, "code": kind}]},
        "extension": [
            {"url": url, "valueCode": code} for url, code in stated.items() if code is not None
        ]
        or None,
        "period": period,
    }


def practitioner(*qualifications: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One of the staff with these licences."""
    held = [{name: value for name, value in one.items() if value} for one in qualifications]
    return {
        "resourceType": "Practitioner",
        "name": [{"text": "李医生"}],
        **({"qualification": held} if held else {}),
        **more,
    }


def practice(practitioner_id: str, organization_id: str, **more: Any) -> dict[str, Any]:
    """That somebody of the staff practises at an institution."""
    return {
        "resourceType": "PractitionerRole",
        "practitioner": {"reference": f"Practitioner/{practitioner_id}"},
        "organization": {"reference": f"Organization/{organization_id}"},
        **more,
    }


class Books:
    """The registers of a test's node."""

    def __init__(self, guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.guard = guard
        self.pool = pool
        self.posts = Posts(pool)
        self.keeper = as_(guard, "security_administrator", "register")

    async def enter(self, body: dict[str, Any]) -> str:
        """A new entry; gives its id."""
        outcome = await self.keeper.create(body["resourceType"], json.dumps(body).encode())
        return outcome.stored.id

    async def put(self, id_: str, body: dict[str, Any]) -> str:
        """An entry under an id, new or as it is: for tests that share a node; gives the id."""
        await self.change(id_, body)
        return id_

    async def change(self, id_: str, body: dict[str, Any]) -> None:
        """Another version of an entry."""
        raw = json.dumps({**body, "id": id_}).encode()
        await self.keeper.update(body["resourceType"], id_, raw)

    async def actor(self, code: str, role: Role, sender: str = f"sender-{CODE}") -> GuardedRecords:
        """A new actor, and the records as the actor sees them."""
        await Actors(self.pool).enrol(Actor(code, role, "Somebody", sender))
        return as_(self.guard, role, sender, code)

    async def appoint(self, actor: str, *, practitioner_id: str | None = None, **more: Any) -> Post:
        """A post of the actor, since long ago unless another moment is given."""
        key = None
        if practitioner_id is not None:
            key = self.guard.store.context.rid_of("Practitioner", practitioner_id)
        since = more.pop("since", LONG_AGO)
        return await self.posts.appoint(
            actor, practitioner=key, since=since, at=START, by="test", **more
        )
