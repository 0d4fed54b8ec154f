from __future__ import annotations

import msgspec
import pytest

from quanmin.api.interactions import INTERACTIONS, Interaction
from quanmin.api.routing import Routes, Undeclared
from quanmin.base.problems import Malformed, NotFound
from quanmin.fhir.table import load_table


def routes() -> Routes:
    return Routes(INTERACTIONS, load_table().types.keys())


@pytest.mark.parametrize("interaction", INTERACTIONS, ids=lambda one: f"{one.method} {one.shape}")
def test_a_door_with_an_interaction_open_to_nobody_knows_whom_does_not_open(
    interaction: Interaction,
) -> None:
    undeclared = msgspec.structs.replace(interaction, access=None)
    with pytest.raises(Undeclared):
        Routes([undeclared], ())


@pytest.mark.parametrize(
    ("parts", "methods"),
    [
        ([], {"GET", "HEAD", "POST"}),
        (["metadata"], {"GET", "HEAD"}),
        (["_history"], {"GET", "HEAD"}),
        (["_search"], {"POST"}),
        (["Patient"], {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        (["Patient", "_search"], {"POST"}),
        (["Patient", "_history"], {"GET", "HEAD"}),
        (["Patient", "1"], {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        (["Patient", "1", "_history"], {"GET", "HEAD"}),
        (["Patient", "1", "_history", "2"], {"GET", "HEAD"}),
        (["Patient", "1", "Observation"], {"GET", "HEAD"}),
        (["Patient", "1", "*"], {"GET", "HEAD"}),
        (["Patient", "1", "Observation", "_search"], {"POST"}),
        (["$meta"], {"GET", "HEAD", "POST"}),
        (["Patient", "$meta"], {"GET", "HEAD", "POST"}),
        (["Patient", "1", "$everything"], {"GET", "HEAD", "POST"}),
        (["Patient", "1", "$meta-add"], {"POST"}),
    ],
)
def test_each_address_takes_its_methods(parts: list[str], methods: set[str]) -> None:
    assert set(routes().find(parts)) == methods


@pytest.mark.parametrize(
    "parts",
    [
        ["patient"],
        ["Patients", "1"],
        ["Element", "1"],
        ["Patient", "1", "Nothing"],
        ["Patient", "1", "_search"],
        ["Patient", "1", "Observation", "2", "3"],
        ["Patient", "1", "_history", "2", "3"],
        ["Patient", "$everything"],
        ["Group", "1", "$everything"],
        ["Patients", "1", "$meta"],
        ["Patients", "$meta"],
        ["$everything"],
        ["Patient", "1", "_history", "1", "2", "$meta"],
        ["_page", "1"],
        ["metadata", "1"],
        ["", "1"],
    ],
)
def test_an_address_that_is_none_is_not_found(parts: list[str]) -> None:
    with pytest.raises(NotFound):
        routes().find(parts)


@pytest.mark.parametrize("id_", ["a b", "王", "x" * 65, "a/b", "a'--", ""])
def test_an_id_that_is_none_is_refused(id_: str) -> None:
    with pytest.raises(Malformed):
        routes().find(["Patient", id_])
