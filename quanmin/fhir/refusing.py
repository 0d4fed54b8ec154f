"""What is refused of a search that cannot be read or is not served, in words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from quanmin.base.problems import Malformed, NotSupported, Sentence, TooCostly, either
from quanmin.fhir.kinds import modifiers_of
from quanmin.fhir.values import SearchParameter

# Of what was sent, so that an answer stays short.
_SHOWN_MAX = 64
_INDEXED_NOWHERE = Sentence("an index of every word would give away what the encrypted records say")
_CONTAINED = Sentence(
    "contained resources are not searched: search for the record that contains them"
)
# With the reason.
UNSERVED = {
    "_contained": _CONTAINED,
    "_containedType": _CONTAINED,
    "_content": _INDEXED_NOWHERE,
    "_query": Sentence("there are no named queries here"),
    "_text": _INDEXED_NOWHERE,
}


def not_served(name: str) -> NotSupported:
    """A parameter, or a parameter with a modifier, that this node has nothing for."""
    reason = UNSERVED.get(name.partition(":")[0].split(".")[0], "")
    text = Sentence(
        "This node does not serve %(name)s%(because)s: search without it and narrow the result",
        name=name[:_SHOWN_MAX],
        because=Sentence(" (%(reason)s)", reason=reason) if reason else "",
    )
    return NotSupported(text)


def bad_modifier(param: SearchParameter, modifier: str) -> NotSupported:
    """A modifier that FHIR does not define for parameters of this kind."""
    if param.kind == "composite":
        text = Sentence("%(code)s is a composite: it takes no modifier", code=param.code)
        return NotSupported(text)
    text = Sentence(
        "%(code)s takes no :%(modifier)s in FHIR R4; it takes %(known)s",
        code=param.code,
        modifier=modifier[:_SHOWN_MAX],
        known=", ".join(f":{one}" for one in ("missing", *modifiers_of(param))),
    )
    return NotSupported(text)


def unknown(name: str, what: str, where: str, known: Sequence[str]) -> Sentence:
    """A name that is none of those there are, with the one that may have been meant."""
    near = difflib.get_close_matches(name[:_SHOWN_MAX], known, n=1)
    return Sentence(
        "%(shown)r is not %(what)s of %(where)s.%(hint)s It has: %(known)s",
        shown=name[:_SHOWN_MAX],
        what=what,
        where=where or Sentence("a search of every type"),
        hint=Sentence(" Did you mean %(near)s?", near=near[0]) if near else "",
        known=", ".join(known),
    )


def empty_modifier(name: str) -> Malformed:
    """A colon with nothing behind it."""
    text = Sentence(
        "%(name)s names no modifier: give one, or leave the colon out", name=name[:_SHOWN_MAX]
    )
    return Malformed(text)


def empty_value(code: str) -> Malformed:
    """A list of values in which one is missing."""
    text = Sentence(
        "%(code)s has an empty value: give it one, or leave the parameter out", code=code
    )
    return Malformed(text)


def too_long(name: str, most: int) -> TooCostly:
    """A value of more characters than one may have."""
    text = Sentence(
        "A value of %(name)s is longer than %(most)s characters", name=name[:_SHOWN_MAX], most=most
    )
    return TooCostly(text)


def too_many_values(code: str, most: int) -> TooCostly:
    """More values of one parameter than may be asked for at once."""
    return TooCostly(Sentence("%(code)s may have at most %(most)s values", code=code, most=most))


def too_many_links(name: str, most: int) -> TooCostly:
    """A chain of more references than one condition may follow."""
    text = Sentence(
        "%(name)s: one condition may follow %(most)s references", name=name[:_SHOWN_MAX], most=most
    )
    return TooCostly(text)


def too_many_ends(head: str, rest: str, base: str, first: str) -> TooCostly:
    """A chain that leads to more types than a search may look at; `first` is one of them."""
    text = Sentence(
        "%(head)s.%(rest)s leads to too many types: name the one that is meant,"
        " %(base)s:%(first)s.%(rest)s",
        head=head,
        rest=rest[:_SHOWN_MAX],
        base=base,
        first=first,
    )
    return TooCostly(text)


def not_common(name: str) -> NotSupported:
    """A chain asked of records of every type."""
    text = Sentence(
        "%(name)s is no parameter of every type: name one type to search by it",
        name=name[:_SHOWN_MAX],
    )
    return NotSupported(text)


def points_elsewhere(name: str, targets: Sequence[str]) -> Malformed:
    """A type that a reference cannot lead to."""
    text = Sentence("%(name)s can point only at %(known)s", name=name, known=", ".join(targets))
    return Malformed(text)


def points_anywhere(code: str, base: str, rest: str) -> NotSupported:
    """A chain over a reference that tells no type."""
    text = Sentence(
        "%(code)s points at any type: name one, %(base)s:Patient.%(rest)s",
        code=code,
        base=base,
        rest=rest,
    )
    return NotSupported(text)


def not_at_ends(rest: str, targets: Sequence[str]) -> NotSupported:
    """What none of the types at the end of a reference can be asked for."""
    text = Sentence(
        "%(rest)r is not a parameter of %(known)s", rest=rest[:_SHOWN_MAX], known=either(targets)
    )
    return NotSupported(text)


def no_parameter(name: str, type_: str) -> NotSupported:
    """A parameter that the type at the end of a reference does not have."""
    text = Sentence(
        "%(name)r is not a search parameter of %(type)s", name=name[:_SHOWN_MAX], type=type_
    )
    return NotSupported(text)


def no_reference(name: str, type_: str) -> NotSupported:
    """A parameter that cannot be followed."""
    text = Sentence(
        "%(type)s:%(name)s is no reference: it leads to no other record", type=type_, name=name
    )
    return NotSupported(text)


def unsorted(name: str, kind: str) -> NotSupported:
    """A parameter by which nothing is put in order."""
    text = Sentence(
        "This node does not sort by %(name)s, a %(kind)s parameter", name=name, kind=kind
    )
    return NotSupported(text)
