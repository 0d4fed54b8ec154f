"""Consents as lines for their person: exceptions, how they stand, and what ends with them."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from persons import consent, to_institution

from quanmin.trust.deciding.consent_lines import endings_of, lines_of, state_of

NOW = 1_800_000_000_000_000  # 2027-01-15
TREAT = [{"code": "TREAT"}]
RESEARCH = [{"code": "HRESCH"}]
HIV = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]
ONWARD = [{"coding": [{"code": "disclose"}]}]


def given(**more: Any) -> dict[str, Any]:
    return consent("p", **{"type": "permit", **more})


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (given(), "in force"),
        (given(period={"end": "2027-01-14"}), "over"),
        (given(period={"end": "2027-01-15"}), "in force"),
        (given(period={"start": "2027-01-16"}), "to come"),
        (given(status="inactive"), "taken back"),
        (given(status="rejected"), "refused"),
        (given(status="entered-in-error"), "without effect"),
        (given(securityLabel=[{"code": "X"}]), "without effect"),
    ],
)
def test_a_consent_stands_as_its_time_and_status_say(said: dict[str, Any], state: str) -> None:
    assert state_of(said, UTC, NOW) == state


def test_what_a_provision_does_not_name_is_as_around_it_and_within_it_is_an_exception() -> None:
    record = {"meaning": "instance", "reference": {"reference": "Observation/a"}}
    inner = {"type": "deny", "data": [record]}
    outer, within = lines_of(given(actor=to_institution("h"), purpose=TREAT, provision=[inner]))
    assert (outer.effect, outer.is_inner, outer.records) == ("permit", False, ())
    assert (within.effect, within.is_inner, within.purposes) == ("deny", True, ("TREAT",))
    assert within.institutions == outer.institutions
    assert within.records == ({"reference": "Observation/a"},)
    opting = consent("p", provision=[{"type": "permit"}], period={"end": "2027-02"})
    policy = {"coding": [{"code": "OPTOUT"}]}
    base, exception = lines_of(opting | {"policyRule": policy})
    assert (base.effect, base.until, base.is_inner) == ("deny", "2027-02", False)
    assert (exception.effect, exception.is_inner) == ("permit", True)


def test_a_rejected_consent_refuses_what_it_would_permit() -> None:
    (line,) = lines_of(given(status="rejected", provision=[{"type": "deny"}]))
    assert (line.effect, line.is_inner) == ("deny", False)


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        (given(purpose=TREAT), ("treatment",)),
        (given(), ("treatment",)),
        (given(purpose=RESEARCH), ("purpose",)),
        (given(purpose=[{"code": "CAREMGT"}]), ("purpose",)),
        (given(purpose=TREAT, securityLabel=HIV), ("kind",)),
        (given(purpose=TREAT, action=ONWARD), ("onward",)),
        (given(type="deny"), ()),
    ],
)
def test_taking_back_closes_what_was_opened_and_no_more(
    said: dict[str, Any], closed: tuple[str, ...]
) -> None:
    assert endings_of(said, UTC) == closed
