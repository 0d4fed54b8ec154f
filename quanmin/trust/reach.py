"""What the scopes of an application reach among records: a Visibility for each way of dealing with
them, to be joined to the rights of whoever the application works for. It never gives more than
these.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import InsufficientScope, Sentence
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.query import Clause, TokenOperand
from quanmin.records.bundle import Reading
from quanmin.records.context import Context
from quanmin.records.index import is_keyed, parts_of
from quanmin.records.model import Outcome
from quanmin.records.operation import Operation, Sender
from quanmin.records.reading import count_beyond
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Having,
    Nothing,
    OfNobody,
    OfPatient,
    OfType,
    Visibility,
)
from quanmin.trust.deciding import Rights, narrowed
from quanmin.trust.scopes import Reach, Scopes, parse_scopes

_LETTERS: Final = {"create": "c", "update": "u", "patch": "u", "delete": "d"}
_WAYS: Final = {"c": "create", "r": "read", "u": "update", "d": "delete", "s": "search"}


class Scoped(msgspec.Struct, frozen=True):
    """The scopes of one application at one moment; `patients` are the record keys of those source
    Patients that are the launch patient.
    """

    scopes: Scopes
    context: Context
    patients: frozenset[int] = frozenset()

    def require(self, letters: str, type_: str | None) -> None:
        """Raises InsufficientScope unless records of this type (None: of some type) may be dealt
        with in these ways.
        """
        if not self.scopes.may(letters, type_):
            ways = " and ".join(_WAYS[letter] for letter in letters)
            kind = type_ or "records of any type"
            raise InsufficientScope(
                Sentence(
                    "the scopes of this application do not let it %(ways)s %(kind)s",
                    ways=ways,
                    kind=kind,
                )
            )

    def sender(self, number: int, rights: Rights, operations: Sequence[Operation]) -> Sender:
        """Who writes through the application. Raises InsufficientScope when an operation is beyond
        its scopes by its kind and type alone.
        """
        for operation in operations:
            self.require(_LETTERS[operation.kind], operation.type)
            if operation.criteria is not None:
                self.require("rs", operation.type)
        changed, deleted = self.visibility("u"), self.visibility("d")
        return Sender(
            number,
            Both((rights.readable, Either((changed, deleted)))),
            Both((rights.writable, changed)),
            Both((rights.deletable or rights.writable, deleted)),
            sought=self.visibility("rs"),
            wall=rights.own_wall,
        )

    async def refuse_beyond(
        self,
        connection: Connection,
        operations: Sequence[Operation],
        outcomes: Sequence[Outcome | None],
    ) -> None:
        """Raises InsufficientScope when what these operations have just written lies beyond."""
        written: dict[str, list[int]] = {}
        for operation, outcome in zip(operations, outcomes, strict=True):
            if outcome is not None and not outcome.unchanged and outcome.stored.body is not None:
                written.setdefault(_LETTERS[operation.kind], []).append(outcome.stored.rid)
        for letter, rids in written.items():
            beyond = await count_beyond(connection, self.visibility(letter), rids)
            if beyond:
                raise InsufficientScope(
                    "what would be written is beyond the scopes of this application: it is of"
                    " another patient, or does not have the code that they ask for"
                )

    def visibility(self, letters: str) -> Visibility:
        """The records that may be dealt with in all these ways."""
        wide: dict[str, set[str]] = {}
        parts: list[Visibility] = []
        for reach in self.scopes.reaches:
            if not set(letters) <= set(reach.letters):
                continue
            if reach.params:
                parts.append(Both((*self._of_context(reach.context), *self._coded(reach))))
            else:
                wide.setdefault(reach.context, set()).add(reach.type)
        for context, types in wide.items():
            of_types = () if "*" in types else (OfType(frozenset(types)),)
            parts.append(_both((*self._of_context(context), *of_types)))
        if Everything() in parts:
            return Everything()
        return parts[0] if len(parts) == 1 else Either(tuple(parts)) if parts else Nothing()

    def _of_context(self, context: str) -> tuple[Visibility, ...]:
        if context != "patient":
            return ()
        beside = Both((OfType(_beside()), OfNobody()))
        return (Either((OfPatient(self.patients), beside)),)

    def _coded(self, reach: Reach) -> tuple[Visibility, ...]:
        return tuple(_having(self.context, reach.type, pair) for pair in reach.params)


def as_reached(rights: Rights, scoped: Scoped | None, ways: str, type_: str | None) -> Rights:
    """The rights as far as the application may, in these ways. Raises as `Scoped.require`."""
    if scoped is None:
        return rights
    scoped.require(ways, type_)
    return narrowed(rights, scoped.visibility(ways))


def refuse_log(scopes: Scopes | None) -> None:
    """Raises InsufficientScope unless an application may read the whole access log, as far as the
    one it asks for may: entries are in no patient's hands, and have no keys.
    """
    needed = parse_scopes("user/AuditEvent.rs system/AuditEvent.rs").reaches
    if scopes is not None and not any(
        reach.covers(one) for reach in scopes.reaches for one in needed
    ):
        raise InsufficientScope("the scopes of this application do not let it read the access log")


def ways_of(reading: Reading) -> str:
    """What an application needs to be given the answer to an entry of a bundle that reads."""
    is_search = reading.query is not None or (
        reading.history is not None and reading.history.id is None
    )
    return "s" if is_search else "r"


def _both(parts: tuple[Visibility, ...]) -> Visibility:
    return parts[0] if len(parts) == 1 else Both(parts) if parts else Everything()


@cache
def _beside() -> frozenset[str]:
    text = files("quanmin.definitions").joinpath("smart.toml").read_text("utf-8")
    return frozenset(tomllib.loads(text)["beside"]["types"])


def _having(context: Context, type_: str, pair: tuple[str, str]) -> Having:
    """The records that a search by this parameter would find, by the same keys."""
    limits = context.query_limits
    query = parse_query(type_, [pair], strict=True, zone=UTC, limits=limits)
    keys: set[int] = set()
    codes: set[tuple[int, int | None]] = set()
    for clause in query.clauses:
        _add(context, type_, clause, keys, codes)
    return Having(type_, frozenset(keys), frozenset(codes))


def _add(
    context: Context,
    type_: str,
    clause: Clause,
    keys: set[int],
    codes: set[tuple[int, int | None]],
) -> None:
    keying, definition = context.keying, context.definition(type_)
    for name in parts_of(definition, clause.param.name):
        param = definition.params[name]
        for operand in clause.operands:
            if not isinstance(operand, TokenOperand) or operand.code is None:
                continue
            system = operand.system
            if is_keyed(definition, param):
                narrow = None if system is None else keying.narrow(system)
                codes.add((keying.code(type_, name, operand.code), narrow))
            elif system is None or system == param.implied_system:
                keys.add(keying.code(type_, name, operand.code))
            else:
                keys.add(keying.coded(type_, name, system, operand.code))
