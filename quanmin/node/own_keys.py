"""Opens this node's keys, and makes them while there is nothing they could fail to open."""

from __future__ import annotations

import hashlib

from quanmin.base.keys import FileKeys, KeyPort, KeysUnreadable
from quanmin.base.problems import Unusable
from quanmin.node.places import Places
from quanmin.node.settings import Settings
from quanmin.trust import Notary


def open_keys(places: Places, *, is_new: bool) -> FileKeys:
    """The node's keys; made only for a new database: new ones would open no old record.

    Raises Unusable with the way out.
    """
    try:
        return FileKeys.create(places.keys) if is_new else FileKeys(places.keys)
    except KeysUnreadable as error:
        raise Unusable(f"The node's keys cannot be used: {error}.") from error


def fingerprint(keys: KeyPort) -> str:
    """Tells these keys from others, and nothing about them."""
    return hashlib.blake2b(keys.derive("fingerprint"), digest_size=16).hexdigest()


def open_notary(settings: Settings, keys: KeyPort) -> Notary:
    """What this node's access log is signed with."""
    return Notary(keys, settings.node.signature_suite, fingerprint(keys))
