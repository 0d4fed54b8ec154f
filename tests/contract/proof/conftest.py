"""What proofs examine: HL7's test package in a store of its own, and what it says by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract.proof.examination import Examination
from contract.proof.oracle import Evidence, read_json
from contract.proof.resources import package
from contract.proof.stage import open_stage

from quanmin.base.cluster import Cluster


@pytest.fixture(scope="module")
def examination(postgres: Cluster) -> Iterator[Examination]:
    resources = list(package())
    with open_stage(postgres) as stage:
        stage.put(resources)
        yield Examination(stage, Evidence(read_json(raw) for _, _, raw in resources))
