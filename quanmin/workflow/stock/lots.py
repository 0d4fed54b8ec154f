"""Lots in stores: what is on hand, and what moves it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from quanmin.base.problems import Conflict, Invalid, Sentence
from quanmin.fhir.json import Json
from quanmin.workflow.states import Words
from quanmin.workflow.stock.products import PRODUCT_SYSTEM, definition, products

LOT_SYSTEM: Final = "https://quanmin.example/fhir/NamingSystem/lot"
KEY_SYSTEM: Final = "https://quanmin.example/fhir/NamingSystem/lot-in-store"
MOVEMENT_SYSTEM: Final = "https://quanmin.example/fhir/NamingSystem/stock-movement"
_KINDS: Final = "https://quanmin.example/fhir/CodeSystem/stock-movement"
_ITEM_TYPES: Final = "http://terminology.hl7.org/CodeSystem/supply-item-type"
_MOVEMENT: Final = "https://quanmin.example/fhir/StructureDefinition/stock-movement"
_EXTENSION: Final = "https://quanmin.example/fhir/StructureDefinition/stock-"
QUANTITY_MAX: Final = 1_000_000


class Movement(Words, frozen=True, kw_only=True):
    """A kind of movement: it adds (`sign` 1), takes away (-1) or says what was counted (0). What
    `is_empty` moves nothing, what `is_of_form` is made by another page and not chosen.
    """

    sign: int
    needs_words: bool = False
    is_of_form: bool = False
    is_empty: bool = False


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A lot in a store, as one version of its record says. It has been there `since`; what was read
    of the store until `judged` was judged.
    """

    id: str
    version: int
    product: str
    number: str
    expiry: date
    on_hand: int
    store: str
    store_name: str
    since: datetime
    judged: datetime | None
    resource: Json


@cache
def movements() -> Mapping[str, Movement]:
    """The kinds of movement, by code."""
    rows = definition("movements")["movement"]
    return MappingProxyType({one["code"]: msgspec.convert(one, Movement) for one in rows})


def lot_of(resource: Json, version: int) -> Lot | None:
    """The lot that a Substance tells of; None for one that is no lot in a store."""
    held = {
        one["url"].removeprefix(_EXTENSION): one
        for one in resource.get("extension", [])
        if str(one.get("url")).startswith(_EXTENSION)
    }
    codings = resource.get("code", {}).get("coding", [])
    code = next((one.get("code") for one in codings if one.get("system") == PRODUCT_SYSTEM), None)
    if code is None or not held.keys() >= {"store", "since"} or not resource.get("instance"):
        return None
    one = resource["instance"][0]
    store = held["store"]["valueReference"]
    judged = held.get("judged")
    return Lot(
        id=resource["id"],
        version=version,
        product=code,
        number=one["identifier"]["value"],
        expiry=date.fromisoformat(one["expiry"][:10]),
        on_hand=int(one["quantity"]["value"]),
        store=store["reference"].removeprefix("Device/"),
        store_name=store.get("display", ""),
        since=datetime.fromisoformat(held["since"]["valueDateTime"]),
        judged=datetime.fromisoformat(judged["valueDateTime"]) if judged else None,
        resource=resource,
    )


def lot_entry(
    product: str, number: str, expiry: date, store: tuple[str, str], since: datetime
) -> Json:
    """The entry that makes the record of a lot in a store (id and name), with nothing on hand; of
    two who make it at once there is one.
    """
    identifier = {"system": KEY_SYSTEM, "value": f"{store[0]}|{product}|{number}"}
    resource = {
        "resourceType": "Substance",
        "extension": [
            {
                "url": f"{_EXTENSION}store",
                "valueReference": {"reference": f"Device/{store[0]}", "display": store[1]},
            },
            {"url": f"{_EXTENSION}since", "valueDateTime": since.isoformat(timespec="seconds")},
        ],
        "identifier": [identifier],
        "status": "active",
        "code": products()[product].coded(),
        "instance": [
            {
                "identifier": {"system": LOT_SYSTEM, "value": number},
                "expiry": expiry.isoformat(),
                "quantity": {"value": 0, "unit": "doses"},
            }
        ],
    }
    criteria = f"identifier={KEY_SYSTEM}|{_escaped(identifier['value'])}"
    request = {"method": "POST", "url": "Substance", "ifNoneExist": criteria}
    return {"resource": resource, "request": request}


