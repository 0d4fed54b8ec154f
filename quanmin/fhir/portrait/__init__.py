"""What the records of a person amount to: personal health identifiers, each by a definition that is
data, with its reasons and the rows it comes from. Nothing is read here, and nothing is kept.
"""

from quanmin.fhir.portrait.definitions import Definitions, Fact, Found, Group, Whose
from quanmin.fhir.portrait.deriving import derive
from quanmin.fhir.portrait.measures import age_on

__all__ = ["Definitions", "Fact", "Found", "Group", "Whose", "age_on", "derive"]
