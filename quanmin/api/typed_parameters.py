"""The parameters of an operation by their types: texts, flags, numbers, structures.

R4 operations.html#request: primitive ones may stand in the query of a GET; a POST sends a
Parameters resource.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.api.reply import Reply
from quanmin.base.problems import Invalid, Issue, Malformed, NotSupported
from quanmin.fhir.validation import validate

if TYPE_CHECKING:
    from quanmin.api.call import Call

_TRUTH = {"true": True, "false": False}
_BREAKING = frozenset({"error", "fatal"})


class Parameters:
    """What was sent to an operation, by name, in order."""

    def __init__(self, call: Call, known: Collection[str]) -> None:
        """Raises Malformed, Invalid for what is no Parameters; NotSupported for what is unknown."""
        self._given: dict[str, list[Any]] = {}
        if call.request.method == "POST":
            self._read_body(call.body)
        for name, value in call.pairs:
            self._given.setdefault(name, []).append(value)
        for name in self._given:
            if name not in known:
                raise NotSupported(
                    f"the operation takes no parameter {name[:64]!r} here; it takes"
                    f" {', '.join(sorted(known))}"
                )

    def _read_body(self, body: bytes) -> None:
        # What a parameter holds is for the operation to judge; here it is told what is what.
        found = validate("Parameters", body, is_ruled=False)
        issues = [each for each in found if each.severity in _BREAKING]
        if issues:
            raise Invalid("the body is no Parameters resource", issues=tuple(issues))
        for given in msgspec.json.decode(body).get("parameter", ()):
            values = [value for name, value in given.items() if name.startswith("value")]
            value = given.get("resource", values[0] if values else given.get("part"))
            self._given.setdefault(given["name"], []).append(value)

    def every(self, name: str) -> list[Any]:
        """All values of a parameter."""
        return self._given.get(name, [])

    def text(self, name: str) -> str | None:
        """A parameter of text; None without it."""
        value = self._one(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return str(value)
        raise _wrong(name, "a text, such as valueUri, valueCode or valueString")

    def need(self, name: str) -> str:
        """A parameter of text that must be there."""
        value = self.text(name)
        if value is None:
            raise _missing(f"the operation needs the parameter {name}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A parameter of true or false."""
        value = self._one(name)
        value = _TRUTH.get(value, value) if isinstance(value, str) else value
        if value is None:
            return default
        if not isinstance(value, bool):
            raise _wrong(name, "true or false")
        return value

    def number(self, name: str) -> int | None:
        """A whole number, 0 or more; None without it."""
        value = self._one(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
            return int(value)
        if value is None or (isinstance(value, int) and 0 <= value < 10**9):
            return value
        raise _wrong(name, "a whole number, 0 or more")

    def tree(self, name: str) -> Mapping[str, Any] | None:
        """A parameter that is a structure or a resource, which only a POST can send."""
        value = self._one(name)
        if value is None or isinstance(value, dict):
            return value
        raise _wrong(name, "a structure: send it by POST in a Parameters resource")

    def _one(self, name: str) -> Any:
        values = self._given.get(name, [])
        if len(values) > 1:
            raise Malformed(f"the parameter {name} stands more than once")
        return values[0] if values else None


def _wrong(name: str, wanted: str) -> Malformed:
    text = f"the parameter {name} must be {wanted}"
    return Malformed(text, issues=(Issue("error", "value", text, _where(name)),))


def _missing(text: str) -> Malformed:
    return Malformed(text, issues=(Issue("error", "required", text, "Parameters.parameter"),))


def _where(name: str) -> str:
    return f"Parameters.parameter.where(name = '{name}')"


def missing(text: str) -> Malformed:
    """What to raise when none of several parameters is there."""
    return _missing(text)


def answer(parameters: Sequence[Mapping[str, Any]]) -> Reply:
    """A Parameters resource."""
    return Reply(200, msgspec.json.encode({"resourceType": "Parameters", "parameter": parameters}))
