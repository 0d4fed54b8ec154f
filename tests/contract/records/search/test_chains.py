"""Conditions on other records: what a record refers to, and what refers to it, step by step."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from shelf import find_all, put_away, query_of
from stores import coded, create, delete, of, to

from quanmin.base.problems import Malformed, NotSupported, TooCostly
from quanmin.records.operation import Operation, Sender
from quanmin.records.search import chains, key_lists, narrowing, search
from quanmin.records.store import Store
from quanmin.records.visibility import Both, Everything, Except, OfSender, OfType, Visibility


def result(id_: str, subject: str, **body: Any) -> Operation:
    more = {"status": "final", "code": coded("A"), "subject": to(subject), **body}
    return of("Observation", id_, **more)


def ward() -> list[Operation]:
    """Two hospitals, one part of the other; their doctors, patients, visits and results."""
    visit = {"status": "finished", "class": {"code": "AMB"}}
    return [
        of("Organization", "city", name="白市第一医院"),
        of("Organization", "clinic", name="青县诊所", partOf=to("Organization/city")),
        of("Practitioner", "li", name=[{"text": "李大夫"}], gender="male"),
        of("Practitioner", "wu", name=[{"text": "吴大夫"}], gender="female"),
        of("Patient", "one", gender="male", name=[{"text": "王小明"}], birthDate="1970-01-02"),
        of(
            "Patient",
            "two",
            gender="female",
            name=[{"text": "欧阳明月"}],
            identifier=[{"system": "urn:ids", "value": "2"}],
            managingOrganization=to("Organization/clinic"),
            generalPractitioner=[to("Practitioner/li")],
        ),
        of("Group", "herd", type="person", actual=True, identifier=[{"value": "2"}]),
        of("Encounter", "e1", **visit, subject=to("Patient/one")),
        of(
            "Encounter",
            "e2",
            **visit,
            subject=to("Patient/two"),
            serviceProvider=to("Organization/clinic"),
        ),
        result("o1", "Patient/one", encounter=to("Encounter/e1"), valueQuantity={"value": 5}),
        result("o2", "Patient/two", encounter=to("Encounter/e2"), performer=[to("Patient/one")]),
        result("o3", "Group/herd", performer=[to("Practitioner/wu"), to("Patient/two")]),
        result("o4", "Patient/none", code=coded("B")),
        result("o5", "Patient/two", code=coded("B"), valueQuantity={"value": 9}),
        result("o6", "https://elsewhere.example/fhir/Patient/two"),
    ]


ASKED = [
    ("Observation", "subject:Patient.gender", "female", {"o2", "o5"}),
    ("Observation", "patient.gender", "female", {"o2", "o5"}),
    ("Observation", "patient.identifier", "urn:ids|2", {"o2", "o5"}),
    ("Observation", "subject.identifier", "2", {"o2", "o3", "o5"}),
    ("Observation", "subject:Group.identifier", "2", {"o3"}),
    ("Observation", "patient.name", "明月", {"o2", "o5"}),
    ("Observation", "patient.name:exact", "明月", set()),
    ("Observation", "patient.name:contains", "阳明", {"o2", "o5"}),
    ("Observation", "patient.gender:not", "male", {"o2", "o5"}),
    ("Observation", "patient.birthdate", "lt1980", {"o1"}),
    ("Observation", "patient.birthdate:missing", "true", {"o2", "o5"}),
    ("Observation", "patient._id", "one,two", {"o1", "o2", "o5"}),
    ("Observation", "performer:Practitioner.gender", "female", {"o3"}),
    ("Observation", "performer:Patient.gender", "male", {"o2"}),
    ("Observation", "performer.gender", "male,female", {"o2", "o3"}),
    ("Observation", "encounter.status", "finished", {"o1", "o2"}),
    ("Observation", "encounter.patient.name", "王小明", {"o1"}),
    ("Observation", "encounter.service-provider.name", "青县", {"o2"}),
    ("Observation", "encounter.service-provider.partof.name", "白市", {"o2"}),
    ("Observation", "patient.organization.partof.name", "白市", {"o2", "o5"}),
    ("Observation", "patient.organization.partof.name", "青县", set()),
    ("Patient", "organization.name", "青县诊所", {"two"}),
    ("Patient", "general-practitioner:Practitioner.name", "李", {"two"}),
    ("Patient", "_has:Observation:patient:code", "B", {"two"}),
    ("Patient", "_has:Observation:subject:code", "A", {"one", "two"}),
    ("Patient", "_has:Observation:performer:code", "A", {"one", "two"}),
    ("Patient", "_has:Observation:patient:value-quantity", "gt6", {"two"}),
    ("Patient", "_has:Encounter:patient:_id", "e1", {"one"}),
    ("Patient", "_has:Encounter:patient:service-provider.name", "青县", {"two"}),
    ("Patient", "_has:Encounter:patient:_has:Observation:encounter:code", "A", {"one", "two"}),
    ("Encounter", "_has:Observation:encounter:performer:Patient.gender", "male", {"e2"}),
    ("Encounter", "patient._has:Observation:subject:code", "B", {"e2"}),
    ("Organization", "_has:Patient:organization:_has:Observation:patient:code", "B", {"clinic"}),
    (
        "Organization",
        "_has:Organization:partof:_has:Patient:organization:gender",
        "female",
        {"city"},
    ),
    ("Practitioner", "_has:Patient:general-practitioner:name", "欧阳", {"li"}),
    ("Practitioner", "_has:Observation:performer:status", "final", {"wu"}),
    ("Group", "_has:Observation:subject:performer:Practitioner.name", "吴", {"herd"}),
    ("Group", "_has:Observation:patient:code", "A", None),
]


@pytest.fixture(params=["few", "sets", "large sets", "codes", "met", "batches"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the keys of what the far end finds, or by asking the far end about near records."""
    if request.param == "batches":
        for name in ("KEYS_MAX", "DECIDED_MAX", "READ_MAX", "INDEXED_MAX"):
            monkeypatch.setattr(chains, name, 0)
    elif request.param != "few":
        monkeypatch.setattr(key_lists, "FEW_PATIENTS", 0)
    if request.param in {"codes", "met"}:
        monkeypatch.setattr(chains, "READ_EASILY", 0)
        monkeypatch.setattr(narrowing, "ASKED_MAX", 0)
        monkeypatch.setattr(narrowing, "SORTED_MAX", 0)
    if request.param == "met":
        monkeypatch.setattr(chains, "SEEN_FIRST", 1)
    if request.param in {"large sets", "codes", "met"}:
        monkeypatch.setattr(narrowing, "FEW", 0)
        monkeypatch.setattr(narrowing, "MANY", 0)


