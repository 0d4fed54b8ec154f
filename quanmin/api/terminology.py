"""The operations of terminology with their R4 signatures (terminology-service.html)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.api.reply import Reply
from quanmin.api.typed_parameters import Parameters, answer, missing
from quanmin.base.problems import Malformed, NotSupported
from quanmin.terminology import Canonical, Check, Entry, Kind, Match, Terms, Wanted

if TYPE_CHECKING:
    from quanmin.api.call import Call

_CODE = frozenset({"code", "system", "version", "display", "coding"})
_LOOKUP = frozenset({"code", "system", "version", "coding", "displayLanguage", "property"})
_SUBSUMES = frozenset({"codeA", "codeB", "system", "version", "codingA", "codingB"})
_CHECK = frozenset({"url", "code", "display", "coding", "codeableConcept", "abstract"})
_CHECK_SYSTEM = _CHECK | {"version", "displayLanguage"}
_CHECK_SET = _CHECK | {
    *("valueSet", "valueSetVersion", "system", "systemVersion", "displayLanguage"),
}
_EXPAND = frozenset(
    {
        *("url", "valueSet", "valueSetVersion", "filter", "offset", "count"),
        *("includeDesignations", "designation", "includeDefinition", "activeOnly"),
        *("excludeNested", "excludeNotForUI", "excludePostCoordinated", "displayLanguage"),
        *("exclude-system", "system-version"),
    }
)
_TRANSLATE = frozenset(
    {
        *("url", "conceptMapVersion", "code", "system", "version", "coding"),
        *("codeableConcept", "targetsystem", "reverse"),
    }
)


def _opened(call: Call) -> AbstractAsyncContextManager[Terms]:
    return call.records.terminology(call.desk.term_limits)


async def _entry(
    call: Call, terms: Terms, kind: Kind, url: str | None, version: str | None
) -> Entry:
    """The resource an operation is about: the record in the address, or the one the url names."""
    if len(call.parts) > 2:
        if url is not None:
            raise Malformed(f"the address names the {kind} already: leave url out")
        stored = await call.records.read(kind, call.parts[1])
        return await terms.entry_of(kind, stored.rid)
    if url is None:
        raise missing(f"the operation needs the url of a {kind}, or its id in the address")
    return await terms.entry(kind, Canonical.read(url, version))


def _coding(given: Mapping[str, Any]) -> Check:
    if not given.get("code"):
        raise missing("the coding needs a code")
    return Check(
        given.get("system") or "",
        given["code"],
        given.get("display"),
        given.get("version") or "",
    )


def _codes(said: Parameters, *, system: str | None, version: str | None) -> list[Check]:
    """The code, the coding or the codings of the concept: exactly one of the ways was used."""
    code, coding, concept = said.text("code"), said.tree("coding"), said.tree("codeableConcept")
    if sum(each is not None for each in (code, coding, concept)) != 1:
        raise missing("give one of code (with its system), coding and codeableConcept")
    if coding is not None:
        return [_coding(coding)]
    if concept is not None:
        return [_coding(each) for each in concept.get("coding") or ()]
    if system is None:
        raise missing("give the system of the code")
    return [Check(system, code or "", said.text("display"), version or "")]


# ---- CodeSystem ----------------------------------------------------------------------------------


async def look_up(call: Call) -> Reply:
    """R4 codesystem-operation-lookup.html."""
    said = Parameters(call, _LOOKUP)
    system, version = said.text("system"), said.text("version")
    (code,) = _codes(said, system=system, version=version)
    if not code.system:
        raise missing("give the system of the code")
    async with _opened(call) as terms:
        entry = await terms.entry("CodeSystem", Canonical.read(code.system, code.version))
        found = await terms.look_up(
            entry,
            code.code,
            language=said.text("displayLanguage"),
            properties=tuple(map(str, said.every("property"))),
        )
    out: list[dict[str, Any]] = [{"name": "name", "valueString": found.name}]
    if found.version:
        out.append({"name": "version", "valueString": found.version})
    out.append({"name": "display", "valueString": found.display})
    out += [{"name": "designation", "part": _designation(each)} for each in found.designations]
    out += [
        {
            "name": "property",
            "part": [{"name": "code", "valueCode": name}, {"name": "value", kind: value}],
        }
        for name, kind, value in found.properties
    ]
    return answer(out)


def _designation(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {"language": "valueCode", "use": "valueCoding", "value": "valueString"}
    return [{"name": name, kind: given[name]} for name, kind in kinds.items() if given.get(name)]


async def subsume(call: Call) -> Reply:
    """R4 codesystem-operation-subsumes.html."""
    said = Parameters(call, _SUBSUMES)
    first, second = said.tree("codingA"), said.tree("codingB")
    url, version = said.text("system"), said.text("version")
    if (first is None) != (second is None):
        raise missing("give codingA and codingB, or codeA and codeB")
    if first is not None and second is not None:
        codes = [_coding(first), _coding(second)]
        if codes[0].system != codes[1].system:
            raise Malformed("codingA and codingB are of different systems: none subsumes the other")
        url, version = codes[0].system, codes[0].version or version
        pair = codes[0].code, codes[1].code
    else:
        pair = said.need("codeA"), said.need("codeB")
    is_instance = len(call.parts) > 2
    async with _opened(call) as terms:
        entry = await _entry(call, terms, "CodeSystem", None if is_instance else url, version)
        if is_instance and url not in {None, entry.url}:
            raise Malformed("the codes are of another system than the one in the address")
        relation = await terms.relate(entry, *pair)
    return answer([{"name": "outcome", "valueCode": relation}])


async def check_in_system(call: Call) -> Reply:
    """R4 codesystem-operation-validate-code.html."""
    said = Parameters(call, _CHECK_SYSTEM)
    async with _opened(call) as terms:
        entry = await _entry(call, terms, "CodeSystem", said.text("url"), said.text("version"))
        codes = [
            code
            for code in _codes(said, system=entry.url, version=None)
            if code.system in {"", entry.url}
        ]
        verdict = await terms.check_in_system(entry, codes, said.text("displayLanguage"))
    return _verdict(verdict)


def _verdict(verdict: Any) -> Reply:
    out: list[dict[str, Any]] = [{"name": "result", "valueBoolean": verdict.result}]
    if verdict.message is not None:
        out.append({"name": "message", "valueString": verdict.message})
    if verdict.display is not None:
        out.append({"name": "display", "valueString": verdict.display})
    return answer(out)


# ---- ValueSet ------------------------------------------------------------------------------------


async def _value_set(call: Call, terms: Terms, said: Parameters) -> Mapping[str, Any]:
    """The definition to work with: sent along, at the url, or in the address."""
    sent = said.tree("valueSet")
    if sent is not None:
        if said.text("url") is not None or len(call.parts) > 2:
            raise Malformed("a valueSet is sent and named as well: leave one out")
        if sent.get("resourceType") != "ValueSet":
            raise Malformed("the parameter valueSet must be a ValueSet resource")
        return {name: value for name, value in sent.items() if name != "expansion"}
    entry = await _entry(call, terms, "ValueSet", said.text("url"), said.text("valueSetVersion"))
    return entry.head


async def expand(call: Call) -> Reply:
    """R4 valueset-operation-expand.html."""
    said = Parameters(call, _EXPAND)
    wanted = Wanted(
        filter=said.text("filter"),
        offset=said.number("offset") or 0,
        count=said.number("count"),
        include_designations=said.flag("includeDesignations", default=False),
        designations=tuple(map(str, said.every("designation"))),
        include_definition=said.flag("includeDefinition", default=False),
        active_only=said.flag("activeOnly", default=False),
        is_nested=not said.flag("excludeNested", default=True),
        without_abstract=said.flag("excludeNotForUI", default=False),
        display_language=said.text("displayLanguage"),
        excluded_systems=tuple(str(s).partition("|")[0] for s in said.every("exclude-system")),
        system_versions=tuple(_versions(said.every("system-version"))),
    )
    if wanted.is_nested and (wanted.filter or wanted.offset or wanted.count is not None):
        raise NotSupported("codes are nested in whole expansions only: leave out excludeNested")
    async with _opened(call) as terms:
        shown = await terms.expand(await _value_set(call, terms, said), wanted)
    return Reply(200, msgspec.json.encode(shown))


def _versions(given: list[Any]) -> list[tuple[str, str]]:
    parted = [str(each).partition("|") for each in given]
    if not all(version for _, _, version in parted):
        raise Malformed("system-version must be a canonical with its version: system|version")
    return [(system, version) for system, _, version in parted]


async def check_in_value_set(call: Call) -> Reply:
    """R4 valueset-operation-validate-code.html."""
    said = Parameters(call, _CHECK_SET)
    async with _opened(call) as terms:
        head = await _value_set(call, terms, said)
        verdict = await terms.check_in_value_set(
            head,
            _codes(said, system=said.text("system"), version=said.text("systemVersion")),
            language=said.text("displayLanguage"),
            allows_abstract=said.flag("abstract", default=True),
        )
    return _verdict(verdict)


# ---- ConceptMap ----------------------------------------------------------------------------------


async def translate(call: Call) -> Reply:
    """R4 conceptmap-operation-translate.html."""
    said = Parameters(call, _TRANSLATE)
    codes = _codes(said, system=said.text("system"), version=said.text("version"))
    async with _opened(call) as terms:
        url = said.text("url")
        entry = None
        if url is not None or len(call.parts) > 2:
            entry = await _entry(call, terms, "ConceptMap", url, said.text("conceptMapVersion"))
        matches = await terms.translate(
            entry,
            codes,
            target_system=said.text("targetsystem") or "",
            reverse=said.flag("reverse", default=False),
        )
    is_translated = any(match.is_one for match in matches)
    out: list[dict[str, Any]] = [{"name": "result", "valueBoolean": is_translated}]
    if not is_translated:
        out.append({"name": "message", "valueString": "no map has a code for this one"})
    out += [{"name": "match", "part": _match(match)} for match in matches]
    return answer(out)


def _match(match: Match) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": match.equivalence}]
    if match.concept is not None:
        parts.append({"name": "concept", "valueCoding": match.concept})
    for product in match.products:
        coding = {"system": product.get("system"), "code": product.get("value")}
        given = {name: value for name, value in coding.items() if value}
        element = {"name": "element", "valueUri": product["property"]}
        parts.append(
            {"name": "product", "part": [element, {"name": "concept", "valueCoding": given}]}
        )
    parts.append({"name": "source", "valueUri": match.source})
    return parts
