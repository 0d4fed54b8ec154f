"""What an export is asked for: the parameters of `$export` (Bulk Data Access 2.0.0,
export.html#query-parameters), read strictly, or leniently where the client says so.
"""

from __future__ import annotations

import base64
import re
import secrets
import struct
from collections.abc import Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.api.address import ID, Pairs, parse_pairs
from quanmin.api.summary import check_elements
from quanmin.base.problems import Malformed, NotSupported, Outdated, Problem
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import DateOperand
from quanmin.fhir.table import Table, load_table

if TYPE_CHECKING:
    from quanmin.fhir.query import Query

_FORMATS: Final = frozenset(
    # A plus sign in a query is read as a space.
    {"application/fhir+ndjson", "application/fhir ndjson", "application/ndjson", "ndjson"}
)
_TAKEN: Final = frozenset({"_outputFormat", "_since", "_type", "_elements", "_typeFilter"})
_OF_PATIENTS: Final = frozenset({"patient"})
_DECLINED: Final = frozenset(
    {"includeAssociatedData", "organizeOutputBy", "_until", "allowPartialManifests"}
)
# Commas stand between queries and within them; a query begins with its type.
_BETWEEN_QUERIES: Final = re.compile(r",(?=[A-Za-z]+\?)")
_RESULT_PARAMETERS: Final = frozenset(
    {
        *("_sort", "_count", "_include", "_revinclude", "_summary", "_total", "_elements"),
        *("_contained", "_containedType", "_format", "_pretty"),
    }
)


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """In what searches of `_typeFilter` are asked: see `parse_query`."""

    zone: tzinfo
    limits: QueryLimits
    table: Table
    is_current: bool = True

    def query(self, type_: str, text: str) -> Query:
        """What a filter asks of a type. Raises NotSupported, Malformed, TooCostly, Outdated."""
        pairs = parse_pairs(text.encode(), "_typeFilter")
        shaping = [name for name, _ in pairs if name.partition(":")[0] in _RESULT_PARAMETERS]
        if shaping:
            raise NotSupported(
                f"_typeFilter: {shaping[0][:64]!r} shapes the result of a search; a filter takes "
                "what picks records"
            )
        return parse_query(
            type_,
            pairs,
            strict=True,
            zone=self.zone,
            limits=self.limits,
            table=self.table,
            is_current=self.is_current,
        )


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An export as it was asked for, fit to be kept: `types` empty means all, `patients` are keys
    (packed; None: all), `filters` are (type, query), `ignored` says what was asked and not heeded.
    `secret` encrypts its files, in the suite of this number.
    """

    secret: str
    suite: int
    since: int | None = None
    types: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    of_patients: bool = False
    patients: str | None = None
    ignored: tuple[str, ...] = ()

    def key(self) -> bytes:
        """What encrypts the files."""
        return base64.b64decode(self.secret)

    def patient_keys(self) -> tuple[int, ...] | None:
        """The patients asked for, by their record keys; None for all."""
        if self.patients is None:
            return None
        packed = base64.b64decode(self.patients)
        return struct.unpack(f"<{len(packed) // 8}q", packed)

    def queries(self, type_: str, language: Language) -> list[Query]:
        """The searches that the records of a type are filtered by; none for all records."""
        return [language.query(name, text) for name, text in self.filters if name == type_]


def pack_keys(keys: Iterable[int]) -> str:
    """Record keys in their order, as `Asked` keeps them."""
    ordered = sorted(set(keys))
    return base64.b64encode(struct.pack(f"<{len(ordered)}q", *ordered)).decode()


class Asking:
    """Reads the parameters of one request. With `is_lenient` what is not served is left aside and
    told of; otherwise it is refused (export.html#query-parameters, `Prefer: handling`).
    """

    def __init__(
        self,
        pairs: Pairs,
        *,
        of_patients: bool,
        is_lenient: bool,
        language: Language,
    ) -> None:
        self._pairs = pairs
        self._of_patients = of_patients
        self._is_lenient = is_lenient
        self._language = language
        self._ignored: list[str] = []

    def read(self, suite: int, patients: str | None) -> Asked:
        """All that is asked. Raises NotSupported, Malformed."""
        self._check_names()
        types = self._types()
        return Asked(
            secret=base64.b64encode(secrets.token_bytes(32)).decode(),
            suite=suite,
            since=self._since(),
            types=types,
            elements=self._elements(),
            filters=self._filters(types),
            of_patients=self._of_patients,
            patients=patients,
            ignored=tuple(self._ignored),
        )

    def refuse(self, problem: Problem) -> None:
        """Raises the problem; when lenient, keeps what it says for the answer."""
        if not self._is_lenient:
            raise problem
        self._ignored.append(problem.text)

    def _values(self, name: str) -> list[str]:
        """What a parameter lists, in one instance or several."""
        return [
            part.strip()
            for one, value in self._pairs
            if one == name
            for part in value.split(",")
            if part.strip()
        ]

    def _check_names(self) -> None:
        taken = _TAKEN | _OF_PATIENTS if self._of_patients else _TAKEN
        for name in dict.fromkeys(name for name, _ in self._pairs):
            if name in taken:
                continue
            listed = ", ".join(sorted(taken))
            known = "is not served here" if name in _DECLINED else "is not known"
            self.refuse(
                NotSupported(f"{name[:64]!r} {known} and was not heeded; $export takes {listed}")
            )
        for value in self._values("_outputFormat"):
            if value not in _FORMATS:
                raise NotSupported(
                    "_outputFormat: exports are written as application/fhir+ndjson only"
                )

    def _since(self) -> int | None:
        values = [value for name, value in self._pairs if name == "_since"]
        if len(values) > 1:
            raise Malformed("_since is given more than once")
        if not values:
            return None
        moment = moment_of(values[0], self._language.zone, self._language.limits)
        if moment is None:
            raise Malformed("_since must be a date or time, as in 2026-11-22T08:00:00+08:00")
        return moment

    def _types(self) -> tuple[str, ...]:
        table, found = load_table(), []
        compartment = {"Patient", *table.compartments["Patient"]}
        for name in dict.fromkeys(self._values("_type")):
            if name not in table.types:
                self.refuse(NotSupported(f"_type: {name[:64]!r} is no resource type of FHIR R4"))
            elif self._of_patients and name not in compartment:
                self.refuse(
                    NotSupported(
                        f"_type: {name} is not in the compartment of a Patient, of which this "
                        "export is; a system export has it"
                    )
                )
            else:
                found.append(name)
        if not found and self._values("_type"):
            raise NotSupported("_type: none of these types can be exported here")
        return tuple(found)

    def _elements(self) -> tuple[str, ...]:
        found = []
        for name in dict.fromkeys(self._values("_elements")):
            fault = check_elements(name)
            if fault is None:
                found.append(name)
            else:
                self.refuse(Malformed(f"_elements: {fault}"))
        return tuple(found)

    def _filters(self, types: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        values = [value for name, value in self._pairs if name == "_typeFilter"]
        for one in (one for value in values for one in _BETWEEN_QUERIES.split(value)):
            type_, _, text = one.strip().partition("?")
            try:
                if types and type_ not in types:
                    raise NotSupported(f"_typeFilter: {type_[:64]!r} is not among those of _type")
                if self._of_patients and type_ not in (
                    "Patient",
                    *load_table().compartments["Patient"],
                ):
                    raise NotSupported(
                        f"_typeFilter: {type_[:64]!r} is not in the compartment of a Patient"
                    )
                self._language.query(type_, text)
            except Outdated:
                raise
            except Problem as problem:
                self.refuse(problem)
            else:
                found.append((type_, text))
        return tuple(found)


def moment_of(value: str, zone: tzinfo, limits: QueryLimits) -> int | None:
    """When a date or time without a prefix begins, in microseconds; None when it is none."""
    if not value[:1].isdigit():
        return None
    # A date search already knows every precision and zone.
    query = parse_query(None, [("_lastUpdated", value)], strict=True, zone=zone, limits=limits)
    operand = query.clauses[0].operands[0]
    return operand.low if isinstance(operand, DateOperand) else None


class _Entity(msgspec.Struct):
    reference: str = ""


class _Member(msgspec.Struct):
    entity: _Entity = msgspec.field(default_factory=_Entity)
    inactive: bool = False


class _Group(msgspec.Struct):
    member: list[_Member] = []


_read_group: Final = msgspec.json.Decoder(_Group)


def members_of(body: bytes, base: str) -> list[str]:
    """The ids of the Patients that a Group lists and that have not left it, each once. `base` is
    the node's own address.
    """
    found: dict[str, None] = {}
    for each in _read_group.decode(body).member:
        type_, _, id_ = each.entity.reference.removeprefix(base).partition("/")
        if type_ == "Patient" and not each.inactive and ID.fullmatch(id_):
            found[id_] = None
    return list(found)


def patient_ids(values: Iterable[Any]) -> list[str]:
    """The ids in references to Patients, each once. Raises Malformed for one that is none."""
    found: dict[str, None] = {}
    for value in values:
        type_, _, id_ = str(value).rpartition("/")
        if type_.rpartition("/")[2] != "Patient" or not ID.fullmatch(id_):
            raise Malformed("patient: name each Patient by a reference such as Patient/123")
        found[id_] = None
    return list(found)
