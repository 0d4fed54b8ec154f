"""Small code systems, value sets and maps that tests of terminology store and ask about."""

from __future__ import annotations

from typing import Any, NamedTuple

DISEASES = "http://node.test/CodeSystem/diseases"
FORMS = "http://node.test/CodeSystem/forms"


class Told(NamedTuple):
    """A record as the index of terminology hears of it."""

    type: str
    rid: int
    sender: int
    updated: int
    resource: dict[str, Any]


def concept(code: str, display: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"code": code, "display": display, **more}
    if children:
        made["concept"] = list(children)
    return made


def prop(code: str, **value: Any) -> dict[str, Any]:
    return {"code": code, **value}


def system(url: str, *concepts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "version": "1",
        "name": "Diseases",
        "status": "active",
        "content": "complete",
        "caseSensitive": True,
        **({"concept": list(concepts)} if concepts else {}),
        **more,
    }


def value_set(url: str, *includes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """`url` is the last part of the address."""
    compose = {"include": list(includes), **more.pop("compose", {})}
    return {
        "resourceType": "ValueSet",
        "url": f"http://node.test/ValueSet/{url}",
        "status": "active",
        "compose": compose,
        **more,
    }


def filtered(op: str, value: str, property_: str = "concept", **more: Any) -> dict[str, Any]:
    given = [{"property": property_, "op": op, "value": value}]
    return {"system": DISEASES, "filter": given, **more}


def listed(*codes: str, system: str = DISEASES) -> dict[str, Any]:
    return {"system": system, "concept": [{"code": code} for code in codes]}


def diseases(**more: Any) -> dict[str, Any]:
    """Infections above cholera and typhoid, with an abstract, an inactive and a double child."""
    german = {"language": "de", "value": "Typhus abdominalis"}
    vibrio = concept("A00.0", "霍乱弧菌", property=[prop("severity", valueInteger=3)])
    cholera = concept(
        "A00",
        "霍乱",
        vibrio,
        concept("A00.9", "未特指的霍乱", property=[prop("status", valueCode="retired")]),
        property=[prop("notifiable", valueBoolean=True)],
    )
    typhoid = concept("A01", "Typhoid fever", definition="a fever", designation=[german])
    return system(
        DISEASES,
        concept(
            "A", "Infections", cholera, typhoid, property=[prop("notSelectable", valueBoolean=True)]
        ),
        concept("X", "Gut", property=[prop("child", valueCode="A00")]),
        **more,
    )
