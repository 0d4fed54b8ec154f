"""Third-party resources, ready to be stored: the test package of the national servers, and the
examples of the specification.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from shared import members

from quanmin.fhir.validation import validate

Named = tuple[str, str, bytes]

# The test package still uses names of an older FHIR; these bring it to R4.
_RENAMED = (
    (b'"context":{"reference":"Encounter/', b'"encounter":{"reference":"Encounter/'),
    (
        b"http://hl7.org/fhir/condition-clinical",
        b"http://terminology.hl7.org/CodeSystem/condition-clinical",
    ),
    (
        b"http://hl7.org/fhir/condition-ver-status",
        b"http://terminology.hl7.org/CodeSystem/condition-ver-status",
    ),
)
# Thousands of examples of these types are the specification's own definitions, all of one form.
DEFINITIONS = frozenset(
    {
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "ImplementationGuide",
        "NamingSystem",
        "OperationDefinition",
        "SearchParameter",
        "StructureDefinition",
        "ValueSet",
    }
)

# Says when by a string that looks like a date; the independent library cannot tell them apart.
_AMBIGUOUS = {("CarePlan", "f001"), ("CarePlan", "f002"), ("CarePlan", "f003")}

# Consents that say what is not carried out here, such as exceptions by security label or by who is
# asked; a Consent of which something would be ignored is refused whole.
NOT_CARRIED_OUT = frozenset(
    f"consent-example-{name}"
    for name in (
        *("Emergency", "Out", "grantor", "notAuthor", "notOrg", "notThem", "notThis", "pkb"),
        "signature",
    )
)


def named(raw: bytes) -> Named | None:
    """Type, id and bytes of a resource; None for a file that is none."""
    found = json.loads(raw)
    if "resourceType" not in found or "id" not in found:
        return None
    return found["resourceType"], found["id"], raw


def package() -> Iterator[Named]:
    """The 6,200 resources of the test package, as R4."""
    for _, raw in members("fhir.test.data.r4.tar.xz"):
        found = named(_as_r4(raw))
        if found is not None and found[0] != "ImplementationGuide":
            yield found


def _as_r4(raw: bytes) -> bytes:
    for old, new in _RENAMED:
        raw = raw.replace(old, new)
    return raw


def examples() -> Iterator[Named]:
    """All examples of R4 with an id."""
    for _, raw in members("hl7.fhir.r4.examples-4.0.1.tar.xz"):
        found = named(raw)
        if found is not None:
            yield found


def valid_examples(*, definitions_max: int) -> Iterator[Named]:
    """The valid examples of R4, of each type of definitions at most so many."""
    taken = dict.fromkeys(DEFINITIONS, 0)
    for found in examples():
        # For AuditEvents the access log answers, which is another's to prove.
        is_left_out = found[0] == "AuditEvent" or found[1] in NOT_CARRIED_OUT
        if found[:2] in _AMBIGUOUS or is_left_out or is_refused(found):
            continue
        if found[0] in taken:
            taken[found[0]] += 1
            if taken[found[0]] > definitions_max:
                continue
        yield found


def is_refused(resource: Named) -> bool:
    """Whether the node's own validation finds an error in it."""
    type_, _, raw = resource
    return any(issue.severity in {"error", "fatal"} for issue in validate(type_, raw))
