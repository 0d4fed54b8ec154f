"""The parameters of an operation, from the address and from a Parameters resource, and back out.

R4 operations.html#request: simple ones may stand in the address, a POST sends a Parameters
resource. They are a question and no record, so whatever is wrong with them is answered with 400,
wherever they stand; 422 is for what was understood and breaks a rule of the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.api.reply import Headers, Reply
from quanmin.base.problems import Issue, Malformed, NotSupported
from quanmin.fhir.json import decode, encode, items, members
from quanmin.fhir.validation import validate

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.call import Call

_TRUTH = {"true": True, "false": False}
_BREAKING = frozenset({"error", "fatal"})


class Parameters:
    """What was sent to an operation, in order, that of the address before that of the body.

    Numbers of a body are int or Decimal, with every digit that was sent.
    """

    def __init__(
        self, call: Call, known: Collection[str] | None, *, judged: str | None = None
    ) -> None:
        """`known` are the parameters that the operation takes; with None it looks at the names
        itself. What the parameter `judged` holds is not looked into: see `raw`.

        Raises Malformed for what is no Parameters resource, NotSupported for what is not known.
        """
        self._raw: list[bytes] = []
        self._sent: list[tuple[str, Any]] = list(call.pairs)
        if call.body:
            self._sent += self._read(call.body, judged)
        if known is not None:
            self._check_names(known)

    def _check_names(self, known: Collection[str]) -> None:
        for name, _ in self._sent:
            if name not in known:
                taken = ", ".join(sorted(known)) or "no parameters"
                raise NotSupported(
                    f"the operation does not take {name[:64]!r} here; it takes {taken}"
                )

    def _read(self, body: bytes, judged: str | None) -> Iterator[tuple[str, Any]]:
        if judged is not None:
            body, self._raw = _set_aside(body, judged)
        # Rules between elements are left out: that a parameter has a value is seen below.
        found = validate("Parameters", body, is_ruled=False)
        issues = [each for each in found if each.severity in _BREAKING]
        if issues:
            raise Malformed("the body is no Parameters resource", issues=tuple(issues))
        for place, given in enumerate(decode(body).get("parameter", ())):
            name = given["name"]
            held = [value for key, value in given.items() if _is_value(key)]
            if len(held) != 1 and name != judged:
                text = "a parameter has one value, resource or list of parts"
                raise Malformed(
                    text, issues=(Issue("error", "value", text, f"Parameters.parameter[{place}]"),)
                )
            yield name, held[0] if held else None

    def pairs(self) -> Pairs:
        """All of them as a search writes them. Raises Malformed for what a search does not know."""
        return [(name, _as_search(name, value)) for name, value in self._sent]

    def every(self, name: str) -> list[Any]:
        """All values of a parameter."""
        return [value for one, value in self._sent if one == name]

    def texts(self, name: str) -> list[str]:
        """All values of a parameter of text."""
        return [_text(name, value) for value in self.every(name)]

    def text(self, name: str) -> str | None:
        """A parameter of text; None without it."""
        value = self._one(name)
        return None if value is None else _text(name, value)

    def need(self, name: str) -> str:
        """A parameter of text that must be there."""
        value = self.text(name)
        if value is None:
            raise missing(f"the operation needs the parameter {name}")
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
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            return value
        raise _wrong(name, "a whole number, 0 or more")

    def tree(self, name: str) -> Mapping[str, Any] | None:
        """A parameter that is a structure or a resource, which only a POST can send."""
        value = self._one(name)
        if value is None or isinstance(value, dict):
            return value
        raise _wrong(name, "a structure: send it by POST in a Parameters resource")

    def parts(self, name: str) -> list[dict[str, Any]]:
        """The values of the parts of each of these parameters, by their names."""
        found = []
        for each in self.every(name):
            if not isinstance(each, list):
                raise _wrong(name, "sent by POST, with its values as Parameters.parameter.part")
            found.append(
                {
                    part["name"]: next((part[key] for key in part if _is_value(key)), None)
                    for part in each
                }
            )
        return found

    def raw(self, name: str) -> bytes | None:
        """The resource that the parameter to be judged holds, as it was sent; None without it."""
        if len(self.every(name)) > len(self._raw) or len(self._raw) > 1:
            raise _wrong(name, "sent once, with one resource")
        return self._raw[0] if self._raw else None

    def _one(self, name: str) -> Any:
        values = self.every(name)
        if len(values) > 1:
            raise Malformed(f"the parameter {name} stands more than once")
        return values[0] if values else None


def taken(call: Call, known: Collection[str]) -> Call:
    """The call with all its parameters in `pairs`, as a search has them; those of a body stand in
    no address afterwards. Raises as `Parameters` does.
    """
    pairs = Parameters(call, known).pairs()
    if not call.body:
        return call
    return msgspec.structs.replace(call, pairs=pairs, body=b"", is_private=True)


def single(pairs: Pairs, name: str) -> str | None:
    """The one value of a parameter that may be given once; None without."""
    values = [value for one, value in pairs if one == name]
    if len(values) > 1:
        raise Malformed(f"the parameter {name} stands more than once")
    return values[0] if values else None


def all_of(pairs: Pairs, name: str) -> list[str]:
    """The values of a parameter that may be repeated or hold a list joined by commas."""
    return [part for one, value in pairs if one == name for part in value.split(",") if part]


def missing(text: str) -> Malformed:
    """What to raise for a parameter that must be there, or for several of which one must."""
    return Malformed(text, issues=(Issue("error", "required", text, "Parameters.parameter"),))


def answer(parameters: Sequence[Mapping[str, Any]], headers: Headers = ()) -> Reply:
    """A Parameters resource."""
    return Reply(200, encode({"resourceType": "Parameters", "parameter": parameters}), headers)


def _wrong(name: str, wanted: str) -> Malformed:
    text = f"the parameter {name} must be {wanted}"
    where = f"Parameters.parameter.where(name = '{name}')"
    return Malformed(text, issues=(Issue("error", "value", text, where),))


def _is_value(key: str) -> bool:
    return key.startswith("value") or key in {"resource", "part"}


def _text(name: str, value: Any) -> str:
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise _wrong(name, "a text, such as valueUri, valueCode or valueString")


def _as_search(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | Decimal):
        return str(value)
    coded = _coded(value)
    if coded is None:
        raise _wrong(name[:64], "a simple value, a Reference or codes with their systems")
    return coded


def _coded(value: Any) -> str | None:
    """A Reference, Coding or CodeableConcept as search writes it."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("reference"), str):
        return str(value["reference"])
    codings = value.get("coding", [value])
    written = [f"{one['system']}|{one['code']}" for one in codings if {"system", "code"} <= {*one}]
    return ",".join(written) if written and len(written) == len(codings) else None


def _set_aside(body: bytes, name: str) -> tuple[bytes, list[bytes]]:
    """The body without the resources in its parameters of this name, and these as they were sent.

    Raises Malformed when the body is no JSON object or repeats a key.
    """
    whole = _object(body)
    kept, held = [], []
    listed = whole.get("parameter", b"")
    if listed[:1] != b"[":
        return body, []
    for _, start, end in items(listed):
        one = listed[start:end]
        parts = _object(one) if one[:1] == b"{" else {}
        is_alone = sum(map(_is_value, parts)) == 1 and "resource" in parts
        if is_alone and msgspec.json.decode(parts.get("name", b"null")) == name:
            held.append(parts.pop("resource"))
            one = _written(parts)
        kept.append(one)
    return _written(whole | {"parameter": b"[" + b",".join(kept) + b"]"}), held


def _object(raw: bytes) -> dict[str, bytes]:
    return {key: raw[start:end] for key, start, end in members(raw)}


def _written(values: Mapping[str, bytes]) -> bytes:
    return msgspec.json.encode({key: msgspec.Raw(value) for key, value in values.items()})
