"""Factors of units against another library, over UCUM's own list of common units.

ucumvert and pint count in floats and take international units for plain numbers, which is why the
node does not use them; to nine digits, and where they know the unit, they must agree.
"""

from __future__ import annotations

import csv
import math
from importlib.resources import files
from pathlib import Path

import build_ucum_table
import pytest
import ucumvert

from quanmin.fhir.units import canonical

VENDORED = files(ucumvert) / "vendor"
TABLE = Path(__file__).parents[3] / "quanmin" / "definitions" / "ucum" / "units.toml"
# pint takes these from elsewhere, to fewer digits or by another definition.
DEFINED_OTHERWISE = ("m[Hg]", "[in_i'H2O]", "[LPF]")


def common_units() -> list[str]:
    text = (VENDORED / "ucum_examples.tsv").read_text("utf-8")
    rows = csv.reader(text.splitlines(), delimiter="\t")
    return [row[1] for row in rows if row and row[0].isdigit()]


@pytest.mark.filterwarnings("ignore")
def test_factors_agree_with_another_library() -> None:
    registry = ucumvert.PintUcumRegistry()
    compared, different = 0, {}
    for code in common_units():
        mine = canonical(code)
        if mine is None or "U]" in code or any(one in code for one in DEFINED_OTHERWISE):
            continue
        try:
            theirs = registry.from_ucum(code).to_base_units()
        except Exception:  # noqa: BLE001, S112 - what the other library cannot read proves nothing
            continue
        kilograms = dict(theirs.unit_items()).get("kilogram", 0)
        expected = float(theirs.magnitude) * 1000.0**kilograms
        compared += 1
        if not math.isclose(float(mine[1]), expected, rel_tol=1e-9):
            different[code] = (float(mine[1]), expected)
    assert different == {}
    assert compared > 400


def test_nearly_every_common_unit_has_a_base_form() -> None:
    without = [code for code in common_units() if canonical(code) is None]
    assert sorted(without) == ["Cel", "Torr", "[degF]", "[pH]", "dB"]


def test_the_table_is_what_the_official_file_says() -> None:
    essence = Path(str(VENDORED / "ucum-essence.xml"))
    assert build_ucum_table.build(essence) == TABLE.read_text("utf-8")
