"""The operations of ValueSet with their R4 signatures (terminology-service.html)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from quanmin.api.binding import bound_value_set
from quanmin.api.coded_parameters import CHECK, codes_of, day, entry_of, opened, sent, tell
from quanmin.api.parameters import Parameters
from quanmin.api.reply import Reply
from quanmin.base.problems import Malformed, NotSupported
from quanmin.fhir.json import encode
from quanmin.terminology import Canonical, Pins, Terms, Wanted

if TYPE_CHECKING:
    from quanmin.api.call import Call

_SET: Final = frozenset({"url", "valueSet", "valueSetVersion", "context"})
_CHECK: Final = (CHECK - {"version"}) | _SET | {"systemVersion"}
# Each simple parameter with the type that `expansion.parameter` repeats it in.
_REPEATED: Final = {
    "filter": "valueString",
    "date": "valueDateTime",
    "offset": "valueInteger",
    "count": "valueInteger",
    "includeDesignations": "valueBoolean",
    "designation": "valueString",
    "includeDefinition": "valueBoolean",
    "activeOnly": "valueBoolean",
    "excludeNested": "valueBoolean",
    "excludeNotForUI": "valueBoolean",
    "excludePostCoordinated": "valueBoolean",
    "displayLanguage": "valueCode",
    "exclude-system": "valueUri",
    "system-version": "valueUri",
    "check-system-version": "valueUri",
    "force-system-version": "valueUri",
}
_EXPAND: Final = _SET | {"contextDirection"} | _REPEATED.keys()
_DIRECTIONS: Final = frozenset({"incoming", "outgoing"})


async def expand(call: Call) -> Reply:
    """R4 valueset-operation-expand.html."""
    said = Parameters(call, _EXPAND)
    # There are no post-coordinated codes here to leave out, and no code is of one direction only.
    said.flag("excludePostCoordinated", default=False)
    direction = said.text("contextDirection")
    if direction is not None and (direction not in _DIRECTIONS or said.text("context") is None):
        raise Malformed("contextDirection is incoming or outgoing, and goes with a context")
    wanted = Wanted(
        filter=said.text("filter"),
        offset=said.number("offset") or 0,
        count=said.number("count"),
        include_designations=said.flag("includeDesignations", default=False),
        designations=tuple(said.texts("designation")),
        include_definition=said.flag("includeDefinition", default=False),
        active_only=said.flag("activeOnly", default=False),
        is_nested=not said.flag("excludeNested", default=True),
        without_abstract=said.flag("excludeNotForUI", default=False),
        display_language=said.text("displayLanguage"),
        excluded_systems=tuple(s.partition("|")[0] for s in said.texts("exclude-system")),
        pins=Pins(
            versions=_versions(said, "system-version"),
            checked=_versions(said, "check-system-version"),
            forced=_versions(said, "force-system-version"),
            date=day(said),
        ),
        parameters=tuple(_repeated(said)),
    )
    if wanted.is_nested and (wanted.filter or wanted.offset or wanted.count is not None):
        raise NotSupported("codes are nested in whole expansions only: leave out excludeNested")
    async with opened(call) as terms:
        shown = await terms.expand(await _definition(call, terms, said), wanted)
    return Reply(200, encode(shown))


def _versions(said: Parameters, name: str) -> dict[str, str]:
    parted = [each.partition("|") for each in said.texts(name)]
    if not all(version for _, _, version in parted):
        raise Malformed(f"{name} must be a canonical with its version: system|version")
    return {system: version for system, _, version in parted}


def _repeated(said: Parameters) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, kind in _REPEATED.items():
        for given in said.every(name):
            value: Any = given
            if kind == "valueBoolean":
                value = said.flag(name, default=False)
            elif kind == "valueInteger":
                value = said.number(name)
            found.append({"name": name, kind: value})
    return found


async def check_in_value_set(call: Call) -> Reply:
    """R4 valueset-operation-validate-code.html."""
    said = Parameters(call, _CHECK)
    async with opened(call) as terms:
        head = await _definition(call, terms, said)
        verdict = await terms.check_in_value_set(
            head,
            codes_of(said, system=said.text("system"), version=said.text("systemVersion")),
            language=said.text("displayLanguage"),
            allows_abstract=said.flag("abstract", default=True),
            date=day(said),
        )
    return tell(verdict)


async def _definition(call: Call, terms: Terms, said: Parameters) -> Mapping[str, Any]:
    """The definition to work with: sent along, at the url, bound in a context, in the address."""
    given = sent(call, said, "valueSet", "ValueSet")
    context = said.text("context")
    if context is None and given is None:
        return (await entry_of(call, terms, "ValueSet", said, "valueSetVersion")).head
    if given is None and context is not None:
        if said.text("url") is not None or len(call.parts) > 2:
            raise Malformed("a context and a value set are named: leave one out")
        canonical = Canonical.read(await bound_value_set(call, context))
        return (await terms.entry("ValueSet", canonical, day(said))).head
    if given is None or context is not None:
        raise Malformed("a context is named and a valueSet is sent: leave one out")
    return {name: value for name, value in given.items() if name != "expansion"}
