"""Terminology at the door: the operations of R4 terminology-service.html, clause by clause."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from vocabulary import DISEASES, concept, diseases, filtered, listed, prop, system, value_set

from .conftest import House
from .terms import codes, get, parts, post, refusal, said, store


async def expanded(
    client: httpx.AsyncClient, *includes: dict[str, Any], **compose: Any
) -> list[str]:
    """The codes of a value set that is sent along."""
    sent = value_set("sent", *includes, compose=compose)
    return codes(await post(client, "ValueSet/$expand", {"name": "valueSet", "resource": sent}))


@pytest.fixture
async def told(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a node that knows the diseases."""
    await store(client, diseases())
    return client


# ---- CodeSystem/$lookup --------------------------------------------------------------------------


async def test_lookup_tells_name_version_display_designations_and_properties(
    told: httpx.AsyncClient,
) -> None:
    found = await get(told, "CodeSystem/$lookup", system=DISEASES, code="A01")
    assert (said(found, "name"), said(found, "version")) == ("Diseases", "1")
    assert said(found, "display") == "Typhoid fever"
    assert parts(said(found, "designation")) == {"language": "de", "value": "Typhus abdominalis"}
    properties = [parts(p["part"]) for p in found["parameter"] if p["name"] == "property"]
    assert {"code": "parent", "value": "A"} in properties
    assert {"code": "definition", "value": "a fever"} in properties


async def test_lookup_by_coding_gives_the_properties_asked_for(told: httpx.AsyncClient) -> None:
    coding = {"name": "coding", "valueCoding": {"system": DISEASES, "code": "A00"}}
    wanted = {"name": "property", "valueCode": "child"}
    found = await post(told, "CodeSystem/$lookup", coding, wanted)
    properties = [parts(p["part"]) for p in found["parameter"] if p["name"] == "property"]
    assert properties == [{"code": "child", "value": "A00.0"}, {"code": "child", "value": "A00.9"}]


async def test_lookup_in_a_language_shows_the_designation(told: httpx.AsyncClient) -> None:
    path = "CodeSystem/$lookup"
    found = await get(told, path, system=DISEASES, code="A01", displayLanguage="de-AT")
    assert said(found, "display") == "Typhus abdominalis"


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"system": DISEASES, "code": "Z99"}, 404, "not-found"),
        ({"system": "http://node.test/unknown", "code": "A"}, 404, "not-found"),
        ({"code": "A"}, 400, "required"),
        ({"system": DISEASES}, 400, "required"),
        ({"system": DISEASES, "code": "A", "versoin": "1"}, 400, "not-supported"),
        ({"system": DISEASES, "code": "A", "version": "2"}, 404, "not-found"),
    ],
)
async def test_lookup_refuses_what_it_cannot_find_and_says_what_is_missing(
    told: httpx.AsyncClient, params: dict[str, str], status: int, code: str
) -> None:
    answer = await get(told, "CodeSystem/$lookup", status, **params)
    assert refusal(answer)[0] == code


# ---- CodeSystem/$validate-code -------------------------------------------------------------------


async def test_validate_code_in_a_system_checks_code_and_display(told: httpx.AsyncClient) -> None:
    path = "CodeSystem/$validate-code"
    right = await get(told, path, url=DISEASES, code="A01", display="typhoid  FEVER")
    assert (said(right, "result"), said(right, "display")) == (True, "Typhoid fever")
    assert said(
        await get(told, path, url=DISEASES, code="A01", display="Typhus abdominalis"), "result"
    )
    wrong = await get(told, path, url=DISEASES, code="A01", display="Cholera")
    assert said(wrong, "result") is False
    assert said(wrong, "display") == "Typhoid fever"
    assert "display" in said(wrong, "message")
    unknown = await get(told, path, url=DISEASES, code="a01")
    assert said(unknown, "result") is False


async def test_validate_code_at_an_instance_needs_no_url(client: httpx.AsyncClient) -> None:
    (id_,) = await store(client, diseases())
    path = f"CodeSystem/{id_}/$validate-code"
    assert said(await get(client, path, code="A00"), "result") is True
    assert refusal(await get(client, path, 400, code="A00", url=DISEASES))[0] == "structure"


