"""What a node commits to its access log with: the hash of the trees, the key that signs their
heads, and a mark on each entry that only this node can make.

The signature shows everybody that a log is whole; it speaks of a whole tree. The mark shows the
node alone which entry of a tree is not what it was.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from quanmin.base.crypto import Tampered
from quanmin.base.keys import KeyPort
from quanmin.base.merkle import Hash, leaf_hash, sha256
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import Unusable
from quanmin.base.signing import (
    SHA256,
    SUITES,
    PrivateKey,
    PublicKey,
    Signature,
    SignatureSuite,
    suite_named,
)
from quanmin.base.signing_keys import derived_key, signing_key, signs_inside
from quanmin.trust.log.entry import Access, Place, personal_bytes

MARKS: Final = "access log marks"
SIGNING: Final = "access log signing"
"""What the keys of the log are derived for."""
_MARK_BYTES: Final = 8
_PLACE: Final = struct.Struct(">iq")
# What the log signs begins with a bracket.
_OTHER: Final = b"quanmin certificate\0"
_HEAD: Final = "quanmin access log head 1"
_CHECKPOINT: Final = "quanmin access log checkpoint 1"
_KEYS: Final = "quanmin access log keys 1"
_RESTORED: Final = "quanmin access log restored 1"


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The state of a lane, signed: so many entries, under this root, at this moment."""

    lane: int
    size: int
    root: bytes
    at: int
    signature: bytes = b""

    def message(self, node: str) -> bytes:
        """What is signed: JSON without spaces."""
        return msgspec.json.encode((_HEAD, node, self.lane, self.size, self.root.hex(), self.at))


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """The lanes that have grown since the checkpoint before (lane, size, root), signed in a chain:
    `before` is the hash of the one before.
    """

    number: int
    at: int
    before: bytes
    lanes: tuple[tuple[int, int, bytes], ...]
    signature: bytes = b""

    def message(self, node: str) -> bytes:
        """What is signed: JSON without spaces."""
        lanes = [(lane, size, root.hex()) for lane, size, root in self.lanes]
        return msgspec.json.encode(
            (_CHECKPOINT, node, self.number, self.at, self.before.hex(), lanes)
        )

    @property
    def link(self) -> bytes:
        """What the next one holds of this."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).digest()


class Restored(msgspec.Struct, frozen=True, array_like=True):
    """A restore, signed: by whom, when and to which moment (None: to the end of what was kept) the
    database was put back, and what each lane (lane, size, root) held then.
    """

    number: int
    at: int
    by: str
    to: int | None
    lanes: tuple[tuple[int, int, bytes], ...]
    signature: bytes = b""

    def message(self, node: str) -> bytes:
        """What is signed: JSON without spaces."""
        lanes = [(lane, size, root.hex()) for lane, size, root in self.lanes]
        return msgspec.json.encode((_RESTORED, node, self.number, self.at, self.by, self.to, lanes))


class Notary:
    """The keys and the hash of one node. `node` tells its heads from those of others. Signing may
    take its time where it `is_slow`, and raises Overloaded where it cannot be done.
    """

    def __init__(self, keys: KeyPort, suite: str, node: str) -> None:
        self.suite: SignatureSuite = suite_named(suite)
        self.node = node
        self._keys = node_keys(keys)
        self.is_slow = signs_inside(self._keys)
        self._mark_key = self._keys.derive(MARKS)
        self.hash = hash_of(suite)
        self._root = self._keys.roots()[-1]
        self._signing = signing_key(self._keys, SIGNING, self.suite.algorithm, self._root)
        # At once: a root may be gone from this process' sight when somebody asks for its key.
        self._publics = {key.public.key_id: key.public for key in self._signers()}

    @property
    def _key(self) -> PrivateKey:
        """The key that signs now: that of the newest root."""
        newest = self._keys.roots()[-1]
        if newest != self._root:
            self._signing = signing_key(self._keys, SIGNING, self.suite.algorithm, newest)
            self._root = newest
        return self._signing

    @property
    def public(self) -> PublicKey:
        """What anybody checks heads with."""
        return self._key.public

    def _signers(self) -> list[PrivateKey]:
        """Of every suite, and those that follow from any root, also one that is gone: the log may
        have been signed by them before. The one that signs now comes first. Made each time, for
        where a module signs none of them is to stay in memory.
        """
        keys = [self._key]
        for root in reversed(self._keys.roots_of(SIGNING)):
            for one in SUITES.values():
                with suppress(Unusable):
                    keys.append(derived_key(self._keys, SIGNING, one.algorithm, root))
        return list({key.public.key_id: key for key in keys}.values())

    def _public_of(self, key_id: bytes) -> PublicKey | None:
        if key_id not in self._publics:
            # Another process may sign with the key of a root that was made since.
            self._publics |= {key.public.key_id: key.public for key in self._signers()}
        return self._publics.get(key_id)

    def hand_over(self) -> list[tuple[PublicKey, bytes]]:
        """Every key that this node signs or may have signed its log with, each with its signature
        of them all, so that who knows one learns the others from it.
        """
        signers = self._signers()
        message = keys_message([key.public for key in signers])
        return [(key.public, key.sign(message).pack()) for key in signers]

    def sign_head(self, head: Head) -> Head:
        """The head with its signature."""
        signature = self._key.sign(head.message(self.node)).pack()
        return msgspec.structs.replace(head, signature=signature)

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint with its signature."""
        signature = self._key.sign(checkpoint.message(self.node)).pack()
        return msgspec.structs.replace(checkpoint, signature=signature)

    def sign_restored(self, restored: Restored) -> Restored:
        """The restore with its signature."""
        signature = self._key.sign(restored.message(self.node)).pack()
        return msgspec.structs.replace(restored, signature=signature)

    def is_signed(self, one: Head | Checkpoint | Restored) -> bool:
        """Whether this node signed it."""
        try:
            signature = Signature.unpack(one.signature)
            key = self._public_of(signature.key_id)
            if key is None:
                return False
            key.verify(one.message(self.node), signature)
        except Tampered:
            return False
        return True

    def sign(self, content: bytes) -> bytes:
        """A signature of something else than the log, which passes for none of it."""
        return self._key.sign(_OTHER + content).pack()

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether `sign` made this signature of this content, here."""
        try:
            key = self._public_of(Signature.unpack(signature).key_id)
        except Tampered:
            return False
        return key is not None and is_signed_by(key, content, signature)

    def mark(self, hash_: Hash, place: Place, leaf: bytes) -> int:
        """What shows this node alone that it put this leaf at this place."""
        told = _PLACE.pack(place.lane, place.number) + leaf
        # What is hashed has one length and a quarter of the hash is kept: nothing can be made of a
        # mark for a longer text, so that the key may simply come first. HMAC costs four times this.
        digest = hash_(self._mark_key + told)
        return int.from_bytes(digest[:_MARK_BYTES], "big", signed=True)


def keys_message(keys: Sequence[PublicKey]) -> bytes:
    """What each key of a node signs of all of them: JSON without spaces."""
    return msgspec.json.encode((_KEYS, [key.encoded.hex() for key in keys]))


def suite_of(signature: bytes) -> str | None:
    """The suite that a signature is of, by what it says of itself."""
    numbers = {one.algorithm.number: one.name for one in SUITES.values()}
    return numbers.get(signature[0]) if signature else None


def is_signed_by(key: PublicKey, content: bytes, signature: bytes) -> bool:
    """Whether a node with this public key made this signature by `Notary.sign`."""
    try:
        unpacked = Signature.unpack(signature)
        if unpacked.key_id != key.key_id:
            return False
        key.verify(_OTHER + content, unpacked)
    except Tampered:
        return False
    return True


def hash_of(suite: str) -> Hash:
    """The hash that the trees of a suite are made with: hashlib has it three times as fast as
    `cryptography`.
    """
    return sha256 if suite_named(suite).digest is SHA256 else _sm3


def _sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def commit(hash_: Hash, salt: bytes, personal: bytes) -> bytes:
    """What stands in a leaf for what is personal."""
    return hash_(salt + personal)


def leaf_of(hash_: Hash, access: Access, commitment: bytes) -> bytes:
    """The leaf of an entry: the hash has one length, so both parts can be told apart."""
    return leaf_hash(hash_, access.open_bytes() + commitment)


def fresh_leaf(hash_: Hash, access: Access, salt: bytes) -> bytes:
    """The leaf of an entry of which nothing has been erased."""
    personal = personal_bytes(access.records, access.patients)
    return leaf_of(hash_, access, commit(hash_, salt, personal))
