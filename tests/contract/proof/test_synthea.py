"""All Synthea bundles go in by the guard and come out with nothing lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pytest
from contract.proof.stage import Stage, open_stage
from contract.proof.written import (
    named_by_the_node,
    read,
    references_of,
    without_server_fields,
)
from shared import members

from quanmin.base.cluster import Cluster

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("synthea")]


class Loaded:
    """What was sent, in order, and what the node answered to each entry."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.sent: list[dict[str, Any]] = []
        self.stored: list[tuple[str, str]] = []
        self.names: list[dict[str, str]] = []
        for _, raw in members("synthea_r4_60.tar.xz"):
            self._send(raw)

    def _send(self, raw: bytes) -> None:
        kind, outcomes = self.stage.runner.run(self.stage.records().bundle(raw))
        assert kind == "transaction"
        entries = read(raw)["entry"]
        assert [outcome.status for outcome in outcomes] == [201] * len(entries)
        names = {}
        for entry, outcome in zip(entries, outcomes, strict=True):
            assert outcome.stored is not None
            self.sent.append(entry["resource"])
            self.stored.append((outcome.stored.type, outcome.stored.id))
            names[entry["fullUrl"]] = f"{outcome.stored.type}/{outcome.stored.id}"
        self.names += [names] * len(entries)

    @cached_property
    def found(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every resource as the node gives it out, by type and id."""
        types = sorted({type_ for type_, _ in self.stored})
        return {
            (hit.type, hit.id): read(hit.body or b"")
            for type_ in types
            for hit in self.stage.find(type_, [])
        }


@pytest.fixture(scope="module")
def loaded(postgres: Cluster) -> Iterator[Loaded]:
    with open_stage(postgres) as stage:
        yield Loaded(stage)


def test_every_type_has_as_many_records_as_were_sent(loaded: Loaded) -> None:
    sent = Counter(resource["resourceType"] for resource in loaded.sent)
    assert sum(sent.values()) > 13_000
    assert Counter(type_ for type_, _ in loaded.found) == sent


def test_every_record_comes_back_as_it_was_sent_to_the_last_digit(loaded: Loaded) -> None:
    different = []
    for position, sent in enumerate(loaded.sent):
        names = loaded.names[position]
        expected = without_server_fields(named_by_the_node(sent, names))
        if without_server_fields(loaded.found[loaded.stored[position]]) != expected:
            different.append(loaded.stored[position])
    assert not different


def test_every_reference_leads_to_a_record(loaded: Loaded) -> None:
    stored = {f"{type_}/{id_}" for type_, id_ in loaded.stored}
    references = [
        reference
        for resource in loaded.found.values()
        for reference in references_of(resource)
        if not reference.startswith("#")
    ]
    assert len(references) > 40_000
    assert not {reference for reference in references if reference not in stored}


def test_every_patients_records_are_found_by_the_patient(loaded: Loaded) -> None:
    sent = Counter(
        names[resource["subject"]["reference"]]
        for resource, names in zip(loaded.sent, loaded.names, strict=True)
        if resource["resourceType"] == "Observation"
    )
    for patient, count in sent.items():
        assert len(loaded.stage.find("Observation", [("patient", patient)])) == count


def test_a_changed_digit_would_be_noticed() -> None:
    assert read(b'{"value":5.40}') != read(b'{"value":5.4}')
    assert read(b'{"value":5}') != read(b'{"value":"5.0"}')
