"""Random Consents, and what the text of R4 (consent.html) makes of them, record by record: nothing
here knows of grants.

A provision within another is an exception to it. Of one person's Consents the one given last holds;
a permission opens what is of a kind that is kept apart only if it names the kind.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
from persons import asking, consent, day, query, registered, to_institution, visit
from stores import coded, open_context, open_guard

from quanmin.trust import Guard

HL7: Final = "http://terminology.hl7.org/CodeSystem"
KINDS: Final = ("HIV", "PSY")
WITHIN: Final = {"ETREAT": "TREAT", "COC": "TREAT"}
DAYS: Final = (-300, -200, -100)

Provision = dict[str, Any]


class Record(msgspec.Struct, frozen=True):
    """What of a record another institution's Consent may name."""

    type: str
    id: str
    code: str
    days: int
    kinds: frozenset[str] = frozenset()


class Asker(msgspec.Struct, frozen=True):
    """An institution that asks for a purpose; one that treats needs no permission."""

    institution: str
    purpose: str
    treats: bool


def random_consent(chance: random.Random, patient: str, records: list[Record]) -> dict[str, Any]:
    """A Consent of the person, with provisions up to three deep."""
    root = _provision(chance, records, 1)
    status = chance.choice(["active"] * 6 + ["rejected", "inactive"])
    body = consent(patient, status=status, **root)
    body["dateTime"] = day(chance.randrange(-40, -1))
    policy = chance.choice([None, None, None, "OPTIN", "OPTOUT"])
    if policy is not None:
        body["policyRule"] = {"coding": [{"system": f"{HL7}/v3-ActCode", "code": policy}]}
        if chance.random() < 0.5 and len(root) > 1:
            del body["provision"]["type"]
    return body


def _provision(
    chance: random.Random, records: list[Record], depth: int, around: Any = None
) -> Provision:
    found: Provision = {"type": chance.choice(["permit", "deny"])}
    if chance.random() < 0.4:
        found["actor"] = to_institution(*chance.sample("acd", chance.choice([1, 2])))
    if chance.random() < 0.3:
        code = chance.choice(["TREAT", "ETREAT", "HRESCH"])
        found["purpose"] = [{"system": f"{HL7}/v3-ActReason", "code": code}]
    if chance.random() < 0.3:
        found["class"] = [{"code": chance.choice(["Observation", "Condition"])}]
    if chance.random() < 0.25:
        code = chance.choice(sorted({one.code for one in records}))
        # Another than named around it is refused.
        found["code"] = around or [{"coding": [{"system": "urn:codes", "code": code}]}]
    if chance.random() < 0.25:
        first = chance.choice(DAYS)
        found["dataPeriod"] = chance.choice(
            [{"start": day(first)}, {"end": day(first)}, {"start": day(first), "end": day(-90)}]
        )
    if chance.random() < 0.1:
        record = chance.choice(records)
        address = {"reference": f"{record.type}/{record.id}"}
        found["data"] = [{"meaning": "instance", "reference": address}]
    if chance.random() < 0.15:
        found["period"] = chance.choice([{"end": day(-1)}, {"start": day(-30), "end": day(300)}])
    if depth == 1 and chance.random() < 0.3:
        found["securityLabel"] = [{"system": f"{HL7}/v3-ActCode", "code": chance.choice(KINDS)}]
    if depth < 3 and chance.random() < 0.5:
        count = chance.choice([1, 1, 2])
        outer = found.get("code", around)
        found["provision"] = [_provision(chance, records, depth + 1, outer) for _ in range(count)]
    return found


def is_shown(consents: list[dict[str, Any]], asker: Asker, record: Record) -> bool:
    """Whether an institution that has not sent the record itself is shown it."""
    slots = sorted(record.kinds) or [""]
    decided = [_decided(consents, asker, record, slot) for slot in slots]
    if record.kinds or not asker.treats:
        return all(one == "permit" for one in decided)
    if decided == ["none"]:
        taken_back = _matching(consents, asker, record, "", "inactive")
        return not any(effect == "permit" for _, _, effect in taken_back)
    return decided == ["permit"]


def _decided(consents: list[dict[str, Any]], asker: Asker, record: Record, slot: str) -> str:
    said = [*_matching(consents, asker, record, slot, "active")]
    refused = _matching(consents, asker, record, slot, "rejected")
    said += [(moment, depth, "deny") for moment, depth, effect in refused if effect == "permit"]
    highest = max(said, key=lambda one: (one[0], one[1], one[2] == "deny"), default=None)
    return "none" if highest is None else highest[2]


def _matching(
    consents: list[dict[str, Any]], asker: Asker, record: Record, slot: str, status: str
) -> Iterator[tuple[str, int, str]]:
    for one in consents:
        if one["status"] != status:
            continue
        for chain, effect, depth in _said(one):
            named = [set(_kinds(provision)) for provision in chain if _kinds(provision)]
            kinds = named[-1] if named else None
            # One that was refused or taken back names only what would have been permitted.
            opens = effect == "permit" and status != "rejected"
            if kinds is None and opens and slot:
                continue
            if kinds is not None and slot not in kinds:
                continue
            if all(_matches(part, asker, record, status) for part in chain):
                yield one["dateTime"], depth, effect


