"""CPU time of one evaluation of typical FHIRPath, beside fhirpathpy.

    python benchmarks/fhirpath.py [--rounds N]

Both are compiled beforehand; each round evaluates an expression on the same decoded record with
either, one after the other, and the best round of each counts. fhirpathpy is a development
dependency.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import fhirpathpy
from fhirpathpy.models import models
from rich.console import Console
from rich.table import Table

from quanmin.fhir.path import LENIENT, compile_path

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"system": f"urn:oid:1.2.{number}", "value": str(number), "period": {"start": "2020-01-01"}}
        for number in range(5)
    ],
    "name": [{"use": "official", "family": "Li", "given": ["Hua", "Min"]}, {"text": "Li Hua"}],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b.example"}],
    "gender": "female",
    "birthDate": "1974-12-25",
    "deceasedBoolean": False,
    "contact": [{"name": {"text": "Li Min"}, "relationship": [{"text": "sister"}]}],
    "generalPractitioner": [{"reference": "Practitioner/d1"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "category": [{"coding": [{"system": "http://c.example", "code": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "pressure"},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-22T08:30:00+08:00",
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {
                "value": Decimal(value),
                "unit": "mmHg",
                "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]",
            },
        }
        for code, value in (("8480-6", "122.5"), ("8462-4", "81"))
    ],
}
ASKED = (
    (PATIENT, "Patient.name.given"),
    (PATIENT, "Patient.identifier.where(system = 'urn:oid:1.2.3').value"),
    (PATIENT, "Patient.deceased.exists() and Patient.deceased != false"),
    (PATIENT, "contact.all(name.exists() or telecom.exists() or address.exists())"),
    (PATIENT, "identifier.period.all(start.empty() or end.empty() or start <= end)"),
    (PATIENT, "birthDate < today() - 18 years"),
    (OBSERVATION, "Observation.code.coding.code"),
    (OBSERVATION, "dataAbsentReason.empty() or value.empty()"),
    (OBSERVATION, "component.code.where(coding.intersect(%resource.code.coding).exists()).empty()"),
    (OBSERVATION, "component.value.ofType(Quantity).where(value > 100).unit"),
    (OBSERVATION, "Observation.descendants().where($this is Quantity).count()"),
)
_REPEATED = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    table = Table("expression", "quanmin, us", "fhirpathpy, us", "ratio")
    ratios = []
    for record, expression in ASKED:
        path, other = compile_path(expression), fhirpathpy.compile(expression, models["r4"])
        mine, theirs = _compared(
            lambda path=path, record=record: path.evaluate(record, environment=LENIENT),
            lambda other=other, record=record: other(record, {"resource": record}),
            rounds,
        )
        ratios.append(theirs / mine)
        table.add_row(expression, f"{mine:.1f}", f"{theirs:.0f}", f"{theirs / mine:.0f}")
    console = Console(width=120)
    console.print(table)
    console.print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.0f}, CPU time of one thread")


def _compared(
    mine: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Microseconds of CPU for each, the best of interleaved rounds."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for number, (call, repeated) in enumerate(((mine, _REPEATED), (theirs, _REPEATED // 10))):
            started = time.process_time()
            for _ in range(repeated):
                call()
            spent = (time.process_time() - started) / repeated * 1e6
            best[number] = min(best[number], spent)
    return best[0], best[1]


if __name__ == "__main__":
    main()
