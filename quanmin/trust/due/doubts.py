"""Of whom a reader of due lists must look at the records to know what is seen, as conditions on a
registration `p` of `plans.person`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quanmin.records.search.reader import Statement
from quanmin.trust.due.keeping import TYPES, read_kind
from quanmin.trust.due.kinds import Kinds


class Doubts:
    """What one reader sees of kinds of records, and by whose grants more or less."""

    def __init__(
        self,
        kinds: Kinds | None = None,
        grantees: tuple[int, ...] = (),
        takers: tuple[int, ...] = (),
        *,
        is_walled: bool,
    ) -> None:
        """`takers` are those of the grantees by whose grants something may be hidden. Of whom
        `is_walled` it is never known without a look.
        """
        self._kinds = kinds or Kinds()
        self.grantees = grantees
        self._takers = takers
        self._is_walled = is_walled

    @property
    def hidden(self) -> tuple[int, ...]:
        """The kinds that are not seen, or not always."""
        return (*self._kinds.hidden, *self._kinds.unsure)

    def is_whole(self, statement: Statement) -> str:
        """Whether all that a registration `p` rests on is seen, if nothing is granted."""
        kinds = self._kinds
        return f"p.kinds <@ {_array(statement, (*kinds.seen, *kinds.other))}"

    def overlaps(self, statement: Statement, kinds: Sequence[int]) -> str:
        """Whether a registration `p` is known by one of these kinds."""
        return f"p.kinds && {_array(statement, kinds)}" if kinds else "false"

    def granting(self, statement: Statement) -> str:
        """Those who have granted something that matters, as a statement of its own."""
        return _granting(statement, self.grantees)

    def is_in_doubt(self, statement: Statement, probe: Callable[[str], str]) -> str:
        """Whether it takes a look at the records to know what is seen of a registration `p`: of all
        others it is everything, or what its institution sent and nothing else. `probe` makes of the
        statement of those who have granted something that matters the condition that its person is
        one of them.
        """
        if self._is_walled:
            return "true"
        kinds = self._kinds
        seen = _array(statement, (*kinds.seen, *kinds.other))
        hidden = _array(statement, (*kinds.hidden, *kinds.other))
        parts = [
            self.overlaps(statement, kinds.unsure),
            # What is seen anyway is seen whoever may see more.
            f"""not ({self.is_whole(statement)}) and ({probe(self.granting(statement))}
                or exists (select from unnest(p.kinds) k where case
                    when k / {2 * TYPES} = p.sender then k <> all({seen}) else k <> all({hidden})
                    end))""",
        ]
        if self._takers:
            parts.append(probe(_granting(statement, self._takers)))
        return f"({' or '.join(parts)})"

    def is_of_one_in_doubt(self, statement: Statement, institution: int) -> str:
        """The same of registrations of one institution: for these it is told by sets of kinds, and
        who has granted something is probed in a hash, since an array of many is searched from its
        beginning.
        """
        if self._is_walled:
            return "true"
        kinds = self._kinds
        own = [one for one in kinds.hidden if read_kind(one)[0] == institution]
        others = [one for one in kinds.seen if read_kind(one)[0] != institution]
        parts = []
        if kinds.unsure or own:
            parts.append(self.overlaps(statement, (*kinds.unsure, *own)))
        if others and kinds.hidden:
            # An index leads to those of whom others have sent something. That of kinds knows no
            # institution: it would be gone through for all of them, so it is kept from this.
            seen, hidden = (_array(statement, one) for one in (others, kinds.hidden))
            parts.append(f"""(p.is_shared and (
                select bool_or(k = any({seen})) and bool_or(k = any({hidden}))
                from unnest(p.kinds) k))""")  # noqa: S608 - as in reading.py
        if self.grantees:
            # Alone it is a join, which begins with those who have granted something where they are
            # few; beside anything else, be it false, every registration is looked at.
            parts.append(
                f"p.patient in ({self.granting(statement)}) and not ({self.is_whole(statement)})"
            )
        if self._takers:
            parts.append(f"p.patient in ({_granting(statement, self._takers)})")
        return f"({' or '.join(parts)})" if parts else "false"


def _granting(statement: Statement, grantees: Sequence[int]) -> str:
    return f"""select g.patient from records.granted g
        where g.grantee = any({_array(statement, grantees)})"""  # noqa: S608 - as in reading.py


def _array(statement: Statement, kinds: Sequence[int]) -> str:
    return f"{statement.bind([*kinds])}::bigint[]"
