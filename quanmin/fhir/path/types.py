"""The types a value can have in FHIRPath: those of FHIR R4 out of the table, and the System types.

A type knows how its elements are written in JSON, what it is a kind of, and how a primitive becomes
a System value. Types are made once, when they are first met.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from quanmin.fhir.json import Json, json_names
from quanmin.fhir.path.amounts import OPAQUE, Amount
from quanmin.fhir.path.moments import Moment, read_date, read_time
from quanmin.fhir.table import Element, load_table
from quanmin.fhir.units import UCUM_SYSTEM

INTEGER_MAX = 2**31 - 1
EXPONENT_MAX = 400
"""The largest power of ten that a number may have, up or down."""

_NOT_DOMAIN = frozenset({"Bundle", "Binary", "Parameters"})
_PRIMITIVE_BASES = {
    **dict.fromkeys(("code", "id", "markdown"), "string"),
    **dict.fromkeys(("canonical", "oid", "url", "uuid"), "uri"),
    **dict.fromkeys(("positiveInt", "unsignedInt"), "integer"),
}
_QUANTITIES = frozenset({"Age", "Count", "Distance", "Duration"})
# Profiles of Quantity that R4 lists among the data types; they have no shape of their own.
_QUANTITY_PROFILES = frozenset({"SimpleQuantity", "MoneyQuantity"})
# Data types that R4 derives from BackboneElement, so that they may have modifier extensions.
_BACKBONE = frozenset(
    {
        "Dosage",
        "ElementDefinition",
        "MarketingStatus",
        "Population",
        "ProdCharacteristic",
        "ProductShelfLife",
        "SubstanceAmount",
        "Timing",
    }
)
_ABSTRACT = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_SYSTEM = (
    "Any",
    "Boolean",
    "String",
    "Integer",
    "Long",
    "Decimal",
    "Date",
    "DateTime",
    "Time",
    "Quantity",
)

SYSTEM_NAMES = frozenset(_SYSTEM) | {f"System.{name}" for name in _SYSTEM}
"""The names that types of System are looked for by."""


class Long(int):
    """An Integer of 64 bits, which stays one through arithmetic."""


class Way:
    """One way an element is written: JSON name, its `_` sibling, type, and step of the location."""

    __slots__ = ("json", "step", "type", "under")

    def __init__(self, json: str, type_: Type, step: str) -> None:
        self.json = json
        self.type = type_
        self.step = step
        self.under = "_" + json if type_.is_primitive or type_.is_system else ""


class Type:
    """One type; `ways` is None where no definition says what its elements are.

    `names` holds the names of the type and of all it is a kind of, those of FHIR first by their
    bare name and by namespace.
    """

    __slots__ = (
        "convert",
        "is_primitive",
        "is_resource",
        "is_system",
        "name",
        "names",
        "namespace",
        "ways",
    )
    ways: dict[str, tuple[Way, ...]] | None
    """The ways to write each element, by its FHIRPath name; made when it is first asked for."""

    def __init__(
        self,
        namespace: str,
        name: str,
        bases: tuple[str, ...] = (),
        *,
        convert: Callable[[Any], Any] | None = None,
        is_primitive: bool = False,
        is_resource: bool = False,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.is_system = namespace == "System"
        both = (name, *bases)
        self.names = frozenset(both) | {one if "." in one else f"{namespace}.{one}" for one in both}
        self.convert = convert
        self.is_primitive = is_primitive
        self.is_resource = is_resource

    @property
    def shown(self) -> str:
        """The name that type() gives: elements inside a type are BackboneElements."""
        return self.name if "." not in self.name else "BackboneElement"

    @property
    def written(self) -> str:
        """The name of the FHIR type that holds such a value: boolean of System.Boolean."""
        is_lowered = self.is_system and self.name != "Quantity"
        return self.name[:1].lower() + self.name[1:] if is_lowered else self.shown

    def __getattr__(self, name: str) -> Any:
        # A slot that is filled costs no call: every step of every path asks for it.
        if name != "ways":
            raise AttributeError(name)
        self.ways = _ways_of(self.name) if self.namespace == "FHIR" else None
        return self.ways

    def __repr__(self) -> str:
        return f"{self.namespace}.{self.name}"


def bounded(value: Json) -> Any:
    """The number as a Decimal; none where it is beyond all that nature or money counts."""
    number = Decimal(str(value)) if type(value) in {int, float} else value
    if type(number) is not Decimal:
        return value
    return number if abs(number.adjusted()) <= EXPONENT_MAX else None


# ---- System --------------------------------------------------------------------------------------

BOOLEAN, STRING, INTEGER, LONG, DECIMAL, DATE, DATE_TIME, TIME, QUANTITY = (
    Type("System", name, ("Any",), convert=bounded if name == "Decimal" else None)
    for name in _SYSTEM[1:]
)
ANY = Type("System", "Any")
UNKNOWN = Type("", "")
"""Of JSON that no definition describes; its primitives are System values."""

TYPE_INFO = Type("System", "SimpleTypeInfo", ("Any",))
# Ids and the url of an extension are System strings in R4, and still ids and URIs to whoever asks.
_ID = Type("System", "String", ("Any", "FHIR.id", "id", "FHIR.string", "string"))
_URL = Type("System", "String", ("Any", "FHIR.uri", "uri"))

_OF_VALUE: dict[type, Type] = {
    bool: BOOLEAN,
    str: STRING,
    int: INTEGER,
    Long: LONG,
    Decimal: DECIMAL,
    Amount: QUANTITY,
    float: DECIMAL,
    dict: UNKNOWN,
}
_OF_MOMENT = {"Date": DATE, "DateTime": DATE_TIME, "Time": TIME}


def type_of(value: object) -> Type:
    """The System type of a value; of an object, that nothing is known."""
    if type(value) is Moment:
        return _OF_MOMENT[value.kind]
    if type(value) is int and not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
        return LONG
    return _OF_VALUE.get(type(value), UNKNOWN)


# ---- FHIR ----------------------------------------------------------------------------------------


def _to_date(value: Json) -> Any:
    return (read_date(value) or value) if type(value) is str else value


def _to_date_time(value: Json) -> Any:
    found = read_date(value) if type(value) is str else None
    if found is None:
        return value
    return Moment("DateTime", found.parts, found.offset) if found.kind == "Date" else found


def _to_time(value: Json) -> Any:
    return (read_time(value) or value) if type(value) is str else value


def to_amount(value: Json) -> Any:
    """A FHIR Quantity as an amount; as it was where it has no number, or a comparator.

    A unit that is not of UCUM is kept as it is written: it equals itself and nothing else.
    """
    if type(value) is not dict or value.get("comparator"):
        return value
    number, unit = bounded(value.get("value")), "1"
    if type(number) is not Decimal:
        return value
    code, system = value.get("code"), value.get("system")
    if system == UCUM_SYSTEM and type(code) is str:
        unit = code
    elif type(code) is str:
        unit = f"{OPAQUE}{system if type(system) is str else ''}|{code}"
    elif type(value.get("unit")) is str:
        unit = OPAQUE + value["unit"]
    amount = Amount(number, unit)
    return Amount(amount.value, unit, is_either=True) if amount.word else amount


_CONVERTERS: dict[str, Callable[[Json], Any]] = {
    "date": _to_date,
    "dateTime": _to_date_time,
    "instant": _to_date_time,
    "time": _to_time,
    "decimal": bounded,
}


@lru_cache(maxsize=4096)
def fhir_type(name: str) -> Type:
    """The FHIR type of this name: a primitive, a data type, a resource or an inner element.

    UNKNOWN where the release has none of that name.
    """
    table = load_table()
    if name in table.primitives:
        base = _PRIMITIVE_BASES.get(name)
        bases = (base, "Element") if base else ("Element",)
        return Type("FHIR", name, bases, convert=_CONVERTERS.get(name), is_primitive=True)
    if name in table.types:
        bases = ("Resource",) if name in _NOT_DOMAIN else ("DomainResource", "Resource")
        return Type("FHIR", name, bases, is_resource=True)
    if name == "Quantity" or name in _QUANTITIES:
        bases = ("Element",) if name == "Quantity" else ("Quantity", "Element")
        return Type("FHIR", name, bases, convert=to_amount)
    if name in table.shapes:
        is_backbone = name in _BACKBONE or ("." in name and name.partition(".")[0] in table.types)
        return Type("FHIR", name, ("BackboneElement", "Element") if is_backbone else ("Element",))
    return UNKNOWN


def is_type_name(name: str) -> bool:
    """Whether FHIR R4 or FHIRPath has a type of this name (`Patient`, `System.String`).

    `System.Patient` may be asked for too: a known name in the other namespace, which nothing is of.
    """
    namespace, _, bare = name.rpartition(".")
    is_system = bare in _SYSTEM
    is_fhir = bare in _ABSTRACT or bare in _QUANTITY_PROFILES or fhir_type(bare) is not UNKNOWN
    is_either = is_system or is_fhir
    return {"": is_either, "System": is_either, "FHIR": is_fhir}.get(namespace, False)


def type_name(namespace: str, name: str) -> str:
    """The name by which a type is looked for: profiles of Quantity are Quantities, and R4's page
    writes System.string for System.String.
    """
    bare = "Quantity" if name in _QUANTITY_PROFILES else name
    if namespace == "System" and (written := bare[:1].upper() + bare[1:]) in _SYSTEM:
        bare = written
    return f"{namespace}.{bare}" if namespace else bare


def _ways_of(name: str) -> dict[str, tuple[Way, ...]]:
    elements = load_table().shapes.get("Element" if name in load_table().primitives else name, ())
    return {element.name: _ways(name, element) for element in elements}


def _ways(owner: str, element: Element) -> tuple[Way, ...]:
    if element.name == "id":
        return (Way("id", _ID, "id"),)
    if owner == "Extension" and element.name == "url":
        return (Way("url", _URL, "url"),)
    return tuple(
        Way(
            json_name,
            RESOURCE if code == "Resource" else fhir_type(code),
            f"{element.name}.ofType({code})" if element.is_choice else element.name,
        )
        for json_name, code in json_names(element)
    )


RESOURCE = Type("FHIR", "Resource", is_resource=True)
"""Of a place where any resource may stand; a node there has the type its resourceType names."""
