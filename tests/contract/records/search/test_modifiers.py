"""The modifiers that look at more than one code or address, on a real store (R4 search 3.1.1.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from shelf import find_all, put_away, query_of
from stores import update

from quanmin.base.problems import TooCostly
from quanmin.records.operation import Operation
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Everything, OfSender, Visibility

LOINC = "http://loinc.org"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def body(type_: str, id_: str, **more: Any) -> Operation:
    text = json.dumps({"resourceType": type_, "id": id_, **more}, ensure_ascii=False)
    return update(type_, id_, text.encode())


def result(id_: str, code: dict[str, Any], **more: Any) -> Operation:
    return body("Observation", id_, status="final", code=code, **more)


def coding(code: str, display: str | None = None, system: str = LOINC) -> dict[str, Any]:
    found = {"system": system, "code": code}
    return found if display is None else {**found, "display": display}


def value_set(id_: str, url: str) -> Operation:
    return body("ValueSet", id_, url=url, status="active")


def location(id_: str, part_of: str | None = None, **more: Any) -> Operation:
    parent = {} if part_of is None else {"partOf": {"reference": f"Location/{part_of}"}}
    return body("Location", id_, **parent, **more)


async def found(
    store: Store,
    type_: str | None,
    name: str,
    value: str,
    visibility: Visibility | None = None,
    *more: tuple[str, str],
) -> set[str]:
    query = query_of(type_, (name, value), *more)
    hits = await find_all(store, query, visibility or Everything(), size=3)
    assert len({one.id for one in hits}) == len(hits)
    return {one.id for one in hits}


RESULTS = [
    result("both", {"coding": [coding("2339-0", "Glucose in blood")], "text": "血糖测定"}),
    result("display", {"coding": [coding("2339-0", "Glucose in blood")]}),
    result("silent", {"coding": [coding("2339-0")]}),
    result("said", {"text": "Fasting blood glucose"}),
    result("other", {"coding": [coding("718-7", "Hemoglobin")], "text": "血红蛋白"}),
    result("part", {"text": "panel"}, component=[{"code": {"text": "Glucose of the part"}}]),
    result(
        "tagged",
        {"text": "none"},
        meta={
            "tag": [coding("a", "Seen by glucose team", "urn:t")],
            "security": [coding("R", "restricted", "urn:s")],
        },
    ),
]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("code", "glucose", {"both", "display", "said"}),
        ("code", "GLUC", {"both", "display", "said"}),
        ("code", "glucose in", {"both", "display"}),
        ("code", "lucose", set()),
        ("code", "血糖", {"both"}),
        ("code", "测定", {"both"}),
        ("code", "血红,fasting", {"said", "other"}),
        ("code", "2339", set()),
        ("combo-code", "glucose", {"both", "display", "said", "part"}),
        ("component-code", "glucose", {"part"}),
        ("_tag", "seen by", {"tagged"}),
        ("_security", "restr", {"tagged"}),
        ("code", "...", set()),
    ],
)
async def test_search_3_1_1_4_10_modifier_text(
    store: Store, name: str, value: str, expected: set[str]
) -> None:
    await put_away(store, RESULTS)
    assert await found(store, "Observation", f"{name}:text", value) == expected


async def test_search_3_1_1_4_10_modifier_text_looks_at_the_type_of_an_identifier(
    store: Store,
) -> None:
    number = {"type": {"text": "住院号", "coding": [coding("MR", "Record", V2)]}, "value": "7"}
    await put_away(store, [body("Patient", "in", identifier=[number]), body("Patient", "out")])
    assert await found(store, "Patient", "identifier:text", "住院") == {"in"}
    assert await found(store, "Patient", "identifier:text", "record") == set()


async def test_a_text_that_was_replaced_is_not_found_by_what_it_was(store: Store) -> None:
    await put_away(store, RESULTS)
    await put_away(store, [result("both", {"text": "Potassium"})])
    assert await found(store, "Observation", "code:text", "血糖") == set()
    assert await found(store, "Observation", "code:text", "potassium") == {"both"}


async def test_where_too_many_texts_are_meant_records_are_decided_one_by_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_away(store, RESULTS)
    limits = type(store.context.limits)(wordings_max=1)
    monkeypatch.setattr(store.context, "limits", limits)
    assert await found(store, "Observation", "code:text", "glucose") == {"both", "display", "said"}
    await put_away(
        store, [value_set("x", "http://acme.org/a"), value_set("y", "http://acme.org/b")]
    )
    assert await found(store, "ValueSet", "url:below", "http://acme.org") == {"x", "y"}


async def test_a_text_is_kept_once_however_many_records_say_it(store: Store) -> None:
    several = [result(f"r{n}", {"text": "One and the same"}) for n in range(20)]
    await put_away(store, several)
    async with store.reading() as connection:
        assert await connection.fetchval("select count(*) from records.wording") == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"{V2}|MR|446053", {"mr"}),
        (f"{V2}|SS|446053", {"ss"}),
        (f"{V2}|MR|446053,{V2}|SS|446053", {"mr", "ss"}),
        (f"{V2}|MR|1", set()),
        ("urn:other|MR|446053", set()),
    ],
)
async def test_search_3_1_1_4_10_modifier_of_type(
    store: Store, value: str, expected: set[str]
) -> None:
    patients = [
        body(
            "Patient",
            kind.lower(),
            identifier=[{"type": {"coding": [coding(kind, None, V2)]}, "value": "446053"}],
        )
        for kind in ("MR", "SS")
    ]
    # The type of one number and the value of another are not of one identifier.
    mixed = [
        {"type": {"coding": [coding("MR", None, V2)]}, "value": "2"},
        {"value": "446053"},
    ]
    await put_away(store, [*patients, body("Patient", "mixed", identifier=mixed)])
    assert await found(store, "Patient", "identifier:of-type", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/xml", {"plain", "charset"}),
        ("TEXT/XML; charset=GBK", {"plain", "charset"}),
        ("text/xm", set()),
        ("application/pdf,text/xml", {"plain", "charset", "pdf"}),
    ],
)
async def test_search_3_1_1_4_10_1_searching_mime_types(
    store: Store, value: str, expected: set[str]
) -> None:
    kinds = {"plain": "text/xml", "charset": "text/xml; charset=UTF-8", "pdf": "application/pdf"}
    documents = [
        body(
            "DocumentReference",
            id_,
            status="current",
            content=[{"attachment": {"contentType": kind}}],
        )
        for id_, kind in kinds.items()
    ]
    await put_away(store, documents)
    assert await found(store, "DocumentReference", "contenttype:below", value) == expected


URLS = {
    "root": "http://acme.org/fhir",
    "slash": "http://acme.org/fhir/",
    "set": "http://acme.org/fhir/ValueSet/123",
    "version": "http://acme.org/fhir/ValueSet/123/_history/5",
    "sibling": "http://acme.org/fhirs/x",
    "oid": "urn:oid:1.2.3",
}


@pytest.mark.parametrize(
    ("modifier", "value", "expected"),
    [
        ("below", "http://acme.org/fhir/", {"slash", "set", "version"}),
        ("below", "http://acme.org/fhir", {"root", "slash", "set", "version"}),
        ("below", "http://acme.org", {"root", "slash", "set", "version", "sibling"}),
        ("below", "http://acme.org/fhir/Value", set()),
        (
            "below",
            "http://acme.org/fhirs,http://acme.org/fhir/ValueSet/123",
            {"sibling", "set", "version"},
        ),
        (
            "above",
            "http://acme.org/fhir/ValueSet/123/_history/5",
            {"root", "slash", "set", "version"},
        ),
        ("above", "http://acme.org/fhir", {"root"}),
        ("above", "http://acme.org/fhirs/x/y", {"sibling"}),
    ],
)
async def test_search_3_1_1_4_9_modifiers_above_and_below_of_a_uri(
    store: Store, modifier: str, value: str, expected: set[str]
) -> None:
    await put_away(store, [value_set(id_, url) for id_, url in URLS.items()])
    assert await found(store, "ValueSet", f"url:{modifier}", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://acme.com/q", {"one", "two", "other"}),
        ("http://acme.com/q|1", {"one", "two"}),
        ("http://acme.com/q|1.0", {"one"}),
        ("http://acme.com/q|1.00", set()),
        ("http://acme.com", set()),
    ],
)
async def test_search_3_1_1_4_13_modifier_below_of_a_canonical(
    store: Store, value: str, expected: set[str]
) -> None:
    versions = {"one": "1.0.3", "two": "1.1", "other": "10"}
    answers = [
        body(
            "QuestionnaireResponse", id_, status="completed", questionnaire=f"http://acme.com/q|{v}"
        )
        for id_, v in versions.items()
    ]
    await put_away(store, answers)
    name = "questionnaire:below"
    assert await found(store, "QuestionnaireResponse", name, value) == expected


HOUSES = [
    location("campus"),
    location("house", "campus"),
    location("floor", "house"),
    location("ward", "floor"),
    location("elsewhere"),
]


def visit(at: str) -> Operation:
    return body(
        "Encounter",
        f"at-{at}",
        status="finished",
        **{"class": {"code": "AMB"}},
        location=[{"location": {"reference": f"Location/{at}"}}],
    )


VISITS = [visit(at) for at in ("campus", "house", "floor", "ward", "elsewhere")]


@pytest.mark.parametrize(
    ("modifier", "value", "expected"),
    [
        ("below", "house", {"at-house", "at-floor", "at-ward"}),
        ("below", "Location/floor", {"at-floor", "at-ward"}),
        ("below", "floor,elsewhere", {"at-floor", "at-ward", "at-elsewhere"}),
        ("below", "unknown", set()),
        ("above", "floor", {"at-campus", "at-house", "at-floor"}),
        ("above", "campus", {"at-campus"}),
    ],
)
async def test_search_3_1_1_4_14_searching_hierarchies(
    store: Store, modifier: str, value: str, expected: set[str]
) -> None:
    await put_away(store, [*HOUSES, *VISITS])
    assert await found(store, "Encounter", f"location:{modifier}", value) == expected
    chained = f"encounter.location:{modifier}"
    about = [
        result(f"of-{one.id}", {"text": "x"}, encounter={"reference": f"Encounter/{one.id}"})
        for one in VISITS
    ]
    await put_away(store, about)
    assert await found(store, "Observation", chained, value) == {f"of-{one}" for one in expected}


async def test_a_hierarchy_is_followed_by_what_the_asker_may_see_only(store: Store) -> None:
    await put_away(store, [*HOUSES, *VISITS])
    seen = OfSender(frozenset({await store.sender("someone-else")}))
    assert await found(store, "Encounter", "location:below", "campus", seen) == set()


async def test_a_hierarchy_in_a_circle_has_an_end(store: Store) -> None:
    circle = [location("one", "two"), location("two", "one")]
    await put_away(store, [*circle, visit("one"), visit("two")])
    for modifier in ("below", "above"):
        name = f"location:{modifier}"
        assert await found(store, "Encounter", name, "one") == {"at-one", "at-two"}


@pytest.mark.parametrize(
    ("limit", "says"),
    [({"hierarchy_depth_max": 2}, "deep"), ({"hierarchy_rows_max": 2}, "more than 2")],
)
async def test_a_hierarchy_beyond_the_limits_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int], says: str
) -> None:
    await put_away(store, HOUSES)
    monkeypatch.setattr(store.context, "limits", type(store.context.limits)(**limit))
    for modifier, value in (("below", "campus"), ("above", "ward")):
        with pytest.raises(TooCostly, match=says):
            await found(store, "Encounter", f"location:{modifier}", value)


def at(id_: str, latitude: float, longitude: float) -> Operation:
    return location(id_, position={"latitude": latitude, "longitude": longitude})


PLACES = [
    at("chengdu", 30.6598, 104.0633),
    at("tianfu", 30.6574, 104.0658),
    at("deyang", 31.1270, 104.3979),
    at("beijing", 39.9042, 116.4074),
    at("suva", -18.1416, 178.4419),
    at("taveuni", -16.9923, -179.9000),
    at("pole", 89.999, 10.0),
    location("nowhere"),
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30.6598|104.0633|1|km", {"chengdu", "tianfu"}),
        ("30.6598|104.0633|300|m", {"chengdu"}),
        ("30.6598|104.0633|0.2|[mi_us]", {"chengdu"}),
        ("30.6598|104.0633|0.3|[mi_i]", {"chengdu", "tianfu"}),
        ("30.6598|104.0633", {"chengdu", "tianfu"}),
        # 61.0 km away: in the box of 50 km's corners it would be, on the ground it is not.
        ("30.6598|104.0633|60|km", {"chengdu", "tianfu"}),
        ("30.6598|104.0633|62", {"chengdu", "tianfu", "deyang"}),
        ("-17.5|179.9|200|km", {"suva", "taveuni"}),
        ("89.999|-170|1|km", {"pole"}),
        ("0|0|30000|km", {"chengdu", "tianfu", "deyang", "beijing", "suva", "taveuni", "pole"}),
        ("39.9|116.4|2|km,31.127|104.398|1|km", {"beijing", "deyang"}),
        ("0|0|0|km", set()),
    ],
)
async def test_location_near_is_true_distance(store: Store, value: str, expected: set[str]) -> None:
    await put_away(store, PLACES)
    assert await found(store, "Location", "near", value) == expected


async def test_whether_a_place_has_a_position_is_known(store: Store) -> None:
    await put_away(store, PLACES)
    assert await found(store, "Location", "near:missing", "true") == {"nowhere"}


async def test_search_3_1_1_3_parameter_list(store: Store) -> None:
    def entry(reference: str, *, deleted: bool = False) -> dict[str, Any]:
        return {"item": {"reference": reference}, **({"deleted": True} if deleted else {})}

    entries = [entry("Patient/a"), entry("Patient/b", deleted=True), entry("Location/ward")]
    several = [
        *(body("Patient", id_) for id_ in "abc"),
        *HOUSES,
        body("List", "42", status="current", mode="changes", entry=entries),
        body("List", "43", status="current", mode="working", entry=[entry("Patient/c")]),
    ]
    await put_away(store, several)
    assert await found(store, "Patient", "_list", "42") == {"a"}
    assert await found(store, "Patient", "_list", "42,43") == {"a", "c"}
    assert await found(store, "Patient", "_list", "unknown") == set()
    assert await found(store, "Location", "_list", "List/42") == {"ward"}
    assert await found(store, "Patient", "_list", "42", Everything(), ("_id", "c")) == set()
    assert await found(store, None, "_list", "42") == {"a", "ward"}
    nobody = OfSender(frozenset({await store.sender("someone-else")}))
    assert await found(store, "Patient", "_list", "42", nobody) == set()
    async with store.reading() as connection:
        total = query_of("Patient", ("_list", "42,43"), ("_total", "accurate"))
        assert (await search(connection, store.context, total, Everything())).total == 2