async def test_validate_code_of_a_concept_holds_when_one_coding_does(
    told: httpx.AsyncClient,
) -> None:
    codings = [{"system": "urn:other", "code": "A00"}, {"system": DISEASES, "code": "A00"}]
    concept_: dict[str, Any] = {"coding": codings}
    given = {"name": "codeableConcept", "valueCodeableConcept": concept_}
    url = {"name": "url", "valueUri": DISEASES}
    assert said(await post(told, "CodeSystem/$validate-code", url, given), "result") is True
    concept_["coding"] = codings[:1]
    assert said(await post(told, "CodeSystem/$validate-code", url, given), "result") is False


async def test_codes_of_a_system_without_case_are_found_in_any(client: httpx.AsyncClient) -> None:
    await store(client, diseases(caseSensitive=False))
    path = "CodeSystem/$validate-code"
    assert said(await get(client, path, url=DISEASES, code="a01"), "result") is True
    assert await expanded(client, listed("a01", "x")) == ["A01", "X"]
    assert await expanded(client, filtered("is-a", "a00")) == ["A00", "A00.0", "A00.9"]


# ---- CodeSystem/$subsumes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("A", "A00.0", "subsumes"),
        ("A00.0", "A", "subsumed-by"),
        ("A00", "A00", "equivalent"),
        ("A00", "A01", "not-subsumed"),
        ("X", "A00.9", "subsumes"),
    ],
)
async def test_subsumes_tells_how_one_code_stands_to_the_other(
    told: httpx.AsyncClient, first: str, second: str, outcome: str
) -> None:
    found = await get(told, "CodeSystem/$subsumes", system=DISEASES, codeA=first, codeB=second)
    assert said(found, "outcome") == outcome
    codings = [
        {"name": name, "valueCoding": {"system": DISEASES, "code": code}}
        for name, code in (("codingA", first), ("codingB", second))
    ]
    assert said(await post(told, "CodeSystem/$subsumes", *codings), "outcome") == outcome


async def test_subsumes_refuses_unknown_codes_and_hierarchies_that_are_none(
    client: httpx.AsyncClient,
) -> None:
    (id_,) = await store(client, diseases(hierarchyMeaning="part-of"))
    path = f"CodeSystem/{id_}/$subsumes"
    assert refusal(await get(client, path, 400, codeA="A", codeB="A00"))[0] == "not-supported"
    await client.put(f"/CodeSystem/{id_}", content=json.dumps(diseases(id=id_)))
    assert said(await get(client, path, codeA="A", codeB="A00"), "outcome") == "subsumes"
    assert refusal(await get(client, path, 404, codeA="A", codeB="ZZ"))[0] == "not-found"
    assert refusal(await get(client, path, 400, codeA="A"))[0] == "required"


# ---- ValueSet/$expand ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("include", "wanted"),
    [
        ({"system": DISEASES}, ["A", "A00", "A00.0", "A00.9", "A01", "X"]),
        (filtered("is-a", "A00"), ["A00", "A00.0", "A00.9"]),
        (filtered("is-a", "X"), ["A00", "A00.0", "A00.9", "X"]),
        (filtered("descendent-of", "A00"), ["A00.0", "A00.9"]),
        (filtered("is-not-a", "A00"), ["A", "A01", "X"]),
        (filtered("generalizes", "A00.0"), ["A", "A00", "A00.0", "X"]),
        (filtered("=", "A01", "code"), ["A01"]),
        (filtered("=", "A00", "parent"), ["A00.0", "A00.9"]),
        (filtered("=", "A00.0", "child"), ["A00"]),
        (filtered("=", "3", "severity"), ["A00.0"]),
        (filtered("=", "true", "notifiable"), ["A00"]),
        (filtered("in", "A00, A01,ZZ", "code"), ["A00", "A01"]),
        (filtered("not-in", "A00,A01", "code"), ["A", "A00.0", "A00.9", "X"]),
        (filtered("regex", r"A\d\d", "code"), ["A00", "A01"]),
        (filtered("regex", "Typhoid.*", "display"), ["A01"]),
        (filtered("exists", "true", "severity"), ["A00.0"]),
        (filtered("exists", "false", "severity"), ["A", "A00", "A00.9", "A01", "X"]),
        (filtered("is-a", "unheard-of"), []),
        (listed("A01", "A00"), ["A01", "A00"]),
        (listed("A01", "no code"), ["A01"]),
    ],
)
async def test_valueset_compose_includes_what_its_filters_select(
    told: httpx.AsyncClient, include: dict[str, Any], wanted: list[str]
) -> None:
    assert await expanded(told, include) == wanted


