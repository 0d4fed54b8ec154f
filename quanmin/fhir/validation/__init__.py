"""Validation: is this a resource as FHIR R4 defines it, and if not, everything that is wrong.

Nearly all that arrives is right, so a compiled check says yes in microseconds. Only what it does
not accept is walked slowly, to say what is wrong, where, and how to mend it.
"""

from quanmin.fhir.validation.verdict import advise, validate

__all__ = ["advise", "validate"]
