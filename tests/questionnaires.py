"""Questionnaires for tests of forms, written as briefly as their meaning allows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from quanmin.workflow.forms import Around, Form, compile_form

CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
UCUM = "http://unitsofmeasure.org"
ZONE = ZoneInfo("Asia/Shanghai")


def around(**variables: Any) -> Around:
    return Around(now=datetime(2026, 11, 22, tzinfo=UTC), zone=ZONE, variables=variables)


def extension(url: str, **value: Any) -> dict[str, Any]:
    return {"url": url, **value}


def path(text: str, **more: Any) -> dict[str, Any]:
    return {"valueExpression": {"language": "text/fhirpath", "expression": text, **more}}


def calculated(text: str) -> dict[str, Any]:
    return extension(f"{SDC}calculatedExpression", **path(text))


def initially(text: str) -> dict[str, Any]:
    return extension(f"{SDC}initialExpression", **path(text))


def variable(name: str, text: str) -> dict[str, Any]:
    return extension(f"{CORE}variable", **path(text, name=name))


def unit(code: str) -> dict[str, Any]:
    return extension(
        f"{CORE}questionnaire-unit", valueCoding={"system": UCUM, "code": code, "display": code}
    )


def rule(key: str, expression: str, human: str, severity: str = "error") -> dict[str, Any]:
    return {
        "url": f"{CORE}questionnaire-constraint",
        "extension": [
            {"url": "key", "valueId": key},
            {"url": "severity", "valueCode": severity},
            {"url": "expression", "valueString": expression},
            {"url": "human", "valueString": human},
        ],
    }


def item(link: str, kind: str = "string", *extensions: dict[str, Any], **more: Any) -> Any:
    made = {"linkId": link, "type": kind, "text": link, **more}
    return {**made, "extension": list(extensions)} if extensions else made


def when(question: str, operator: str = "=", **answer: Any) -> dict[str, Any]:
    return {"question": question, "operator": operator, **answer}


def options(*codes: str, system: str = "urn:test") -> list[dict[str, Any]]:
    return [{"valueCoding": {"system": system, "code": code, "display": code}} for code in codes]


def questionnaire(*items: Any, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "url": "http://example.org/form",
        "version": "1",
        "status": "active",
        "item": list(items),
        **more,
    }


def form(*items: Any, **more: Any) -> Form:
    return compile_form(questionnaire(*items, **more))


def answers_of(response: dict[str, Any]) -> dict[str, list[Any]]:
    """link id -> values, over all occurrences, of a response."""
    found: dict[str, list[Any]] = {}

    def gather(held: dict[str, Any]) -> None:
        for one in held.get("item", []):
            for answer in one.get("answer", []):
                values = [value for name, value in answer.items() if name.startswith("value")]
                found.setdefault(one["linkId"], []).extend(values)
                gather(answer)
            gather(one)

    gather(response)
    return found


def number(text: str) -> Decimal:
    return Decimal(text)