async def test_several_filters_must_all_hold(told: httpx.AsyncClient) -> None:
    both = filtered("is-a", "A00")
    both["filter"] += filtered("exists", "true", "severity")["filter"]
    assert await expanded(told, both) == ["A00.0"]


async def test_includes_add_up_and_excludes_take_away(told: httpx.AsyncClient) -> None:
    assert await expanded(told, listed("X", "A00"), filtered("is-a", "A00")) == [
        *("X", "A00", "A00.0", "A00.9"),
    ]
    assert await expanded(told, {"system": DISEASES}, exclude=[filtered("is-a", "A00")]) == [
        *("A", "A01", "X"),
    ]


async def test_imported_value_sets_are_met_with_each_other_and_with_the_system(
    told: httpx.AsyncClient,
) -> None:
    cholera = value_set("cholera", filtered("is-a", "A00"))
    severe = value_set("severe", listed("A00.0", "A01"))
    await store(told, cholera, severe)
    assert await expanded(told, {"valueSet": [cholera["url"], severe["url"]]}) == ["A00.0"]
    both = listed("A01", "A00")
    both["valueSet"] = [severe["url"]]
    assert await expanded(told, both) == ["A01"]


async def test_a_value_set_that_imports_itself_is_refused(client: httpx.AsyncClient) -> None:
    first = value_set("first", {"valueSet": ["http://node.test/ValueSet/second"]})
    second = value_set("second", {"valueSet": [first["url"]]})
    await store(client, first, second)
    answer = await get(client, "ValueSet/$expand", 409, url=first["url"])
    code, text = refusal(answer)
    assert code == "conflict"
    assert "imports itself" in text


async def test_an_import_that_is_not_here_is_named(told: httpx.AsyncClient) -> None:
    sent = value_set("sent", {"valueSet": ["http://node.test/ValueSet/absent"]})
    parameter = {"name": "valueSet", "resource": sent}
    answer = await post(told, "ValueSet/$expand", parameter, status=404)
    code, text = refusal(answer)
    assert code == "not-found"
    assert "http://node.test/ValueSet/absent" in text


async def test_expand_shows_codes_with_display_abstract_and_inactive(
    told: httpx.AsyncClient,
) -> None:
    (id_,) = await store(told, value_set("all", {"system": DISEASES}))
    shown = await get(told, f"ValueSet/{id_}/$expand")
    contains = shown["expansion"]["contains"]
    assert contains[0] == {
        "system": DISEASES,
        "abstract": True,
        "code": "A",
        "display": "Infections",
    }
    assert contains[3]["inactive"] is True
    assert shown["expansion"]["total"] == 6
    assert "compose" not in shown
    assert {"name": "version", "valueUri": f"{DISEASES}|1"} in shown["expansion"]["parameter"]
    assert "compose" in await get(told, f"ValueSet/{id_}/$expand", includeDefinition="true")


async def test_expand_leaves_out_the_inactive_and_the_abstract_when_asked(
    told: httpx.AsyncClient,
) -> None:
    (id_,) = await store(told, value_set("all", {"system": DISEASES}))
    path = f"ValueSet/{id_}/$expand"
    assert "A00.9" not in codes(await get(told, path, activeOnly="true"))
    assert codes(await get(told, path, excludeNotForUI="true"))[0] == "A00"
    assert await expanded(told, filtered("is-a", "A00"), inactive=False) == ["A00", "A00.0"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("fever", ["A01"]),
        ("fev typh", ["A01"]),
        ("ever", []),
        ("a00.", ["A00.0", "A00.9"]),
        ("A00.0", ["A00.0"]),
        ("霍乱", ["A00", "A00.0", "A00.9"]),
        ("弧菌", ["A00.0"]),
        ("huoluan", ["A00", "A00.0", "A00.9"]),
        ("huoluanhujun", ["A00.0"]),
        ("hlhj", ["A00.0"]),
        ("霍乱 未特指", ["A00.9"]),
        ("Typhus", ["A01"]),
    ],
)
async def test_expand_filters_by_words_characters_and_pinyin(
    told: httpx.AsyncClient, text: str, wanted: list[str]
) -> None:
    (id_,) = await store(told, value_set("all", {"system": DISEASES}))
    assert codes(await get(told, f"ValueSet/{id_}/$expand", filter_=text)) == wanted


