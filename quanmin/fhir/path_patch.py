"""FHIRPath Patch (R4 fhirpatch.html): steps in a Parameters resource, places told by FHIRPath.

As with JSON Patch, what no step touches stays as it was to the byte. So the record is kept twice
while it is patched: decoded, for paths to be evaluated on, and as bytes opened where steps go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from quanmin.base.problems import Invalid, Issue, Malformed, Sentence, TooLarge
from quanmin.fhir.json import decode, has_repeated_keys
from quanmin.fhir.patch_value import Part, Value, read_parts
from quanmin.fhir.patched import accepted
from quanmin.fhir.path import Environment, Node, Path, PathProblem, compile_path, root
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.twin import Place, Twin, inner_of, place_of, shape_of
from quanmin.fhir.validation.fields import Member, elements_of

Kind = Literal["add", "insert", "delete", "replace", "move"]
_NEEDED: dict[Kind, frozenset[str]] = {
    "add": frozenset({"path", "name", "value"}),
    "insert": frozenset({"path", "index", "value"}),
    "delete": frozenset({"path"}),
    "replace": frozenset({"path", "value"}),
    "move": frozenset({"path", "source", "destination"}),
}
# Only names of elements, types and places in lists: what is compared with could be personal.
_PLAIN_PATH = re.compile(r"[A-Za-z][A-Za-z.]*(?:\[[0-9]{1,6}\][A-Za-z.]*)*")
_REGULAR = re.compile(r"\b(?:matches|matchesFull|replaceMatches)\s*\(")


class _Step(msgspec.Struct, frozen=True):
    position: int
    kind: Kind
    path: Path
    name: str = ""
    value: Part | None = None
    index: int = -1
    source: int = -1
    destination: int = -1

    def fault(self, text: str, code: str = "processing") -> Invalid:
        """What is wrong with the step, naming it; never a value."""
        named = f" at {self.path.text}" if _PLAIN_PATH.fullmatch(self.path.text) else ""
        text = Sentence(
            "operation %(position)s of the patch (%(op)s%(named)s): %(text)s",
            position=self.position,
            op=self.kind,
            named=named,
            text=text,
        )
        return Invalid(text, issues=(Issue("error", code, text, _where(self.position)),))


def _where(position: int) -> str:
    return f"Parameters.parameter[{position}]"


# ---- reading -------------------------------------------------------------------------------------


def read_path_patch(raw: bytes, *, steps_max: int, items_max: int) -> PathPatch:
    """The FHIRPath Patch in `raw`, whose paths may look at `items_max` items in all.

    Raises Malformed for what is no Parameters resource or no operation, with its place, TooLarge
    for more than `steps_max` operations.
    """
    if decode(raw).get("resourceType") != "Parameters":
        raise Malformed(
            "a FHIRPath Patch is a Parameters resource; a JSON Patch is a list of steps"
            " sent as application/json-patch+json"
        )
    if has_repeated_keys(raw):
        raise Malformed("an object in the patch has a key twice: keep one of them")
    sent = read_parts(raw)
    if len(sent) > steps_max:
        raise TooLarge(
            Sentence(
                "the patch has %(sent)s operations; this node takes %(steps_max)s: send the"
                " whole record with PUT",
                sent=len(sent),
                steps_max=steps_max,
            )
        )
    steps = tuple(_step(position, part) for position, part in enumerate(sent))
    return PathPatch(steps, items_max)


def _step(position: int, sent: Part) -> _Step:
    if sent.name != "operation":
        raise _unreadable(position, "each parameter of a patch is named operation")
    parts: dict[str, Part] = {}
    for part in sent.parts:
        if parts.setdefault(part.name, part) is not part:
            raise _unreadable(position, f"it has {part.name[:64]!r} twice")
    kind = _text(position, parts, "type")
    needed = next((_NEEDED[known] for known in get_args(Kind) if known == kind), None)
    if needed is None:
        raise _unreadable(position, f"its type must be one of {', '.join(get_args(Kind))}")
    for name in sorted(needed ^ (parts.keys() - {"type"})):
        told = f"{kind} takes no {name[:64]!r}" if name in parts else f"{kind} needs {name}"
        raise _unreadable(position, f"{told}; it takes {', '.join(sorted(needed))}")
    return _Step(
        position,
        kind,  # type: ignore[arg-type]  # one of those that are known
        _path(position, _text(position, parts, "path")),
        _text(position, parts, "name") if "name" in needed else "",
        parts.get("value"),
        *(_number(position, parts[name]) if name in needed else -1 for name in _NUMBERS),
    )


_NUMBERS = ("index", "source", "destination")


def _unreadable(position: int, text: str) -> Malformed:
    text = Sentence("operation %(position)s of the patch: %(text)s", position=position, text=text)
    return Malformed(text, issues=(Issue("error", "structure", text, _where(position)),))


def _text(position: int, parts: dict[str, Part], name: str) -> str:
    value = parts[name].plain if name in parts else None
    if not isinstance(value, str):
        raise _unreadable(position, f"it needs {name}, a text")
    return value


def _number(position: int, part: Part) -> int:
    if type(part.plain) is not int:
        raise _unreadable(position, f"its {part.name} must be a whole number (valueInteger)")
    return part.plain


def _path(position: int, text: str) -> Path:
    try:
        path = compile_path(text)
    except PathProblem as problem:
        at = f"its path cannot be read as FHIRPath from character {problem.at + 1}"
        raise _unreadable(position, at) from None
    if _REGULAR.search(text):
        raise _unreadable(
            position,
            "its path uses a regular expression, which a patch may not:"
            " compare with =, startsWith() or contains()",
        )
    return path


# ---- making --------------------------------------------------------------------------------------


class PathPatch(msgspec.Struct, frozen=True):
    """A FHIRPath Patch, understood."""

    steps: tuple[_Step, ...]
    items_max: int

    def apply(self, body: bytes, *, bytes_max: int) -> bytes:
        """See `patch.Patch`. Steps are made in order, each to what the one before it left; a step
        that cannot be made undoes all.
        """
        twin = Twin(body, bytes_max)
        environment = Environment(meter=_meter(self.items_max))
        try:
            for step in self.steps:
                _make(step, twin, environment)
            return accepted(body, twin.write())
        except RecursionError:
            raise Malformed("the patched record would be nested too deeply") from None


def _meter(items_max: int) -> Callable[[int], None]:
    left = items_max

    def spend(items: int) -> None:
        nonlocal left
        left -= items
        if left < 0:
            text = Sentence(
                "the paths of the patch touch more than %(items_max)s items: name places directly",
                items_max=items_max,
            )
            raise Unfit(text)

    return spend


def _make(step: _Step, twin: Twin, environment: Environment) -> None:
    found = _found(step, twin, environment)
    match step.kind:
        case "add":
            _add(step, twin, _only(step, found))
        case "insert":
            if found:
                place, count = _whole_list(step, twin, found)
            else:
                place, count = _absent_list(step, twin, environment), 0
            if not 0 <= step.index <= count:
                upto = f" to {count}" if count else ""
                raise step.fault(f"the list has {count} items, so that index is 0{upto}")
            twin.insert(place, step.index, _value(step, twin, (place.member,)))
        case "delete":
            if not found:
                _check_path(step, twin)
                return
            twin.remove(_place(step, _only(step, found)))
        case "replace":
            _replace(step, twin, _place(step, _only(step, found)))
        case "move":
            place, count = _whole_list(step, twin, found)
            if not (0 <= step.source < count and 0 <= step.destination < count):
                raise step.fault(
                    f"the list has {count} items, so that source and destination are 0 to"
                    f" {count - 1}"
                )
            twin.move(place, step.source, step.destination)


def _found(
    step: _Step, twin: Twin, environment: Environment, path: Path | None = None
) -> list[Node]:
    """The elements of the record that the path finds: that of the step, unless another is given."""
    start = root(twin.decoded)
    try:
        found = (path or step.path).evaluate(start, environment=environment)
    except PathProblem as problem:
        at = f"its path cannot be evaluated at character {problem.at + 1}: {problem.reason}"
        raise step.fault(at) from None
    for node in found:
        top = node
        while top.parent is not None:
            top = top.parent
        if top is not start:
            raise step.fault("its path finds a value that is no element of the record")
    return found


def _check_path(step: _Step, twin: Twin) -> None:
    """Nothing to delete is right, unless no record of the type could ever have it."""
    try:
        step.path.check(str(twin.decoded.get("resourceType")))
    except PathProblem as problem:
        raise step.fault(f"its path can find nothing: {problem.reason}") from None


def _only(step: _Step, found: list[Node]) -> Node:
    if not found:
        raise step.fault("its path finds nothing", "not-found")
    if len(found) > 1:
        raise step.fault(
            f"its path finds {len(found)} elements and must find one: choose with [0] or where()",
            "multiple-matches",
        )
    return found[0]


def _place(step: _Step, node: Node) -> Place:
    if node.parent is None:
        raise step.fault("the whole record is put with PUT and deleted with DELETE")
    return place_of(node, node.parent)


def _whole_list(step: _Step, twin: Twin, found: list[Node]) -> tuple[Place, int]:
    """The list that is exactly what the path finds, and how many items it has."""
    if not found:
        raise step.fault("its path finds no list; add makes one", "not-found")
    places = [_place(step, node) for node in found]
    first = places[0]
    if first.index < 0:
        raise step.fault("what its path finds does not repeat: use add or replace")
    if any((one.holder, one.member) != (first.holder, first.member) for one in places):
        raise step.fault("its path finds items of several lists: name one", "multiple-matches")
    count = twin.count(first)
    if [one.index for one in places] != list(range(count)):
        raise step.fault("its path finds a part of a list: name the list without [ ] or where()")
    return first, count


def _absent_list(step: _Step, twin: Twin, environment: Environment) -> Place:
    """The list that the path names and that is not there yet: one of no items (R4 fhirpatch.html:
    the index is at most the number of elements).
    """
    named = step.path.holder()
    holders = _found(step, twin, environment, named[0]) if named else []
    if named and holders:
        holder = _only(step, holders)
        ways = _ways(shape_of(holder), named[1])
        if ways and ways[0].element.is_list:
            return Place(inner_of(holder), shape_of(holder), ways[0])
    raise step.fault("its path finds no list, and names none that could be made", "not-found")


def _add(step: _Step, twin: Twin, node: Node) -> None:
    shape = shape_of(node)
    ways = _ways(shape, step.name)
    if not ways:
        raise step.fault(f"{shape} has no element {step.name[:64]!r}", "structure")
    value = _value(step, twin, ways)
    place = Place(inner_of(node), shape, value.member)
    if value.member.element.is_list:
        twin.insert(place, twin.count(place), value)
    elif any(twin.has(Place(place.holder, shape, way)) for way in place.ways):
        raise step.fault(f"there is {step.name[:64]} already: replace it", "duplicate")
    else:
        twin.put(place, value)


def _ways(shape: str, name: str) -> tuple[Member, ...]:
    """The ways to write an element by its name, or by its name in JSON (`valueQuantity`)."""
    name = name.removesuffix("[x]")
    for element, ways in elements_of(shape):
        if element.name == name:
            return ways
        if element.is_choice and any(way.name == name for way in ways):
            return tuple(way for way in ways if way.name == name)
    return ()


def _replace(step: _Step, twin: Twin, place: Place) -> None:
    value = _value(step, twin, place.ways)
    if place.index >= 0:
        twin.set_item(place, value)
        return
    if value.member != place.member:
        twin.remove(place)
    twin.put(Place(place.holder, place.shape, value.member), value)


def _value(step: _Step, twin: Twin, ways: tuple[Member, ...]) -> Value:
    """What the step puts in, as one of the ways allows it (R4 fhirpatch.html: SHALL)."""
    if step.value is None:
        raise step.fault("it has no value")
    try:
        value = step.value.as_one_of(ways)
    except Unfit as fault:
        raise step.fault(str(fault), "value") from None
    for raw in (value.raw, value.under):
        if raw is not None:
            twin.counted(raw)
    return value
