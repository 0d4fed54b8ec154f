"""Dictionaries are trained on bodies as they are stored."""

from __future__ import annotations

import json
import random

from train_dictionaries import _stored


def test_samples_refer_to_each_other_and_leave_out_what_a_row_tells() -> None:
    urns = [f"urn:uuid:00000000-0000-0000-0000-00000000000{digit}" for digit in range(3)]
    resources = [
        {"resourceType": "Patient"},
        {"resourceType": "Encounter"},
        {
            "resourceType": "Observation",
            "subject": {"reference": urns[0]},
            "encounter": {"reference": urns[1]},
        },
    ]
    entries = [
        {"fullUrl": urn, "resource": resource}
        for urn, resource in zip(urns, resources, strict=True)
    ]
    bundle = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    chance = random.Random(1)  # noqa: S311 - ids of samples, which nobody has to guess
    samples = dict(_stored(bundle, chance))
    assert list(samples) == ["Patient", "Encounter", "Observation"]
    body = samples["Observation"]
    assert b'"id":"\x01"' in body
    assert b'"lastUpdated":"\x02+08:00"' in body
    assert b'"Patient/\x03"' in body
    assert b'"Encounter/q0000' in body
