"""What codes mean: look up, expand, validate, translate.

Written from CodeSystems, ValueSets and ConceptMaps in the transaction that stores them. Nothing
here opens a connection: whoever asks hands one over.
"""

from quanmin.terminology.catalogue import Canonical, Entry, Kind, Pins
from quanmin.terminology.checking import Check, Verdict
from quanmin.terminology.choosing import Choice, Choices
from quanmin.terminology.expanding import Wanted
from quanmin.terminology.index import TerminologyIndex
from quanmin.terminology.limits import TermLimits
from quanmin.terminology.systems import found_by
from quanmin.terminology.terms import Terms
from quanmin.terminology.translating import Asked, Match, SentMap, Translated

__all__ = [
    "Asked",
    "Canonical",
    "Check",
    "Choice",
    "Choices",
    "Entry",
    "Kind",
    "Match",
    "Pins",
    "SentMap",
    "TermLimits",
    "TerminologyIndex",
    "Terms",
    "Translated",
    "Verdict",
    "Wanted",
    "found_by",
]
