"""How long records are kept, as the definition has it, and what is still kept of a Patient."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from quanmin.base.database import Connection
from quanmin.records.context import DELETED, Context
from quanmin.records.index import OPEN_HIGH

ALL: Final = "*"
_YEAR_MAX: Final = 9999
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# When a record ended: its clinical time; what goes on still, when it was last changed; what has no
# time, when it came.
ENDED: Final = f"""
    case when r.low is null then r.updated
        when r.high >= {OPEN_HIGH} then greatest(r.low, r.updated)
        else greatest(r.low, r.high) end
"""
_HELD: Final = f"""
    select r.patient, r.type, count(*) as count, max({ENDED}) as last,
        bool_or(r.type = $2 and r.tokens && $3::bigint[]) as is_inpatient
    from records.record r
    where r.patient = any($1) and r.flags & {DELETED} = 0 and not (r.type = any($4::smallint[]))
    group by r.patient, r.type
"""  # noqa: S608 - constants of this program


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to records whose time is over."""

    automatic: Annotated[
        bool,
        Meta(
            description="Whether what `quanmin retention run` finds due is deleted at once; "
            "otherwise one person proposes it and another confirms."
        ),
    ] = False


class Clock(msgspec.Struct, frozen=True):
    """How many full years records of some types are kept; see the definition."""

    code: str
    zh: str
    en: str
    source: str
    source_zh: str
    years: int
    types: frozenset[str]
    inpatient: bool = False


class _Head(msgspec.Struct, frozen=True):
    version: str
    inpatient_classes: tuple[str, ...]


class RetentionRules(msgspec.Struct, frozen=True):
    """The definition, read."""

    definition: _Head
    clock: tuple[Clock, ...]

    def of(self, type_: str, *, is_inpatient: bool) -> Clock:
        """The clock that keeps records of a type the longest."""
        named = {name for one in self.clock for name in one.types}
        fitting = [
            one
            for one in self.clock
            if (type_ in one.types or (ALL in one.types and (one.inpatient or type_ not in named)))
            and (is_inpatient or not one.inpatient)
        ]
        return max(fitting, key=lambda one: one.years)

    @property
    def years_min(self) -> int:
        """Whatever is younger than this is kept, whichever clock it has."""
        return min(one.years for one in self.clock)


class Keeping(msgspec.Struct, frozen=True):
    """Records of a Patient that a clock is about: how many, and until when they must be kept
    (microseconds).
    """

    patient: int
    clock: str
    type: str
    count: int
    until: int


@cache
def retention_rules() -> RetentionRules:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("lifecycle", "retention.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), RetentionRules)


async def keepings(
    connection: Connection, context: Context, patients: Sequence[int]
) -> list[Keeping]:
    """What is held of these source Patients, by clock and type. The Patient itself and what the
    node keeps for the person (petitions, consents) have no clock: they go with the last record.
    """
    rules, table = retention_rules(), context.table.types
    classes = [
        context.keying.code("Encounter", "class", code)
        for code in rules.definition.inpatient_classes
    ]
    beside = [table[name].number for name in ("Patient", "Consent", "Task", "Communication")]
    rows = await connection.fetch(_HELD, [*patients], table["Encounter"].number, classes, beside)
    inpatients = {row["patient"] for row in rows if row["is_inpatient"]}
    return [_keeping(context, row, rules, inpatients) for row in rows]


def _keeping(context: Context, row: Any, rules: RetentionRules, inpatients: set[int]) -> Keeping:
    type_ = context.named(row["type"]).name
    clock = rules.of(type_, is_inpatient=row["patient"] in inpatients)
    until = years_after(row["last"], clock.years, context.zone)
    return Keeping(row["patient"], clock.code, type_, row["count"], until)


def years_after(moment: int, years: int, zone: tzinfo) -> int:
    """The moment so many years later by the calendar of a zone; the 29th of February becomes the
    1st of March.
    """
    when = (_EPOCH + moment * _MICROSECOND).astimezone(zone)
    year = min(when.year + years, _YEAR_MAX)
    try:
        later = when.replace(year=year)
    except ValueError:
        later = when.replace(year=year, month=3, day=1)
    return (later - _EPOCH) // _MICROSECOND
