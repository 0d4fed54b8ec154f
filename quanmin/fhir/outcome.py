"""OperationOutcome: how a machine is told what went wrong, or right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quanmin.base.problems import Issue


def operation_outcome(issues: Iterable[Issue]) -> bytes:
    """An OperationOutcome with one issue for each of `issues`, as JSON.

    `diagnostics` says what is wrong and how to mend it, `expression` where. FHIR wants at least one
    issue: of none, an informational "All OK" is made.
    """
    told = [_issue(issue) for issue in issues]
    if not told:
        told = [_issue(Issue("information", "informational", "All OK"))]
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": told})


def _issue(issue: Issue) -> dict[str, Any]:
    told: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": str(issue.text),
    }
    if issue.expression:
        told["expression"] = [issue.expression]
    return told
