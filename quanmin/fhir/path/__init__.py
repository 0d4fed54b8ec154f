"""FHIRPath for R4: FHIRPath 2.0 with the additions of FHIR, compiled once and evaluated often.

compile_path("Patient.name.given").evaluate(patient)
"""

from quanmin.fhir.path.environment import LENIENT, STANDARD, Environment, Terminology
from quanmin.fhir.path.evaluation import Path, compile_path
from quanmin.fhir.path.functions.records import named_by_reference
from quanmin.fhir.path.nodes import Collection, Node, root
from quanmin.fhir.path.problems import PathProblem

__all__ = [
    "LENIENT",
    "STANDARD",
    "Collection",
    "Environment",
    "Node",
    "Path",
    "PathProblem",
    "Terminology",
    "compile_path",
    "named_by_reference",
    "root",
]
