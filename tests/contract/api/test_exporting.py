"""`$export` over HTTP, by the sections of the Bulk Data Access guide 2.0.0 (export.html)."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from consenting import HL7
from definitions import index_all, nation, of_nation
from outlet import ASYNC, Taken, begin, ended, exports_in, fetch, take, working
from persons import consent, to_institution
from stores import bundle, observation, patient, post

from quanmin.api import DoorLimits
from quanmin.api.export import Exports
from quanmin.base.jobs import find
from quanmin.fhir.table import load_table
from quanmin.records.catalogue import Catalogue
from quanmin.trust import Actor, Extent
from quanmin.trust.lifecycle.handing_out import begin_erasing

OPERATOR = Actor("centre", "operator", "Centre", "center")
LIMITS = DoorLimits(polls_per_second=10_000, polls_burst=10_000)


class Outlet:
    """A house with a worker that exports."""

    def __init__(self, house: Any, exports: Exports) -> None:
        self.house = house
        self.exports = exports

    def client(self, code: str = "center", exports: Exports | None = None) -> httpx.AsyncClient:
        client: httpx.AsyncClient = self.house.client(code, LIMITS, exports=exports or self.exports)
        return client

    def working(self, exports: Exports | None = None) -> Any:
        house = self.house
        return working(house.pool, house.guard, house.actors, exports or self.exports)


@pytest.fixture
async def idle(house: Any, tmp_path: Path) -> Outlet:
    """Where nobody works exports off yet."""
    return Outlet(house, exports_in(tmp_path, step_records=3, step_bytes=4096))


@pytest.fixture
async def outlet(idle: Outlet) -> AsyncIterator[Outlet]:
    async with idle.working():
        yield idle


async def put(client: httpx.AsyncClient, type_: str, id_: str, **body: Any) -> None:
    resource = {"resourceType": type_, "id": id_, **body}
    answer = await client.put(f"/{type_}/{id_}", content=json.dumps(resource).encode())
    assert answer.status_code in {200, 201}, answer.text


async def fill(client: httpx.AsyncClient, mark: str = "") -> set[str]:
    """Two patients with four results each, of a hospital."""
    await put(client, "Organization", f"hospital{mark}", name="Hospital")
    found = {f"Organization/hospital{mark}"}
    for one in ("man", "woman"):
        at = {"reference": f"Organization/hospital{mark}"}
        body = json.loads(patient(managingOrganization=at)) | {"id": f"{one}{mark}"}
        await put(client, "Patient", f"{one}{mark}", **body)
        found.add(f"Patient/{one}{mark}")
        for place in range(4):
            id_ = f"result-{one}-{place}{mark}"
            value = json.loads(observation(f"Patient/{one}{mark}", effectiveDateTime="2026-03-01"))
            value["status"] = "final" if place else "amended"
            await put(client, "Observation", id_, **value)
            found.add(f"Observation/{id_}")
    return found


# ---- request -----------------------------------------------------------------------------------


async def test_bulk_data_system_level_export_gives_every_record_once(outlet: Outlet) -> None:
    client = outlet.client()
    there = await fill(client)
    taken = await take(client, "/$export")
    assert sorted(taken.ids()) == sorted(there)
    manifest = taken.manifest
    assert manifest["request"] == "http://node.test/fhir/$export"
    assert manifest["requiresAccessToken"] is True
    assert (manifest["deleted"], manifest["error"]) == ([], [])
    assert taken.types() == ["Observation", "Organization", "Patient"]
    assert sum(one["count"] for one in manifest["output"]) == len(there)


async def test_bulk_data_records_come_as_they_are_read_to_the_digit(outlet: Outlet) -> None:
    client = outlet.client()
    spaced = json.dumps(json.loads(observation()), indent=2).replace("5.4", "5.4000")
    assert "5.4000" in spaced
    created = await client.post("/Observation", content=spaced.encode())
    id_ = created.json()["id"]
    newer = json.dumps(json.loads(spaced) | {"id": id_}, indent=2).replace("5.4", "5.4000")
    changed = await client.put(f"/Observation/{id_}", content=newer.encode())
    assert changed.json()["meta"]["versionId"] == "2", "the newest alone is exported"
    read = await client.get(changed.headers["location"])
    taken = await take(client, "/$export")
    (line,) = taken.lines[taken.manifest["output"][0]["url"]]
    assert line == read.content.replace(b"\n", b" ")
    assert b"5.4000" in line


async def test_bulk_data_kick_off_answers_202_with_the_status_address(idle: Outlet) -> None:
    client = idle.client()
    answer = await client.get("/$export", headers=ASYNC | {"Accept": "application/fhir+json"})
    assert answer.status_code == 202
    assert answer.json()["resourceType"] == "OperationOutcome"
    where = answer.headers["content-location"]
    assert where.startswith("http://node.test/fhir/_job/")
    assert (await client.get(where)).headers["x-progress"] == "waiting"


async def test_bulk_data_kick_off_without_respond_async_is_refused(idle: Outlet) -> None:
    answer = await idle.client().get("/$export")
    assert answer.status_code == 400
    assert "respond-async" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("format_", ["application/fhir+ndjson", "application/ndjson", "ndjson"])
async def test_bulk_data_output_format_accepts_the_three_names_of_ndjson(
    idle: Outlet, format_: str
) -> None:
    client = idle.client()
    assert await begin(client, f"/$export?_outputFormat={format_}")
    assert await begin(client, "/$export?_outputFormat=application%2Ffhir%2Bndjson")


REFUSED = [
    ("/$export?_outputFormat=text/csv", "ndjson"),
    ("/$export?_type=Patient,Nothing", "Nothing"),
    ("/$export?_since=yesterday", "_since"),
    ("/$export?_since=2026-01-01&_since=2026-02-01", "more than once"),
    ("/$export?_elements=Patient.name.given", "first level"),
    ("/$export?_elements=Patient.feathers", "feathers"),
    ("/$export?_elements=Bird.name", "Bird"),
    ("/$export?_typeFilter=Observation%3Fcolour%3Dred", "colour"),
    ("/$export?_typeFilter=Observation%3F_sort%3Ddate", "_sort"),
    ("/$export?_type=Patient&_typeFilter=Observation%3Fstatus%3Dfinal", "among those of _type"),
    ("/$export?includeAssociatedData=LatestProvenanceResources", "includeAssociatedData"),
    ("/$export?colour=red", "colour"),
    ("/$export?patient=Patient/man", "patient"),
    ("/Patient/$export?patient=Patient/man", "POST"),
    ("/Patient/$export?_type=Organization", "compartment"),
    ("/Patient/$export?_typeFilter=Organization%3Factive%3Dtrue", "compartment"),
]


@pytest.mark.parametrize(("url", "named"), REFUSED, ids=lambda value: str(value)[:60])
async def test_bulk_data_kick_off_refuses_what_it_does_not_serve_and_says_what(
    idle: Outlet, url: str, named: str
) -> None:
    client = idle.client()
    answer = await client.get(url, headers=ASYNC)
    assert answer.status_code == 400
    assert named in answer.json()["issue"][0]["diagnostics"]
    assert await idle.house.pool.fetchval("select count(*) from jobs.job") == 0


async def test_bulk_data_lenient_handling_goes_on_and_tells_what_was_not_heeded(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    there = await fill(client)
    lenient = {"Prefer": "respond-async, handling=lenient"}
    url = "/$export?colour=red&includeAssociatedData=LatestProvenanceResources&_type=Patient,Bird"
    taken = await take(client, url, **lenient)
    told = taken.listed("error")
    assert {each["resourceType"] for each in told} == {"OperationOutcome"}
    texts = [each["issue"][0]["diagnostics"] for each in told]
    assert [word in text for word, text in zip(("colour", "include", "Bird"), texts, strict=True)]
    assert taken.ids() == [one for one in taken.ids() if one.startswith("Patient/")]
    assert len(taken.ids()) == len([one for one in there if one.startswith("Patient/")])


async def test_bulk_data_parameters_come_in_a_parameters_resource_too(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Patient"},
            {"name": "_type", "valueString": "Organization"},
            {"name": "_since", "valueInstant": "2020-01-01T00:00:00Z"},
            {"name": "_outputFormat", "valueString": "application/fhir+ndjson"},
        ],
    }
    taken = await take(client, "/$export", body)
    assert taken.types() == ["Organization", "Patient"]
    assert taken.manifest["request"] == "http://node.test/fhir/$export"


async def test_bulk_data_type_leaves_out_all_others(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    assert (await take(client, "/$export?_type=Patient,Organization")).types() == [
        "Organization",
        "Patient",
    ]


async def test_bulk_data_elements_leaves_out_the_others_and_marks_it(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    taken = await take(client, "/$export?_elements=subject,Patient.name")
    for one in taken.of("Observation"):
        assert set(one) == {"resourceType", "id", "meta", "status", "code", "subject"}
        assert "SUBSETTED" in {tag["code"] for tag in one["meta"]["tag"]}
    assert {"name", "gender"} & set(taken.of("Patient")[0]) == {"name"}


async def test_bulk_data_type_filter_keeps_what_any_query_of_the_type_finds(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    there = await fill(client)
    filters = "Observation%3Fstatus%3Damended,Observation%3F_id%3Dresult-man-1%26status%3Dfinal"
    taken = await take(client, f"/$export?_typeFilter={filters}")
    found = {one for one in taken.ids() if one.startswith("Observation/")}
    assert found == {
        "Observation/result-man-0",
        "Observation/result-woman-0",
        "Observation/result-man-1",
    }
    others = {one for one in there if not one.startswith("Observation/")}
    assert set(taken.ids()) - found == others
    assert len(taken.ids()) == len(set(taken.ids()))


async def test_bulk_data_type_filter_takes_chains_and_goes_on_portion_by_portion(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    await fill(client)
    one = "_typeFilter=Observation%3Fpatient.organization%3DOrganization/hospital"
    other = "_typeFilter=Observation%3Fstatus%3Dfinal"
    taken = await take(client, f"/$export?_type=Observation&{one}&{other}")
    assert len(taken.ids()) == len(set(taken.ids())) == 8


async def test_bulk_data_since_gives_what_changed_afterwards_and_what_was_deleted(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    await fill(client)
    first = await take(client, "/$export")
    assert (await client.delete("/Observation/result-man-3")).status_code == 204
    await put(client, "Organization", "hospital", name="Renamed")
    since = first.manifest["transactionTime"].replace("+", "%2B")
    second = await take(client, f"/$export?_since={since}")
    assert second.ids() == ["Organization/hospital"]
    (told,) = second.listed("deleted")
    assert (told["resourceType"], told["type"]) == ("Bundle", "transaction")
    assert told["entry"] == [{"request": {"method": "DELETE", "url": "Observation/result-man-3"}}]
    assert second.manifest["deleted"][0]["type"] == "Bundle"
    since = second.manifest["transactionTime"].replace("+", "%2B")
    third = await take(client, f"/$export?_since={since}")
    assert (third.manifest["output"], third.manifest["deleted"]) == ([], [])


async def test_bulk_data_files_are_split_by_number_and_size(idle: Outlet, tmp_path: Path) -> None:
    client = idle.client()
    there = await fill(client)
    small = exports_in(tmp_path, step_records=2, file_records_max=3)
    async with idle.working(small):
        taken = await take(client, "/$export")
    counts = [one["count"] for one in taken.manifest["output"] if one["type"] == "Observation"]
    assert counts == [4, 4]
    assert sorted(taken.ids()) == sorted(there)


async def test_bulk_data_type_filter_takes_custom_search_parameters(idle: Outlet) -> None:
    client, store = idle.client(), idle.house.guard.store
    for id_, value in (("one", "01"), ("two", "02")):
        await put(client, "Patient", id_, **of_nation(value))
    assert (await client.post("/SearchParameter", json=nation())).status_code == 201
    url = "/$export?_typeFilter=Patient%3Fnation%3D02&_type=Patient"
    for handling in ("strict", "lenient"):
        headers = {"Prefer": f"respond-async, handling={handling}"}
        answer = await client.get(url, headers=headers)
        assert (answer.status_code, "nation" in answer.text) == (503, True)
    await index_all(idle.house.pool, store.context)
    # The process that does it has not heard of the parameter.
    where = await begin(client, url)
    store.context.catalogue = Catalogue(0, load_table())
    async with idle.working():
        assert (await fetch(client, where)).ids() == ["Patient/two"]


async def test_bulk_data_type_filter_by_what_is_not_indexed_yet_is_refused(idle: Outlet) -> None:
    client = idle.client()
    await fill(client)
    await idle.house.pool.execute("update indexing.rule set state = 'pending'")
    idle.house.guard.store.context.catalogue = Catalogue(0, load_table())
    answer = await client.get(
        "/$export?_typeFilter=Observation%3Fcode:text%3Dglucose", headers=ASYNC
    )
    assert answer.status_code == 503, answer.text


# ---- patients and groups -------------------------------------------------------------------------


async def test_bulk_data_patient_level_export_gives_the_compartments_of_all_patients(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    there = await fill(client)
    taken = await take(client, "/Patient/$export")
    assert sorted(taken.ids()) == sorted(there - {"Organization/hospital"})


async def test_bulk_data_patient_parameter_keeps_to_the_patients_named(outlet: Outlet) -> None:
    client = outlet.client()
    there = await fill(client)
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "patient", "valueReference": {"reference": "Patient/man"}}],
    }
    taken = await take(client, "/Patient/$export", body)
    assert sorted(taken.ids()) == sorted(one for one in there if "/man" in one or "-man-" in one)


async def test_bulk_data_a_patient_who_is_not_here_is_refused_by_an_outcome(idle: Outlet) -> None:
    client = idle.client()
    await fill(client)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": f"Patient/{one}"}}
            for one in ("man", "nobody")
        ],
    }
    answer = await client.post("/Patient/$export", json=body, headers=ASYNC)
    assert (answer.status_code, "patient" in answer.text) == (422, True)
    lenient = {"Prefer": "respond-async, handling=lenient"}
    async with idle.working():
        taken = await take(client, "/Patient/$export", body, **lenient)
    assert {one for one in taken.ids() if one.startswith("Patient/")} == {"Patient/man"}
    (told,) = taken.listed("error")
    assert "patient" in told["issue"][0]["diagnostics"]


async def put_group(client: httpx.AsyncClient, *members: str, **more: Any) -> None:
    member = [{"entity": {"reference": one}} for one in members]
    await put(client, "Group", "ward", type="person", actual=True, member=member, **more)


async def test_bulk_data_group_level_export_gives_the_compartments_of_its_members(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    there = await fill(client)
    await put_group(client, "Patient/woman")
    taken = await take(client, "/Group/ward/$export")
    expected = {one for one in there if "/woman" in one or "-woman-" in one} | {"Group/ward"}
    assert set(taken.ids()) == expected
    assert len(taken.ids()) == len(expected)


async def add_provenance(client: httpx.AsyncClient) -> None:
    """Of each patient, of a result of each, of a result of both, and of the hospital."""
    for id_, *targets in (
        ("of-man", "Patient/man"),
        ("of-woman", "Patient/woman"),
        ("of-his", "Observation/result-man-1"),
        ("of-hers", "Observation/result-woman-1/_history/1"),
        (
            "of-both",
            "Organization/hospital",
            "Observation/result-man-2",
            "Observation/result-woman-2",
        ),
        ("of-hospital", "Organization/hospital"),
        ("of-nothing", "Observation/result-nobody-1"),
    ):
        await put(
            client,
            "Provenance",
            id_,
            target=[{"reference": one} for one in targets],
            recorded="2026-03-01T08:00:00+08:00",
            agent=[{"who": {"reference": "Organization/hospital"}}],
        )


async def test_bulk_data_patient_level_export_has_the_provenance_of_what_is_in_it(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    await fill(client)
    await add_provenance(client)
    for url in ("/Patient/$export", "/Patient/$export?_typeFilter=Provenance%3Frecorded%3D2026"):
        taken = await take(client, url)
        assert sorted(one["id"] for one in taken.of("Provenance")) == [
            *("of-both", "of-hers", "of-his", "of-man", "of-woman")
        ]
    taken = await take(client, "/Patient/$export?_type=Observation")
    assert taken.types() == ["Observation"]


async def test_bulk_data_group_level_export_has_the_provenance_of_what_is_in_it(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    await fill(client)
    await add_provenance(client)
    await put_group(client, "Patient/woman")
    taken = await take(client, "/Group/ward/$export")
    assert sorted(one["id"] for one in taken.of("Provenance")) == ["of-both", "of-hers", "of-woman"]
    await put(client, "Group", "ward", type="person", actual=True)
    assert (await take(client, "/Group/ward/$export")).manifest["output"] == []


async def test_provenance_of_a_record_that_the_actor_may_not_see_is_not_told_of(
    outlet: Outlet,
) -> None:
    await fill(outlet.client("hospital-b"))
    await put(
        outlet.client("hospital-a"),
        "Provenance",
        "guessed",
        target=[{"reference": "Observation/result-man-1"}],
        recorded="2026-03-01T08:00:00+08:00",
        agent=[{"who": {"display": "somebody"}}],
    )
    assert (await take(outlet.client("hospital-a"), "/Patient/$export")).ids() == []
    taken = await take(outlet.client(), "/Patient/$export?_type=Provenance")
    assert taken.ids() == ["Provenance/guessed"]


async def test_bulk_data_group_members_who_left_are_not_exported(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    member = [
        {"entity": {"reference": "Patient/man"}, "inactive": True},
        {"entity": {"reference": "Patient/woman"}},
    ]
    await put(client, "Group", "ward", type="person", actual=True, member=member)
    taken = await take(client, "/Group/ward/$export?_type=Patient")
    assert taken.ids() == ["Patient/woman"]


async def test_bulk_data_an_empty_group_gives_an_empty_output(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    await put(client, "Group", "ward", type="person", actual=True)
    assert (await take(client, "/Group/ward/$export")).manifest["output"] == []


async def test_bulk_data_a_patient_outside_the_group_is_refused(idle: Outlet) -> None:
    client = idle.client()
    await fill(client)
    await put_group(client, "Patient/woman")
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "patient", "valueReference": {"reference": "Patient/man"}}],
    }
    answer = await client.post("/Group/ward/$export", json=body, headers=ASYNC)
    assert answer.status_code == 422
    nowhere = await client.get("/Group/nowhere/$export", headers=ASYNC)
    assert nowhere.status_code == 404


# ---- the guard ---------------------------------------------------------------------------------


async def test_an_institution_exports_its_own_records_and_the_directory_only(
    outlet: Outlet,
) -> None:
    own = await fill(outlet.client("hospital-a"))
    await fill(outlet.client("hospital-b"), "-b")
    for filtered in ("", "?_typeFilter=Observation%3Fcode%3Dhttp://loinc.org%7C2339-0"):
        taken = await take(outlet.client("hospital-a"), f"/$export{filtered}")
        assert set(taken.ids()) == own | {"Organization/hospital-b"}


async def test_a_withdrawn_token_stops_the_export(idle: Outlet) -> None:
    await fill(idle.client("hospital-a"))
    where = await begin(idle.client("hospital-a"), "/$export")
    await idle.house.actors.retire("hospital-a")
    async with idle.working():
        answer = await ended(idle.client(), where)
    assert answer.status_code == 403
    assert not list(idle.exports.folder.glob("*/*"))


async def test_everything_exported_and_every_download_is_in_the_access_log(outlet: Outlet) -> None:
    client = outlet.client("hospital-a")
    await fill(client)
    headers = {"X-Purpose-Of-Use": "PUBHLTH", "X-Request-Id": "export-1"}
    where = await begin(client, "/$export?_type=Observation", **headers)
    taken = await fetch(client, where)
    rows = await outlet.house.pool.fetch(
        "select * from trust.access where request = 'export-1' and outcome = 'ok'"
    )
    assert {(row["actor"], row["purpose"], row["action"]) for row in rows} == {
        ("hospital-a", "PUBHLTH", "export")
    }
    context = outlet.house.guard.store.context
    keys = [context.rid_of(*one.split("/")) for one in taken.ids()]
    assert sorted(key for row in rows for key in row["records"]) == sorted(keys)
    assert {key for row in rows for key in row["patients"]} == {
        context.rid_of("Patient", one) for one in ("man", "woman")
    }
    downloads = await outlet.house.pool.fetch(
        "select type, hits from trust.access where action = 'download'"
    )
    assert [tuple(row) for row in downloads] == [("Observation", 8)]


async def test_what_a_withdrawn_consent_had_opened_is_given_out_no_more(outlet: Outlet) -> None:
    center, reader = outlet.client(), outlet.client("hospital-a")
    await fill(outlet.client("hospital-b"))
    await put(reader, "Organization", "reader", name="Reader")
    disclose = {"coding": [{"system": f"{HL7}/consentaction", "code": "disclose"}]}
    said = {}
    parts: dict[str, dict[str, Any]] = {"seen": {}, "onward": {"action": [disclose]}}
    for name, more in parts.items():
        said[name] = consent("man", type="permit", actor=to_institution("hospital-a"), **more)
        await put(center, "Consent", name, **said[name])
    theirs = await take(reader, "/$export?_type=Observation")
    own = await take(outlet.client("hospital-b"), "/$export?_type=Observation")
    assert (len(theirs.ids()), len(own.ids())) == (4, 8)
    (file,), (own_file,) = theirs.lines, own.lines
    await put(center, "Consent", "later", **consent("woman", type="deny"))
    assert (await reader.get(file)).status_code == 200, "nobody of it has said anything"
    await put(center, "Consent", "onward", **(said["onward"] | {"status": "inactive"}))
    answer = await reader.get(file)
    assert answer.status_code == 410, answer.text
    assert "export again" in answer.json()["issue"][0]["diagnostics"]
    assert (await outlet.client("hospital-b").get(own_file)).status_code == 200
    assert (await take(reader, "/$export?_type=Observation")).ids() == []


async def test_no_file_of_an_export_can_be_read_without_the_nodes_keys(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    await take(client, "/$export")
    files = list(outlet.exports.folder.glob("*/*"))
    assert len(files) == 3
    for file in files:
        content = file.read_bytes()
        assert b"resourceType" not in content
        assert (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)
        # Noise may begin like something packed, and then unpacks to noise.
        with suppress(zlib.error):
            assert b"resourceType" not in zlib.decompressobj(-15).decompress(content[4:])
    payload = await outlet.house.pool.fetchval("select payload::text from jobs.job")
    assert "secret" not in payload


# ---- files -------------------------------------------------------------------------------------


async def test_bulk_data_output_files_are_ndjson_plain_or_gzip(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    taken = await take(client, "/$export?_type=Observation")
    url = taken.manifest["output"][0]["url"]
    plain = await client.get(url, headers={"Accept-Encoding": "identity"})
    packed = await client.get(url, headers={"Accept": "application/fhir+ndjson"})
    assert plain.headers["content-type"] == packed.headers["content-type"]
    assert plain.headers["content-type"] == "application/fhir+ndjson"
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(plain.headers["content-length"]) == len(plain.content)
    async with client.stream("GET", url) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert int(packed.headers["content-length"]) == len(raw)
    assert gzip.decompress(raw) == plain.content
    head = await client.head(url)
    assert (head.status_code, head.content) == (200, b"")


async def test_bulk_data_output_files_need_the_token_of_whoever_began_it(outlet: Outlet) -> None:
    client = outlet.client("hospital-a")
    await fill(client)
    taken = await take(client, "/$export")
    url = taken.manifest["output"][0]["url"]
    stranger = outlet.house.client(None, LIMITS, exports=outlet.exports)
    assert (await stranger.get(url)).status_code == 401
    assert (await outlet.client("hospital-b").get(url)).status_code == 404
    assert (await outlet.client().get(url)).status_code == 200
    for wrong in ("Nothing.1.ndjson", "..%2F..%2Fkeys%2Froot.key", "Patient.9.ndjson"):
        missing = await client.get(f"{url.rpartition('/')[0]}/{wrong}")
        assert (missing.status_code, missing.json()["resourceType"]) == (404, "OperationOutcome")


async def test_bulk_data_delete_removes_the_files(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    where = await begin(client, "/$export")
    taken = await fetch(client, where)
    assert list(outlet.exports.folder.glob("*/*"))
    assert (await client.delete(where)).status_code == 202
    assert not list(outlet.exports.folder.glob("*"))
    assert (await client.get(taken.manifest["output"][0]["url"])).status_code == 404


async def test_bulk_data_expired_files_are_gone_and_removed(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    where = await begin(client, "/$export")
    taken = await fetch(client, where)
    answer = await client.get(where)
    assert answer.headers["expires"].endswith("GMT")
    day = 86_400_000_000
    await outlet.house.pool.execute("update jobs.job set ended_at = ended_at - $1::bigint", day)
    for gone in (await client.get(where), await client.get(taken.manifest["output"][0]["url"])):
        assert (gone.status_code, gone.json()["resourceType"]) == (410, "OperationOutcome")


async def test_an_export_that_holds_an_erased_person_is_ended_with_the_erasure(
    outlet: Outlet,
) -> None:
    client = outlet.client()
    await fill(client)
    holding = await begin(client, "/Patient/$export")
    taken = await fetch(client, holding)
    other = {"name": "patient", "valueReference": {"reference": "Patient/woman"}}
    asked = {"resourceType": "Parameters", "parameter": [other]}
    without = await begin(client, "/Patient/$export", asked)
    await fetch(client, without)
    pool, guard = outlet.house.pool, outlet.house.guard
    extent = Extent(type="Patient", until=guard.now())
    async with pool.acquire() as erasing, pool.acquire() as step, erasing.transaction():
        await begin_erasing(erasing)
        exporting = guard.records(OPERATOR, purpose="HOPERAT", request_id="step").exporting
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), step.transaction():
                await exporting.portion(
                    step, extent, (), after=None, count=9, bytes_max=999, seconds=9
                )
    records = guard.records(OPERATOR, purpose="HOPERAT", request_id="erase")
    await records.erase("man")
    for url in (holding, *(one["url"] for one in taken.manifest["output"])):
        assert (await client.get(url)).status_code == 404
    assert "Patient/man" not in (await fetch(client, without)).ids()
    await outlet.exports.shelf.sweep(lambda number: find(pool, number), 0)
    left = {path.name for path in outlet.exports.folder.iterdir()}
    assert left == {without.rpartition("/")[2]}


async def test_a_changed_file_is_not_given_out(outlet: Outlet) -> None:
    client = outlet.client()
    await fill(client)
    taken = await take(client, "/$export?_type=Observation")
    (file,) = outlet.exports.folder.glob("*/*")
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(Exception, match="damaged"):
        await client.get(taken.manifest["output"][0]["url"])


async def test_bulk_data_the_statement_declares_the_guide_and_its_operations(
    idle: Outlet,
) -> None:
    statement = (await idle.client().get("/metadata")).json()
    base = "http://hl7.org/fhir/uv/bulkdata"
    assert f"{base}/CapabilityStatement/bulk-data" in statement["instantiates"]
    rest = statement["rest"][0]
    assert {"name": "export", "definition": f"{base}/OperationDefinition/export"} in rest[
        "operation"
    ]
    operations = {one["type"]: one.get("operation", []) for one in rest["resource"]}
    for type_, name in (("Patient", "patient-export"), ("Group", "group-export")):
        definition = f"{base}/OperationDefinition/{name}"
        assert {"name": "export", "definition": definition} in operations[type_]


async def test_records_of_every_size_keep_to_the_limit_of_a_step(outlet: Outlet) -> None:
    client = outlet.client()
    entries = [post(observation(note=[{"text": "x" * (1 + 700 * place)}])) for place in range(30)]
    answer = await client.post("/", content=bundle("transaction", *entries))
    assert answer.status_code == 200
    taken: Taken = await take(client, "/$export")
    assert len(set(taken.ids())) == len(taken.ids()) == 30
