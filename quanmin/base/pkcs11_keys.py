"""The node's keys inside a module that speaks PKCS#11: a hardware module, or SoftHSM.

They are made there, marked as sensitive and not extractable, and never leave it: data keys go in to
be wrapped (AES-256-GCM), purposes go in to be derived (HMAC-SHA-256), and where it is told so,
what is to be signed (ECDSA on P-256).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from quanmin.base.crypto import NONCE_BYTES, TAG_BYTES, Tampered
from quanmin.base.keys import (
    FIRST_ROOT,
    Keyed,
    KeysUnreadable,
    expand_input,
    name_root,
    pack_number,
    root_numbers,
    split_number,
)
from quanmin.base.problems import Overloaded

_TAG_BITS: Final = TAG_BYTES * 8
_KEY_BITS: Final = 256
_BUSY_SECONDS: Final = 5
_ID_BYTES: Final = 16


class Pkcs11Keys:
    """The keys of one node in one token: `<label>-node-<n>` wrap, `<label>-root` and the
    `<label>-root-<n>` after it derive, and `<label>-sign-<name>` sign.
    """

    is_remote = True

    def __init__(
        self, module: Path, token: str, pin: str, label: str, *, signs_inside: bool = False
    ) -> None:
        """Raises KeysUnreadable where module or token are not there, or the pin is wrong."""
        self.signs_inside = signs_inside
        self._module = module
        self._label = label
        self._session = _session(str(module), token, pin)
        self._lock = _LOCK
        self._found: dict[str, Any] = {}

    def create(self) -> None:
        """Make the keys of a new node; those that are here stay."""
        if not self.roots():
            self.add_root(FIRST_ROOT)
        if not self.numbers():
            self.add(1)

    def take_root(self, number: int, pseudorandom_key: bytes) -> None:
        """Derive from now on what another port has derived from its root of a number, which is not
        here yet.
        """
        p11 = _library()
        with self._using() as session:
            session.create_object(
                {
                    **_kept(),
                    p11.Attribute.CLASS: p11.ObjectClass.SECRET_KEY,
                    p11.Attribute.KEY_TYPE: p11.KeyType.GENERIC_SECRET,
                    p11.Attribute.VALUE: pseudorandom_key,
                    p11.Attribute.LABEL: self._root_name(number),
                    p11.Attribute.TOKEN: True,
                    p11.Attribute.SIGN: True,
                }
            )

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        p11 = _library()
        with self._using() as session:
            number = self._numbers(session)[-1]
            wrapping, mark, wrapped = self._key(session, number), pack_number(number), []
            for key, place in keys:
                nonce = os.urandom(NONCE_BYTES)
                sealed = wrapping.encrypt(
                    key,
                    mechanism=p11.Mechanism.AES_GCM,
                    mechanism_param=p11.GCMParams(nonce, place, _TAG_BITS),
                )
                wrapped.append(mark + nonce + sealed)
        return wrapped

    def unwrap(self, wrapped: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        with self._using() as session:
            return [self._unwrap(session, each, place) for each, place in wrapped]

    def _unwrap(self, session: Any, wrapped: bytes, place: bytes) -> bytes:
        p11 = _library()
        number, sealed = split_number(wrapped)
        nonce = sealed[:NONCE_BYTES]
        key = self._find(session, self._name(number))
        if key is None or len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise Tampered
        try:
            return bytes(
                key.decrypt(
                    sealed[NONCE_BYTES:],
                    mechanism=p11.Mechanism.AES_GCM,
                    mechanism_param=p11.GCMParams(nonce, place, _TAG_BITS),
                )
            )
        except (
            p11.exceptions.EncryptedDataInvalid,
            p11.exceptions.EncryptedDataLenRange,
            p11.exceptions.GeneralError,
        ) as error:
            # SoftHSM says of a wrong tag that something went wrong, and no more.
            raise Tampered from error

    def derive(self, purpose: str, root: int = FIRST_ROOT) -> bytes:
        """See `KeyPort`."""
        p11 = _library()
        with self._using() as session:
            key = self._needed(session, self._root_name(root))
            derived = key.sign(expand_input(purpose), mechanism=p11.Mechanism.SHA256_HMAC)
        return bytes(derived)

    def roots(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        with self._using() as session:
            return root_numbers(self._root_name(FIRST_ROOT), self._labels(session))

    def add_root(self, number: int) -> None:
        """See `KeyPort`."""
        p11 = _library()
        with self._using() as session:
            session.generate_key(
                p11.KeyType.GENERIC_SECRET,
                _KEY_BITS,
                label=self._root_name(number),
                store=True,
                template={**_kept(), p11.Attribute.SIGN: True},
                mechanism=p11.Mechanism.GENERIC_SECRET_KEY_GEN,
            )

    def remove_root(self, number: int) -> None:
        """See `KeyPort`."""
        with self._using() as session:
            self._needed(session, self._root_name(number)).destroy()
        self._found.pop(self._root_name(number), None)

    def public_key(self, name: str) -> bytes:
        """See `Inside`."""
        p11, label = _library(), f"{self._label}-sign-{name}"
        encode = importlib.import_module("pkcs11.util.ec").encode_ec_public_key
        # Alone also to look: of a key that is just being made one half may be there.
        with self._using() as session, _alone(self._module):
            wanted = {p11.Attribute.CLASS: p11.ObjectClass.PUBLIC_KEY, p11.Attribute.LABEL: label}
            if not list(session.get_objects(wanted)):
                self._generate(session, label)
            # Nodes of other machines may have made one as well: all take the same of them.
            found = min(session.get_objects(wanted), key=lambda key: bytes(encode(key)))
            mine = {
                p11.Attribute.CLASS: p11.ObjectClass.PRIVATE_KEY,
                p11.Attribute.ID: found[p11.Attribute.ID],
            }
            private = next(iter(list(session.get_objects(mine))), None)
            if private is None:
                raise KeysUnreadable(f"the private key of {label} is not in the module")
            self._found[label] = private
            return bytes(encode(found))

    def sign_inside(self, name: str, message: bytes) -> bytes:
        """See `Inside`."""
        label, mechanism = f"{self._label}-sign-{name}", _library().Mechanism.ECDSA
        if label not in self._found:
            self.public_key(name)
        with self._using():
            digest = hashlib.sha256(message).digest()
            return bytes(self._found[label].sign(digest, mechanism=mechanism))

    def _generate(self, session: Any, label: str) -> None:
        p11 = _library()
        curve = importlib.import_module("pkcs11.util.ec").encode_named_curve_parameters
        parameters = session.create_domain_parameters(
            p11.KeyType.EC, {p11.Attribute.EC_PARAMS: curve("secp256r1")}, local=True
        )
        parameters.generate_keypair(
            id=os.urandom(_ID_BYTES),
            label=label,
            store=True,
            private_template={**_kept(), p11.Attribute.SIGN: True},
            public_template={p11.Attribute.VERIFY: True},
        )

    def numbers(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        with self._using() as session:
            return self._numbers(session)

    def add(self, number: int) -> None:
        """See `KeyPort`."""
        p11 = _library()
        with self._using() as session:
            session.generate_key(
                p11.KeyType.AES,
                _KEY_BITS,
                label=self._name(number),
                store=True,
                template={**_kept(), p11.Attribute.ENCRYPT: True, p11.Attribute.DECRYPT: True},
            )

    def remove(self, number: int) -> None:
        """See `KeyPort`."""
        with self._using() as session:
            self._key(session, number).destroy()
        self._found.pop(self._name(number), None)

    def _root_name(self, number: int) -> str:
        return name_root(f"{self._label}-root", number)

    def _name(self, number: int) -> str:
        return f"{self._label}-node-{number}"

    def _numbers(self, session: Any) -> tuple[int, ...]:
        named = re.compile(re.escape(self._label) + r"-node-([1-9][0-9]*)")
        found = (named.fullmatch(label) for label in self._labels(session))
        return tuple(sorted(int(match[1]) for match in found if match))

    def _labels(self, session: Any) -> list[str]:
        p11 = _library()
        secret = {p11.Attribute.CLASS: p11.ObjectClass.SECRET_KEY}
        return [key.label or "" for key in session.get_objects(secret)]

    def _key(self, session: Any, number: int) -> Any:
        return self._needed(session, self._name(number))

    def _needed(self, session: Any, name: str) -> Any:
        key = self._find(session, name)
        if key is None:
            raise KeysUnreadable(f"there is no key {name} in the module")
        return key

    def _find(self, session: Any, name: str) -> Any:
        if name not in self._found:
            p11 = _library()
            wanted = {
                p11.Attribute.CLASS: p11.ObjectClass.SECRET_KEY,
                p11.Attribute.LABEL: name,
            }
            found = next(iter(list(session.get_objects(wanted))), None)
            if found is None:
                return None
            self._found[name] = found
        return self._found[name]

    @contextmanager
    def _using(self) -> Iterator[Any]:
        """The session, for one thread at a time."""
        exceptions = _library().exceptions
        with self._lock:
            try:
                yield self._session
            except (
                exceptions.DeviceError,
                exceptions.DeviceRemoved,
                exceptions.FunctionFailed,
                exceptions.GeneralError,
                exceptions.KeyHandleInvalid,
                exceptions.ObjectHandleInvalid,
                exceptions.SessionClosed,
                exceptions.SessionHandleInvalid,
                exceptions.TokenNotPresent,
                exceptions.UserNotLoggedIn,
            ) as error:
                self._found.clear()
                raise Overloaded(
                    "the module that holds the node's keys does not answer: try again later",
                    retry_after_seconds=_BUSY_SECONDS,
                ) from error


# One for the process: a token has one login, and a session serves one call at a time.
_LOCK: Final = threading.RLock()


@contextmanager
def _alone(module: Path) -> Iterator[None]:
    """One process of this machine at a time: a module takes two keys of one name."""
    file = os.open(module, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _library() -> Any:
    try:
        return importlib.import_module("pkcs11")
    except ImportError as error:
        raise KeysUnreadable(
            "PKCS#11 needs the package python-pkcs11: install quanmin[pkcs11]"
        ) from error


@lru_cache(maxsize=4)
def _session(module: str, token: str, pin: str) -> Any:
    p11 = _library()
    try:
        return p11.lib(module).get_token(token_label=token).open(user_pin=pin, rw=True)
    except RuntimeError as error:
        reasons = {
            "NoSuchToken": f"there is no token {token!r}: set `keys.pkcs11_token`",
            "PinIncorrect": "the pin is wrong: look at the file of `keys.pkcs11_pin_file`",
            "PinLocked": "the token has locked its pin after too many wrong ones",
        }
        reason = reasons.get(type(error).__name__, str(error) or type(error).__name__)
        raise KeysUnreadable(f"the module {module} cannot be used: {reason}") from error


def _kept() -> dict[Any, Any]:
    """What makes a key stay in the module."""
    attribute = _library().Attribute
    return {
        attribute.PRIVATE: True,
        attribute.SENSITIVE: True,
        attribute.EXTRACTABLE: False,
    }
