"""Terminology at the door: every parameter that R4 gives its operations, one by one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from vocabulary import DISEASES, concept, diseases, filtered, listed, system, value_set

from .terms import codes, get, parts, post, refusal, said, store

ICD, OWN = "urn:icd", "urn:own"


@pytest.fixture
async def told(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a node that knows the diseases."""
    await store(client, diseases())
    return client


def sent(name: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "resource": resource}


def uri(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "valueUri": value}


# ---- which definitions (R4 valueset-operation-expand.html) ---------------------------------------


@pytest.fixture
async def versions(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Of one code system an edition of 2010 and one of 2020, and a value set of the older."""
    old = system(DISEASES, concept("A", "Old"), version="1", date="2010-05")
    new = system(DISEASES, concept("A", "New"), version="2", date="2020-03-01")
    pinned = value_set("pinned", {"system": DISEASES, "version": "1"}, date="2010-06-01")
    free = value_set("free", {"system": DISEASES}, date="2009")
    await store(client, old, new, pinned, free)
    return client


async def displays(client: httpx.AsyncClient, name: str, **asked: Any) -> list[str]:
    url = f"http://node.test/ValueSet/{name}"
    found = await get(client, "ValueSet/$expand", url=url, **asked)
    return [each["display"] for each in found["expansion"]["contains"]]


async def test_expand_system_version_is_used_where_none_is_named(
    versions: httpx.AsyncClient,
) -> None:
    assert await displays(versions, "free") == ["New"]
    assert await displays(versions, "free", system__version=f"{DISEASES}|1") == ["Old"]
    assert await displays(versions, "pinned", system__version=f"{DISEASES}|2") == ["Old"]


async def test_expand_check_system_version_refuses_another(versions: httpx.AsyncClient) -> None:
    asked: dict[str, Any] = {"check__system__version": f"{DISEASES}|1"}
    assert await displays(versions, "free", **asked) == ["Old"]
    assert await displays(versions, "pinned", **asked) == ["Old"]
    url = "http://node.test/ValueSet/pinned"
    asked = {"check__system__version": f"{DISEASES}|2"}
    code, text = refusal(await get(versions, "ValueSet/$expand", 409, url=url, **asked))
    assert code == "conflict"
    assert "names version 1" in text


async def test_expand_force_system_version_goes_before_what_is_named(
    versions: httpx.AsyncClient,
) -> None:
    forced: dict[str, Any] = {"force__system__version": f"{DISEASES}|2"}
    assert await displays(versions, "pinned", **forced) == ["New"]


@pytest.mark.parametrize("name", ["system", "check-system", "force-system"])
async def test_expand_takes_canonicals_with_their_version(
    versions: httpx.AsyncClient, name: str
) -> None:
    params = {f"{name}-version": DISEASES, "url": "http://node.test/ValueSet/free"}
    answer = await versions.get("/ValueSet/$expand", params=params)
    assert answer.status_code == 400
    assert f"{name}-version" in refusal(answer.json())[1]


async def test_definitions_are_read_as_they_were_on_a_date(versions: httpx.AsyncClient) -> None:
    assert await displays(versions, "free", date="2015") == ["Old"]
    assert await displays(versions, "free", date="2020-02-29") == ["Old"]
    assert await displays(versions, "free", date="2020-03-01") == ["New"]
    assert await displays(versions, "free", date="2020-03-01T08:00:00+08:00") == ["New"]
    path = "CodeSystem/$lookup"
    then = await get(versions, path, system=DISEASES, code="A", date="2011")
    assert said(then, "display") == "Old"
    checked: dict[str, Any] = {"url": DISEASES, "code": "A", "display": "Old"}
    path = "CodeSystem/$validate-code"
    assert said(await get(versions, path, **checked, date="2011"), "result") is True
    assert said(await get(versions, path, **checked), "result") is False
    path = "ValueSet/$validate-code"
    checked |= {"url": "http://node.test/ValueSet/free", "system": DISEASES}
    assert said(await get(versions, path, **checked, date="2011"), "result") is True
    assert said(await get(versions, path, **checked), "result") is False


async def test_a_date_before_every_definition_is_refused(versions: httpx.AsyncClient) -> None:
    """R4: the definitions as they were on the given date, or an error if this is not possible."""
    path = "CodeSystem/$lookup"
    answer = await get(versions, path, 404, system=DISEASES, code="A", date="2009-12-31")
    assert "of 2010-05" in refusal(answer)[1]
    answer = await get(versions, path, 400, system=DISEASES, code="A", date="yesterday")
    assert "date" in refusal(answer)[1]


async def test_without_a_date_of_its_own_a_definition_is_as_old_as_its_record(
    told: httpx.AsyncClient,
) -> None:
    path = "CodeSystem/$lookup"
    assert said(await get(told, path, system=DISEASES, code="A00", date="2999"), "display")
    refusal(await get(told, path, 404, system=DISEASES, code="A00", date="1999"))


# ---- context -------------------------------------------------------------------------------------


async def test_a_context_is_the_value_set_that_an_element_is_bound_to(
    told: httpx.AsyncClient,
) -> None:
    bound = value_set("cholera", filtered("is-a", "A00"))
    profile = {
        "resourceType": "StructureDefinition",
        "url": "http://node.test/StructureDefinition/cholera-case",
        "name": "CholeraCase",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Condition",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Condition",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Condition", "path": "Condition"},
                {
                    "id": "Condition.code",
                    "path": "Condition.code",
                    "binding": {"strength": "required", "valueSet": bound["url"]},
                },
            ]
        },
    }
    await store(told, bound, profile)
    context = f"{profile['url']}#Condition.code"
    found = await get(told, "ValueSet/$expand", context=context, contextDirection="incoming")
    assert codes(found) == ["A00", "A00.0", "A00.9"]
    path = "ValueSet/$validate-code"
    for code, is_valid in (("A00", True), ("A01", False)):
        checked = await get(told, path, context=context, system=DISEASES, code=code)
        assert said(checked, "result") is is_valid


async def test_a_context_of_r4_itself_is_known_by_its_required_binding(
    told: httpx.AsyncClient,
) -> None:
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    gender = value_set("gender", listed("male", "female", system="urn:gender"))
    await store(told, gender | {"url": url})
    context = "http://hl7.org/fhir/StructureDefinition/Patient#Patient.gender"
    assert codes(await get(told, "ValueSet/$expand", context=context)) == ["male", "female"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"context": "Patient.gender"}, 400),
        ({"context": "http://node.test/StructureDefinition/none#Patient.gender"}, 404),
        ({"context": "http://hl7.org/fhir/StructureDefinition/Patient#Patient.name"}, 404),
        ({"context": "urn:a#b", "url": "urn:c"}, 400),
        ({"contextDirection": "incoming", "url": "urn:c"}, 400),
        ({"contextDirection": "sideways", "context": "urn:a#b"}, 400),
    ],
)
async def test_a_context_that_names_nothing_is_refused(
    told: httpx.AsyncClient, asked: dict[str, Any], status: int
) -> None:
    code, _ = refusal(await get(told, "ValueSet/$expand", status, **asked))
    assert code in {"structure", "not-found", "invalid"}


# ---- what an expansion tells ---------------------------------------------------------------------


async def test_an_expansion_repeats_the_parameters_it_was_made_with(
    told: httpx.AsyncClient,
) -> None:
    await store(told, value_set("all", {"system": DISEASES}))
    asked: dict[str, Any] = {
        "filter": "fever",
        "count": "5",
        "offset": "0",
        "activeOnly": "true",
        "excludePostCoordinated": "true",
        "system-version": f"{DISEASES}|1",
    }
    answer = await told.get(
        "/ValueSet/$expand", params=asked | {"url": "http://node.test/ValueSet/all"}
    )
    repeated = answer.json()["expansion"]["parameter"]
    assert {"name": "filter", "valueString": "fever"} in repeated
    assert {"name": "count", "valueInteger": 5} in repeated
    assert {"name": "activeOnly", "valueBoolean": True} in repeated
    assert {"name": "excludePostCoordinated", "valueBoolean": True} in repeated
    assert {"name": "system-version", "valueUri": f"{DISEASES}|1"} in repeated
    assert {"name": "version", "valueUri": f"{DISEASES}|1"} in repeated


async def test_designations_that_a_value_set_gives_are_designations(
    told: httpx.AsyncClient,
) -> None:
    """R4 `ValueSet.compose.include.concept.designation`."""
    include = listed("A00", "A01")
    french = {"language": "fr", "value": "Choléra"}
    include["concept"][0]["designation"] = [french]
    inner = value_set("inner", include)
    await store(told, inner, value_set("outer", {"valueSet": [inner["url"]]}))
    for name in ("inner", "outer"):
        url = f"http://node.test/ValueSet/{name}"
        found = await get(told, "ValueSet/$expand", url=url, includeDesignations="true")
        cholera, typhoid = found["expansion"]["contains"]
        assert cholera["designation"] == [french]
        assert typhoid["designation"] == [{"language": "de", "value": "Typhus abdominalis"}]
        found = await get(told, "ValueSet/$expand", url=url, displayLanguage="fr")
        assert found["expansion"]["contains"][0]["display"] == "Choléra"
        asked: dict[str, Any] = {
            "url": url,
            "system": DISEASES,
            "code": "A00",
            "display": "Choléra",
        }
        checked = await get(told, "ValueSet/$validate-code", **asked)
        assert said(checked, "result") is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("xiezhongliang", ["C"]),
        ("xuezhongliang", ["C"]),
        ("xuechongliang", ["C"]),
        ("xczl", []),
        ("xczl xzl", []),
        ("hangwei", ["D"]),
        ("xingwei", ["D"]),
        ("niaodai", []),
        ("niaodu", ["E"]),
    ],
)
async def test_a_filter_finds_characters_in_each_of_their_common_readings(
    client: httpx.AsyncClient, text: str, wanted: list[str]
) -> None:
    known = concept("C", "血重量"), concept("D", "行为"), concept("E", "尿毒症")
    await store(client, system(DISEASES, *known), value_set("all", {"system": DISEASES}))
    url = "http://node.test/ValueSet/all"
    assert codes(await get(client, "ValueSet/$expand", url=url, filter_=text)) == wanted


# ---- definitions that are sent along -------------------------------------------------------------


async def test_validate_code_in_a_code_system_that_is_sent(client: httpx.AsyncClient) -> None:
    path = "CodeSystem/$validate-code"
    given = sent("codeSystem", diseases())
    code = {"name": "code", "valueCode": "A01"}

    async def verdict(*more: dict[str, Any]) -> tuple[bool, str | None]:
        answer = await post(client, path, given, *more)
        return said(answer, "result"), said(answer, "display")

    assert await verdict(code) == (True, "Typhoid fever")
    german = {"name": "displayLanguage", "valueCode": "de"}
    assert await verdict(code, german) == (True, "Typhus abdominalis")
    wrong = {"name": "display", "valueString": "Cholera"}
    assert await verdict(code, wrong) == (False, "Typhoid fever")
    assert await verdict({"name": "code", "valueCode": "a01"}) == (False, None)
    coding = {"name": "coding", "valueCoding": {"system": "urn:other", "code": "A01"}}
    assert await verdict(coding) == (False, None)
    top = {"name": "code", "valueCode": "A"}
    assert await verdict(top) == (True, "Infections")
    assert await verdict(top, {"name": "abstract", "valueBoolean": False}) == (False, None)
    # It was only a question: nothing of it is known afterwards.
    refusal(await get(client, path, 404, url=DISEASES, code="A01"))


async def test_abstract_codes_are_valid_unless_the_asker_says_otherwise(
    told: httpx.AsyncClient,
) -> None:
    path = "CodeSystem/$validate-code"
    assert said(await get(told, path, url=DISEASES, code="A", abstract="true"), "result") is True
    refused = await get(told, path, url=DISEASES, code="A", abstract="false")
    assert said(refused, "result") is False
    assert "abstract" in said(refused, "message")


@pytest.mark.parametrize(
    ("path", "name", "resource"),
    [
        ("CodeSystem/$validate-code", "codeSystem", diseases()),
        ("ValueSet/$expand", "valueSet", value_set("sent", listed("A00"))),
        (
            "ConceptMap/$translate",
            "conceptMap",
            {"resourceType": "ConceptMap", "status": "active"},
        ),
    ],
)
async def test_what_is_sent_and_named_as_well_is_refused(
    told: httpx.AsyncClient, path: str, name: str, resource: dict[str, Any]
) -> None:
    code = (
        [] if "expand" in path else [{"name": "code", "valueCode": "A00"}, uri("system", "urn:s")]
    )
    if "CodeSystem" in path:
        code.pop()
    answer = await post(told, path, sent(name, resource), uri("url", "urn:x"), *code, status=400)
    assert "leave one out" in refusal(answer)[1]
    other = sent(name, {"resourceType": "Basic", "code": {"text": "no"}})
    answer = await post(told, path, other, *code, status=400)
    assert f"the parameter {name} must be" in refusal(answer)[1]


# ---- $lookup and $subsumes -----------------------------------------------------------------------


async def test_lookup_gives_the_designations_of_the_languages_asked_for(
    told: httpx.AsyncClient,
) -> None:
    """R4 codesystem-operation-lookup.html: `lang.X`, where X is a designation language code."""
    asked: dict[str, Any] = {"system": DISEASES, "code": "A01"}
    for name, is_there in (("lang.de", True), ("designation", True), ("lang.fr", False)):
        found = await get(told, "CodeSystem/$lookup", **asked, property=name)
        assert (said(found, "designation") is not None) is is_there
        assert said(found, "property") is None


async def test_subsumes_needs_a_system_and_two_codes_of_one(told: httpx.AsyncClient) -> None:
    path = "CodeSystem/$subsumes"
    assert refusal(await get(told, path, 400, codeA="A", codeB="A00"))[0] == "required"
    codings = [
        {"name": name, "valueCoding": {"system": url, "code": "A"}}
        for name, url in (("codingA", DISEASES), ("codingB", "urn:other"))
    ]
    assert "different systems" in refusal(await post(told, path, *codings, status=400))[1]


# ---- $translate ----------------------------------------------------------------------------------


def concept_map(name: str, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    element = {"code": "A00", "target": list(targets)}
    return {
        "resourceType": "ConceptMap",
        "url": f"http://node.test/ConceptMap/{name}",
        "status": "active",
        "group": [{"source": ICD, "target": OWN, "element": [element]}],
        **more,
    }


def target(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "equivalence": "equivalent", **more}


def found_codes(answer: dict[str, Any]) -> list[str]:
    found = [parts(p["part"]) for p in answer["parameter"] if p["name"] == "match"]
    return [each["concept"]["code"] for each in found]


async def test_translate_by_a_map_that_is_sent(client: httpx.AsyncClient) -> None:
    path = "ConceptMap/$translate"
    given = sent("conceptMap", concept_map("sent", target("cholera"), target("gut")))
    asked = [uri("system", ICD), {"name": "code", "valueCode": "A00"}]
    assert found_codes(await post(client, path, given, *asked)) == ["cholera", "gut"]
    back = [uri("system", OWN), {"name": "code", "valueCode": "gut"}]
    reverse = {"name": "reverse", "valueBoolean": True}
    assert found_codes(await post(client, path, given, *back, reverse)) == ["A00"]
    elsewhere = uri("targetsystem", "urn:third")
    assert found_codes(await post(client, path, given, *asked, elsewhere)) == []
    mapped = concept_map("sent", target("cholera"))
    mapped["group"][0]["unmapped"] = {"mode": "fixed", "code": "other"}
    unknown = [uri("system", ICD), {"name": "code", "valueCode": "Z"}]
    assert found_codes(await post(client, path, sent("conceptMap", mapped), *unknown)) == ["other"]


async def test_translate_asks_the_maps_between_the_value_sets_named(
    client: httpx.AsyncClient,
) -> None:
    ends = {"sourceUri": "urn:vs:in", "targetCanonical": "http://node.test/ValueSet/out|1"}
    await store(
        client,
        concept_map("between", target("between"), **ends),
        concept_map("other", target("other"), sourceUri="urn:vs:elsewhere"),
        concept_map("any", target("any")),
    )
    (id_,) = await store(client, value_set("out", listed("A00")))
    path = "ConceptMap/$translate"

    async def translated(**asked: Any) -> set[str]:
        return set(found_codes(await get(client, path, system=ICD, code="A00", **asked)))

    assert await translated() == {"between", "other", "any"}
    assert await translated(source="urn:vs:in") == {"between", "any"}
    assert await translated(source="urn:vs:elsewhere") == {"other", "any"}
    out = "http://node.test/ValueSet/out"
    for named in (out, id_, f"ValueSet/{id_}"):
        assert await translated(source="urn:vs:in", target=named) == {"between", "any"}
    assert await translated(source="urn:vs:in", target="urn:vs:none") == {"any"}
    url = "http://node.test/ConceptMap/between"
    assert await translated(url=url, source="urn:vs:elsewhere") == set()
    back = await get(
        client, path, system=OWN, code="between", reverse="true", source=out, target="urn:vs:in"
    )
    assert found_codes(back) == ["A00"]
    refusal(await get(client, path, 404, system=ICD, code="A00", source="ValueSet/none"))


async def test_a_mapping_holds_only_with_what_it_depends_on(client: httpx.AsyncClient) -> None:
    """R4 `ConceptMap.group.element.target.dependsOn` and the parameter `dependency`."""
    gender = "http://node.test/gender"
    depends = [{"property": gender, "system": "urn:g", "value": "female"}]
    product = [{"property": "http://node.test/site", "system": "urn:s", "value": "gut"}]
    await store(
        client,
        concept_map("gendered", target("hers", dependsOn=depends, product=product)),
    )
    path = "ConceptMap/$translate"
    asked = [uri("system", ICD), {"name": "code", "valueCode": "A00"}]

    def dependency(code: str, of: str = "urn:g") -> dict[str, Any]:
        concept_ = {"coding": [{"system": of, "code": code}]}
        return {
            "name": "dependency",
            "part": [uri("element", gender), {"name": "concept", "valueCodeableConcept": concept_}],
        }

    without = await post(client, path, *asked)
    assert said(without, "result") is False
    assert gender in said(without, "message")
    found = await post(client, path, *asked, dependency("female"))
    assert found_codes(found) == ["hers"]
    (match,) = (parts(p["part"]) for p in found["parameter"] if p["name"] == "match")
    assert parts(match["product"]) == {
        "element": "http://node.test/site",
        "concept": {"system": "urn:s", "code": "gut"},
    }
    assert found_codes(await post(client, path, *asked, dependency("male"))) == []
    assert found_codes(await post(client, path, *asked, dependency("female", "urn:x"))) == []
    wrong = {"name": "dependency", "part": [uri("element", gender)]}
    assert "dependency" in refusal(await post(client, path, *asked, wrong, status=400))[1]


async def test_of_several_versions_of_a_map_the_newest_translates(
    client: httpx.AsyncClient,
) -> None:
    old = concept_map("own", target("old"), version="9", date="2010")
    new = concept_map("own", target("new"), version="10", date="2020")
    await store(client, old, new)
    path = "ConceptMap/$translate"
    asked: dict[str, Any] = {"system": ICD, "code": "A00"}
    assert found_codes(await get(client, path, **asked)) == ["new"]
    assert found_codes(await get(client, path, **asked, date="2015")) == ["old"]
    assert found_codes(await get(client, path, **asked, date="2005")) == []
    url = "http://node.test/ConceptMap/own"
    assert found_codes(await get(client, path, **asked, url=url)) == ["new"]
    assert found_codes(await get(client, path, **asked, url=url, conceptMapVersion="9")) == ["old"]


# ---- the whole list ------------------------------------------------------------------------------

R4_PARAMETERS = {
    "CodeSystem/$lookup": "code system version coding date displayLanguage property",
    "CodeSystem/$subsumes": "codeA codeB system version codingA codingB",
    "CodeSystem/$validate-code": (
        "url codeSystem code version display coding codeableConcept date abstract displayLanguage"
    ),
    "ValueSet/$expand": (
        "url valueSet valueSetVersion context contextDirection filter date offset count"
        " includeDesignations designation includeDefinition activeOnly excludeNested"
        " excludeNotForUI excludePostCoordinated displayLanguage exclude-system system-version"
        " check-system-version force-system-version"
    ),
    "ValueSet/$validate-code": (
        "url context valueSet valueSetVersion code system systemVersion display coding"
        " codeableConcept date abstract displayLanguage"
    ),
    "ConceptMap/$translate": (
        "url conceptMap conceptMapVersion code system version source coding codeableConcept target"
        " targetsystem dependency reverse"
    ),
}
# R4's $translate has none; definitions are asked for by their day as in the other operations.
MORE = {"ConceptMap/$translate": {"date"}}


@pytest.mark.parametrize("path", R4_PARAMETERS)
async def test_an_operation_takes_the_parameters_of_r4_and_names_them(
    client: httpx.AsyncClient, path: str
) -> None:
    _, text = refusal(await get(client, path, 400, unheardof="1"))
    named = set(text.rpartition("it takes ")[2].split(", "))
    assert named == {*R4_PARAMETERS[path].split()} | MORE.get(path, set())


@pytest.mark.parametrize(
    ("path", "name", "broken", "status"),
    [
        (
            "CodeSystem/$validate-code",
            "codeSystem",
            system(DISEASES, {"display": "a concept without a code"}),
            400,
        ),
        (
            "CodeSystem/$validate-code",
            "codeSystem",
            system(DISEASES, concept("A", "1"), concept("A", "2")),
            422,
        ),
        (
            "ValueSet/$expand",
            "valueSet",
            value_set("sent", {"system": DISEASES, "filter": [{"property": "concept"}]}),
            400,
        ),
        ("ValueSet/$expand", "valueSet", value_set("sent", {"version": "1"}), 422),
        (
            "ConceptMap/$translate",
            "conceptMap",
            concept_map("sent", {"code": "x", "dependsOn": [{"property": "urn:p"}]}),
            400,
        ),
        (
            "ConceptMap/$translate",
            "conceptMap",
            concept_map("sent", group=[{"source": ICD, "element": [], "unmapped": {"url": "x"}}]),
            400,
        ),
    ],
)
async def test_a_definition_that_is_sent_and_broken_is_refused(
    told: httpx.AsyncClient, path: str, name: str, broken: dict[str, Any], status: int
) -> None:
    # 400 where it is no resource of R4, 422 where it is one that contradicts itself.
    asked = [sent(name, broken)]
    if "expand" not in path:
        asked.append({"name": "code", "valueCode": "A00"})
    if "translate" in path:
        asked.append(uri("system", ICD))
    body = json.dumps({"resourceType": "Parameters", "parameter": asked})
    answer = await told.post(f"/{path}", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
