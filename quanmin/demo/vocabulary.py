"""The codes that the invented province uses, as its terminology: diagnoses and medicines, and the
value sets of which forms have them chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from quanmin.demo.sheet import FICTIONAL
from quanmin.demo.tables import DIAGNOSES, INFECTIONS, MEDICINES, SYSTEMS

_SETS: Final = "https://quanmin.example/fhir/ValueSet"


def terminology() -> Iterator[dict[str, Any]]:
    """A code system and its value set, of diagnoses and of medicines. They hold what the province
    uses and not a whole edition of ICD-10.
    """
    rows = [(row.code, row.name) for group in DIAGNOSES.groups for row in group.rows]
    rows += list(DIAGNOSES.named.values())
    rows += [(one.code, one.name) for one in INFECTIONS.infections]
    rows.append((INFECTIONS.outbreak.code, INFECTIONS.outbreak.name))
    yield _system("Diagnoses", DIAGNOSES.system, dict(rows), DIAGNOSES.version)
    yield _set("diagnosis", DIAGNOSES.system)
    medicines = {one.key: f"{one.name} {one.strength}" for one in MEDICINES.values()}
    yield _system("Medicines", SYSTEMS.medicine, medicines, "1")
    yield _set("medicine", SYSTEMS.medicine)


def _system(name: str, url: str, codes: dict[str, str], version: str) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "meta": FICTIONAL,
        "url": url,
        "version": version,
        "name": name,
        "status": "active",
        "content": "fragment",
        "caseSensitive": True,
        "concept": [{"code": code, "display": codes[code]} for code in sorted(codes)],
    }


def _set(name: str, system: str) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "meta": FICTIONAL,
        "url": f"{_SETS}/{name}",
        "version": "1",
        "name": name.capitalize(),
        "status": "active",
        "compose": {"include": [{"system": system}]},
    }
