from __future__ import annotations

from quanmin.fhir.table import load_table
from quanmin.web.kinds import event_types, kind_named, kind_of, kinds


def test_a_kind_lists_types_that_there_are_and_each_is_of_one_kind() -> None:
    assert set(event_types()) <= load_table().types.keys()
    assert len(event_types()) == len(set(event_types()))
    assert kind_of("Immunization") == "vaccination"
    assert kind_of("Basic") == "document"


def test_a_word_that_names_no_kind_filters_nothing() -> None:
    assert kind_named("nonsense") is None
    assert kind_named(kinds()[0].name) == kinds()[0]
