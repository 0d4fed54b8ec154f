"""By what records are indexed: the parameters of R4, those that somebody defined, and the rules of
this program, as one process knows them.

It is a picture of what the database says, and may be old. Who writes makes sure in the transaction
that it is not (`hold`); who searches by what may not be ready asks in the snapshot of the search.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from functools import cache
from importlib import resources
from typing import Final

import msgspec
from msgspec.structs import replace

from quanmin.base.database import Database
from quanmin.base.problems import Outdated
from quanmin.fhir.defining import Defined
from quanmin.fhir.query import EVERY_TYPE
from quanmin.fhir.table import Table
from quanmin.fhir.values import SearchParameter
from quanmin.records.sensitivity import labels_version

# Those that every writer indexes by, ready or not.
IN_FORCE: Final = ("pending", "indexing", "ready", "failed")

_READ: Final = """
    select c.version,
        (select array_agg(p.definition::text order by p.generation) from indexing.parameter p
         where p.state = any($1)) as definitions,
        (select array_agg(r.rule || ' ' || r.version) from indexing.rule r
         where r.state = 'ready') as ready
    from indexing.catalogue c
"""


class IndexRule(msgspec.Struct, frozen=True):
    """A rule by which records are indexed; an empty tuple says any. One that `gives_labels` has no
    version of its own: that of the labels which records are given for what their codes say.
    """

    name: str
    version: int = 0
    types: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    modifiers: tuple[str, ...] = ()
    gives_labels: bool = False

    def is_for(self, type_: str, param: SearchParameter, modifier: str | None) -> bool:
        """Whether a search by this parameter, under this modifier, needs what the rule writes."""
        return (
            (not self.types or type_ in (*self.types, EVERY_TYPE))
            and (not self.kinds or param.kind in self.kinds)
            and (not self.params or param.name in self.params)
            and (not self.modifiers or modifier in self.modifiers)
        )


class _Rules(msgspec.Struct):
    rule: tuple[IndexRule, ...]


@cache
def index_rules() -> tuple[IndexRule, ...]:
    """The rules of this program."""
    file = resources.files("quanmin") / "definitions" / "search" / "index_rules.toml"
    found = {"rule": tomllib.loads(file.read_text("utf-8"))["rule"]}
    rules = msgspec.convert(found, _Rules).rule
    return tuple(
        replace(one, version=labels_version()) if one.gives_labels else one for one in rules
    )


class Catalogue(msgspec.Struct, frozen=True):
    """One version of what is indexed. `table` has the custom parameters among those of R4;
    `customs` are those of each type by themselves. `unready` are rules that not all records have
    been indexed by, as far as was known when this was read.
    """

    version: int
    table: Table
    customs: dict[str, tuple[SearchParameter, ...]] = {}
    unready: tuple[IndexRule, ...] = ()


def with_customs(
    table: Table, version: int, defined: Iterable[Defined], ready: Collection[str]
) -> Catalogue:
    """The catalogue of R4's table and of these definitions; `ready` are rules and versions."""
    customs: dict[str, tuple[SearchParameter, ...]] = {}
    types = dict(table.types)
    for one in defined:
        for param in one.params:
            customs[param.type] = (*customs.get(param.type, ()), param)
            known = types[param.type]
            types[param.type] = replace(known, params={**known.params, one.code: param})
    rules = tuple(one for one in index_rules() if f"{one.name} {one.version}" not in ready)
    return Catalogue(version, replace(table, types=types), customs, rules)


async def read_catalogue(database: Database, table: Table) -> Catalogue:
    """What holds at this moment; `table` is that of R4."""
    row = await database.fetchrow(_READ, list(IN_FORCE))
    if row is None:
        raise Outdated("the database holds no catalogue of search parameters: start the node anew")
    defined = [msgspec.json.decode(text, type=Defined) for text in row["definitions"] or ()]
    return with_customs(table, row["version"], defined, row["ready"] or ())
