"""Holds every entry of the log against its tree, and every tree against what was signed of it, in
the database and outside; names what is not as it was written.

A tree tells that something is wrong, the mark of each entry which one it is: with it the node
finds for each entry the place it was written to, so that moved, inserted and missing ones are told
apart. Everything is read in one snapshot, and the witness before it: what was witnessed had been
committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.merkle import Hash, Tree
from quanmin.trust.log.entry import SALT_BYTES, Place
from quanmin.trust.log.keeping import DROP, digest_of_dropped, dropped_heads
from quanmin.trust.log.lanes import HASH_BYTES, LANES_A_MONTH, TILE_LEVEL, month_of
from quanmin.trust.log.limits import days_by_rule
from quanmin.trust.log.notary import Checkpoint, Head, Notary, Restored, hash_of
from quanmin.trust.log.redacting import Redaction, digest_of
from quanmin.trust.log.restoring import explained, told
from quanmin.trust.log.rows import ENTRY, Kept, read_entry
from quanmin.trust.log.witness import Witness

Wrong = Literal[
    "changed",
    "removed",
    "inserted",
    "moved",
    "redacted",
    "lane",
    "head",
    "subtree",
    "checkpoint",
    "erasure",
    "restore",
]

_ENTRIES: Final = f"select {ENTRY} from trust.access a where a.lane = $1 order by a.n"
_LANES: Final = "select lane, suite from trust.lane"
_HEADS: Final = "select * from trust.head order by lane, size desc"
_ROWS_AT_ONCE: Final = 2_000
# A row that stands in a wrong place is looked for where others are missing or wrong; when these are
# more, near its place only.
_PLACES_TRIED_MAX: Final = 2_000
_NEAR: Final = 64
_ERASURE: Final = "erase"
_DAY: Final = 86_400 * 1_000_000


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `until`: the last entry of a run, `place` the first.
    A lane as a whole has no number.
    """

    wrong: Wrong
    lane: int
    number: int | None
    text: str
    until: int | None = None

    @property
    def entry(self) -> str:
        """The entry, as it is called everywhere; a run by its first and last."""
        if self.number is None:
            return f"lane {self.lane}" if self.lane else ""
        first = str(Place(self.lane, self.number))
        last = "" if self.until in {None, self.number} else f" to {self.lane}-{self.until}"
        return first + last


class Progress(msgspec.Struct):
    """How far it is."""

    entries: int = 0
    of: int = 0


class Verified(msgspec.Struct, frozen=True):
    """What was looked at, and all that is wrong; `remarks` are no findings."""

    entries: int
    lanes: int
    heads: int
    checkpoints: int
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()


class _Lane(msgspec.Struct):
    """A lane as its row says; `is_there` is false for one that only others tell of."""

    number: int
    suite: str = ""
    size: int = 0
    root: bytes = b""
    frontier: tuple[bytes, ...] = ()
    is_dropped: bool = False
    is_there: bool = True


class _Claims:
    """What was signed of each lane: a root for a size, by whom."""

    def __init__(self) -> None:
        self.roots: dict[int, dict[int, dict[bytes, str]]] = defaultdict(lambda: defaultdict(dict))
        self.number = 0
        self._checked: dict[int, int] = {}

    def check_in(self, lane: int, size: int, root: bytes, by: str) -> None:
        self._checked[lane] = max(size, self.largest_checked(lane))
        self.add(lane, size, root, by)

    def add(self, lane: int, size: int, root: bytes, by: str) -> None:
        self.number += 1
        self.roots[lane][size].setdefault(root, by)

    def largest_checked(self, lane: int) -> int:
        return self._checked.get(lane, 0)

    def largest(self, lane: int) -> int:
        return max(self.roots[lane], default=0)


async def verify(
    connection: Connection,
    notary: Notary,
    witness: Witness | None,
    *,
    heard: Callable[[Progress], None] = lambda _: None,
) -> Verified:
    """Look at everything. `heard` is told from time to time how far it is."""
    heads = [] if witness is None else [*witness.heads()]
    outside = [] if witness is None else [*witness.checkpoints()]
    restored = [] if witness is None else [*witness.restored()]
    has_adopted = witness is not None and witness.has_adopted
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        verifier = _Verifier(connection, notary, heard, has_adopted=has_adopted)
        return await verifier.run(heads, outside, restored)


