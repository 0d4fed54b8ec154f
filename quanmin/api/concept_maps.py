"""The operation of ConceptMap with its R4 signature (conceptmap-operation-translate.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quanmin.api.coded_parameters import (
    CODE,
    codes_of,
    day,
    entry_of,
    entry_of_record,
    is_at_record,
    opened,
    sent,
)
from quanmin.api.parameters import Parameters, answer
from quanmin.api.reply import Reply
from quanmin.base.problems import Malformed
from quanmin.terminology import Asked, Entry, Match, SentMap, Terms, Translated

if TYPE_CHECKING:
    from quanmin.api.call import Call

_TRANSLATE: Final = (CODE - {"display"}) | {
    *("url", "conceptMap", "conceptMapVersion", "codeableConcept"),
    *("source", "target", "targetsystem", "dependency", "reverse"),
}


async def translate(call: Call) -> Reply:
    """R4 conceptmap-operation-translate.html."""
    said = Parameters(call, _TRANSLATE)
    codes = codes_of(said, system=said.text("system"), version=said.text("version"))
    given = sent(call, said, "conceptMap", "ConceptMap")
    async with opened(call) as terms:
        entry: Entry | None = None if given is None else SentMap.read(given)
        if entry is None and (said.text("url") is not None or is_at_record(call)):
            entry = await entry_of(call, terms, "ConceptMap", said, "conceptMapVersion")
        asked = Asked(
            source=await _value_set(call, terms, said.text("source")),
            target=await _value_set(call, terms, said.text("target")),
            target_system=said.text("targetsystem") or "",
            reverse=said.flag("reverse", default=False),
            dependencies=_dependencies(said),
            date=day(said),
        )
        return _told(await terms.translate(entry, codes, asked))


async def _value_set(call: Call, terms: Terms, named: str | None) -> str:
    """A value set by its address; R4 allows its id or a relative address too."""
    if named is None or ":" in named:
        return named or ""
    id_ = named.removeprefix("ValueSet/")
    return (await entry_of_record(call, terms, "ValueSet", id_)).url


def _dependencies(said: Parameters) -> dict[str, frozenset[str]]:
    """By element, what it may be called: each coding with and without its system, and the text."""
    found: dict[str, frozenset[str]] = {}
    for parts in said.parts("dependency"):
        element, concept = parts.get("element"), parts.get("concept")
        if not isinstance(element, str) or not isinstance(concept, dict):
            raise Malformed(
                "a dependency has the parts element (valueUri) and concept (valueCodeableConcept)"
            )
        names = {concept.get("text")}
        for each in concept.get("coding") or ():
            names |= {each.get("code"), f"{each.get('system', '')}|{each.get('code')}"}
        found[element] = found.get(element, frozenset()) | frozenset(filter(None, names))
    return found


def _told(translated: Translated) -> Reply:
    is_translated = any(match.is_one for match in translated.matches)
    out: list[dict[str, Any]] = [{"name": "result", "valueBoolean": is_translated}]
    if not is_translated:
        text = "no map has a code for this one"
        if translated.missing:
            text += f", but some has when it knows: {', '.join(translated.missing)} (`dependency`)"
        out.append({"name": "message", "valueString": text})
    out += [{"name": "match", "part": _match(match)} for match in translated.matches]
    return answer(out)


def _match(match: Match) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": match.equivalence}]
    if match.concept is not None:
        parts.append({"name": "concept", "valueCoding": match.concept})
    for product in match.products:
        coding = {
            "system": product.get("system"),
            "code": product.get("value"),
            "display": product.get("display"),
        }
        given = {name: value for name, value in coding.items() if value}
        element = {"name": "element", "valueUri": product["property"]}
        parts.append(
            {"name": "product", "part": [element, {"name": "concept", "valueCoding": given}]}
        )
    if match.source:
        parts.append({"name": "source", "valueUri": match.source})
    return parts
