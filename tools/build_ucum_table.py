"""Builds the table of UCUM units from the official ucum-essence.xml.

    python tools/build_ucum_table.py ucum-essence.xml [OUT_FILE]

Only codes and conversion factors are taken: facts, no text of the specification. The output is
deterministic.
"""

from __future__ import annotations

import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

SPACE = "{http://unitsofmeasure.org/ucum-essence}"
HEADER = """\
# UCUM units: codes and factors. tools/build_ucum_table.py writes this file.
# units: code = [factor, of which unit, is metric]; prefixes: code = factor. Bases are what others
# are made of; arbitrary units ([iU] ...) are bases too, since nothing converts to them, and so is
# the mole, so that an amount never equals a count. Special ones (Cel, [pH] ...) convert by a
# function, not by a factor.

[definition]
source = "UCUM, ucum-essence.xml {version} ({date}), Regenstrief Institute, unitsofmeasure.org"
owner = "Regenstrief Institute"
version = "{version}"
effective = {date}
"""


def quote(text: str) -> str:
    """A TOML key or string; codes hold quotes but no backslash."""
    return '"' + text.replace('"', '\\"') + '"'


def measured(node: ET.Element) -> ET.Element:
    """The element that says how much a unit or prefix is."""
    found = node.find(f"{SPACE}value")
    if found is None:
        raise ValueError(node.attrib["Code"])
    return found


def listed(codes: list[str]) -> str:
    """A TOML list over as many lines as it needs."""
    lines = textwrap.wrap(", ".join(codes), 90, break_long_words=False, break_on_hyphens=False)
    return "[\n" + "\n".join(f"    {line}" for line in lines) + ",\n]"


def build(essence: Path) -> str:
    """The whole table as TOML."""
    root = ET.parse(essence).getroot()  # noqa: S314 - the official file, named by the caller
    prefixes, bases, units, arbitrary, special = [], [], [], [], []
    for node in root:
        code = quote(node.attrib["Code"])
        if node.tag == f"{SPACE}prefix":
            prefixes.append(f"{code} = {quote(measured(node).attrib['value'])}")
        elif node.tag == f"{SPACE}base-unit" or node.attrib["Code"] == "mol":
            bases.append(code)
        elif node.attrib.get("isSpecial") == "yes":
            special.append(code)
        else:
            value = measured(node)
            row = [quote(value.attrib["value"]), quote(value.attrib["Unit"])]
            is_metric = "true" if node.attrib["isMetric"] == "yes" else "false"
            units.append(f"{code} = [{', '.join(row)}, {is_metric}]")
            if node.attrib.get("isArbitrary") == "yes" and value.attrib["Unit"] == "1":
                arbitrary.append(code)
    head = HEADER.format(version=root.attrib["version"], date=root.attrib["revision-date"])
    return "\n".join(
        [
            head,
            "[kinds]",
            f"bases = {listed(bases)}",
            f"arbitrary = {listed(arbitrary)}",
            f"special = {listed(special)}",
            "",
            "[prefixes]",
            *prefixes,
            "",
            "[units]",
            *units,
            "",
        ]
    )


if __name__ == "__main__":
    here = Path(__file__).resolve().parent.parent / "quanmin" / "definitions" / "ucum"
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else here / "units.toml"
    out.write_text(build(Path(sys.argv[1])), "utf-8")
    print(out)
