"""FHIRPath for R4: FHIRPath 2.0 with the additions of FHIR, compiled once and evaluated often.

    evaluate("Patient.name.given", patient)

finds `Answer(type="string", value="Peter", location="Patient.name[0].given[0]")` and its like; with
`is_checked=True` it refuses elements that no Patient has. `compile_path` gives the compiled
expression, for what is asked often.
"""

from quanmin.fhir.path.environment import LENIENT, STANDARD, Environment, Terminology
from quanmin.fhir.path.evaluation import Answer, Path, compile_path, evaluate
from quanmin.fhir.path.functions.records import named_by_reference
from quanmin.fhir.path.nodes import Collection, Node, root
from quanmin.fhir.path.problems import PathProblem

__all__ = [
    "LENIENT",
    "STANDARD",
    "Answer",
    "Collection",
    "Environment",
    "Node",
    "Path",
    "PathProblem",
    "Terminology",
    "compile_path",
    "evaluate",
    "named_by_reference",
    "root",
]
