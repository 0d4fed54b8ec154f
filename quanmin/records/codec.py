"""Bodies at rest: packed with a dictionary of their type, then sealed under the data key of their
holder.

The holder is the source Patient, or the sender where there is none: erasing a person destroys the
data keys of all their Patients, and linking persons re-encrypts nothing. Type, record key and
version are authenticated with each body, so a body moved to another row does not open. So is the
moment the version was made at, of which the body keeps only a mark.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

import msgspec
import zstandard

from quanmin.base.crypto import SUITES, Suite, Tampered
from quanmin.base.database import Connection, Database
from quanmin.base.keys import Keyed, KeyPort, KeysUnreadable
from quanmin.base.problems import Gone, Overloaded
from quanmin.records.abridgement import Told, abridge, complete

log = logging.getLogger("quanmin.records")

PATIENT, SENDER = 0, 1
ERASED = "the person has been erased: nothing is kept of them, and nothing is stored about them"

_HEADER = struct.Struct(">BH")  # suite, dictionary
_PLACE = struct.Struct(">BqiBHq")  # type, record key, version, suite, dictionary, moment
_FIRST_PLACE = struct.Struct(">BqiBH")  # the same of the first form, without the moment
_KEY_PLACE = struct.Struct(">HBq")  # bucket, kind, holder
# With the number of the dictionary: the body is abridged, its moment authenticated, its frame
# without the number that begins every frame. Bodies without it are of the first form.
_ABRIDGED = 1 << 15
_RETRY_SECONDS = 5
_FRAME = b"\x28\xb5\x2f\xfd"


class Holder(msgspec.Struct, frozen=True):
    """Whose data key seals a body: `kind` PATIENT with a record key, or SENDER with a sender's
    number.
    """

    bucket: int
    kind: int
    number: int


class Place(msgspec.Struct, frozen=True):
    """Which version of which record a body is: the number of its type, its key, its version, and
    what else its row tells of it.
    """

    type: int
    rid: int
    version: int
    told: Told

    def bound(self, suite: int, dictionary: int) -> bytes:
        """What is authenticated with the body; `dictionary` as in the header."""
        common = (self.type, self.rid, self.version, suite, dictionary)
        if dictionary & _ABRIDGED:
            return _PLACE.pack(*common, self.told.updated)
        return _FIRST_PLACE.pack(*common)


class Packing:
    """Compression with trained dictionaries for each resource type, versioned: a row names the one
    it was packed with. A body with white space shares little with one without: each has its own.

    Dictionaries are trained on synthetic data only, since whatever is in them is readable by
    everyone.
    """

    def __init__(self) -> None:
        self._dictionaries: dict[int, bytes] = {}
        self._newest: dict[str, int] = {}
        for number, type_, data in _dictionaries():
            self._dictionaries[number] = data
            self._newest[type_] = max(number, self._newest.get(type_, 0))
        self._packers: dict[int, zstandard.ZstdCompressor] = {}
        self._unpackers: dict[int, zstandard.ZstdDecompressor] = {}

    def pack(self, type_: str, body: bytes) -> tuple[int, bytes]:
        """The dictionary's number (0: none) and the packed body."""
        form = "-spaced" if is_spaced(body) else ""
        number = self._newest.get(type_ + form) or self._newest.get("Resource" + form, 0)
        packer = self._packers.get(number)
        if packer is None:
            packer = self._packers[number] = packer_of(self._dictionary(number))
        return number, packer.compress(body)

    def unpack(self, number: int, packed: bytes) -> bytes:
        """The body again; KeyError when this program does not have dictionary `number`."""
        unpacker = self._unpackers.get(number)
        if unpacker is None:
            unpacker = self._unpackers[number] = zstandard.ZstdDecompressor(
                dict_data=self._dictionary(number)
            )
        return unpacker.decompress(packed)

    def _dictionary(self, number: int) -> zstandard.ZstdCompressionDict | None:
        if number == 0:
            return None
        return zstandard.ZstdCompressionDict(self._dictionaries[number])


class _Opened(msgspec.Struct, frozen=True):
    """A data key as it was when `erasures` keys of its bucket had been destroyed; None: unknown."""

    key: bytes
    erasures: int | None
    until: float