async def found_by(
    store: Store,
    type_: str,
    *pairs: tuple[str, str],
    visibility: Visibility | None = None,
    size: int = 200,
) -> set[str]:
    hits = await find_all(store, query_of(type_, *pairs), visibility or Everything(), size=size)
    ids = [one.id for one in hits]
    assert len(ids) == len(set(ids))
    return set(ids)


@pytest.mark.usefixtures("way")
async def test_records_are_found_by_what_is_at_the_other_end(store: Store) -> None:
    await put_away(store, ward())
    for type_, name, value, expected in ASKED:
        if expected is None:
            with pytest.raises(Malformed, match="can point only at"):
                query_of(type_, (name, value))
            continue
        asked = (name, value)
        assert await found_by(store, type_, asked) == expected, asked
        assert await found_by(store, type_, asked, size=1) == expected, asked
        assert await found_by(store, type_, asked, ("_sort", "-_id")) == expected, asked
        narrow = ("_id", "one,two,o2,o3,e2,clinic,li,herd")
        few = {"one", "two", "o2", "o3", "e2", "clinic", "li", "herd"} & expected
        assert await found_by(store, type_, asked, narrow) == few, asked
        assert await total_of(store, type_, asked) == len(expected), asked


async def total_of(store: Store, type_: str, *pairs: tuple[str, str]) -> int | None:
    query = query_of(type_, *pairs, ("_summary", "count"), ("_total", "accurate"))
    async with store.reading() as connection:
        hits = await search(connection, store.context, query, Everything())
    assert hits.total_is_exact
    return hits.total


