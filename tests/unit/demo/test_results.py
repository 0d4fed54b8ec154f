from __future__ import annotations

import json
from collections import defaultdict

from quanmin.demo.province import Province

BLOOD = {"883-9", "10331-7"}


def test_everybody_has_one_blood_type_and_laboratories_send_ranges() -> None:
    types: dict[tuple[str, str], set[str]] = defaultdict(set)
    places: dict[str, int] = defaultdict(int)
    province = Province(1, 2000)
    for number in range(40):
        patients = {}
        entries = [
            entry
            for bundle in province.household_bundles(number)
            for entry in json.loads(bundle.body)["entry"]
        ]
        for entry in entries:
            resource = entry["resource"]
            if resource["resourceType"] == "Patient":
                patients[entry["fullUrl"]] = resource
            if resource["resourceType"] != "Observation":
                continue
            code = resource["code"]["coding"][0]["code"]
            category = resource["category"][0]["coding"][0]["code"]
            if code in BLOOD:
                patient = patients[resource["subject"]["reference"]]
                person = f"{number} {patient.get('birthDate')} {patient.get('gender')}"
                types[person, code].add(resource["valueCodeableConcept"]["coding"][0]["code"])
                places[person] += 1
            elif category == "laboratory":
                assert resource["referenceRange"], code
    assert len(types) > 10
    assert max(places.values()) > len(BLOOD), "somebody was admitted at two institutions"
    twins = [one for one, answers in types.items() if len(answers) > 1]
    assert not twins