class Codec:
    """Seals and opens bodies, and keeps the data keys it has opened at hand, at most `keys_max` of
    them and none longer than `seconds_max`: by then a key destroyed elsewhere is gone here too.
    """

    def __init__(
        self,
        keys: KeyPort,
        suite: Suite,
        *,
        keys_max: int = 50_000,
        seconds_max: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._suite = suite
        self._seconds_max = seconds_max
        self._now = now
        self._packing = Packing()
        # In the order in which they were read, so that the oldest stand in front.
        self._opened: OrderedDict[Holder, _Opened] = OrderedDict()
        # Made in transactions that have not ended: a search of such a transaction reads its own
        # row, and a key of a transaction that is rolled back would seal bodies that nobody can
        # open. So these are never kept at hand.
        self._pending: set[Holder] = set()
        self._keys_max = keys_max

    def seal(
        self, key: bytes, type_: str, place: Place, body: bytes, *, updated_text: str
    ) -> bytes:
        """The bytes to store for `body`, a resource of type `type_`, at this place.

        `updated_text` is its `lastUpdated`.
        """
        abridged = abridge(body, place.told, updated_text.encode())
        number, packed = self._packing.pack(type_, abridged)
        dictionary = number | _ABRIDGED
        bound = place.bound(self._suite.number, dictionary)
        header = _HEADER.pack(self._suite.number, dictionary)
        return header + self._suite.seal(key, packed.removeprefix(_FRAME), bound)

    def open(self, key: bytes, place: Place, sealed: bytes) -> bytes:
        """The body. Raises Tampered when it was not sealed for this place under this key."""
        suite, dictionary = _HEADER.unpack_from(sealed)
        if suite not in SUITES:
            raise Tampered
        packed = SUITES[suite].open(key, sealed[_HEADER.size :], place.bound(suite, dictionary))
        if not dictionary & _ABRIDGED:
            return self._packing.unpack(dictionary, packed)
        body = self._packing.unpack(dictionary ^ _ABRIDGED, _FRAME + packed)
        return complete(body, place.told)

    async def data_keys(
        self, connection: Database, holders: Iterable[Holder]
    ) -> dict[Holder, bytes]:
        """The data keys of the holders that have one; a holder without (erased, or new) is left
        out.
        """
        self._drop_old()
        found: dict[Holder, bytes] = {}
        missing: list[Holder] = []
        for holder in set(holders):
            opened = self._opened.get(holder)
            if opened is None:
                missing.append(holder)
            else:
                found[holder] = opened.key
        if missing:
            found |= await self._read(connection, missing)
        return found

    async def refuse_destroyed(
        self, connection: Connection, holders: Collection[Holder], erasures: Mapping[int, int]
    ) -> None:
        """Raises Gone when a data key of one of these Patients has been destroyed since it was
        read.

        The caller holds the clocks of their buckets until its transaction ends, so that none can be
        destroyed before; `erasures` is what the clocks say. Keys are read again only where it is
        not what it was when they were read.
        """
        doubtful = [
            holder
            for holder in holders
            if holder.kind == PATIENT
            and (
                (opened := self._opened.get(holder)) is None
                or opened.erasures != erasures[holder.bucket]
            )
        ]
        if doubtful and len(await self._read(connection, doubtful)) < len(doubtful):
            raise Gone(ERASED)

    def wrapping_key(self) -> int:
        """The number of the node's key that wraps now."""
        return self._keys.numbers()[-1]

    async def wrap_again(self, wrapped: Sequence[tuple[Holder, bytes]]) -> list[bytes]:
        """Data keys, wrapped by the node's key that wraps now. Raises Tampered."""
        opened = await self._unwrap(wrapped)
        return await self._wrap([(holder, opened[holder]) for holder, _ in wrapped])

    async def _wrap(self, keys: Sequence[tuple[Holder, bytes]]) -> list[bytes]:
        return await self._ask(self._keys.wrap, [(key, _place(holder)) for holder, key in keys])

    async def _unwrap(self, wrapped: Sequence[tuple[Holder, bytes]]) -> dict[Holder, bytes]:
        placed = [(each, _place(holder)) for holder, each in wrapped]
        opened = await self._ask(self._keys.unwrap, placed)
        return {holder: key for (holder, _), key in zip(wrapped, opened, strict=True)}

    async def _ask(
        self, what: Callable[[Sequence[Keyed]], list[bytes]], keys: Sequence[Keyed]
    ) -> list[bytes]:
        if not keys:
            return []
        try:
            # A port on another machine must not hold up every other request.
            return await asyncio.to_thread(what, keys) if self._keys.is_remote else what(keys)
        except KeysUnreadable as error:
            log.exception("the node's keys cannot be used")
            text = "the node's keys cannot be used at the moment: try again later"
            raise Overloaded(text, retry_after_seconds=_RETRY_SECONDS) from error

    async def _read(self, connection: Database, holders: list[Holder]) -> dict[Holder, bytes]:
        rows = await connection.fetch(
            """
            select k.bucket, k.kind, k.holder, k.wrapped, c.erasures
            from unnest($1::smallint[], $2::smallint[], $3::bigint[]) as h (bucket, kind, holder)
            join records.data_key k using (bucket, kind, holder)
            join records.clock c using (bucket)
            """,
            [holder.bucket for holder in holders],
            [holder.kind for holder in holders],
            [holder.number for holder in holders],
        )
        read = [(Holder(row["bucket"], row["kind"], row["holder"]), row) for row in rows]
        for holder, _ in read:
            self._opened.pop(holder, None)
        found = await self._unwrap(
            [(holder, row["wrapped"]) for holder, row in read if row["wrapped"]]
        )
        for holder, row in read:
            if holder in found and holder not in self._pending:
                self._keep(holder, found[holder], row["erasures"])
        return found

    async def make_keys(
        self, connection: Connection, holders: Iterable[Holder]
    ) -> dict[Holder, bytes]:
        """New data keys for holders without one, in the caller's transaction; a holder whose key
        has been destroyed is left out.

        The caller calls `settle` when the transaction has ended, with what became of it.
        """
        made = {holder: secrets.token_bytes(self._suite.key_bytes) for holder in holders}
        ordered = sorted(made, key=lambda holder: (holder.bucket, holder.kind, holder.number))
        kept = await connection.fetch(
            """
            insert into records.data_key (bucket, kind, holder, wrapped)
            select * from unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bytea[])
            on conflict do nothing
            returning bucket, kind, holder
            """,
            [holder.bucket for holder in ordered],
            [holder.kind for holder in ordered],
            [holder.number for holder in ordered],
            await self._wrap([(holder, made[holder]) for holder in ordered]),
        )
        ours = {Holder(row["bucket"], row["kind"], row["holder"]) for row in kept}
        self._pending |= ours
        theirs = [holder for holder in ordered if holder not in ours]
        found = await self._read(connection, theirs) if theirs else {}
        return {holder: made[holder] for holder in ours} | found

    def settle(
        self, made: Mapping[Holder, bytes], erasures: Mapping[int, int], *, committed: bool
    ) -> None:
        """The transaction that made these keys has ended; `erasures` is what its clocks said."""
        self._pending.difference_update(made)
        if committed:
            for holder, key in made.items():
                self._keep(holder, key, erasures.get(holder.bucket))

    def _keep(self, holder: Holder, key: bytes, erasures: int | None) -> None:
        self._opened[holder] = _Opened(key, erasures, self._now() + self._seconds_max)
        while len(self._opened) > self._keys_max:
            self._opened.popitem(last=False)

    def _drop_old(self) -> None:
        now = self._now()
        while self._opened:
            holder, opened = next(iter(self._opened.items()))
            if opened.until > now:
                return
            del self._opened[holder]

    async def destroy_keys(self, connection: Connection, holders: Collection[Holder]) -> None:
        """Destroy the data keys of these holders in the caller's transaction; they get no others.

        Idle processes forget a destroyed key when they next open a body. The caller calls `forget`
        when the transaction has committed.
        """
        await connection.execute(
            """
            insert into records.data_key (bucket, kind, holder, wrapped)
            select *, ''::bytea from unnest($1::smallint[], $2::smallint[], $3::bigint[])
            on conflict (bucket, kind, holder) do update set wrapped = ''
            """,
            [holder.bucket for holder in holders],
            [holder.kind for holder in holders],
            [holder.number for holder in holders],
        )

    def forget(self, holders: Iterable[Holder]) -> None:
        """Drop keys that have been destroyed."""
        for holder in holders:
            self._opened.pop(holder, None)


def is_spaced(body: bytes) -> bool:
    """Whether JSON was written for people, with white space between its parts."""
    # What this program puts in is compact; the first member is the sender's own.
    return not body.startswith(b'{"')


def packer_of(dictionary: zstandard.ZstdCompressionDict | None) -> zstandard.ZstdCompressor:
    """Packs greedily, with sixteen candidates for each match.

    Level 3 keeps only the last place of each piece, while the best match in a dictionary is seldom
    the last: a fifth fewer bytes for 4 us more. Levels 6 and 9 take twice as long for no fewer.
    """
    parameters = zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_GREEDY,
        window_log=17,
        hash_log=15,
        chain_log=15,
        search_log=4,
        min_match=6,
        target_length=8,
        write_dict_id=False,
    )
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)


def _place(holder: Holder) -> bytes:
    return _KEY_PLACE.pack(holder.bucket, holder.kind, holder.number)


@cache
def _dictionaries() -> tuple[tuple[int, str, bytes], ...]:
    """(number, type, bytes) of every dictionary shipped; the number is the first part of the file's
    name.
    """
    found = []
    folder = resources.files("quanmin.records") / "dictionaries"
    if not folder.is_dir():
        return ()
    for file in folder.iterdir():
        if file.name.endswith(".zdict"):
            number, type_ = file.name.removesuffix(".zdict").split("-", 1)
            found.append((int(number), type_, file.read_bytes()))
    return tuple(found)