class _Verifier:
    def __init__(
        self,
        connection: Connection,
        notary: Notary,
        heard: Callable[[Progress], None],
        *,
        has_adopted: bool = False,
    ) -> None:
        self._connection = connection
        self._notary = notary
        self._heard = heard
        self._has_adopted = has_adopted
        self._findings: list[Finding] = []
        self._claims = _Claims()
        self._progress = Progress()
        self._redactions: dict[Place, Redaction] = {}
        self._digests: dict[Place, list[Redaction]] = {}
        self._dropped: dict[int, Place] = {}
        self._drops_backed: set[int] = set()
        self._dropped_heads: list[Head] = []
        self._restored: list[Restored] = []
        self._lost: dict[int, int] = {}

    async def run(
        self, heads: list[Head], outside: list[Checkpoint], restored: Sequence[Restored] = ()
    ) -> Verified:
        await self._read_restored(restored)
        checkpoints = await self._claim_checkpoints(outside)
        self._claim_heads(heads)
        await self._read_dropped()
        lanes = await self._lanes()
        await self._read_redactions()
        self._progress.of = sum(lane.size for lane in lanes if not lane.is_dropped)
        for lane in lanes:
            if lane.is_dropped:
                await self._check_dropped(lane)
            else:
                await self._check_lane(lane)
        self._check_erasures()
        self._check_drops()
        remarks = await self._remarks()
        return Verified(
            self._progress.entries,
            len(lanes),
            self._claims.number,
            checkpoints,
            tuple(self._findings),
            remarks,
        )

    def _find(
        self, wrong: Wrong, lane: int, number: int | None, text: str, until: int | None = None
    ) -> None:
        self._findings.append(Finding(wrong, lane, number, text, until))

    # ---- what was signed ----------------------------------------------------------------------

    def _claim_heads(self, heads: Iterable[Head]) -> None:
        for head in heads:
            if self._is_lost(head.lane, head.size, head.at):
                continue
            if head.size <= self._claims.largest_checked(head.lane):
                continue  # a checkpoint says it of more
            if self._notary.is_signed(head):
                self._claims.add(head.lane, head.size, head.root, "the witness")
            else:
                self._find("head", head.lane, None, "a head of the witness has no valid signature")

    async def _claim_checkpoints(self, outside: list[Checkpoint]) -> int:
        rows = await self._connection.fetch("select * from trust.checkpoint order by number")
        inside = [msgspec.msgpack.decode(row["content"], type=Checkpoint) for row in rows]
        for row, one in zip(rows, inside, strict=True):
            if row["number"] != one.number:
                self._find("checkpoint", 0, None, f"checkpoint {row['number']} is another's")
        known = {one.number: one for one in inside}
        if outside and (not inside or inside[-1].number < outside[-1].number):
            first = inside[-1].number + 1 if inside else outside[0].number
            text = f"checkpoints from {first} on have been removed from the database"
            self._find("checkpoint", 0, None, text)
        for one in outside:
            if one.number in known and known[one.number] != one:
                text = f"checkpoint {one.number} is not the one that was witnessed"
                self._find("checkpoint", 0, None, text)
        merged = known | {one.number: one for one in outside}
        before: Checkpoint | None = None
        for number in sorted(merged):
            self._claim_checkpoint(merged[number], before)
            before = merged[number]
        return len(merged)

    def _claim_checkpoint(self, one: Checkpoint, before: Checkpoint | None) -> None:
        if not self._notary.is_signed(one):
            text = f"checkpoint {one.number} has no valid signature"
            self._find("checkpoint", 0, None, text)
            return
        if before is not None and (one.number != before.number + 1 or one.before != before.link):
            text = f"checkpoint {one.number} does not follow checkpoint {before.number}"
            self._find("checkpoint", 0, None, text)
        for lane, size, root in one.lanes:
            if not self._is_lost(lane, size, one.at):
                self._claims.check_in(lane, size, root, f"checkpoint {one.number}")

    async def _read_restored(self, outside: Sequence[Restored]) -> None:
        """What restores say of themselves; one that is not signed explains nothing."""
        rows = await self._connection.fetch("select content from trust.restored order by number")
        inside = []
        for row in rows:
            try:
                inside.append(msgspec.msgpack.decode(row["content"], type=Restored))
            except msgspec.DecodeError:
                self._find("restore", 0, None, "what a restore says of itself cannot be read")
        known = {one.number: one for one in outside}
        for one in inside:
            if known.setdefault(one.number, one) != one:
                text = f"restore {one.number} is not the one that was witnessed"
                self._find("restore", 0, None, text)
        for one in outside:
            if one.number not in {other.number for other in inside}:
                text = f"restore {one.number} was removed from the database"
                self._find("restore", 0, None, text)
        for one in known.values():
            if not self._notary.is_signed(one):
                self._find("restore", 0, None, f"restore {one.number} has no valid signature")
                continue
            self._restored.append(one)
        for one in self._restored:
            for lane, size, root in one.lanes:
                if not self._is_lost(lane, size, one.at):
                    self._claims.add(lane, size, root, f"restore {one.number}")

    def _is_lost(self, lane: int, size: int, at: int) -> bool:
        """Whether what was signed of a lane then was undone by a restore."""
        if not explained(self._restored, lane, size, at):
            return False
        self._lost[lane] = max(size, self._lost.get(lane, 0))
        return True

    # ---- lanes --------------------------------------------------------------------------------

    async def _lanes(self) -> list[_Lane]:
        """Those that have a row, and those that something else tells of."""
        suites = {row["lane"]: row["suite"] for row in await self._connection.fetch(_LANES)}
        lanes: dict[int, _Lane] = {}
        for row in await self._connection.fetch(_HEADS):
            head = Head(row["lane"], row["size"], row["root"], row["at"], row["signature"])
            if self._is_lost(head.lane, head.size, head.at):
                self._find("lane", head.lane, None, "a head from before a restore was put back")
                continue
            if not self._notary.is_signed(head):
                self._find("lane", head.lane, None, "a head of the lane was changed")
                continue
            self._claims.add(head.lane, head.size, head.root, "the lane's own head")
            if head.lane in lanes or head.lane not in suites:
                continue  # the newest comes first
            packed = row["frontier"]
            roots = (packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))
            lanes[head.lane] = _Lane(
                head.lane,
                suites[head.lane],
                head.size,
                head.root,
                tuple(roots),
                is_dropped=head.lane // LANES_A_MONTH in self._dropped,
            )
        told = set(self._claims.roots) | set(await self._lanes_of_entries())
        for number in sorted(told - lanes.keys()):
            largest = self._claims.largest(number)
            self._find("lane", number, None, f"the lane, of {largest:,} entries, was removed")
            suite = self._notary.suite.name
            lanes[number] = _Lane(number, suite, largest, is_there=False)
        return [lanes[number] for number in sorted(lanes)]

    async def _lanes_of_entries(self) -> list[int]:
        found: list[int] = []
        while True:
            lane = await self._connection.fetchval(
                "select min(lane) from trust.access where lane > $1", found[-1] if found else -1
            )
            if lane is None:
                return found
            found.append(lane)

    async def _check_lane(self, lane: _Lane) -> None:
        checking = _Checking(self, lane, hash_of(lane.suite))
        async for kept in self._entries(lane.number):
            checking.take(kept)
        checking.finish()
        if lane.is_there and not checking.is_broken:
            await self._check_tiles(lane, checking.tiles)

    async def _entries(self, lane: int) -> AsyncIterator[Kept]:
        cursor = self._connection.cursor(_ENTRIES, lane, prefetch=_ROWS_AT_ONCE)
        async for row in cursor:
            self._progress.entries += 1
            if self._progress.entries % _ROWS_AT_ONCE == 0:
                self._heard(self._progress)
            yield read_entry(row)

    async def _check_tiles(self, lane: _Lane, tiles: dict[tuple[int, int], bytes]) -> None:
        rows = await self._connection.fetch(
            "select level, place, root from trust.subtree where lane = $1", lane.number
        )
        kept = {(row["level"], row["place"]): row["root"] for row in rows}
        wrong = [at for at in tiles.keys() | kept.keys() if tiles.get(at) != kept.get(at)]
        for level, place in sorted(wrong):
            first = place << level
            text = "the root of a subtree, from which proofs are made, was changed"
            self._find("subtree", lane.number, first, text, first + (1 << level) - 1)

    async def _check_dropped(self, lane: _Lane) -> None:
        """Its entries are gone by rule; what is left must still give the root."""
        hash_ = hash_of(lane.suite)
        rows = await self._connection.fetch(
            "select root from trust.subtree where lane = $1 and level = $2 order by place",
            lane.number,
            TILE_LEVEL,
        )
        tiles = Tree(hash_)
        for row in rows:
            tiles.append(row["root"])
        is_whole = (
            tiles.size == lane.size >> TILE_LEVEL
            and lane.frontier[: len(tiles.frontier)] == tiles.frontier
            and Tree(hash_, lane.size, lane.frontier).root() == lane.root
        )
        if not is_whole or set(self._claims.roots[lane.number].get(lane.size, ())) != {lane.root}:
            text = "what is left of the lane does not give the signed root"
            self._find("lane", lane.number, None, text)

    # ---- what was dropped by rule -------------------------------------------------------------

    async def _read_dropped(self) -> None:
        for row in await self._connection.fetch("select * from trust.dropped"):
            self._dropped[row["month"]] = Place(row["by_lane"], row["by_n"])
        self._dropped_heads = await dropped_heads(self._connection, self._dropped)

    def _settle_drop(self, kept: Kept, hash_: Hash) -> None:
        months = {month for month, by in self._dropped.items() if by == kept.place}
        if not months or kept.access.digest != digest_of_dropped(hash_, self._dropped_heads):
            return
        latest = kept.access.at - days_by_rule() * _DAY
        self._drops_backed |= {
            month for month in months if month * LANES_A_MONTH < month_of(latest)
        }

    def _check_drops(self) -> None:
        for month in sorted(self._dropped.keys() - self._drops_backed):
            text = "the entries of the month were dropped, and no entry of the log did it by rule"
            self._find("removed", month * LANES_A_MONTH, None, f"{text} ({month})")

    # ---- erasures -----------------------------------------------------------------------------

    async def _read_redactions(self) -> None:
        rows = await self._connection.fetch("select * from trust.redaction order by lane, n, step")
        for row in rows:
            one = Redaction(Place(row["lane"], row["n"]), row["step"], row["remains"])
            self._redactions[one.place] = one  # the last step holds
            self._digests.setdefault(Place(row["by_lane"], row["by_n"]), []).append(one)

    def settle(self, kept: Kept, hash_: Hash) -> None:
        """An entry that is as it was written says that it erased or dropped: it backs that."""
        if kept.access.action == DROP:
            self._settle_drop(kept, hash_)
        elif kept.access.action == _ERASURE and kept.access.digest is not None:
            made = self._digests.pop(kept.place, [])
            if digest_of(hash_, made) != kept.access.digest:
                text = "what is said to be redacted by this erasure is not what it redacted"
                self._find("erasure", kept.place.lane, kept.place.number, text)

    def check_names(self, kept: Kept, hash_: Hash) -> None:
        """An entry that lost names must have lost them to an erasure, and no more."""
        place = kept.place
        redaction = self._redactions.get(place)
        if redaction is None and kept.is_redacted:
            text = "names were taken out of the entry, and no erasure did it"
            self._find("redacted", place.lane, place.number, text)
        elif redaction is not None and not kept.is_redacted:
            text = "names that an erasure took out of the entry are in it again"
            self._find("redacted", place.lane, place.number, text)
        elif redaction is not None and kept.remains(hash_) != redaction.remains:
            text = "who or what the entry still names was changed"
            self._find("changed", place.lane, place.number, text)

    def _check_erasures(self) -> None:
        for by, made in sorted(self._digests.items()):
            for one in sorted(made):
                text = f"names were taken out for entry {by}, which is no erasure of them"
                self._find("redacted", one.place.lane, one.place.number, text)

    def _restores(self) -> Iterator[str]:
        held: dict[int, int] = {}
        for one in self._restored:
            yield f"the database was {told(one)}"
            held |= {lane: min(size, held.get(lane, size)) for lane, size, _ in one.lanes}
        lost = sum(size - held[lane] for lane, size in self._lost.items())
        if lost:
            yield f"{lost:,} entries that were written before are lost by it"

    async def _remarks(self) -> tuple[str, ...]:
        restores = tuple(self._restores())
        return (*restores, *await self._unadopted())

    async def _unadopted(self) -> tuple[str, ...]:
        if await self._connection.fetchval("select to_regclass('trust.access_before')") is None:
            return ()
        left = await self._connection.fetchval("select count(*) from trust.access_before")
        if self._has_adopted:
            text = f"{left:,} entries stand in trust.access_before, where nobody writes any more"
            self._find("inserted", 0, None, text)
            return ()
        text = "entries from before there were trees wait to be adopted: of them nothing is known"
        return (f"{left:,} {text}",)

    # ---- for the checking of a lane -----------------------------------------------------------

    def mark(self, hash_: Hash, place: Place, leaf: bytes) -> int:
        return self._notary.mark(hash_, place, leaf)

    def claims(self, lane: int) -> dict[int, dict[bytes, str]]:
        return self._claims.roots[lane]

    def find(
        self, wrong: Wrong, lane: int, number: int | None, text: str, until: int | None = None
    ) -> None:
        self._find(wrong, lane, number, text, until)


