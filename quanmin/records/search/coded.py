"""Clauses on codes and URIs: keys in the row's `tokens`, or in `records.keyed` for what is
searched by time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quanmin.fhir.earth import cells_around
from quanmin.fhir.query import Clause, NearOperand, TokenOperand, TypedOperand, UriOperand
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.uris import addresses_above
from quanmin.fhir.values import SearchParameter
from quanmin.records.index import is_keyed, parts_of
from quanmin.records.search.arm import Arm, Write, side_arm
from quanmin.records.search.key_lists import keys_term
from quanmin.records.search.term import (
    Scope,
    Term,
    Walk,
    any_key,
    any_rid,
    is_present,
    joined,
    never,
)
from quanmin.records.visibility_sql import Bind, of_patients


def id_term(scope: Scope, clause: Clause) -> Term:
    """Records by id. An id that no record of the type can have finds nothing."""
    ids = [
        operand.code
        for operand in clause.operands
        if isinstance(operand, TokenOperand) and operand.code and not operand.system
    ]
    rids = {
        scope.context.rid_of(definition.name, id_)
        for definition in scope.definitions
        for id_ in ids
    }
    found = {rid for rid in rids if rid is not None}
    alone = next(iter(found)) if len(found) == 1 else None
    return Term((clause,), row=any_rid(found), drives=True, rid=alone)


def token_term(scope: Scope, clause: Clause) -> Term:
    """Codes of the parameter, or of those that answer for it."""
    definition = scope.definitions[0]
    names = parts_of(definition, clause.param.name)
    params = [clause.param] if clause.param.is_custom else [definition.params[n] for n in names]
    first, *others = (_own_term(scope, clause, param) for param in params)
    for other in others:
        first = joined(first, other)
    return first


def _own_term(scope: Scope, clause: Clause, param: SearchParameter) -> Term:
    """Codes of one parameter. Of a keyed one only `system|` is answered by the row itself."""
    definition = scope.definitions[0]
    if is_keyed(definition, param):
        return _keyed_term(scope, definition, clause, param)
    keys: set[int] = set()
    is_exact, rows = True, []
    for operand in clause.operands:
        if not isinstance(operand, TokenOperand):
            continue
        if operand.code is None and operand.system == param.implied_system:
            # Every value is of the one system its codes can have.
            rows.append(is_present(scope, param.name))
            continue
        for one in scope.definitions:
            is_exact = _add_keys(scope, one, param, operand, keys) and is_exact
    return keys_term(definition.number, (clause,), "tokens", keys, *rows, is_exact=is_exact)


def typed_term(scope: Scope, clause: Clause) -> Term:
    """Identifiers by type and value: found by the value, which few have, decided by the type."""
    operands = tuple(
        TokenOperand(None, operand.value)
        for operand in clause.operands
        if isinstance(operand, TypedOperand)
    )
    by_value = token_term(scope, Clause(clause.param, None, operands))
    return msgspec.structs.replace(by_value, clauses=(clause,), is_exact=False)


def uri_term(scope: Scope, clause: Clause) -> Term:
    """URIs, equal as written; with `:above` those that one lies below too."""
    addresses = set()
    for operand in clause.operands:
        if isinstance(operand, UriOperand):
            addresses.add(operand.value)
            above = addresses_above(operand.value) if clause.modifier == "above" else ()
            addresses.update(end for address in above for end in (address, f"{address}/"))
    keying, name = scope.context.keying, clause.param.name
    keys = {
        keying.uri(definition.name, name, address)
        for definition in scope.definitions
        for address in addresses
    }
    return keys_term(scope.numbers[0], (clause,), "tokens", keys)


def near_term(scope: Scope, clause: Clause) -> Term:
    """Places by the cells of a grid about the one asked for, decided by the true distance."""
    definition, name, keying = scope.definitions[0], clause.param.name, scope.context.keying
    keys: set[int] = set()
    for operand in clause.operands:
        if isinstance(operand, NearOperand):
            cells = cells_around(operand.spot, operand.metres)
            if cells is None:
                return Term((clause,), row=is_present(scope, name), is_exact=False)
            keys |= {keying.spot(definition.name, name, cell) for cell in cells}
    return keys_term(definition.number, (clause,), "tokens", keys, is_exact=False)


def _add_keys(
    scope: Scope,
    definition: TypeDefinition,
    param: SearchParameter,
    operand: TokenOperand,
    keys: set[int],
) -> bool:
    """Add the keys of an operand; whether they find nothing but what it asks for."""
    keying, type_, name = scope.context.keying, definition.name, param.name
    implied = definition.params[name].implied_system if name in definition.params else None
    code, system = operand.code, operand.system
    if code is None:
        keys.add(keying.system(type_, name, system or ""))
    elif system is None or (implied is not None and system in {"", implied}):
        keys.add(keying.code(type_, name, code))
    elif system == "":
        # Codes that can have no system have no key of their own for saying so.
        keys.add(keying.code(type_, name, code))
        return False
    else:
        keys.add(keying.coded(type_, name, system, code))
    return True


def _keyed_term(
    scope: Scope, definition: TypeDefinition, clause: Clause, param: SearchParameter
) -> Term:
    keying, type_, name = scope.context.keying, definition.name, param.name
    pairs: dict[tuple[int, int | None], None] = {}
    systems: set[int] = set()
    for operand in clause.operands:
        if not isinstance(operand, TokenOperand):
            continue
        if operand.code is None:
            systems.add(keying.system(type_, name, operand.system or ""))
        else:
            system = None if operand.system is None else keying.narrow(operand.system)
            pairs[keying.code(type_, name, operand.code), system] = None
    row = any_key("tokens", systems) if systems else None
    if not pairs:
        return Term((clause,), row=row or never)
    walls = () if scope.lot is None else tuple(scope.lot.walls)
    walk = Walk(tuple(pairs), walls=walls)
    return Term(
        (clause,),
        row=row,
        found=(_codes(walk),),
        probe=_probe(walk),
        walk=None if row else walk,
        is_point=name == "identifier" and row is None,
    )


def _codes(walk: Walk) -> Arm:
    if walk.walls:
        return Arm(
            lambda bind: entries(walk, bind, "s.rid"),
            lambda bind, limit: f"({entries(walk, bind, 's.rid', str(limit))})",
        )
    keys = [key for key, _ in walk.pairs]
    return side_arm("keyed", keys, lambda bind: system_condition(walk, bind), BY_TIME)


# So many codes are hashed each by itself, so that the planner knows how common they are.
_APART_MAX = 16
# As the index on codes is.
BY_TIME = "s.low desc nulls last, s.rid"


def entries(
    walk: Walk,
    bind: Bind,
    columns: str,
    limit: str = "",
    *,
    is_distinct: bool = False,
    is_owned: bool = False,
) -> str:
    """A subselect of what the index on codes has for a walk, along that index: for each row `s`
    these columns, at most `limit`; of each record once, of those of patients only, where that is
    asked. Those of a sender are read by an index of their own, and come in no order.
    """
    where = of_walk(walk, bind) + (" and s.patient is not null" if is_owned else "")
    distinct = "distinct on (s.low, s.rid) " if is_distinct else ""
    order = f" order by {BY_TIME}" if is_distinct or not walk.walls else ""
    text = f"select {distinct}{columns} from records.keyed s where {where}{order}"
    return f"{text} limit {limit}" if limit else text


def system_condition(walk: Walk, bind: Bind) -> str:
    """A condition on a row `s` of `records.keyed` that has one of the keys: the system is right."""
    plain = sorted({key for key, system in walk.pairs if system is None})
    told = [(key, system) for key, system in walk.pairs if system is not None and key not in plain]
    if not told:
        return "true"
    if len({key for key, _ in walk.pairs}) == 1:
        return f"s.system = any({bind(sorted({system for _, system in told}))}::int[])"
    paired = (
        f"(s.key, s.system) in (select * from unnest({bind([key for key, _ in told])}::bigint[],"
        f" {bind([system for _, system in told])}::int[]))"
    )
    return f"(s.key = any({bind(plain)}::bigint[]) or {paired})"


def of_walk(walk: Walk, bind: Bind) -> str:
    """A condition on a row `s` of `records.keyed`: it is one of the walk's."""
    keys = sorted({key for key, _ in walk.pairs})
    if walk.walls:
        conditions = [_of_senders(keys, walk.walls, bind)]
    elif len(keys) == 1:
        conditions = [f"s.key = {bind(keys[0])}::bigint"]
    else:
        conditions = [f"s.key = any({bind(keys)}::bigint[])"]
    conditions.append(system_condition(walk, bind))
    if walk.patients:
        conditions.append(of_patients("s", walk.patients, bind))
    if walk.value is not None:
        conditions.append(walk.value(bind))
    return " and ".join(conditions)


