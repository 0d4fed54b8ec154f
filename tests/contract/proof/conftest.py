"""What proofs examine: HL7's test package in a store of its own, and what it says by itself.

Modules that only ask share it: they are of one group, `oracle`, and so of one process.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract.proof.examination import Examination, examined

from quanmin.base.cluster import Cluster


@pytest.fixture(scope="session")
def examination(postgres: Cluster) -> Iterator[Examination]:
    with examined(postgres) as made:
        yield made
