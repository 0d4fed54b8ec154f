"""Every function of FHIRPath 2.0 and those that FHIR R4 adds, by name."""

from quanmin.fhir.path.compiling import Function
from quanmin.fhir.path.functions.collections import COLLECTIONS
from quanmin.fhir.path.functions.conversion import CONVERSIONS
from quanmin.fhir.path.functions.iteration import ITERATIONS
from quanmin.fhir.path.functions.mathematics import MATHEMATICS
from quanmin.fhir.path.functions.records import RECORDS
from quanmin.fhir.path.functions.texts import TEXTS
from quanmin.fhir.path.functions.times import TIMES

FUNCTIONS: dict[str, Function] = {
    **COLLECTIONS,
    **CONVERSIONS,
    **ITERATIONS,
    **MATHEMATICS,
    **RECORDS,
    **TEXTS,
    **TIMES,
}
"""How each function is made, by its name."""
