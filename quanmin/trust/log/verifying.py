"""Holds every entry of the log against its tree, and every tree against what was signed of it, in
the database and outside; names what is not as it was written.

A tree tells that something is wrong, the mark of each entry which one it is: with it the node
finds for each entry the place it was written to, so that moved, inserted and missing ones are told
apart. Everything is read in one snapshot, and the witness before it: what was witnessed had been
committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.merkle import Hash, Tree
from quanmin.trust.log.checking import Checking, Lane, runs
from quanmin.trust.log.claims import Claims, Witnessed
from quanmin.trust.log.entry import Place
from quanmin.trust.log.findings import Finding, Wrong
from quanmin.trust.log.keeping import DROP, digest_of_dropped, dropped_heads
from quanmin.trust.log.lanes import LANES_A_MONTH, TILE_LEVEL, month_of, read_frontier
from quanmin.trust.log.limits import days_by_rule
from quanmin.trust.log.notary import Checkpoint, Head, Notary, Restored, hash_of, suite_of
from quanmin.trust.log.redacting import Redaction, digest_of
from quanmin.trust.log.restoring import explained, told
from quanmin.trust.log.rows import ENTRY, Kept, read_entry
from quanmin.trust.log.witness import Witness

# An empty array says the same as none, and the node writes none.
_ENTRIES: Final = (
    f"select {ENTRY}, a.records = '{{}}' or a.patients = '{{}}' as is_odd"
    " from trust.access a where a.lane = $1 order by a.n"
)
_LANES: Final = "select lane, suite, is_for_writes, has_ended from trust.lane order by lane"
_HEADS: Final = "select * from trust.head order by lane, size desc"
_ROWS_AT_ONCE: Final = 2_000
_ERASURE: Final = "erase"
_DAY: Final = 86_400 * 1_000_000


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


async def verify(
    connection: Connection,
    notary: Notary,
    witness: Witness | None,
    *,
    heard: Callable[[Progress], None] = lambda _: None,
) -> Verified:
    """Look at everything. `heard` is told from time to time how far it is."""
    heads = Witnessed(() if witness is None else witness.heads())
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
        self._claims = Claims()
        self._witnessed = Witnessed()
        self._progress = Progress()
        self._redactions: dict[Place, Redaction] = {}
        self._digests: dict[Place, list[Redaction]] = {}
        self._dropped: dict[int, Place] = {}
        self._drops_backed: set[int] = set()
        self._dropped_heads: list[Head] = []
        self._restored: list[Restored] = []
        self._lost: dict[int, int] = {}
        self._kept_checkpoints: dict[int, int] = {}

    async def run(
        self,
        heads: Witnessed,
        outside: Sequence[Checkpoint],
        restored: Sequence[Restored] = (),
    ) -> Verified:
        self._witnessed = heads
        await self._read_restored(restored)
        checkpoints = await self._claim_checkpoints(outside)
        self._claim_heads()
        await self._read_dropped()
        lanes = await self._lanes()
        await self._read_redactions()
        self._progress.of = sum(lane.size for lane in lanes if not lane.is_dropped)
        for lane in lanes:
            if lane.is_dropped:
                await self._check_dropped(lane)
            else:
                await self._check_lane(lane)
        await self._check_strays({lane.number for lane in lanes})
        self._check_erasures()
        self._check_drops()
        await self._check_checked()
        remarks = await self._remarks()
        return Verified(
            self._progress.entries,
            len(lanes),
            self._claims.number + self._witnessed.number,
            checkpoints,
            tuple(self._findings),
            remarks,
        )

    def _find(
        self, wrong: Wrong, lane: int, number: int | None, text: str, until: int | None = None
    ) -> None:
        self._findings.append(Finding(wrong, lane, number, text, until))

    # ---- what was signed ----------------------------------------------------------------------

    def _claim_heads(self) -> None:
        for head in self._witnessed.largest():
            if self._is_lost(head.lane, head.size, head.at):
                continue
            if head.size <= self._claims.largest_checked(head.lane):
                continue  # a checkpoint says it of more
            if self._notary.is_signed(head):
                self._claims.add(head.lane, head.size, head.root, "the witness")
            else:
                self._find("head", head.lane, None, "a head of the witness has no valid signature")

    async def _claim_checkpoints(self, outside: Sequence[Checkpoint]) -> int:
        inside = await self._read_checkpoints()
        witnessed = {one.number: one for one in outside}
        for number in sorted(inside.keys() & witnessed.keys()):
            if inside[number] != witnessed[number]:
                text = f"checkpoint {number} is not the one that was witnessed"
                self._find("checkpoint", 0, None, text)
        for run in runs(sorted(witnessed.keys() - inside.keys())):
            self._find("checkpoint", 0, None, f"the database lacks {_checkpoints(*run)}")
        # What the witness had before it was lost with its disk nobody brings back, and what a crash
        # kept from its end comes to it yet.
        between = range(min(witnessed, default=0), max(witnessed, default=0))
        for run in runs([number for number in between if number not in witnessed]):
            self._find("witness", 0, None, f"the witness lacks {_checkpoints(*run)}")
        merged = inside | witnessed
        before: Checkpoint | None = None
        for number in sorted(merged):
            self._claim_checkpoint(merged[number], before)
            before = merged[number]
        return len(merged)

    async def _read_checkpoints(self) -> dict[int, Checkpoint]:
        inside: dict[int, Checkpoint] = {}
        for row in await self._connection.fetch("select * from trust.checkpoint order by number"):
            number = row["number"]
            try:
                one = msgspec.msgpack.decode(row["content"], type=Checkpoint)
            except msgspec.DecodeError:
                self._find("checkpoint", 0, None, f"checkpoint {number} cannot be read")
                continue
            if one.number != number:
                self._find("checkpoint", 0, None, f"checkpoint {number} is another's")
                continue
            inside[number] = one
            if self._notary.is_signed(one):
                for lane, size, _ in one.lanes:
                    if not self._is_lost(lane, size, one.at):
                        self._kept_checkpoints[lane] = max(
                            size, self._kept_checkpoints.get(lane, 0)
                        )
        return inside

    def _claim_checkpoint(self, one: Checkpoint, before: Checkpoint | None) -> None:
        if not self._notary.is_signed(one):
            text = f"checkpoint {one.number} has no valid signature"
            self._find("checkpoint", 0, None, text)
            return
        number, link = (0, b"") if before is None else (before.number, before.link)
        if one.number != number + 1 or one.before != link:
            text = f"checkpoint {one.number} does not follow checkpoint {number}"
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

    async def _lanes(self) -> list[Lane]:
        """Those that have a row, and those that something else tells of."""
        rows = {row["lane"]: row for row in await self._connection.fetch(_LANES)}
        lanes: dict[int, Lane] = {}
        sizes: dict[int, set[int]] = defaultdict(set)
        for row in await self._connection.fetch(_HEADS):
            head = Head(row["lane"], row["size"], row["root"], row["at"], row["signature"])
            sizes[head.lane].add(head.size)
            if self._is_lost(head.lane, head.size, head.at):
                self._find("lane", head.lane, None, "a head from before a restore was put back")
                continue
            suite = suite_of(head.signature)
            if suite is None or not self._notary.is_signed(head):
                self._find("lane", head.lane, None, "a head of the lane was changed")
                continue
            self._claims.add(head.lane, head.size, head.root, "the lane's own head")
            frontier = read_frontier(row["frontier"])
            self._check_frontier(head, frontier, hash_of(suite))
            if head.lane not in lanes:  # the newest comes first
                lanes[head.lane] = Lane(
                    head.lane,
                    suite,
                    head.size,
                    head.root,
                    frontier,
                    is_dropped=head.lane // LANES_A_MONTH in self._dropped,
                    is_there=head.lane in rows,
                )
        self._check_heads_kept(sizes)
        self._check_made(rows, lanes)
        for number in sorted({*self._claims.roots, *await self._lanes_of_entries()}):
            if number not in lanes:
                largest = self._claims.largest(number)
                suite = self._notary.suite.name
                lanes[number] = Lane(number, suite, largest, is_there=False)
            if not lanes[number].is_there:
                text = f"the lane, of {lanes[number].size:,} entries, was removed"
                self._find("lane", number, None, text)
        return [lanes[number] for number in sorted(lanes)]

    def _check_frontier(self, head: Head, frontier: tuple[bytes, ...], hash_: Hash) -> None:
        is_of_head = head.size.bit_count() == len(frontier)
        if not is_of_head or Tree(hash_, head.size, frontier).root() != head.root:
            self._find("lane", head.lane, None, "the frontier of the lane was changed")

    def _check_heads_kept(self, sizes: dict[int, set[int]]) -> None:
        """Heads since the last checkpoint are all in the database, where only a checkpoint takes
        older ones away; what is larger than all there is told of otherwise.
        """
        for lane, kept in sizes.items():
            checked, newest = self._kept_checkpoints.get(lane, 0), max(kept)
            for size, _, at in self._witnessed.of(lane):
                if (
                    checked < size < newest
                    and size not in kept
                    and not self._is_lost(lane, size, at)
                ):
                    text = f"the head of {size:,} entries was removed"
                    self._find("lane", lane, None, text)

    def _check_made(self, rows: dict[int, Any], lanes: dict[int, Lane]) -> None:
        """The rows of lanes are signed by nobody, but follow from what is: a lane ends by a restore
        alone, and those of a month that go on stand side by side, the half for reads first.
        """
        ended = {lane for one in self._restored for lane, _, _ in one.lanes}
        made: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number, row in rows.items():
            if number not in lanes:
                self._find("lane", number, None, "the node never made this lane")
                continue
            if row["has_ended"] != (number in ended):
                text = "the lane was ended by hand" if row["has_ended"] else "the lane has ended"
                self._find("lane", number, None, text)
            if row["suite"] != lanes[number].suite:
                self._find("lane", number, None, "the suite of the lane was changed")
            if number not in ended:
                made[number // LANES_A_MONTH, lanes[number].suite].append(number)
        for numbers in made.values():
            self._check_side_by_side(numbers, {n: rows[n]["is_for_writes"] for n in numbers})

    def _check_side_by_side(self, numbers: list[int], for_writes: dict[int, bool]) -> None:
        first, last = numbers[0], numbers[-1]
        if (last - first) % 2 == 0:  # one at an end is gone
            if sum(for_writes.values()) * 2 > len(numbers):
                first -= 1
            else:
                last += 1
        middle = (first + last + 1) // 2
        for number in range(first, last + 1):
            if number not in for_writes:
                self._find("lane", number, None, "the lane was removed")
            elif for_writes[number] != (number >= middle):
                self._find("lane", number, None, "what the lane is for was changed")

    async def _lanes_of_entries(self) -> list[int]:
        found: list[int] = []
        while True:
            lane = await self._connection.fetchval(
                "select min(lane) from trust.access where lane > $1", found[-1] if found else -1
            )
            if lane is None:
                return found
            found.append(lane)

    async def _check_lane(self, lane: Lane) -> None:
        checking = Checking(self, lane, hash_of(lane.suite))
        async for kept, is_odd in self._entries(lane.number):
            checking.take(kept, is_odd=is_odd)
        checking.finish()
        if lane.is_there and not checking.is_broken:
            await self._check_tiles(lane, checking.tiles)

    async def _entries(self, lane: int) -> AsyncIterator[tuple[Kept, bool]]:
        cursor = self._connection.cursor(_ENTRIES, lane, prefetch=_ROWS_AT_ONCE)
        async for row in cursor:
            self._progress.entries += 1
            if self._progress.entries % _ROWS_AT_ONCE == 0:
                self._heard(self._progress)
            yield read_entry(row), row["is_odd"] is True

    async def _check_tiles(self, lane: Lane, tiles: dict[tuple[int, int], bytes]) -> None:
        rows = await self._connection.fetch(
            "select level, place, root from trust.subtree where lane = $1", lane.number
        )
        kept = {(row["level"], row["place"]): row["root"] for row in rows}
        wrong = [at for at in tiles.keys() | kept.keys() if tiles.get(at) != kept.get(at)]
        for level, place in sorted(wrong):
            first = place << level
            text = "the root of a subtree, from which proofs are made, was changed"
            self._find("subtree", lane.number, first, text, first + (1 << level) - 1)

    async def _check_dropped(self, lane: Lane) -> None:
        """Its entries are gone by rule; what is left must still give the root."""
        rows = await self._connection.fetch(
            "select root from trust.subtree where lane = $1 and level = $2 order by place",
            lane.number,
            TILE_LEVEL,
        )
        left = Tree(hash_of(lane.suite))
        tiles: dict[tuple[int, int], bytes] = {}
        for row in rows:
            tiles[TILE_LEVEL, left.size] = row["root"]
            for level, place, root in left.append(row["root"]):
                tiles[TILE_LEVEL + level, place] = root
        is_whole = (
            left.size == lane.size >> TILE_LEVEL
            and lane.frontier[: len(left.frontier)] == left.frontier
        )
        if not is_whole or set(self._claims.roots[lane.number].get(lane.size, ())) != {lane.root}:
            text = "what is left of the lane does not give the signed root"
            self._find("lane", lane.number, None, text)
        else:
            await self._check_tiles(lane, tiles)
        number = await self._connection.fetchval(
            "select min(n) from trust.access where lane = $1", lane.number
        )
        if number is not None:
            text = "the entries of the month were dropped, and some are there"
            self._find("inserted", lane.number, number, text)

    async def _check_strays(self, lanes: set[int]) -> None:
        """Subtrees stand for lanes alone."""
        rows = await self._connection.fetch(
            "select distinct lane from trust.subtree where lane <> all($1::int[])", [*lanes]
        )
        for row in rows:
            self._find("subtree", row["lane"], None, "the node never made subtrees of this lane")

    async def _check_checked(self) -> None:
        """What the next checkpoint goes by is what the last ones said."""
        ended = {lane for one in self._restored for lane, _, _ in one.lanes}
        rows = await self._connection.fetch("select lane, size from trust.checked")
        noted = {row["lane"]: row["size"] for row in rows}
        for lane in sorted((noted.keys() | self._kept_checkpoints.keys()) - ended):
            if noted.get(lane) != self._kept_checkpoints.get(lane):
                text = "what checkpoints have said of the lane is noted otherwise"
                self._find("checkpoint", lane, None, text)

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

    def witnessed(self, lane: int) -> list[tuple[int, int]]:
        heads = self._witnessed.of(lane)
        return [(size, root) for size, root, at in heads if not self._is_lost(lane, size, at)]

    def find(
        self, wrong: Wrong, lane: int, number: int | None, text: str, until: int | None = None
    ) -> None:
        self._find(wrong, lane, number, text, until)


def _checkpoints(first: int, last: int) -> str:
    return f"checkpoint {first}" if first == last else f"checkpoints {first} to {last}"