def _of_senders(keys: Sequence[int], walls: Sequence[int], bind: Bind) -> str:
    """By the index on codes and senders together, each of which is a hash."""
    hashed = "hashint8extended(s.key, s.wall::bigint)"
    if len(keys) > _APART_MAX:
        of_all = (
            f"select hashint8extended(k.key, w.wall) from unnest({bind(list(keys))}::bigint[])"
            f" as k (key) cross join unnest({bind(list(walls))}::bigint[]) as w (wall)"
        )
        return f"{hashed} = any(array({of_all}))"
    places = [f"{bind(wall)}::bigint" for wall in walls]
    each = [
        f"hashint8extended({key}, {wall})"
        for key in [f"{bind(key)}::bigint" for key in keys]
        for wall in places
    ]
    return f"{hashed} = any(array[{', '.join(each)}])"


def _probe(walk: Walk) -> Write:
    """Ask the index for one row by (key, low, rid).

    LIMIT keeps the planner from turning the question into a hash of every row with the code, which
    for a common code costs more than the whole search.
    """
    keys = sorted({key for key, _ in walk.pairs})

    def write(bind: Bind) -> str:
        of_row = (
            f"select true from records.keyed s where s.key = any({bind(keys)}::bigint[])"
            f" and {system_condition(walk, bind)} and s.rid = r.rid"
        )
        return (
            f"(case when r.low is null then ({of_row} and s.low is null limit 1)"
            f" else ({of_row} and s.low = r.low limit 1) end)"
        )

    return write
