"""A record under a FHIRPath Patch stays the same as bytes and decoded, whatever is done to it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from quanmin.fhir.json import decode
from quanmin.fhir.patch_value import Value
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