async def test_expand_gives_slices_by_offset_and_count(told: httpx.AsyncClient) -> None:
    (id_,) = await store(told, value_set("all", {"system": DISEASES}))
    path = f"ValueSet/{id_}/$expand"
    whole = codes(await get(told, path))
    first = await get(told, path, count=4)
    second = await get(told, path, count=4, offset=4)
    assert codes(first) + codes(second) == whole
    assert (first["expansion"]["total"], second["expansion"]["offset"]) == (6, 4)
    assert codes(await get(told, path, count=0)) == []
    assert codes(await get(told, path, offset=99, count=5)) == []
    assert refusal(await get(told, path, 400, count="-1"))[0] == "value"


async def test_expand_nests_codes_when_it_is_not_excluded(told: httpx.AsyncClient) -> None:
    (id_,) = await store(told, value_set("a", filtered("is-a", "A")))
    path = f"ValueSet/{id_}/$expand"
    (top,) = (await get(told, path, excludeNested="false"))["expansion"]["contains"]
    assert [each["code"] for each in top["contains"]] == ["A00", "A01"]
    assert [each["code"] for each in top["contains"][0]["contains"]] == ["A00.0", "A00.9"]
    assert len(codes(await get(told, path, excludeNested="true"))) == 5


async def test_expand_gives_designations_and_supplements_in_the_language_asked_for(
    told: httpx.AsyncClient,
) -> None:
    french = concept("A01", "", designation=[{"language": "fr", "value": "Fièvre typhoïde"}])
    del french["display"]
    url = "http://node.test/CodeSystem/french"
    await store(told, system(url, french, content="supplement", supplements=f"{DISEASES}|1"))
    (id_,) = await store(told, value_set("one", listed("A01")))
    path = f"ValueSet/{id_}/$expand"
    (one,) = (await get(told, path, displayLanguage="fr"))["expansion"]["contains"]
    assert one["display"] == "Fièvre typhoïde"
    (one,) = (await get(told, path, includeDesignations="true"))["expansion"]["contains"]
    assert [each["language"] for each in one["designation"]] == ["de", "fr"]
    only: dict[str, Any] = {"includeDesignations": "true", "designation": "urn:ietf:bcp:47|fr"}
    (one,) = (await get(told, path, **only))["expansion"]["contains"]
    assert [each["language"] for each in one["designation"]] == ["fr"]


async def test_an_expansion_over_the_limit_is_too_costly_and_can_be_had_in_parts(
    house: House,
) -> None:
    from quanmin.terminology import TermLimits  # noqa: PLC0415 - of this test alone

    client = house.client(term_limits=TermLimits(expansion_codes_max=4))
    await store(client, diseases())
    (id_,) = await store(client, value_set("all", {"system": DISEASES}))
    path = f"ValueSet/{id_}/$expand"
    code, text = refusal(await get(client, path, 400))
    assert code == "too-costly"
    assert "terminology.expansion_codes_max" in text
    assert refusal(await get(client, path, 400, count=5))[0] == "too-costly"
    assert len(codes(await get(client, path, count=3))) == 3
    assert codes(await get(client, path, filter_="fever")) == ["A01"]