@pytest.mark.usefixtures("way")
async def test_conditions_on_others_hold_each_for_itself_and_with_those_on_the_record(
    store: Store,
) -> None:
    await put_away(store, ward())
    woman, city = ("patient.gender", "female"), ("patient.organization.name", "青县")
    assert await found_by(store, "Observation", woman, city, ("code", "B")) == {"o5"}
    assert await found_by(store, "Observation", woman, ("patient.gender", "male")) == set()
    either = ("performer.gender", "female"), ("performer:Practitioner.name", "吴")
    assert await found_by(store, "Observation", *either) == {"o3"}
    assert await found_by(store, "Observation", woman, ("subject", "Patient/two")) == {"o2", "o5"}
    both = [("_has:Observation:patient:code", code) for code in "AB"]
    assert await found_by(store, "Patient", *both) == {"two"}


@pytest.mark.usefixtures("way")
async def test_no_end_of_a_reference_is_looked_at_that_may_not_be_seen(store: Store) -> None:
    await put_away(store, ward())
    other = Sender(await store.sender("hospital-b"), Everything(), Everything())
    secret = [
        of("Patient", "three", gender="female", name=[{"text": "欧阳明月"}]),
        result("s1", "Patient/two", code=coded("C")),
        result("s2", "Patient/three", code=coded("A")),
    ]
    await store.write(other, secret)
    own = result("o7", "Patient/three", code=coded("D"))
    await put_away(store, [own])
    ours = OfSender(frozenset({await store.sender("hospital-a")}))
    name = ("patient.name", "欧阳明月")
    assert await found_by(store, "Observation", name) == {"o2", "o5", "o7", "s1", "s2"}
    assert await found_by(store, "Observation", name, visibility=ours) == {"o2", "o5"}
    has = ("_has:Observation:patient:code", "A,C")
    assert await found_by(store, "Patient", has) == {"one", "two", "three"}
    assert await found_by(store, "Patient", has, visibility=ours) == {"one", "two"}
    secret_code = ("_has:Observation:patient:code", "C")
    assert await found_by(store, "Patient", secret_code, visibility=ours) == set()
    middle = ("patient._has:Observation:patient:code", "C,D")
    assert await found_by(store, "Encounter", middle) == {"e2"}
    assert await found_by(store, "Encounter", middle, visibility=ours) == set()


@pytest.mark.usefixtures("way")
async def test_a_chain_does_not_go_through_a_record_that_may_not_be_seen(store: Store) -> None:
    await put_away(store, ward())
    through = [
        ("Observation", "encounter.service-provider.name", "青县", "Encounter"),
        ("Observation", "patient.organization.partof.name", "白市", "Patient"),
        ("Patient", "_has:Encounter:patient:_has:Observation:encounter:code", "A", "Encounter"),
        ("Organization", "_has:Patient:organization:name", "欧阳", "Patient"),
    ]
    for type_, name, value, middle in through:
        without = Both((Everything(), Except(OfType(frozenset({middle})))))
        assert await found_by(store, type_, (name, value))
        assert not await found_by(store, type_, (name, value), visibility=without)


@pytest.mark.usefixtures("way")
async def test_a_deleted_end_is_none(store: Store) -> None:
    await put_away(store, ward())
    await put_away(store, [delete("Patient", "two"), delete("Encounter", "e1")])
    assert await found_by(store, "Observation", ("patient.gender", "female")) == set()
    assert await found_by(store, "Observation", ("encounter.status", "finished")) == {"o2"}
    assert await found_by(store, "Patient", ("_has:Encounter:patient:status", "finished")) == set()


