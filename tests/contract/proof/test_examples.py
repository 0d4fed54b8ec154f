"""The official examples of R4 go in by the guard and come out as they were; the faulty ones are
refused, and exactly those.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.proof.resources import Named, examples
from contract.proof.stage import Stage, open_stage
from contract.proof.written import read, without_server_fields

from quanmin.base.cluster import Cluster

pytestmark = [pytest.mark.shared, pytest.mark.slow]

REFUSED = Path(__file__).parent.parent / "fhir" / "refused_examples.json"
EVERY = 12


@pytest.fixture(scope="module")
def stage(postgres: Cluster) -> Iterator[Stage]:
    with open_stage(postgres) as opened:
        yield opened


def refused_files() -> set[str]:
    """The examples that validation is known to refuse, each with its reasons in that file."""
    return set(json.loads(REFUSED.read_text("utf-8")))


def changed(stage: Stage, sent: list[Named]) -> list[str]:
    """Which of these resources the node gives out otherwise than they were sent."""
    return [
        f"{type_}/{id_}"
        for type_, id_, raw in sent
        if without_server_fields(read(stage.body(type_, id_))) != without_server_fields(read(raw))
    ]


def test_a_part_of_the_valid_examples_comes_back_as_it_was_sent(stage: Stage) -> None:
    sent = list(examples())[::EVERY]
    statuses = stage.try_to_put(sent)
    kept = [each for each, status in zip(sent, statuses, strict=True) if status == 201]
    assert len(kept) > 400
    assert set(statuses) <= {201, 422}
    assert not changed(stage, kept)


def test_the_faulty_examples_are_refused_and_leave_nothing(stage: Stage) -> None:
    names = refused_files()
    faulty = [each for each in examples() if f"{each[0]}-{each[1]}.json" in names]
    assert len(faulty) > 10
    assert set(stage.try_to_put(faulty)) == {422}
    for type_, id_, _ in faulty:
        assert not stage.find(type_, [("_id", id_)])


def test_a_resource_that_came_back_otherwise_would_be_noticed(stage: Stage) -> None:
    sent = ("Basic", "one", b'{"resourceType":"Basic","id":"one","code":{"text":"5.40"}}')
    assert stage.try_to_put([sent]) == [201]
    other = sent[2].replace(b"5.40", b"5.4")
    assert changed(stage, [sent]) == []
    assert changed(stage, [("Basic", "one", other)]) == ["Basic/one"]