@pytest.mark.parametrize(
    ("include", "status", "code", "where"),
    [
        ({"system": "urn:unknown"}, 404, "not-found", "ValueSet.compose.include[0].system"),
        (filtered("under", "A"), 400, None, None),
        (filtered("regex", "(", "code"), 422, "invalid", None),
    ],
)
async def test_what_cannot_be_expanded_is_refused_with_its_place(
    told: httpx.AsyncClient,
    include: dict[str, Any],
    status: int,
    code: str | None,
    where: str | None,
) -> None:
    sent = {"name": "valueSet", "resource": value_set("sent", include)}
    answer = await post(told, "ValueSet/$expand", sent, status=status)
    issue = answer["issue"][0]
    assert code is None or issue["code"] == code
    assert where is None or issue["expression"] == [where]


# ---- ValueSet/$validate-code ---------------------------------------------------------------------


async def test_validate_code_in_a_value_set_checks_membership_display_and_system(
    told: httpx.AsyncClient,
) -> None:
    (id_,) = await store(told, value_set("cholera", filtered("is-a", "A00")))
    url = "http://node.test/ValueSet/cholera"
    path = "ValueSet/$validate-code"
    right = await get(told, path, url=url, system=DISEASES, code="A00.0", display="霍乱弧菌")
    assert (said(right, "result"), said(right, "display")) == (True, "霍乱弧菌")
    outside = await get(told, path, url=url, system=DISEASES, code="A01")
    assert said(outside, "result") is False
    unknown = await get(told, path, url=url, system=DISEASES, code="ZZ")
    assert f"not in {DISEASES}|1" in said(unknown, "message")
    other = await get(told, path, url=url, system="urn:other", code="A00")
    assert said(other, "result") is False
    wrong = await get(told, path, url=url, system=DISEASES, code="A00", display="flu")
    assert (said(wrong, "result"), said(wrong, "display")) == (False, "霍乱")
    at_instance = f"ValueSet/{id_}/$validate-code"
    assert said(await get(told, at_instance, system=DISEASES, code="A00"), "result") is True
    assert refusal(await get(told, path, 400, url=url, code="A00"))[0] == "required"


async def test_validate_code_of_a_concept_in_a_value_set_and_of_abstract_codes(
    told: httpx.AsyncClient,
) -> None:
    sent = {"name": "valueSet", "resource": value_set("sent", {"system": DISEASES})}
    codings = [{"system": "urn:other", "code": "1"}, {"system": DISEASES, "code": "A"}]
    given = {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}}
    path = "ValueSet/$validate-code"
    assert said(await post(told, path, sent, given), "result") is True
    abstract = {"name": "abstract", "valueBoolean": False}
    refused = await post(told, path, sent, given, abstract)
    assert said(refused, "result") is False
    assert "abstract" in said(refused, "message")


# ---- what stands behind --------------------------------------------------------------------------


async def test_terminology_follows_the_record_in_the_same_transaction(
    house: House, client: httpx.AsyncClient
) -> None:
    (id_,) = await store(client, diseases())
    path = "CodeSystem/$validate-code"
    changed = system(DISEASES, concept("B", "Other"), id=id_)
    answer = await client.put(f"/CodeSystem/{id_}", content=json.dumps(changed))
    assert answer.status_code == 200
    assert said(await get(client, path, url=DISEASES, code="A00"), "result") is False
    assert said(await get(client, path, url=DISEASES, code="B"), "result") is True
    assert (await client.delete(f"/CodeSystem/{id_}")).status_code == 204
    assert refusal(await get(client, path, 404, url=DISEASES, code="B"))[0] == "not-found"
    for table in ("resource", "concept", "ancestor", "property"):
        assert await house.pool.fetchval(f"select count(*) from terminology.{table}") == 0


async def test_the_newest_version_answers_unless_one_is_named(client: httpx.AsyncClient) -> None:
    old = system(DISEASES, concept("A", "Old"), version="9")
    new = system(DISEASES, concept("A", "New"), version="10")
    await store(client, new, old)
    path = "CodeSystem/$lookup"
    assert said(await get(client, path, system=DISEASES, code="A"), "display") == "New"
    older = await get(client, path, system=DISEASES, code="A", version="9")
    assert said(older, "display") == "Old"
    pinned = {"system": DISEASES, "version": "9"}
    sent = {"name": "valueSet", "resource": value_set("sent", pinned)}
    (one,) = (await post(client, "ValueSet/$expand", sent))["expansion"]["contains"]
    assert one["display"] == "Old"