def moved(
    lot: Lot, kind: str, count: int, moment: datetime, *, who: str, words: str = ""
) -> list[Json]:
    """The entries of a movement: the next version of the lot, on top of the one that was read, and
    what tells of it. Raises Invalid for what cannot be, and Conflict where more would be taken than
    there is.
    """
    movement = movements().get(kind)
    if movement is None:
        raise Invalid(
            Sentence(
                "there is no movement %(kind)s: choose one of %(known)s",
                kind=kind,
                known=", ".join(movements()),
            )
        )
    if movement.needs_words and not words.strip():
        raise Invalid("say why: this movement is not entered without a reason")
    least = 0 if movement.sign == 0 or movement.is_empty else 1
    if not least <= count <= QUANTITY_MAX:
        raise Invalid(
            Sentence(
                "give a number from %(least)s to %(quantity_max)s",
                least=least,
                quantity_max=QUANTITY_MAX,
            )
        )
    left = count if movement.sign == 0 else lot.on_hand + movement.sign * count
    if left < 0:
        raise Conflict(
            Sentence(
                "there are %(on_hand)s on hand: %(count)s cannot be taken",
                on_hand=lot.on_hand,
                count=count,
            )
        )
    at = moment.isoformat(timespec="seconds")
    said: dict[str, Any] = {"coding": [{"system": _KINDS, "code": kind, "display": movement.zh}]}
    said |= {"text": words} if words else {}
    delivery = {
        "resourceType": "SupplyDelivery",
        "extension": [{"url": _MOVEMENT, "valueCodeableConcept": said}],
        "identifier": [{"system": MOVEMENT_SYSTEM, "value": f"{lot.id}.{lot.version + 1}"}],
        "status": "completed",
        "type": {"coding": [{"system": _ITEM_TYPES, "code": "medication"}]},
        "suppliedItem": {
            "quantity": {"value": count, "unit": "doses"},
            "itemReference": {"reference": f"Substance/{lot.id}"},
        },
        "occurrenceDateTime": at,
        "supplier": {"display": who},
    }
    resource = _with(lot, left, at if kind == "judged-fit" else None)
    match = {"ifMatch": f'W/"{lot.version}"'}
    return [
        {"resource": resource, "request": {"method": "PUT", "url": f"Substance/{lot.id}", **match}},
        {"resource": delivery, "request": {"method": "POST", "url": "SupplyDelivery"}},
    ]


def _with(lot: Lot, on_hand: int, judged: str | None) -> Json:
    resource = {name: value for name, value in lot.resource.items() if name != "meta"}
    instance = {**resource["instance"][0], "quantity": {"value": on_hand, "unit": "doses"}}
    resource["instance"] = [instance, *resource["instance"][1:]]
    if judged is not None:
        url = f"{_EXTENSION}judged"
        others = [one for one in resource["extension"] if one["url"] != url]
        resource["extension"] = [*others, {"url": url, "valueDateTime": judged}]
    return resource


def lot_unfit(lot: Lot, on: date) -> tuple[str, ...]:
    """Why the lot itself cannot be used on a day; the day of expiry is its last."""
    reasons = []
    if lot.expiry < on:
        reasons.append("expired")
    if lot.on_hand < 1:
        reasons.append("out-of-stock")
    return tuple(reasons)


def criteria_of(system: str, value: str) -> str:
    """A token of a search, with what separates escaped."""
    return f"{system}|{_escaped(value)}"


def _escaped(value: str) -> str:
    for sign in "\\,$|":
        value = value.replace(sign, f"\\{sign}")
    return value


def told_of(delivery: Json) -> dict[str, Any]:
    """What a SupplyDelivery says of a movement: kind, count, when, who, why."""
    extensions = delivery.get("extension", [])
    said: Json = next((e["valueCodeableConcept"] for e in extensions if e["url"] == _MOVEMENT), {})
    return {
        "kind": next((one.get("code", "") for one in said.get("coding", [])), ""),
        "count": delivery["suppliedItem"]["quantity"]["value"],
        "at": delivery.get("occurrenceDateTime", ""),
        "who": delivery.get("supplier", {}).get("display", ""),
        "words": said.get("text", ""),
    }
