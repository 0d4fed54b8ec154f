"""Keeps licences and places of practice equal to the register's Practitioners and
PractitionerRoles, in the transaction that writes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.records.operation import Change
from quanmin.trust.registers.definitions import is_of_register
from quanmin.trust.registers.entry import period_of, pieces
from quanmin.trust.registers.licensing import licence_rule

_ENTER: Final = """
    insert into trust.practitioner_entry (practitioner, id) values ($1, $2)
    on conflict (practitioner) do update set id = excluded.id
"""
_KNOWN_LICENCES: Final = """
    delete from trust.licence where practitioner = $1
    returning kind, began, scopes, state, since, until
"""
_LICENCE: Final = """
    insert into trust.licence (practitioner, kind, began, scopes, state, since, until)
    values ($1, $2, $3, $4, $5, $6, $7)
"""
_END_PRACTICE: Final = """
    update trust.practice set until = $2
    where role = $1 and (practitioner, organization) is distinct from ($3, $4)
        and since < $2 and until > $2
"""
_FORGET_PRACTICE: Final = """
    delete from trust.practice
    where role = $1 and ((practitioner, organization) = ($3, $4) or since >= $2)
"""
_PRACTICE: Final = """
    insert into trust.practice (role, practitioner, organization, since, until)
    values ($1, $2, $3, $4, $5)
