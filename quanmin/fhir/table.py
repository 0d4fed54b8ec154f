"""What this program knows of FHIR R4: types, elements, codes, search parameters, compartments.

Read once from the compact table that `tools/build_fhir_table.py` makes; nothing here changes at run
time. Numbers of types and bits of parameters are alphabetical, so they are stable for the release.
"""

from __future__ import annotations

import tomllib
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from quanmin.fhir.units import UCUM_SYSTEM, is_unit
from quanmin.fhir.values import Kind, SearchParameter

_DEFINITIONS = Path(__file__).resolve().parent.parent / "definitions"


class ElementType(msgspec.Struct, frozen=True, array_like=True):
    """A type an element may have: `code` is a primitive or a shape; no `targets` means any."""

    code: str
    targets: tuple[str, ...]


class Element(msgspec.Struct, frozen=True, array_like=True):
    """One element of a shape. `max` 0 is unbounded; `binding` is a required value set.

    A choice element is named without `[x]`; its JSON names are `name` + capitalised type.
    """

    name: str
    min: int
    max: int
    is_choice: bool
    types: tuple[ElementType, ...]
    binding: str | None

    @property
    def is_list(self) -> bool:
        """Whether JSON writes it as an array."""
        return self.max != 1


class ValueSet(msgspec.Struct, frozen=True):
    """What a binding allows: codes by system, a form, any unit of UCUM, or (`open`) what others
    know.
    """

    systems: dict[str, tuple[str, ...]] = {}
    pattern: str | None = None
    is_ucum: bool = False
    open: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of every system together."""
        return tuple(code for codes in self.systems.values() for code in codes)

    def has(self, system: object, code: object) -> bool:
        """Whether a code of this system is in it, as far as that can be known here."""
        if not isinstance(system, str) or not isinstance(code, str):
            return False
        if self.is_ucum:
            return system == UCUM_SYSTEM and is_unit(code)
        return self.open or code in self.systems.get(system, ())


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """An operation of the release and where it may be called."""

    code: str
    types: tuple[str, ...]
    on_system: bool
    on_type: bool
    on_instance: bool
    changes_state: bool


class TypeDefinition(msgspec.Struct, frozen=True, dict=True):
    """One resource type.

    `number` (1 to 255) and each parameter's bit are stable. `patient_params` are the parameters
    that say whose record it is, main one first; `compartment_params` those by which R4 places it in
    the Patient compartment. `time_params` say when it happened, first one with a value wins;
    `keyed_params` are searched by time so often that they have a side index.
    """

    name: str
    number: int
    elements: tuple[Element, ...]
    params: dict[str, SearchParameter]
    patient_params: tuple[str, ...]
    compartment_params: tuple[str, ...]
    time_params: tuple[str, ...]
    keyed_params: frozenset[str]

    @cached_property
    def element_names(self) -> frozenset[str]:
        """The names of its elements, choices without `[x]`."""
        return frozenset(element.name for element in self.elements)

    @cached_property
    def element_by_name(self) -> dict[str, str]:
        """The element that each name means: its own, or in JSON that of a choice with its type."""
        found = {}
        for element in self.elements:
            found[element.name] = element.name
            for kind in element.types if element.is_choice else ():
                found[element.name + kind.code[:1].upper() + kind.code[1:]] = element.name
        return found

    @cached_property
    def mandatory(self) -> tuple[str, ...]:
        """The names of the elements that must be there: what `_elements` and summaries keep."""
        return tuple(element.name for element in self.elements if element.min)


class Table(msgspec.Struct, frozen=True):
    """Everything known of the release. `shapes` holds resources, data types and inner elements."""

    release: str
    primitives: frozenset[str]
    shapes: dict[str, tuple[Element, ...]]
    value_sets: dict[str, ValueSet]
    types: dict[str, TypeDefinition]
    compartments: dict[str, dict[str, tuple[str, ...]]]
    operations: tuple[Operation, ...]


class _Resource(msgspec.Struct):
    number: int
    params: list[tuple[str, Kind, str, tuple[str, ...], str | None, tuple[tuple[str, str], ...]]]


class _File(msgspec.Struct):
    release: str
    primitives: frozenset[str]
    shapes: dict[str, tuple[Element, ...]]
    value_sets: dict[str, ValueSet]
    resources: dict[str, _Resource]
    compartments: dict[str, dict[str, tuple[str, ...]]]
    operations: tuple[Operation, ...]


@lru_cache(maxsize=1)
def load_table() -> Table:
    """The R4 table, read at the first call and the same value ever after."""
    packed = (_DEFINITIONS / "fhir_r4" / "table.json.zst").read_bytes()
    file = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(packed), type=_File)
    layout = tomllib.loads((_DEFINITIONS / "search" / "layout.toml").read_text("utf-8"))
    types = {
        name: _type_definition(name, resource, file, layout)
        for name, resource in file.resources.items()
    }
    return Table(
        file.release,
        file.primitives,
        file.shapes,
        file.value_sets,
        types,
        file.compartments,
        file.operations,
    )


# R4 gives the reference the path of the code and the code that of the reference; R5 has mended it.
_CORRECTED = {
    ("DocumentReference", "relationship"): (("relation", "code"), ("relatesto", "target")),
}


def _type_definition(
    name: str, resource: _Resource, file: _File, layout: dict[str, Any]
) -> TypeDefinition:
    params = {
        row[0]: SearchParameter(
            row[0],
            name,
            row[1],
            bit,
            row[2],
            row[3],
            row[4],
            _CORRECTED.get((name, row[0]), row[5]),
        )
        for bit, row in enumerate(resource.params)
    }
    members = file.compartments["Patient"].get(name, ())
    return TypeDefinition(
        name,
        resource.number,
        file.shapes[name],
        params,
        _patient_params(name, members, layout["patient"]),
        members,
        _time_params(name, params, layout["time"]),
        _keyed_params(name, params, layout["keyed"]),
    )


def _patient_params(
    name: str, members: tuple[str, ...], layout: dict[str, list[str]]
) -> tuple[str, ...]:
    # A Patient is in its own compartment by being itself, not by `link`, which names another one.
    if name == "Patient":
        return ()
    main = layout["any"]
    ranked = sorted(members, key=lambda param: main.index(param) if param in main else len(main))
    return tuple(layout.get(name, ranked))


def _time_params(
    name: str, params: dict[str, SearchParameter], layout: dict[str, list[str]]
) -> tuple[str, ...]:
    if name in layout:
        return tuple(layout[name])
    return next(((param,) for param in layout["any"] if param in params), ())


def _keyed_params(
    name: str, params: dict[str, SearchParameter], layout: dict[str, list[str]]
) -> frozenset[str]:
    return frozenset(
        param
        for param in layout.get(name, layout["any"])
        if param in params and params[param].kind == "token"
    )
