"""The extensions of a Questionnaire that mean something here, and how they are read.

Core ones are R4's, the others of SDC 3.0 and 4.0 (http://hl7.org/fhir/uv/sdc). One of SDC that is
not known is refused: a form whose behaviour is half carried out is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from quanmin.fhir.json import Json

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"

VARIABLE = f"{_CORE}variable"
CONSTRAINT = f"{_CORE}questionnaire-constraint"
HIDDEN = f"{_CORE}questionnaire-hidden"
CONTROL = f"{_CORE}questionnaire-itemControl"
UNIT = f"{_CORE}questionnaire-unit"
UNIT_OPTION = f"{_CORE}questionnaire-unitOption"
UNIT_SET = f"{_CORE}questionnaire-unitValueSet"
ALONE = f"{_CORE}questionnaire-optionExclusive"
COUNT_MIN = f"{_CORE}questionnaire-minOccurs"
COUNT_MAX = f"{_CORE}questionnaire-maxOccurs"
LOWEST, HIGHEST = f"{_CORE}minValue", f"{_CORE}maxValue"
PLACES_MAX = f"{_CORE}maxDecimalPlaces"
PATTERN = f"{_CORE}regex"
BYTES_MAX, MEDIA_TYPE = f"{_CORE}maxSize", f"{_CORE}mimeType"
HINT = f"{_CORE}entryFormat"

LAUNCH = f"{_SDC}launchContext"
CALCULATED = f"{_SDC}calculatedExpression"
INITIAL = f"{_SDC}initialExpression"
ENABLED = f"{_SDC}enableWhenExpression"
POPULATION = f"{_SDC}itemPopulationContext"
TEMPLATE = f"{_SDC}templateExtract"
TEMPLATE_CONTEXT = f"{_SDC}templateExtractContext"
TEMPLATE_VALUE = f"{_SDC}templateExtractValue"
ALLOCATED = f"{_SDC}extractAllocateId"

_KNOWN_OF_SDC = frozenset(
    {LAUNCH, CALCULATED, INITIAL, ENABLED, POPULATION, TEMPLATE, TEMPLATE_CONTEXT, TEMPLATE_VALUE,
     ALLOCATED, f"{_SDC}shortText", f"{_SDC}performerType", f"{_SDC}width"}
)  # fmt: skip

FHIRPATH, SEARCH = "text/fhirpath", "application/x-fhir-query"


def extensions(element: Any, url: str) -> Iterator[Json]:
    """The extensions of an element with this address."""
    held = element.get("extension") if isinstance(element, dict) else None
    for one in held if isinstance(held, list) else ():
        if isinstance(one, dict) and one.get("url") == url:
            yield one


def value_of(extension: Json) -> Json:
    """The value of an extension, whatever its type; None where it has none."""
    return next((extension[name] for name in extension if name.startswith("value")), None)


def valued(element: Any, url: str) -> Json:
    """The value of the first extension with this address; None where there is none."""
    return next((value_of(one) for one in extensions(element, url)), None)


def parts(extension: Json) -> dict[str, Json]:
    """The values of the extensions within one, by their address; of the same, the last."""
    held = extension.get("extension")
    inside = held if isinstance(held, list) else []
    return {str(one.get("url")): value_of(one) for one in inside if isinstance(one, dict)}


def foreign(element: Any) -> list[str]:
    """The addresses of extensions of SDC on an element that are not carried out."""
    held = element.get("extension") if isinstance(element, dict) else None
    return [
        str(one["url"])
        for one in (held if isinstance(held, list) else ())
        if isinstance(one, dict)
        and str(one.get("url", "")).startswith(_SDC)
        and one["url"] not in _KNOWN_OF_SDC
    ]
