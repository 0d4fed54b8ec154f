"""A record under a FHIRPath Patch stays the same as bytes and decoded, whatever is done to it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from property.fhir.generated import resources, write

from quanmin.base.problems import Problem
from quanmin.fhir.json import decode
from quanmin.fhir.patch_value import Value
from quanmin.fhir.path import Node, root
from quanmin.fhir.path.nodes import children
from quanmin.fhir.path_patch import PathPatch, read_path_patch
from quanmin.fhir.twin import Place, Twin
from quanmin.fhir.validation.fields import members_of

GIVEN = members_of("HumanName")["given"]
BESIDE = {"extension": [{"url": "http://a", "valueDecimal": 1}]}
TEXTS = st.sampled_from(("a", "b", None))
EXTRAS = st.sampled_from((None, BESIDE))
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("insert", "remove", "set_item", "move")),
        st.integers(0, 9),
        st.integers(0, 9),
        st.tuples(TEXTS, EXTRAS).filter(any),
    ),
    max_size=8,
)
Item = tuple[str | None, Any]


def _value(item: Item) -> Value:
    raws = [None if one is None else msgspec.Raw(msgspec.json.encode(one)) for one in item]
    return Value(GIVEN, *raws)


def _written(items: list[Item]) -> dict[str, Any]:
    """The element as R4 json.html#primitive writes it: two lists of one length, where needed."""
    lists = {"given": [one for one, _ in items], "_given": [one for _, one in items]}
    return {name: listed for name, listed in lists.items() if any(listed)}


@given(st.lists(st.tuples(TEXTS, EXTRAS).filter(any), max_size=4), ACTIONS)
def test_items_stay_with_what_is_beside_them(
    items: list[Item], actions: list[tuple[str, int, int, Item]]
) -> None:
    name = {"family": "a", **_written(items)}
    twin = Twin(msgspec.json.encode({"resourceType": "Patient", "name": [name]}), 10_000)
    for kind, first, second, item in actions:
        place = Place(("name", 0), "HumanName", GIVEN, first % max(len(items), 1))
        if kind == "insert":
            index = first % (len(items) + 1)
            twin.insert(place, index, _value(item))
            items.insert(index, item)
        elif items and kind == "remove":
            twin.remove(place)
            del items[place.index]
        elif items and kind == "set_item":
            twin.set_item(place, _value(item))
            items[place.index] = item
        elif items:
            twin.move(place, place.index, second % len(items))
            items.insert(second % len(items), items.pop(place.index))
        assert twin.count(place) == len(items)
        assert msgspec.json.decode(msgspec.json.encode(twin.root)) == twin.decoded
    assert decode(twin.write())["name"] == [{"family": "a", **_written(items)}]


def _elements(node: Node) -> list[Node]:
    """Every element below a node, with what lies beside primitives."""
    return [below for child in children(node) for below in (child, *_elements(child))]


def _patch(*parts: dict[str, Any]) -> PathPatch:
    step = {"name": "operation", "part": list(parts)}
    sent = write({"resourceType": "Parameters", "parameter": [step]})
    return read_path_patch(sent, steps_max=1, items_max=100_000)


@settings(max_examples=150, deadline=None)
@given(resources(), st.data())
def test_every_element_can_be_deleted_by_its_own_location_and_nothing_else_goes(
    resource: dict[str, Any], data: st.DataObject
) -> None:
    # A narrative would go with the data that it was made from.
    raw = write({name: value for name, value in resource.items() if name != "text"} | {"id": "1"})
    found = _elements(root(decode(raw)))
    others = [one for one in found if one.step != "id"]
    assume(others)
    node = data.draw(st.sampled_from(others))
    told = {"name": "path", "valueString": node.location}
    made = _patch({"name": "type", "valueCode": "delete"}, told).apply(raw, bytes_max=1 << 20)
    gone = 1 + len(_elements(node))
    holder = node.parent
    while holder is not None and holder.parent is not None and _holds_one(holder):
        gone += 1
        holder = holder.parent
    assert len(_elements(root(decode(made)))) == len(found) - gone


def _holds_one(node: Node) -> bool:
    """Whether an element is left empty when one of its own goes."""
    return len(children(node)) == 1 and (node.value is None or isinstance(node.value, dict))


def _listed(node: Node) -> str:
    """The path of an element without its place in a list."""
    return node.location.removesuffix(f"[{node.index}]")


@settings(max_examples=150, deadline=None)
@given(resources(), resources(), st.data())
def test_whatever_is_asked_for_there_is_an_answer_and_never_a_fault(
    resource: dict[str, Any], other: dict[str, Any], data: st.DataObject
) -> None:
    raw = write({**resource, "id": "1"})
    nodes = _elements(root(decode(raw)))
    node = data.draw(st.sampled_from(nodes))
    given_from = data.draw(st.sampled_from(_elements(root(decode(write(other))))))
    kind = data.draw(st.sampled_from(("add", "insert", "replace", "move")))
    path = data.draw(st.sampled_from((node.location, _listed(node))))
    parts: list[dict[str, Any]] = [{"name": "path", "valueString": path}]
    parts.append({"name": "type", "valueCode": kind})
    if kind == "add":
        parts.append({"name": "name", "valueString": given_from.step})
    if kind != "move":
        name = given_from.type.name
        key = "value" + name[:1].upper() + name[1:]
        value = {"part": [{"name": "text", "valueString": "a"}]}
        if key in members_of("Parameters.parameter"):
            value = {key: given_from.value}
        parts.append({"name": "value", **value})
    numbers = {"insert": ("index",), "move": ("source", "destination")}.get(kind, ())
    parts += [{"name": number, "valueInteger": data.draw(st.integers(-1, 3))} for number in numbers]
    try:
        made = _patch(*parts).apply(raw, bytes_max=1 << 20)
    except Problem as problem:
        status = problem.status
    else:
        status = 200 if isinstance(decode(made), dict) else 500
    assert status < 500
