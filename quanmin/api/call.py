"""One interaction being performed: the request, the guarded records, and what the door knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from quanmin.api.address import Pairs, parse_pairs, write_pairs
from quanmin.api.negotiation import Preference
from quanmin.api.paging import Place, Seal
from quanmin.base.problems import Malformed, TooCostly, Unauthenticated
from quanmin.fhir.addresses import with_local
from quanmin.fhir.grammar import parse_query
from quanmin.terminology import TermLimits
from quanmin.trust import Question

if TYPE_CHECKING:
    from quanmin.api.export import Exports
    from quanmin.api.importing import Arrivals
    from quanmin.api.later import Later
    from quanmin.api.limits import DoorLimits
    from quanmin.api.request import Request
    from quanmin.base.quota import Quota
    from quanmin.fhir.query import Query
    from quanmin.trust import GuardedRecords
    from quanmin.trust.signatures import Office


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same from one request to the next. `describe` writes the statement, `polls`
    counts how often a job is asked about, `later` are the kinds of jobs that requests begin,
    `exports` is where those are kept, `office` signs and verifies.
    """

    limits: DoorLimits
    seal: Seal
    zone: ZoneInfo
    describe: Callable[[str], Awaitable[bytes]]
    polls: Quota
    later: Mapping[str, Later]
    term_limits: TermLimits = TermLimits()
    arrivals: Arrivals | None = None
    exports: Exports | None = None
    office: Office | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What an interaction works with.

    `parts` are the parts of the path below the base that name something: types, ids, versions.
    `pairs` are the parameters of the query and the form without those that shape the answer.
    `position` is where in a continued search or history to go on, `own_link` the link that said so.
    `is_private` says that the parameters came in a body and must not stand in an address,
    `is_current` that the search parameters that are known were looked up for this request.
    `questions` are those of links that must be kept before the answer is given.
    """

    request: Request
    desk: Desk
    base: str
    parts: Sequence[str]
    pairs: Pairs
    preference: Preference
    guarded: GuardedRecords | None = None
    actor: str = ""
    body: bytes = b""
    position: str | None = None
    own_link: str | None = None
    is_private: bool = False
    is_current: bool = False
    questions: list[Question] = msgspec.field(default_factory=list)

    @property
    def records(self) -> GuardedRecords:
        """The records as the actor may see them; an interaction that is open to all has none."""
        if self.guarded is None:
            raise Unauthenticated("records are shown to known actors only")
        return self.guarded

    def parse(self, type_: str | None, pairs: Pairs, *, is_strict: bool) -> Query:
        """The query that `pairs` ask for; problems name the parameter and how to mend it.

        The addresses at which this answer would give its records mean the records.
        """
        context = self.records.context
        query = parse_query(
            type_,
            pairs,
            strict=is_strict,
            zone=self.desk.zone,
            limits=context.query_limits,
            table=context.table,
            is_current=self.is_current,
        )
        return with_local(query, f"{self.base}/")

    def criteria(self, type_: str, pairs: Pairs) -> Query:
        """The query of a conditional write; it asks for something and every word counts."""
        query = self.parse(type_, pairs, is_strict=True)
        shapes = query.includes or query.revincludes or query.sort or query.elements
        if shapes or not (query.clauses or query.links or query.filters):
            raise Malformed(
                "conditional criteria are search parameters of the type, at least one of them, and "
                "nothing that shapes a result"
            )
        return query

    def criteria_in(self, type_: str, header: str) -> Query:
        """The query of an `If-None-Exist` header."""
        text = header.strip().removeprefix("?").encode("latin-1")
        return self.criteria(type_, parse_pairs(text, "If-None-Exist"))

    def links(self, used: Pairs, following: str | None) -> list[tuple[str, str]]:
        """The `self` and, where the answer goes on at `following`, the `next` link of a Bundle."""
        links = [("self", self.own_link or self._own(used))]
        if following is not None:
            links.append(("next", self._sealed(following, self.questions)))
        return links

    def _own(self, used: Pairs) -> str:
        address = "/".join((self.base, *self.parts))
        if self.is_private:
            try:
                return self._sealed(None)
            except TooCostly:  # a search that fits on one page needs no link to be repeated
                return f"{address}/_search"
        return f"{address}?{write_pairs(used)}" if used else address

    def _sealed(self, position: str | None, questions: list[Question] | None = None) -> str:
        place = Place(
            path=tuple(self.parts),
            pairs=tuple(self.pairs),
            position=position,
            is_strict=self.preference.is_strict,
        )
        return f"{self.base}/_page?c={self.desk.seal.close(place, self.actor, questions)}"
