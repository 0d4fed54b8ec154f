"""Custom search parameters with the expressions of R4's own find what an independent reading of R4
says of these.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from contract.proof.examination import IS_WHOLE, Examination, disagreement, examined
from contract.proof.oracle import Definition
from contract.proof.stage import Stage
from definitions import definition, index_all

from quanmin.base.cluster import Cluster
from quanmin.fhir.table import load_table

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("custom")]

SEED = 20261122
PARAMETERS = 60 if IS_WHOLE else 20
VALUES = 2


@pytest.fixture(scope="module")
def examination(postgres: Cluster) -> Iterator[Examination]:
    """One of this module's own, since it stores parameters among what is asked for."""
    with examined(postgres) as made:
        yield made


def _chosen(examination: Examination) -> list[Definition]:
    """So many parameters of R4 at random, of every kind."""
    dice = random.Random(SEED)  # noqa: S311 - the same each time
    every = [
        one
        for several in examination.definitions.values()
        for one in several
        if _can_be_defined(one)
    ]
    dice.shuffle(every)
    return every[:PARAMETERS]


def _can_be_defined(one: Definition) -> bool:
    """A code of one system is known by R4's definition of its element, which a custom parameter
    does not look at.
    """
    param = load_table().types[one.type].params[one.name]
    return not one.name.startswith("_") and param.implied_system is None


def _define(stage: Stage, chosen: list[Definition]) -> None:
    bodies = []
    for number, one in enumerate(chosen):
        param = load_table().types[one.type].params[one.name]
        body = definition(f"x{number}", param.kind, param.expression, one.type, id=f"x{number}")
        body["target"] = list(param.targets)
        body = {name: value for name, value in body.items() if value}
        bodies.append(("SearchParameter", f"x{number}", json.dumps(body).encode()))
    stage.put(bodies)
    stage.runner.run(index_all(stage.pool, stage.context))
    stage.runner.run(stage.guard.look_again())


def test_custom_parameters_find_what_those_of_r4_find(examination: Examination) -> None:
    chosen = _chosen(examination)
    _define(examination.stage, chosen)
    asked, wrong = 0, []
    for number, one in enumerate(chosen):
        for question in examination.questions(one, VALUES):
            name, value = question.pair
            renamed = (f"x{number}{name[len(one.name) :]}", value)
            found = examination.ids(one.type, [renamed])
            asked += 1
            text = f"{one.type}.{one.name} as {renamed[0]}"
            if said := disagreement(text, found, question.sure, question.possible):
                wrong.append(said)
    assert asked > 8 * PARAMETERS
    assert not wrong, "\n" + "\n".join(wrong)
