"""Opens this node's keys, and makes them while there is nothing they could fail to open."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quanmin.base.keys import FileKeys, KeyPort, Keyring, KeysUnreadable, reseal
from quanmin.base.passphrases import CHARACTERS_MIN, Passphrase
from quanmin.base.pkcs11_keys import Pkcs11Keys
from quanmin.base.problems import Overloaded, Unusable
from quanmin.node.key_settings import KeySettings
from quanmin.node.places import Places
from quanmin.node.settings import Settings
from quanmin.trust import Notary

if TYPE_CHECKING:
    from quanmin.base.vault_keys import VaultKeys

FINGERPRINT: Final = "fingerprint"
"""What tells these keys from others is derived for."""
OTHER_KEYS: Final = (
    "The keys in the node's folder are not those that this database was written with: bring those"
    " back with `quanmin restore --keys FILE`."
)


def open_keys(places: Places, settings: KeySettings, *, is_new: bool) -> KeyPort:
    """The node's keys; made only for a new database: new ones would open no old record.

    Raises Unusable with the way out.
    """
    try:
        return _open(places, settings, is_new=is_new)
    except KeysUnreadable as error:
        raise Unusable(f"The node's keys cannot be used: {error}.") from error
    except Overloaded as error:
        raise Unusable(f"The node's keys cannot be reached: {error.text}.") from error


def move_keys(places: Places, settings: KeySettings) -> int:
    """Bring the keys of a node from the files of its folder to the port of its settings: a new one
    wraps there, and what is derived stays the same. Gives its number.

    The old keys stay where they are, to unwrap. Doing it again after a crash goes on.
    """
    if settings.port == "file":
        raise Unusable(
            "Keys of a module or a Vault do not leave it, and files are where they are: set "
            "`keys.port` to where they are to go."
        )
    try:
        files, port = FileKeys(places.keys, passphrase_of(settings)), _port(settings)
        highest = max(files.numbers())
        for root in set(files.roots()) - set(port.roots()):
            port.take_root(root, files.pseudorandom_key(root))
        if any(_other(port, files, root) for root in files.roots()):
            raise Unusable(
                f"There are keys of another node named {settings.label!r}: set `keys.label`."
            )
        theirs = port.numbers()
        if not theirs:
            port.add(highest + 1)
    except KeysUnreadable as error:
        raise Unusable(f"The node's keys cannot be moved: {error}.") from error
    return max(port.numbers())


def _other(port: KeyPort, files: KeyPort, root: int) -> bool:
    return port.derive(FINGERPRINT, root) != files.derive(FINGERPRINT, root)


def fingerprint(keys: KeyPort) -> str:
    """Tells these keys from others, and nothing about them."""
    return hashlib.blake2b(keys.derive(FINGERPRINT), digest_size=16).hexdigest()


def open_notary(settings: Settings, keys: KeyPort) -> Notary:
    """What this node's access log is signed with."""
    return Notary(keys, settings.node.signature_suite, fingerprint(keys))


def _open(places: Places, settings: KeySettings, *, is_new: bool) -> KeyPort:
    if settings.port == "file" and settings.signing == "module":
        raise KeysUnreadable("files sign nothing by themselves: set `keys.signing` to node")
    if settings.port == "file":
        passphrase = passphrase_of(settings)
        if is_new:
            return FileKeys.create(places.keys, passphrase)
        return FileKeys(places.keys, passphrase)
    port = _port(settings)
    files = list(places.keys.glob("node-*.key")) if places.keys.is_dir() else []
    if is_new and not files:
        port.create()
    if not (port.roots() and port.numbers()):
        way_out = (
            "`quanmin keys move` brings those of the node's folder there"
            if files
            else "bring back its backup, or set `keys.label` to what they were named"
        )
        raise KeysUnreadable(f"this node's keys are not where `keys.port` says: {way_out}")
    return Keyring(FileKeys(places.keys, passphrase_of(settings)), port) if files else port


def seal_keys(places: Places, settings: KeySettings, *, old: Path | None) -> int:
    """Have the key files of a stopped node under the passphrase of its settings, where they were
    under that of another file, or under none: `old`. Gives how many were not.
    """
    try:
        before = None if old is None else read_passphrase(old)
        return reseal(places.keys, before, passphrase_of(settings))
    except KeysUnreadable as error:
        raise Unusable(f"The node's keys cannot be sealed: {error}.") from error


def passphrase_of(settings: KeySettings) -> Passphrase | None:
    """The passphrase of the key files, None where they are not sealed."""
    return None if settings.passphrase_file is None else read_passphrase(settings.passphrase_file)


def read_passphrase(path: Path) -> Passphrase:
    """The passphrase in a file that only its owner can read. Raises KeysUnreadable."""
    text = _secret(path)
    if len(text) < CHARACTERS_MIN:
        raise KeysUnreadable(
            f"the passphrase in {path} is too short: {CHARACTERS_MIN} characters or more"
        )
    return Passphrase(text)


def _port(settings: KeySettings) -> Pkcs11Keys | VaultKeys:
    if settings.port == "pkcs11":
        if settings.pkcs11_module is None or settings.pkcs11_pin_file is None:
            raise KeysUnreadable("set `keys.pkcs11_module` and `keys.pkcs11_pin_file`")
        pin = _secret(settings.pkcs11_pin_file)
        return Pkcs11Keys(
            settings.pkcs11_module,
            settings.pkcs11_token,
            pin,
            settings.label,
            signs_inside=settings.signing == "module",
        )
    if not settings.vault_address or settings.vault_token_file is None:
        raise KeysUnreadable("set `keys.vault_address` and `keys.vault_token_file`")
    _secret(settings.vault_token_file)
    # Its HTTP client takes a quarter of a second to read, in every process and every command.
    from quanmin.base.vault_keys import VaultKeys  # noqa: PLC0415 - see above

    return VaultKeys(
        settings.vault_address,
        settings.vault_mount,
        settings.vault_token_file,
        settings.label,
        settings.vault_certificates,
        signs_inside=settings.signing == "module",
    )


def _secret(path: Path) -> str:
    try:
        mode, secret = path.stat().st_mode, path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise KeysUnreadable(f"{path} cannot be read: look at its owner") from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeysUnreadable(f"{path} can be read by others: chmod 600 {path}")
    return secret