def _said(one: dict[str, Any]) -> Iterator[tuple[list[Provision], str, int]]:
    root = one["provision"]
    coding = one["policyRule"].get("coding")
    if coding:
        base = {"OPTIN": "permit", "OPTOUT": "deny"}[coding[0]["code"]]
        yield ([] if "type" in root else [root]), base, 0
    yield from _inner([root], 1)


def _inner(chain: list[Provision], depth: int) -> Iterator[tuple[list[Provision], str, int]]:
    if "type" in chain[-1]:
        yield chain, chain[-1]["type"], depth
    for one in chain[-1].get("provision", ()):
        yield from _inner([*chain, one], depth + 1)


def _kinds(provision: Provision) -> list[str]:
    return [one["code"] for one in provision.get("securityLabel", ())]


def _matches(provision: Provision, asker: Asker, record: Record, status: str) -> bool:
    actors = {one["reference"]["identifier"]["value"] for one in provision.get("actor", ())}
    purposes = {one["code"] for one in provision.get("purpose", ())}
    types = {one["code"] for one in provision.get("class", ())}
    codes = {one["coding"][0]["code"] for one in provision.get("code", ())}
    records = {one["reference"]["reference"] for one in provision.get("data", ())}
    mine = {asker.purpose, WITHIN.get(asker.purpose, asker.purpose)}
    return (
        (not actors or asker.institution in actors)
        and (not purposes or not purposes.isdisjoint(mine))
        and (not types or record.type in types)
        and (not codes or record.code in codes)
        and (not records or f"{record.type}/{record.id}" in records)
        and _is_within(provision.get("dataPeriod"), day(record.days))
        and (status != "active" or _is_within(provision.get("period"), day(0)))
    )


def _is_within(period: dict[str, str] | None, moment: str) -> bool:
    bounds = period or {}
    return bounds.get("start", moment) <= moment <= bounds.get("end", moment)


ASKERS = (
    Asker("a", "TREAT", treats=True),
    Asker("a", "ETREAT", treats=True),
    Asker("c", "TREAT", treats=False),
    Asker("d", "HRESCH", treats=False),
)


class Ward:
    """A person whom hospital a treats, and what hospital b has recorded of them."""

    def __init__(self, guard: Guard, patient: str, person: str, records: list[Record]) -> None:
        self.guard, self.patient, self.person = guard, patient, person
        self.records = records

    async def shown(self, asker: Asker) -> set[str]:
        """What an asker is shown, found and read one by one alike."""
        role = "doctor" if asker.treats else "institution"
        records = asking(self.guard, role, asker.institution, purpose=asker.purpose)
        found = set()
        for type_ in ("Observation", "Condition"):
            hits = await records.search(query(self.guard, type_, _count="100"))
            found |= {hit.id for hit in hits.matches}
        read = await records.search(query(self.guard, None, _type="Observation,Condition"))
        assert found == {hit.id for hit in read.matches}
        return found


async def open_ward(pool: asyncpg.Pool[asyncpg.Record], folder: Path) -> Ward:
    """The person in a store of their own."""
    guard = open_guard(pool, open_context(folder))
    here, there = await registered(guard, "a"), await registered(guard, "b")
    for other in "cd":
        await registered(guard, other, None)
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    records = []
    for number in range(12):
        type_ = ("Observation", "Condition")[number % 2]
        kinds = frozenset(KINDS[: (0, 0, 1, 2)[number % 4]])
        one = Record(type_, "", f"code-{number % 3}", DAYS[number // 4] + number % 2, kinds)
        body = {
            "resourceType": type_,
            "subject": {"reference": f"Patient/{there.id}"},
            "code": coded(one.code),
            ("recordedDate" if number % 2 else "effectiveDateTime"): day(one.days),
            **({} if number % 2 else {"status": "final"}),
            "meta": {"security": [{"system": f"{HL7}/v3-ActCode", "code": kind} for kind in kinds]},
        }
        if not kinds:
            del body["meta"]
        sent = asking(guard, "institution", "b")
        stored = (await sent.create(type_, json.dumps(body).encode())).stored
        records.append(Record(type_, stored.id, one.code, one.days, kinds))
    person = await pool.fetchval("select person from people.link limit 1")
    return Ward(guard, here.id, str(person), records)


async def compare(ward: Ward, rounds: int, seed: int) -> tuple[int, int]:
    """Ask after each of so many random sets of Consents; gives how much was shown, and asked."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
    resident = asking(ward.guard, "resident", person=ward.person, purpose="PATRQT")
    shown = asked = 0
    for _ in range(rounds):
        written, consents = [], []
        for _ in range(chance.choice([1, 2, 3])):
            body = random_consent(chance, ward.patient, ward.records)
            outcome = await resident.create("Consent", json.dumps(body).encode())
            written.append(outcome.stored.id)
            consents.append(body)
        for asker in ASKERS:
            meant = {one.id for one in ward.records if is_shown(consents, asker, one)}
            assert await ward.shown(asker) == meant, (asker, consents)
            shown, asked = shown + len(meant), asked + len(ward.records)
        for id_ in written:
            await resident.delete("Consent", id_)
    return shown, asked