"""


class Licence(msgspec.Struct, frozen=True):
    """A licence as a qualification tells it."""

    kind: str
    scopes: tuple[str, ...]
    state: str
    since: int
    until: int


_Named = tuple[str, int]  # a kind, and when its stated period begins
_Held = tuple[int, int, tuple[tuple[str, ...], str]]  # from when to when, and scopes and state


def _held(
    stated: Sequence[Licence], known: Mapping[_Named, list[_Held]], now: int
) -> Iterator[tuple[_Named, _Held]]:
    """What held and holds of licences. One in another state or with other scopes than was known is
    so from now on; one that is not stated any more held until now, unless one of its kind with
    another period stands in its place, which corrects it.
    """
    names = [(one.kind, one.since) for one in stated]
    corrected = {kind for kind, since in names if (kind, since) not in known}
    for name, one in zip(names, stated, strict=True):
        was = sorted(known.get(name, ())) if names.count(name) == 1 else []
        for held in pieces((one.since, one.until), (one.scopes, one.state), was, now):
            yield name, held
    for name, was in known.items():
        if name not in names and name[0] not in corrected:
            for since, until, told in was:
                if since < now:
                    yield name, (since, min(until, now), told)


class PractitionerIndex:
    """The projection of the register's staff onto dated rows."""

    types = frozenset({"Practitioner", "PractitionerRole"})
    is_early = False

    def __init__(self, zone: ZoneInfo, rid_of: Callable[[str, str], int | None]) -> None:
        """Dates without a zone are read in `zone`; `rid_of` gives the key of `type/id`."""
        self._zone = zone
        self._rid_of = rid_of

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Bring the rows up to each changed entry. Raises Invalid for one that breaks a rule of the
        register.

        One that is deleted or not active has no licence and practises nowhere from now on; what
        was not taken back as wrong stays with its end.
        """
        for change in changes:
            if not await is_of_register(connection, change.sender):
                continue
            if change.type == "Practitioner":
                await self._license(connection, change)
            else:
                await self._place(connection, change)

    async def _license(self, connection: Connection, change: Change) -> None:
        resource = change.resource or {"active": False}
        faults: list[Issue] = []
        licences = list(read_licences(resource, self._zone, faults))
        if faults:
            raise Invalid("the register of practitioners does not take this", issues=tuple(faults))
        if not resource.get("active", True):
            licences = []
        await connection.execute(_ENTER, change.rid, change.id)
        known: dict[_Named, list[_Held]] = {}
        for row in await connection.fetch(_KNOWN_LICENCES, change.rid):
            held = (row["since"], row["until"], (tuple(row["scopes"]), row["state"]))
            known.setdefault((row["kind"], row["began"]), []).append(held)
        rows = [
            (change.rid, *name, list(told[0]), told[1], since, until)
            for name, (since, until, told) in _held(licences, known, change.updated)
        ]
        await connection.executemany(_LICENCE, rows)

    async def _place(self, connection: Connection, change: Change) -> None:
        resource = change.resource
        if resource is None or not resource.get("active", True):
            await self._practise(connection, change, None, None, (0, 0))
            return
        practitioner = self._target(resource, "practitioner", "Practitioner")
        organization = self._target(resource, "organization", "Organization")
        period = period_of(resource.get("period") or {}, self._zone)
        if period is None:
            text = Sentence("a period ends, if at all, after it began")
            raise Invalid(
                "the register of practitioners does not take this",
                issues=(Issue("error", "value", text, "PractitionerRole.period"),),
            )
        await self._practise(connection, change, practitioner, organization, period)

    async def _practise(
        self,
        connection: Connection,
        change: Change,
        practitioner: int | None,
        organization: int | None,
        period: tuple[int, int],
    ) -> None:
        """From now on the role is of this practitioner at this place; None: of nobody, nowhere."""
        of = change.rid, change.updated, practitioner, organization
        was_elsewhere = (await connection.execute(_END_PRACTICE, *of)) != "UPDATE 0"
        await connection.execute(_FORGET_PRACTICE, *of)
        if practitioner is None or organization is None:
            return
        since, until = period
        if was_elsewhere:
            since = max(since, change.updated)
        if since < until:
            await connection.execute(
                _PRACTICE, change.rid, practitioner, organization, since, until
            )

    def _target(self, resource: Mapping[str, Any], name: str, type_: str) -> int | None:
        reference = str((resource.get(name) or {}).get("reference") or "")
        stated, _, id_ = reference.partition("/")
        return self._rid_of(type_, id_) if stated == type_ and id_ else None


def read_licences(
    practitioner: Mapping[str, Any], zone: ZoneInfo, faults: list[Issue]
) -> Iterator[Licence]:
    """The qualifications that are licences: those with a kind of ours."""
    rule = licence_rule()
    kinds = [kind.code for kind in rule.kind]
    known_scopes = {scope.code for scope in rule.scope}
    states = sorted(rule.states.in_force | rule.states.others)
    for place, qualification in enumerate(practitioner.get("qualification") or ()):
        where = f"Practitioner.qualification[{place}]"
        codings = (qualification.get("code") or {}).get("coding") or ()
        kind = next(
            (coding.get("code") for coding in codings if coding.get("system") == rule.address.kind),
            None,
        )
        if kind is None:
            continue
        state = next(_extended(qualification, rule.address.state), "active")
        scopes = tuple(_extended(qualification, rule.address.scope))
        period = period_of(qualification.get("period") or {}, zone)
        if not known_scopes.issuperset(scopes):
            text = Sentence(
                "the scopes of a licence are %(known)s", known=", ".join(sorted(known_scopes))
            )
            faults.append(Issue("error", "code-invalid", text, where))
        elif kind not in kinds:
            text = Sentence("the kinds of licence are %(known)s", known=", ".join(kinds))
            faults.append(Issue("error", "code-invalid", text, f"{where}.code"))
        elif state not in states:
            text = Sentence("the states of a licence are %(known)s", known=", ".join(states))
            faults.append(Issue("error", "code-invalid", text, where))
        elif period is None or not (qualification.get("period") or {}).get("start"):
            text = Sentence(
                "a licence has a period with a start; it ends, if at all, after it began"
            )
            faults.append(Issue("error", "required", text, f"{where}.period"))
        else:
            yield Licence(kind, scopes, state, *period)


def _extended(element: Mapping[str, Any], url: str) -> Iterator[str]:
    for extension in element.get("extension") or ():
        if extension.get("url") == url and extension.get("valueCode"):
            yield str(extension["valueCode"])
