"""Profiles: what a StructureDefinition asks of a record beyond R4 itself.

A definition is compiled to a tree of rules, which holds only what is stricter than the release; a
record is walked along that tree. Nothing is read or fetched here: what a check has to know of
other profiles, codes and records it asks of `Knowledge`, which notes what it does not know.
"""

from quanmin.fhir.profiles.checking import check_record, claims_anything, claims_of
from quanmin.fhir.profiles.compiling import Faulty, compile_profile, profile_faults
from quanmin.fhir.profiles.definition import Definition, read_definition
from quanmin.fhir.profiles.knowledge import Knowledge
from quanmin.fhir.profiles.model import Profile

__all__ = [
    "Definition",
    "Faulty",
    "Knowledge",
    "Profile",
    "check_record",
    "claims_anything",
    "claims_of",
    "compile_profile",
    "profile_faults",
    "read_definition",
]