class _Checking:
    """One lane, entry by entry."""

    def __init__(self, of: _Verifier, lane: _Lane, hash_: Hash) -> None:
        self._of = of
        self._lane = lane
        self._hash = hash_
        self._claims = of.claims(lane.number)
        self._size = max(self._claims, default=lane.size)
        self._tree = Tree(hash_)
        self._next = 0
        self._wrong: list[tuple[Kept, bytes]] = []
        self._missing: list[range] = []
        self._beyond = 0
        self.is_broken = False
        self.tiles: dict[tuple[int, int], bytes] = {}
        self._compare()

    def take(self, kept: Kept) -> None:
        """The next entry of the lane."""
        number = kept.place.number
        if number > self._next:
            self._missing.append(range(self._next, number))
            self.is_broken = True
        self._next = max(self._next, number + 1)
        leaf = kept.leaf(self._hash)
        if self._of.mark(self._hash, kept.place, leaf) != kept.mark:
            self._wrong.append((kept, leaf))
            self.is_broken = self.is_broken or number < self._size
            return
        if number >= self._size:
            self._beyond += 1
            return
        self._of.check_names(kept, self._hash)
        self._of.settle(kept, self._hash)
        if not self.is_broken:
            for level, place, root in self._tree.append(leaf):
                if level >= TILE_LEVEL:
                    self.tiles[level, place] = root
            self._compare()

    def _compare(self) -> None:
        """Hold the tree against all that was signed of it at this size."""
        for root, by in self._claims.get(self._tree.size, {}).items():
            if root != self._tree.root():
                text = f"the entries up to here do not give the root that {by} has"
                last = self._tree.size - 1
                self._of.find("head", self._lane.number, last if last >= 0 else None, text)
                self.is_broken = True

    @property
    def _is_comparable(self) -> bool:
        """Whether the tree stands for all that the lane has."""
        return self._lane.is_there and not (self.is_broken or self._missing)

    def finish(self) -> None:
        """Say what is wrong, now that all is known."""
        lane = self._lane
        if self._next < self._size:
            self._missing.append(range(self._next, self._size))
        if lane.is_there and lane.size < self._size:
            text = f"the lane was put back to {lane.size:,} entries of {self._size:,}"
            self._of.find("lane", lane.number, None, text)
        elif self._is_comparable and lane.frontier != self._tree.frontier:
            self._of.find("lane", lane.number, None, "the frontier of the lane was changed")
        if lane.is_there and self._beyond:
            text = f"the lane was put back: {self._beyond:,} entries of it are beyond its size"
            self._of.find("lane", lane.number, None, text)
        places = self._true_places()
        taken = {place for place in places if place is not None}
        for (kept, _), true in zip(self._wrong, places, strict=True):
            self._tell(kept, true, taken)
        gone = [number for several in self._missing for number in several if number not in taken]
        # Where one stands that belongs elsewhere, and what belongs here is nowhere, it was removed.
        gone += [
            kept.place.number
            for (kept, _), true in zip(self._wrong, places, strict=True)
            if true is not None and kept.place.number not in taken
        ]
        for first, last in _runs(sorted({number for number in gone if number < self._size})):
            self._of.find("removed", lane.number, first, "the entry was removed", last)

    def _tell(self, kept: Kept, true: int | None, taken: set[int]) -> None:
        lane, number = self._lane.number, kept.place.number
        if true is not None:
            self._of.find("moved", lane, number, f"the entry was written as {lane}-{true}")
        elif number in taken or not 0 <= number < self._size:
            self._of.find("inserted", lane, number, "the node never wrote this entry")
        elif len(kept.salt) not in {SALT_BYTES, HASH_BYTES + SALT_BYTES}:
            self._of.find("changed", lane, number, "what the entry commits to was changed")
        else:
            self._of.find("changed", lane, number, "the entry is not as it was written")

    def _true_places(self) -> list[int | None]:
        """For each wrong entry the place where the node wrote it, if it is one of this lane."""
        open_ = [kept.place.number for kept, _ in self._wrong]
        for several in self._missing:
            open_ += several[:_PLACES_TRIED_MAX]
        is_few = len(open_) <= _PLACES_TRIED_MAX
        shift, found = 0, []
        for kept, leaf in self._wrong:
            number = kept.place.number
            tried = [number + shift, *range(number - _NEAR, number + _NEAR + 1)]
            true = self._first_marked(kept, leaf, tried + (open_ if is_few else []))
            shift = shift if true is None else true - number
            found.append(true)
        return found

    def _first_marked(self, kept: Kept, leaf: bytes, tried: Iterable[int]) -> int | None:
        lane = self._lane.number
        for number in tried:
            if 0 <= number < self._size:
                mark = self._of.mark(self._hash, Place(lane, number), leaf)
                if mark == kept.mark:
                    return number
        return None


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Consecutive numbers as first and last."""
    begin = 0
    for position in range(1, len(numbers) + 1):
        if position == len(numbers) or numbers[position] != numbers[position - 1] + 1:
            yield numbers[begin], numbers[position - 1]
            begin = position
