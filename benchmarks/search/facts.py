"""What can be asked for, drawn from the node itself: records anywhere in it, in no order."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
from copies import Bundle
from generator import HOST
from node_under_test import NodeUnderTest

from quanmin.fhir.table import load_table
from quanmin.records.rid import id_of
from search.skewed import HALF, HEAVY

LOINC = "http://loinc.org"
_SAMPLE = 1_500
_AT_ONCE = 50
# Rows of pages taken at random; more than are wanted, since a page holds neighbours.
_RIDS = """
    select rid from records.record tablesample system ($1) repeatable (1)
    where type = $2 and rid > 0 and flags & 1 = 0
"""

Record = dict[str, Any]


class Facts:
    """Patients and observations to ask for, and the dice that choose among them.

    The code on half of all records is left out of `codes`, and the patient with a tenth of all is
    nobody's observation: both are asked for by shapes of their own.
    """

    def __init__(
        self, patients: list[Record], observations: list[Record], patient_ids: list[str]
    ) -> None:
        self.dice = random.Random(1)
        self._patient_ids = patient_ids
        self.patients = [one for one in patients if one.get("name")]
        self.observations = [
            one for one in observations if one["subject"]["reference"] != f"Patient/{HEAVY}"
        ]
        frequent = Counter(map(coding, self.observations))
        del frequent[f"{LOINC}|{HALF}"]
        self.codes = sorted(frequent)
        self.measured = [
            one
            for one in self.observations
            if "code" in one.get("valueQuantity", {}) and coding(one) in frequent
        ]

    def patient(self) -> Record:
        """Somebody with a name."""
        return self.dice.choice(self.patients)

    def patient_ids(self, number: int) -> list[str]:
        """Ids of so many different patients, as far as there are."""
        return self.dice.sample(self._patient_ids, min(number, len(self._patient_ids)))

    def observation(self) -> Record:
        """Any observation but the heavy patient's."""
        return self.dice.choice(self.observations)

    def code(self) -> str:
        """A code, each as likely as any other, however many records have it."""
        return self.dice.choice(self.codes)


def drawn_from(node: NodeUnderTest) -> Facts:
    """Facts of a node: a sample of its records, the same for the same node."""
    dice = random.Random(1)
    patient_ids, observation_ids = _ids(node, "Patient", dice), _ids(node, "Observation", dice)
    with client_of(node) as client:
        patients = _read(client, "Patient", patient_ids)
        observations = _read(client, "Observation", observation_ids)
    return Facts(patients, observations, patient_ids)


def told_by(node: NodeUnderTest, bundles: Iterable[Bundle]) -> Facts:
    """Facts of what was loaded into a node: the same for the same bundles whatever ids it gave."""
    patients: dict[str, Record] = {}
    observations = []
    for bundle in bundles:
        for entry in json.loads(bundle.body)["entry"]:
            one = entry["resource"]
            if one["resourceType"] == "Patient" and "identifier" in one:
                patients[entry["fullUrl"]] = one
            elif one["resourceType"] == "Observation":
                observations.append(one)
    with client_of(node) as client:
        for one in patients.values():
            known = one["identifier"][0]
            asked = urlencode({"identifier": f"{known['system']}|{known['value']}"})
            found = client.get(f"Patient?{asked}").raise_for_status().json()["entry"]
            one["id"] = found[0]["resource"]["id"]
    known_ones = [one for one in observations if one["subject"]["reference"] in patients]
    for one in known_ones:
        one["subject"] = {"reference": f"Patient/{patients[one['subject']['reference']]['id']}"}
    everybody = list(patients.values())
    return Facts(everybody, known_ones, [one["id"] for one in everybody])


def client_of(node: NodeUnderTest) -> httpx.Client:
    """A client of the door, as the operator."""
    return httpx.Client(
        base_url=f"http://{HOST}:{node.port}/fhir/",
        headers={"authorization": f"Bearer {node.token('operator')}"},
        timeout=120,
    )


def _ids(node: NodeUnderTest, type_: str, dice: random.Random) -> list[str]:
    """Ids of records of a type; twice as many as are read, for long lists of them."""
    wanted = _SAMPLE * 2
    number = load_table().types[type_].number
    prefix = node.settings.node.id_prefix

    async def rids(connection: asyncpg.Connection[asyncpg.Record]) -> list[int]:
        there = await connection.fetchval(
            "select count(*) from records.record where type = $1 and rid > 0", number
        )
        share = min(100.0, 100.0 * wanted * 3 / max(there, 1))
        return [row["rid"] for row in await connection.fetch(_RIDS, share, number)]

    ids = sorted(id_of(rid, prefix) for rid in node.ask(rids))
    dice.shuffle(ids)
    return ids[:wanted]


def _read(client: httpx.Client, type_: str, ids: list[str]) -> list[Record]:
    found: list[Record] = []
    for start in range(0, min(len(ids), _SAMPLE), _AT_ONCE):
        asked = {"_id": ",".join(ids[start : start + _AT_ONCE]), "_count": _AT_ONCE}
        answer = client.get(f"{type_}?{urlencode(asked)}").raise_for_status().json()
        found += [entry["resource"] for entry in answer.get("entry", [])]
    return sorted(found, key=lambda one: str(one["id"]))


def coding(observation: Record) -> str:
    """System and code of what was observed."""
    first = observation["code"]["coding"][0]
    return f"{first.get('system', '')}|{first['code']}"


def day_of(observation: Record) -> str:
    """The day it was observed."""
    return str(observation["effectiveDateTime"])[:10]
