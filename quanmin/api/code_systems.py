"""The operations of CodeSystem with their R4 signatures (terminology-service.html)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from quanmin.api.coded_parameters import (
    CHECK,
    CODE,
    codes_of,
    coding,
    day,
    entry_of,
    is_at_record,
    opened,
    sent,
    tell,
)
from quanmin.api.parameters import Parameters, answer, missing
from quanmin.api.reply import Reply
from quanmin.base.problems import Malformed
from quanmin.terminology import Canonical

if TYPE_CHECKING:
    from quanmin.api.call import Call

_LOOKUP: Final = (CODE - {"display"}) | {"displayLanguage", "property"}
_SUBSUMES: Final = frozenset({"codeA", "codeB", "system", "version", "codingA", "codingB"})
_CHECK: Final = (CHECK - {"system"}) | {"codeSystem"}


async def look_up(call: Call) -> Reply:
    """R4 codesystem-operation-lookup.html."""
    said = Parameters(call, _LOOKUP)
    (code,) = codes_of(said, system=said.text("system"), version=said.text("version"))
    if not code.system:
        raise missing("give the system of the code")
    properties = tuple(said.texts("property"))
    async with opened(call) as terms:
        canonical = Canonical.read(code.system, code.version)
        entry = await terms.entry("CodeSystem", canonical, day(said))
        found = await terms.look_up(
            entry, code.code, language=said.text("displayLanguage"), properties=properties
        )
    out: list[dict[str, Any]] = [{"name": "name", "valueString": found.name}]
    if found.version:
        out.append({"name": "version", "valueString": found.version})
    out.append({"name": "display", "valueString": found.display})
    out += [
        {"name": "designation", "part": _designation(each)}
        for each in found.designations
        if _is_asked_for(each, properties)
    ]
    out += [
        {
            "name": "property",
            "part": [{"name": "code", "valueCode": name}, {"name": "value", kind: value}],
        }
        for name, kind, value in found.properties
    ]
    return answer(out)


def _is_asked_for(designation: Mapping[str, Any], properties: Sequence[str]) -> bool:
    """All of them, without properties; else by `designation` and by `lang.X`."""
    language = designation.get("language") or ""
    return not properties or bool({"designation", f"lang.{language}"} & {*properties})


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
        codes = [coding(first), coding(second)]
        if codes[0].system != codes[1].system:
            raise Malformed("codingA and codingB are of different systems: none subsumes the other")
        url, version = codes[0].system, codes[0].version or version
        pair = codes[0].code, codes[1].code
    else:
        pair = said.need("codeA"), said.need("codeB")
    async with opened(call) as terms:
        if is_at_record(call):
            entry = await entry_of(call, terms, "CodeSystem", said, "version")
            if url not in {None, entry.url}:
                raise Malformed("the codes are of another system than the one in the address")
        elif url is None:
            raise missing("give the system of the codes, or its id in the address")
        else:
            entry = await terms.entry("CodeSystem", Canonical.read(url, version))
        relation = await terms.relate(entry, *pair)
    return answer([{"name": "outcome", "valueCode": relation}])


async def check_in_system(call: Call) -> Reply:
    """R4 codesystem-operation-validate-code.html."""
    said = Parameters(call, _CHECK)
    language = said.text("displayLanguage")
    allows_abstract = said.flag("abstract", default=True)
    async with opened(call) as terms:
        given = sent(call, said, "codeSystem", "CodeSystem")
        if given is not None:
            url = given.get("url") or ""
            codes = [c for c in codes_of(said, system=url, version=None) if c.system in {"", url}]
            return tell(
                terms.check_in_sent_system(
                    given, codes, language=language, allows_abstract=allows_abstract
                )
            )
        entry = await entry_of(call, terms, "CodeSystem", said, "version")
        codes = codes_of(said, system=entry.url, version=None)
        return tell(
            await terms.check_in_system(
                entry,
                [code for code in codes if code.system in {"", entry.url}],
                language=language,
                allows_abstract=allows_abstract,
            )
        )
