"""Entries as the database has them, read back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from quanmin.base.merkle import Hash
from quanmin.trust.log.entry import SALT_BYTES, Access, Place, personal_bytes
from quanmin.trust.log.lanes import HASH_BYTES
from quanmin.trust.log.notary import commit, leaf_of

ENTRY: Final = (
    "a.lane, a.n, a.salt, a.mark, a.at, a.request, a.actor, a.role, a.purpose, a.action, a.type,"
    " a.outcome, a.hits, a.records, a.patients, a.rules, a.client, a.note, a.digest, a.part_lane,"
    " a.part_n"
)


class Kept(msgspec.Struct, frozen=True):
    """An entry where it stands. `salt` is as the row has it."""

    place: Place
    access: Access
    salt: bytes
    mark: int

    @property
    def is_redacted(self) -> bool:
        """Whether names have been taken out of it."""
        return len(self.salt) != SALT_BYTES

    def commitment(self, hash_: Hash) -> bytes:
        """What its leaf holds for what is personal."""
        return self.salt[:HASH_BYTES] if self.is_redacted else self.remains(hash_)

    def remains(self, hash_: Hash) -> bytes:
        """The commitment to what it names now."""
        salt = self.salt[HASH_BYTES:] if self.is_redacted else self.salt
        return commit(hash_, salt, personal_bytes(self.access.records, self.access.patients))

    def leaf(self, hash_: Hash) -> bytes:
        """Its leaf, out of what the row says."""
        return leaf_of(hash_, self.access, self.commitment(hash_))


def read_entry(row: Any) -> Kept:
    """An entry out of a row with the columns of ENTRY."""
    part_lane, part_n = row["part_lane"], row["part_n"]
    access = Access(
        at=row["at"],
        request=row["request"],
        actor=row["actor"],
        role=row["role"],
        purpose=row["purpose"],
        action=row["action"],
        type=row["type"],
        outcome=row["outcome"],
        hits=row["hits"],
        records=tuple(row["records"] or ()),
        patients=tuple(row["patients"] or ()),
        rules=row["rules"],
        client=row["client"],
        note=row["note"],
        digest=row["digest"],
        part_of=None if part_lane is None and part_n is None else Place(part_lane, part_n),
    )
    return Kept(Place(row["lane"], row["n"]), access, row["salt"], row["mark"])
