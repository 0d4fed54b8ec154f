"""What is told of a problem, with its values apart."""

from __future__ import annotations

import pickle

from quanmin.base.problems import Invalid, Sentence, either, listed


def test_a_sentence_is_the_same_in_another_process() -> None:
    inner = Sentence("%(share)s of the records are done", share="5%")
    said = Sentence("%(n)s%% is too much: %(why)s", n=120, why=inner)
    text = pickle.loads(pickle.dumps(Invalid(said))).text  # noqa: S301 - it was pickled here
    assert text == "120% is too much: 5% of the records are done"
    assert (text.template, text.values["why"].values) == (said.template, {"share": "5%"})


def test_clauses_and_names_are_joined_in_english() -> None:
    assert listed(["one", "two", "three"]) == "one; two; three"
    assert either(["Patient"]) == "Patient"
    assert either(["Patient", "Group"]) == "Patient or Group"