async def test_only_what_the_element_itself_says_is_followed(store: Store) -> None:
    """The owner of a result may be named by another element than the one that is asked."""
    await put_away(store, ward())
    extra = [result("o8", "Group/herd", performer=[to("Patient/one")], code=coded("E"))]
    await put_away(store, extra)
    assert await found_by(store, "Patient", ("_has:Observation:patient:code", "E")) == set()
    assert await found_by(store, "Patient", ("_has:Observation:performer:code", "E")) == {"one"}
    assert await found_by(store, "Observation", ("patient.name", "王小明")) == {"o1"}


@pytest.mark.usefixtures("way")
async def test_who_is_no_subject_is_found_as_none_though_the_record_is_theirs(store: Store) -> None:
    """A record about somebody elsewhere is its performer's, where that is a Patient of ours."""
    elsewhere = "https://elsewhere.example/fhir/Patient/two"
    subjects = [
        to(elsewhere),
        {"type": "Patient", "identifier": {"system": "urn:ids", "value": "2"}},
        {**to(elsewhere), "type": "Patient"},
        to("Group/herd"),
    ]
    performer = [to("Patient/one")]
    about = {"status": "final", "code": coded("R"), "performer": performer}
    await put_away(
        store,
        [
            *ward(),
            *(
                of("Observation", f"r{number}", subject=subject, **about)
                for number, subject in enumerate(subjects)
            ),
        ],
    )
    for name in ("subject", "patient"):
        has = (f"_has:Observation:{name}:code", "R")
        assert await found_by(store, "Patient", has) == set()
        assert await found_by(store, "Patient", has, ("gender", "male")) == set()
    assert await found_by(store, "Patient", ("_has:Observation:performer:code", "R")) == {"one"}
    await put_away(store, [result("r9", "Patient/two", performer=performer, code=coded("R"))])
    assert await found_by(store, "Patient", ("_has:Observation:subject:code", "R")) == {"two"}


async def test_what_must_be_decided_one_by_one_has_an_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_away(store, ward())
    monkeypatch.setattr(
        store.context, "limits", msgspec.structs.replace(store.context.limits, sort_rows_max=0)
    )
    for name in ("KEYS_MAX", "DECIDED_MAX", "READ_MAX", "INDEXED_MAX"):
        monkeypatch.setattr(chains, name, 0)
    with pytest.raises(TooCostly, match="_has:Observation"):
        await found_by(store, "Patient", ("_has:Observation:patient:performer.gender", "male"))


async def test_conditional_criteria_look_at_the_record_itself(store: Store) -> None:
    criteria = query_of("Patient", ("organization.name", "青县"))
    body = b'{"resourceType":"Patient"}'
    with pytest.raises(NotSupported, match="conditional criteria"):
        await put_away(store, [create("Patient", body, criteria=criteria)])


@pytest.mark.parametrize("asked_max", [narrowing.ASKED_MAX, 0])
async def test_a_code_of_one_patient_is_found_however_many_records_that_has(
    store: Store, monkeypatch: pytest.MonkeyPatch, asked_max: int
) -> None:
    monkeypatch.setattr(narrowing, "ASKED_MAX", asked_max)
    monkeypatch.setattr(narrowing, "SORTED_MAX", asked_max)
    await put_away(store, ward())
    for sort in ("-date", "date", "-_lastUpdated"):
        for patient, code, found in (
            ("Patient/one", "A", {"o1"}),
            # o3 is filed under the second patient, who did what another is the subject of.
            ("Patient/two", "A", {"o2"}),
            ("Patient/two", "A,B", {"o2", "o5"}),
            ("Patient/one", "B", set()),
        ):
            pairs = (("patient", patient), ("code", code), ("_sort", sort))
            assert await found_by(store, "Observation", *pairs) == found
