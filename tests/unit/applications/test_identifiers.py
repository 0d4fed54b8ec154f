"""What of the front page other definitions say as well."""

from __future__ import annotations

import tomllib
from datetime import date
from importlib.resources import files

from quanmin.workflow.notifiable import diseases, subtypes, table_on

FILE = files("quanmin").joinpath("applications", "health_record", "definitions", "identifiers.toml")


def test_the_front_page_tells_the_diseases_that_are_reported_by_the_same_codes() -> None:
    told = {
        one["zh"]: sorted(one["conditions"])
        for one in tomllib.loads(FILE.read_text("utf-8"))["identifier"]
        if one["group"] == "infectious"
    }
    law = table_on(date(2026, 11, 23))
    assert law is not None
    reported = {}
    for code in law.classes:
        disease = diseases()[code]
        parts = [one.icd10 for one in subtypes().values() if one.of == code]
        codes = {*disease.icd10, *(code for part in parts for code in part)}
        # What begins with another of them is told by it.
        reported[disease.zh] = sorted(
            one
            for one in codes
            if not any(one != other and one.startswith(other) for other in codes)
        )
    assert told == reported
