"""From one System type to another (FHIRPath 2.0, 5.5): what cannot be converted is empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quanmin.fhir.path import amounts, moments
from quanmin.fhir.path.amounts import CALENDAR, Amount, read_amount, whole
from quanmin.fhir.path.arithmetic import limited, long
from quanmin.fhir.path.comparing import is_number
from quanmin.fhir.path.compiling import Application, Function, Step
from quanmin.fhir.path.environment import Scope
from quanmin.fhir.path.functions.scalar import a_text, anything, scalar
from quanmin.fhir.path.moments import Moment, read_date, read_time
from quanmin.fhir.path.nodes import EMPTY, Collection, computed
from quanmin.fhir.path.operators import cast
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.path.types import Long, bounded, fhir_type

_WHOLE = re.compile(r"[+-]?\d{1,20}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d+(?:\.\d+)?\Z", re.ASCII)
_DIGITS_MAX = 400
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def _to_boolean(value: Any) -> bool | None:
    if type(value) is bool:
        return value
    if type(value) is str:
        text = value.lower()
        return True if text in _TRUE else False if text in _FALSE else None
    if is_number(value) and value in {0, 1}:
        return bool(value == 1)
    return None


def _to_integer(value: Any) -> int | None:
    if type(value) is bool or isinstance(value, int):
        return limited(int(value))
    return limited(int(value)) if type(value) is str and _WHOLE.match(value) else None


def _to_long(value: Any) -> Long | None:
    if type(value) is str:
        value = int(value) if _WHOLE.match(value) else None
    if not isinstance(value, int):
        return None
    return long(value)


def _to_decimal(value: Any) -> Decimal | None:
    if type(value) is str:
        fits = len(value) <= _DIGITS_MAX and _DECIMAL.match(value)
        return Decimal(value) if fits else None
    if isinstance(value, int):
        return Decimal(value)
    return value if type(value) is Decimal else None


def _to_string(value: Any) -> str | None:
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is Decimal:
        return f"{value:f}"
    return str(value) if isinstance(value, str | int | Moment | Amount) else None


def _to_date(value: Any) -> Moment | None:
    if type(value) is str:
        found = read_date(value)
        return found if found and found.kind == "Date" else None
    if type(value) is Moment and value.kind != "Time":
        return moments.converted(value, "Date")
    return None


def _to_date_time(value: Any) -> Moment | None:
    found = read_date(value) if type(value) is str else value
    if type(found) is Moment and found.kind != "Time":
        return moments.converted(found, "DateTime")
    return None


def _to_time(value: Any) -> Moment | None:
    if type(value) is str:
        return read_time(value)
    return value if type(value) is Moment and value.kind == "Time" else None


def _to_quantity(value: Any, unit: str | None = None) -> Amount | None:
    found = _quantity(value)
    if found is None or unit is None:
        return found
    if found.is_calendar and CALENDAR.get(unit) == found.unit:
        return found
    return amounts.in_unit(found, unit)


def _quantity(value: Any) -> Amount | None:
    if type(value) is Amount:
        return None if value.is_opaque else value
    if type(value) is bool:
        return whole(Decimal("1.0") if value else Decimal("0.0"))
    if type(value) is str:
        found = read_amount(value) if len(value) <= _DIGITS_MAX else None
        return found if found and bounded(found.value) is not None else None
    if type(value) is dict and "comparator" in value:
        raise Unfit("a quantity with a comparator stands for many and is not converted")
    return whole(value) if type(value) in {int, Decimal} else None


_TARGETS: dict[str, Callable[..., Any]] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Long": _to_long,
    "Decimal": _to_decimal,
    "String": _to_string,
    "Date": _to_date,
    "DateTime": _to_date_time,
    "Time": _to_time,
}


def _asked(convert: Callable[..., Any]) -> Callable[..., bool]:
    return lambda value, *args: convert(value, *args) is not None


def _type(_application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, _scope: Scope) -> Collection:
        return [
            node
            for item in focus
            for node in computed_type(item.type.namespace or "System", item.type.shown or "Any")
        ]

    return apply


def computed_type(namespace: str, name: str) -> Collection:
    """What type() says of one item."""
    return computed({"namespace": namespace, "name": name})


def _is(application: Application) -> Step:
    wanted = application.type(0)

    def apply(focus: Collection, _this: Collection, _scope: Scope) -> Collection:
        if len(focus) > 1:
            raise application.problem("asks for the type of one item: ask all($this is Type)")
        return computed(wanted in focus[0].type.names) if focus else EMPTY

    return apply


def _as(application: Application) -> Step:
    wanted = application.type(0)

    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        if len(focus) > 1 and scope.environment.strictness != "lenient":
            raise application.problem("takes one item: filter several by ofType()")
        return cast(focus, wanted)

    return apply


def _of_type(application: Application) -> Step:
    wanted = application.type(0)
    primitive = fhir_type(wanted.removeprefix("FHIR."))
    if primitive.is_primitive:
        # R4 fhirpath.html, 2.9.1.5: primitives are independent types here, so that a code is no
        # string; ids and the url of an extension are Strings with the names of both.
        return lambda focus, _this, _scope: [
            node
            for node in focus
            if node.type is primitive or (node.type.is_system and wanted in node.type.names)
        ]
    return lambda focus, _this, _scope: [node for node in focus if wanted in node.type.names]


CONVERSIONS: dict[str, Function] = {
    **{f"to{name}": scalar(convert, anything) for name, convert in _TARGETS.items()},
    **{f"convertsTo{name}": scalar(_asked(to), anything) for name, to in _TARGETS.items()},
    "toQuantity": scalar(_to_quantity, anything, a_text, optional=1),
    "convertsToQuantity": scalar(_asked(_to_quantity), anything, a_text, optional=1),
    "type": Function(0, 0, _type),
    "is": Function(1, 1, _is, takes_types=True),
    "as": Function(1, 1, _as, takes_types=True),
    "ofType": Function(1, 1, _of_type, takes_types=True),
}
"""Conversions and questions about types."""
