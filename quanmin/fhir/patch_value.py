"""The values of a FHIRPath Patch: parts of Parameters, turned into what stands in a record.

R4 fhirpatch.html#format: a value of a named type stands in value[x]; any other is made of parts,
which have the names of its elements, as deep as necessary.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quanmin.base.problems import Issue, Malformed, Sentence
from quanmin.fhir.json import decode_any
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.path.types import fhir_type
from quanmin.fhir.validation.fields import Member, elements_of, members_of

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_SHOWN_MAX = 12


class Value(msgspec.Struct, frozen=True):
    """A value and the member of a record that it is for.

    `raw` are its bytes, None for a primitive without one; `under` is what stands beside a primitive
    (its `_name`), None without.
    """

    member: Member
    raw: msgspec.Raw | None
    under: msgspec.Raw | None = None


class Part(msgspec.Struct, frozen=True):
    """A parameter or a part of one: its name, and a value, a resource or parts of its own."""

    name: str
    type: str = ""
    raw: msgspec.Raw | None = None
    under: msgspec.Raw | None = None
    resource: msgspec.Raw | None = None
    parts: tuple[Part, ...] = ()

    @property
    def plain(self) -> Any:
        """The value as JSON; None without."""
        return None if self.raw is None else decode_any(self.raw)

    def as_one_of(self, ways: tuple[Member, ...]) -> Value:
        """The value as one of the members allows it. Raises Unfit when none does."""
        if (bool(self.type) + bool(self.parts) + (self.resource is not None)) != 1:
            raise Unfit(f"{self._told} is either one value[x], or parts, or a resource")
        if self.resource is not None:
            return Value(self._member(ways, "Resource"), self.resource)
        if self.type:
            return Value(self._member(ways, self.type), self.raw, self.under)
        member = ways[0]
        if len(ways) > 1 or member.is_primitive or member.type.code == "Resource":
            raise Unfit(f"{self._told} must be given in a value[x], not by parts{_shown(ways)}")
        return Value(member, self._made(member.type.code))

    @property
    def _told(self) -> str:
        return f"the part {self.name[:64]!r}"

    def _member(self, ways: tuple[Member, ...], sent: str) -> Member:
        for way in ways:
            if way.type.code == sent:
                return way
        for way in ways:
            # A code is a string, but not the other way round. No value[x] is an xhtml.
            if way.type.code in fhir_type(sent).names or (way.type.code, sent) in _READ_AS:
                return way
        raise Unfit(f"{self._told} cannot be of type {sent} here{_shown(ways)}")

    def _made(self, shape: str) -> msgspec.Raw:
        """An object of this shape, out of the parts."""
        made: dict[str, Any] = {}
        known = {element.name: ways for element, ways in elements_of(shape)}
        single = {way.name: (way,) for ways in known.values() for way in ways}
        counts: dict[str, int] = {}
        for part in self.parts:
            name = part.name.removesuffix("[x]")
            ways = known.get(name) or single.get(name)
            if ways is None:
                raise Unfit(f"{self._told}: there is no element {part.name[:64]!r}{_names(shape)}")
            element = ways[0].element
            number = counts.setdefault(element.name, 0)
            counts[element.name] += 1
            if number and not element.is_list:
                raise Unfit(f"{self._told}: {part.name[:64]!r} may stand once only")
            value = part.as_one_of(ways)
            _put(made, value, number)
        return msgspec.Raw(msgspec.json.encode(made))


# The types that no value[x] has, and what they are sent as.
_READ_AS = frozenset({("xhtml", "string")})


def _put(made: dict[str, Any], value: Value, number: int) -> None:
    """Put a value in its member; in a list as the item of this number."""
    name = value.member.name
    for key, raw in ((name, value.raw), ("_" + name, value.under)):
        if not value.member.element.is_list:
            if raw is not None:
                made[key] = raw
        elif raw is not None or key in made:
            listed = made.setdefault(key, [])
            listed += [None] * (number - len(listed))
            listed.append(raw)


def _shown(ways: tuple[Member, ...]) -> str:
    kinds = [way.type.code for way in ways]
    if any("." in kind or fhir_type(kind).shown == "BackboneElement" for kind in kinds):
        return ": give its elements as parts"
    more = " ..." if len(kinds) > _SHOWN_MAX else ""
    return f": it takes {', '.join(kinds[:_SHOWN_MAX])}{more}"


def _names(shape: str) -> str:
    return f"; there are {', '.join(element.name for element, _ in elements_of(shape))}"


def read_parts(raw: bytes) -> tuple[Part, ...]:
    """The parameters of a Parameters resource. Raises Malformed, with the place of what is wrong.

    Values are not judged here: what stands in a record is judged with the record.
    """
    try:
        return _parts(_OBJECT.decode(raw).get("parameter"), "Parameters.parameter")
    except RecursionError:
        raise Malformed("the parts of the patch are nested too deeply: flatten them") from None


def _parts(listed: msgspec.Raw | None, where: str) -> tuple[Part, ...]:
    if listed is None:
        return ()
    try:
        sent = _LIST.decode(listed)
    except msgspec.ValidationError:
        raise _unreadable(where, "must be a list of objects") from None
    return tuple(_part(one, f"{where}[{index}]") for index, one in enumerate(sent))


def _part(sent: dict[str, msgspec.Raw], where: str) -> Part:
    known = members_of("Parameters.parameter")
    for key in sent:
        member = known.get(key.removeprefix("_"))
        if member is None or (key.startswith("_") and not member.is_primitive):
            raise _unreadable(where, f"has no element {key[:64]!r}")
    name = decode_any(sent["name"]) if "name" in sent else None
    if not isinstance(name, str):
        raise _unreadable(where, "needs a name, a text")
    values = {key.removeprefix("_") for key in sent if key.lstrip("_").startswith("value")}
    if len(values) > 1:
        raise _unreadable(where, "has more than one value[x]: keep one")
    value = next(iter(values), "")
    return Part(
        name,
        known[value].type.code if value else "",
        _own(sent.get(value)),
        _own(sent.get("_" + value)),
        _own(sent.get("resource")),
        _parts(sent.get("part"), f"{where}.part"),
    )


def _unreadable(where: str, text: str) -> Malformed:
    text = Sentence("%(where)s %(text)s", where=where, text=text)
    return Malformed(text, issues=(Issue("error", "structure", text, where),))


def _own(raw: msgspec.Raw | None) -> msgspec.Raw | None:
    """The value as bytes of its own, which do not keep those of the whole patch."""
    return None if raw is None else raw.copy()
