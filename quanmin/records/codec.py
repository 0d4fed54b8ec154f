"""Bodies at rest: packed with a dictionary of their type, then sealed under the data key of their
holder.

The holder is the source Patient, or the sender where there is none: erasing a person destroys the
data keys of all their Patients, and linking persons re-encrypts nothing. Type, record key and
version are authenticated with each body, so a body moved to another row does not open. So is the
moment the version was made at, of which the body keeps only a mark.

A holder's data key has a generation, of which each body names the one that it was sealed under:
while one is replaced by the next, both open.
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

from quanmin.base.crypto import SUITES, Suite, Tampered, suite_keyed
from quanmin.base.database import Connection, Database
from quanmin.base.keys import Keyed, KeyPort, KeysUnreadable, split_number
from quanmin.base.problems import Gone, Overloaded, Sentence
from quanmin.records.abridgement import Told, abridge, complete

log = logging.getLogger("quanmin.records")

PATIENT, SENDER = 0, 1
ERASED = Sentence(
    "the person has been erased: nothing is kept of them, and nothing is stored about them"
)

_HEADER = struct.Struct(">BH")  # suite and generation of the key (4 bits), dictionary
_PLACE = struct.Struct(">BqiBHq")  # type, record key, version, suite, dictionary, moment
_FIRST_PLACE = struct.Struct(">BqiBH")  # the same of the first form, without the moment
_KEY_PLACE = struct.Struct(">HBq")  # bucket, kind, holder
GENERATIONS = 16
_GENERATION_SHIFT = 4
_SUITE_BITS = (1 << _GENERATION_SHIFT) - 1
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


class DataKey(msgspec.Struct, frozen=True):
    """A holder's data key, which seals, and the one before it while bodies may be left under it.

    A key is of the suite in force when it was made, and so is what it seals.
    """

    key: bytes
    generation: int = 0
    former: bytes | None = None

    def opener(self, sealed: bytes) -> bytes | None:
        """The one of the two under which a body was sealed, None where it is neither."""
        generation = generation_of(sealed)
        if generation == self.generation:
            return self.key
        return self.former if generation == (self.generation - 1) % GENERATIONS else None


class KeyChanged(Exception):  # noqa: N818 - no error: the writing begins again
    """A data key has been replaced since it was read: what it sealed nobody could open."""


class Place(msgspec.Struct, frozen=True):
    """Which version of which record a body is: the number of its type, its key, its version, and
    what else its row tells of it.
    """

    type: int
    rid: int
    version: int
    told: Told

    def bound(self, suite: int, dictionary: int) -> bytes:
        """What is authenticated with the body; `suite` and `dictionary` as in the header."""
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
    """A data key as it was when `erasures` keys of its bucket had gone; None: unknown."""

    key: DataKey
    erasures: int | None
    until: float


class Codec:
    """Seals and opens bodies, and keeps the data keys it has opened at hand, at most `keys_max` of
    them and none longer than `seconds_max` from when it was asked for: by then a key destroyed or
    replaced elsewhere is gone here too.
    """

    def __init__(
        self,
        keys: KeyPort,
        suite: Suite,
        *,
        keys_max: int = 50_000,
        seconds_max: float = 60.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._keys = keys
        self._suite = suite
        self.seconds_max = seconds_max
        self._now = now or _seconds
        self._packing = Packing()
        # In the order in which they were read, so that the oldest stand in front.
        self._opened: OrderedDict[Holder, _Opened] = OrderedDict()
        # Made in transactions that have not ended: a search of such a transaction reads its own
        # row, and a key of a transaction that is rolled back would seal bodies that nobody can
        # open. So these are never kept at hand.
        self._pending: dict[Holder, float] = {}
        self._keys_max = keys_max

    def seal(
        self, key: DataKey, type_: str, place: Place, body: bytes, *, updated_text: str
    ) -> bytes:
        """The bytes to store for `body`, a resource of type `type_`, at this place.

        `updated_text` is its `lastUpdated`.
        """
        abridged = abridge(body, place.told, updated_text.encode())
        number, packed = self._packing.pack(type_, abridged)
        return _put_under(key, place, number | _ABRIDGED, packed.removeprefix(_FRAME))

    def seal_again(self, key: DataKey, place: Place, sealed: bytes) -> bytes:
        """A body under the data key that seals now; it stays packed as it is. Raises Tampered."""
        dictionary, packed = _take_out(key, place, sealed)
        return _put_under(key, place, dictionary, packed)

    def open(self, key: DataKey, place: Place, sealed: bytes) -> bytes:
        """The body. Raises Tampered when it was not sealed for this place under this key."""
        dictionary, packed = _take_out(key, place, sealed)
        if not dictionary & _ABRIDGED:
            return self._packing.unpack(dictionary, packed)
        body = self._packing.unpack(dictionary ^ _ABRIDGED, _FRAME + packed)
        return complete(body, place.told)

    async def data_keys(
        self, connection: Database, holders: Iterable[Holder]
    ) -> dict[Holder, DataKey]:
        """The data keys of the holders that have one; a holder without (erased, or new) is left
        out.
        """
        self._drop_old()
        found: dict[Holder, DataKey] = {}
        missing: list[Holder] = []
        for holder in set(holders):
            opened = self._opened.get(holder)
            if opened is None:
                missing.append(holder)
            else:
                found[holder] = opened.key
        if missing:
            found |= await self.read_keys(connection, missing)
        return found

    async def keys_of(
        self, connection: Database, bodies: Sequence[tuple[Holder, bytes]]
    ) -> dict[Holder, DataKey]:
        """The data keys under which these bodies stand; a holder without one is left out.

        Raises Overloaded where a body was read just before its key was replaced, and its key after.
        """
        keys = await self.data_keys(connection, (holder for holder, _ in bodies))
        old = _unopened(keys, bodies)
        if old:
            keys |= await self.read_keys(connection, list(old))
            if _unopened(keys, bodies):
                log.warning("a body names a data key that its holder has not")
                text = Sentence("the key of a record is being replaced at this moment: ask again")
                raise Overloaded(text, retry_after_seconds=1)
        return keys

    async def refuse_destroyed(
        self, connection: Connection, used: Mapping[Holder, DataKey], erasures: Mapping[int, int]
    ) -> None:
        """Raises Gone when a data key of one of these Patients has been destroyed since it was
        read, KeyChanged when it has been replaced by another.

        The caller holds the clocks of their buckets until its transaction ends, so that none can go
        before; `erasures` is what the clocks say. Keys are read again only where it is not what it
        was when they were read.
        """
        doubtful = [
            holder
            for holder in used
            if holder.kind == PATIENT
            and (
                (opened := self._opened.get(holder)) is None
                or opened.erasures != erasures[holder.bucket]
            )
        ]
        if not doubtful:
            return
        now = await self.read_keys(connection, doubtful)
        if len(now) < len(doubtful):
            raise Gone(ERASED)
        if any(used[holder].key != key.key for holder, key in now.items()):
            raise KeyChanged

    @property
    def port(self) -> KeyPort:
        """The node's keys."""
        return self._keys

    def wrapping_key(self) -> int:
        """The number of the node's key that wraps now."""
        return self._keys.numbers()[-1]

    async def wrap_again(self, wrapped: Sequence[tuple[Holder, bytes]]) -> list[bytes]:
        """Data keys, wrapped by the node's key that wraps now. Raises Tampered."""
        opened = await self.unwrap(wrapped)
        return await self.wrap([(holder, opened[holder]) for holder, _ in wrapped])

    async def wrap(self, keys: Sequence[tuple[Holder, bytes]]) -> list[bytes]:
        """Data keys, wrapped for their holders by the node's key that wraps now."""
        return await self._ask(self._keys.wrap, [(key, _place(holder)) for holder, key in keys])

    async def refuse_gone(self, wrapped: Sequence[bytes]) -> None:
        """Raises KeyChanged when the key of the node that wrapped one of these was destroyed after
        that: what stands under it nobody would open any more.

        The caller's transaction has written them. So whoever would destroy one from here on waits
        for it, and finds that it is used (`rewrapping.refuse_used`).
        """
        if not wrapped:
            return
        numbers = self._keys.numbers
        there = await asyncio.to_thread(numbers) if self._keys.is_remote else numbers()
        if not {split_number(each)[0] for each in wrapped} <= set(there):
            raise KeyChanged

    async def unwrap(self, wrapped: Sequence[tuple[Holder, bytes]]) -> dict[Holder, bytes]:
        """Wrapped data keys of holders that are all different. Raises Tampered."""
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
            text = Sentence("the node's keys cannot be used at the moment: try again later")
            raise Overloaded(text, retry_after_seconds=_RETRY_SECONDS) from error

    async def read_keys(
        self, connection: Database, holders: Sequence[Holder]
    ) -> dict[Holder, DataKey]:
        """The data keys as the database has them, whatever is at hand."""
        since = self._now()
        rows = await connection.fetch(
            """
            select k.bucket, k.kind, k.holder, k.wrapped, k.generation, k.former, c.erasures
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
        there = [(holder, row) for holder, row in read if row["wrapped"]]
        keys = await self.unwrap([(holder, row["wrapped"]) for holder, row in there])
        former = await self.unwrap(
            [(holder, row["former"]) for holder, row in there if row["former"]]
        )
        found = {
            holder: DataKey(keys[holder], row["generation"], former.get(holder))
            for holder, row in there
        }
        for holder, row in there:
            if holder not in self._pending:
                self._keep(holder, found[holder], row["erasures"], since)
        return found

    async def make_keys(
        self, connection: Connection, holders: Iterable[Holder]
    ) -> dict[Holder, DataKey]:
        """New data keys for holders without one, in the caller's transaction; a holder whose key
        has been destroyed is left out.

        The caller calls `settle` when the transaction has ended, with what became of it.
        """
        since = self._now()
        made = {holder: self.new_key() for holder in holders}
        ordered = sorted(made, key=lambda holder: (holder.bucket, holder.kind, holder.number))
        wrapped = await self.wrap([(holder, made[holder]) for holder in ordered])
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
            wrapped,
        )
        await self.refuse_gone(wrapped)
        ours = {Holder(row["bucket"], row["kind"], row["holder"]) for row in kept}
        self._pending |= dict.fromkeys(ours, since)
        theirs = [holder for holder in ordered if holder not in ours]
        found = await self.read_keys(connection, theirs) if theirs else {}
        return {holder: DataKey(made[holder]) for holder in ours} | found

    def new_key(self) -> bytes:
        """A data key nobody has, of the suite in force."""
        return secrets.token_bytes(self._suite.key_bytes)

    def settle(
        self, made: Mapping[Holder, DataKey], erasures: Mapping[int, int], *, committed: bool
    ) -> None:
        """The transaction that made these keys has ended; `erasures` is what its clocks said."""
        for holder, key in made.items():
            since = self._pending.pop(holder, None)
            if committed and since is not None:
                self._keep(holder, key, erasures.get(holder.bucket), since)

    def _keep(self, holder: Holder, key: DataKey, erasures: int | None, since: float) -> None:
        # From when it was asked for: whoever replaces a key counts on nobody having it for longer.
        self._opened[holder] = _Opened(key, erasures, since + self.seconds_max)
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
            on conflict (bucket, kind, holder)
                do update set wrapped = '', former = null, succession = null
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


async def has_key(database: Database, holder: Holder) -> bool:
    """Whether a holder has a data key that has not been destroyed."""
    return bool(
        await database.fetchval(
            "select true from records.data_key"
            " where bucket = $1 and kind = $2 and holder = $3 and wrapped <> ''",
            *msgspec.structs.astuple(holder),
        )
    )


def generation_of(sealed: bytes) -> int:
    """The generation of the data key that a body was sealed under."""
    return sealed[0] >> _GENERATION_SHIFT


def _put_under(key: DataKey, place: Place, dictionary: int, packed: bytes) -> bytes:
    suite = suite_keyed(key.key)
    head = suite.number | key.generation << _GENERATION_SHIFT
    sealed = suite.seal(key.key, packed, place.bound(head, dictionary))
    return _HEADER.pack(head, dictionary) + sealed


def _take_out(key: DataKey, place: Place, sealed: bytes) -> tuple[int, bytes]:
    """The dictionary, as in the header, and what is packed with it. Raises Tampered."""
    head, dictionary = _HEADER.unpack_from(sealed)
    suite, opener = SUITES.get(head & _SUITE_BITS), key.opener(sealed)
    if suite is None or opener is None or len(opener) != suite.key_bytes:
        raise Tampered
    return dictionary, suite.open(opener, sealed[_HEADER.size :], place.bound(head, dictionary))


def _unopened(
    keys: Mapping[Holder, DataKey], bodies: Sequence[tuple[Holder, bytes]]
) -> set[Holder]:
    """Whose bodies name a data key that is not among these."""
    return {
        holder
        for holder, sealed in bodies
        if (key := keys.get(holder)) is not None and key.opener(sealed) is None
    }


def _seconds() -> float:
    # Goes on while the machine sleeps, unlike the monotonic clock.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


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