async def test_nobody_redefines_the_codes_of_another(house: House) -> None:
    await store(house.client("hospital-a"), system(DISEASES, concept("A", "Ours")))
    await store(house.client("hospital-b"), system(DISEASES, concept("A", "Theirs"), version="2"))
    for code in ("center", "hospital-a", "hospital-b"):
        found = await get(house.client(code), "CodeSystem/$lookup", system=DISEASES, code="A")
        assert said(found, "display") == "Ours"


@pytest.mark.parametrize(
    ("concepts", "where"),
    [
        ([concept("A", "1"), concept("A", "2")], "CodeSystem.concept[1].code"),
        (
            [concept("A", "1", property=[prop("parent", valueCode="B")])],
            "CodeSystem.concept[0].property[0]",
        ),
        (
            [
                concept("A", "1", property=[prop("parent", valueCode="B")]),
                concept("B", "2", property=[prop("parent", valueCode="A")]),
            ],
            "CodeSystem.concept[0]",
        ),
    ],
)
async def test_a_code_system_that_contradicts_itself_is_not_stored(
    client: httpx.AsyncClient, concepts: list[dict[str, Any]], where: str
) -> None:
    answer = await client.post("/CodeSystem", content=json.dumps(system(DISEASES, *concepts)))
    assert answer.status_code == 422
    assert [issue["expression"] for issue in answer.json()["issue"]] == [[where]]
    assert "entry" not in (await client.get("/CodeSystem", params={"url": DISEASES})).json()


async def test_the_statement_lists_the_operations_and_others_are_refused(
    client: httpx.AsyncClient,
) -> None:
    (rest,) = (await client.get("/metadata")).json()["rest"]
    base = "http://hl7.org/fhir/OperationDefinition"
    listed_at = {
        resource["type"]: {
            each["name"]
            for each in resource.get("operation", ())
            if each["definition"] == f"{base}/{resource['type']}-{each['name']}"
        }
        for resource in rest["resource"]
    }
    assert listed_at["CodeSystem"] == {"lookup", "validate-code", "subsumes"}
    assert listed_at["ValueSet"] == {"expand", "validate-code"}
    assert listed_at["ConceptMap"] == {"translate"}
    assert not listed_at["Location"]
    assert (await client.get("/ValueSet/$lookup")).status_code == 404
    assert (await client.get("/CodeSystem/1/$lookup")).status_code == 404
    assert (await client.delete("/ValueSet/$expand")).status_code == 405


async def test_terminology_is_for_known_actors_only(house: House) -> None:
    answer = await house.client(None).get("/CodeSystem/$lookup", params={"code": "A"})
    assert answer.status_code == 401


# ---- searches (R4 search.html#modifiers) ---------------------------------------------------------


async def test_codes_are_found_by_value_set_and_by_hierarchy(told: httpx.AsyncClient) -> None:
    await store(told, value_set("fevers", listed("A01")))
    given = {
        code: {
            "resourceType": "Basic",
            "code": {"coding": [{"system": DISEASES, "code": code}]},
        }
        for code in ("A", "A00", "A00.0", "A01", "X")
    }
    ids = dict(zip(await store(told, *given.values()), given, strict=True))

    async def found(**asked: str) -> set[str]:
        ((name, value),) = asked.items()
        params = {f"code:{name.rstrip('_').replace('_', '-')}": value}
        answer = await told.get("/Basic", params=params)
        assert answer.status_code == 200, answer.text
        return {ids[entry["resource"]["id"]] for entry in answer.json().get("entry", ())}

    assert await found(in_="http://node.test/ValueSet/fevers") == {"A01"}
    assert await found(not_in="http://node.test/ValueSet/fevers") == {"A", "A00", "A00.0", "X"}
    assert await found(below=f"{DISEASES}|A00") == {"A00", "A00.0"}
    assert await found(above=f"{DISEASES}|A00.0") == {"A", "A00", "A00.0", "X"}
    unknown = await told.get("/Basic", params={"code:in": "http://node.test/ValueSet/none"})
    assert unknown.status_code in {400, 404}
    assert unknown.json()["resourceType"] == "OperationOutcome"
