"""The file of public keys that proofs of a node are checked with.

A node that changes its suite signs with another key from then on, and what it signed before stays
signed by the one before. So all its keys are in the file, and each signs that these are the keys:
who has had one of them can take the others, whatever way the file came.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quanmin.base.crypto import Tampered
from quanmin.base.problems import Unusable
from quanmin.base.signing import KEY_ID_BYTES, KeyUnusable, PublicKey, Signature, read_public
from quanmin.node.given import read_given
from quanmin.trust import Notary
from quanmin.trust.log.notary import keys_message

_KEY: Final = "PUBLIC KEY"
_SIGNATURE: Final = "QUANMIN KEYS SIGNATURE"


def key_file(notary: Notary) -> str:
    """The file: in PEM the key that signs now, then those before, then what each signs of them."""
    held = notary.hand_over()
    keys = (_armoured(_KEY, public.encoded) for public, _ in held)
    return "".join((*keys, *(_armoured(_SIGNATURE, signature) for _, signature in held)))


def read_keys(path: Path, known: Path | None = None) -> list[PublicKey]:
    """The keys of such a file. Raises Unusable, also when none of the keys in the file `known` from
    earlier has signed them.
    """
    content = read_given(path).decode("ascii", "replace")
    keys: list[PublicKey] = []
    signatures: list[Signature] = []
    try:
        signatures = [Signature.unpack(each) for each in _unarmoured(content, _SIGNATURE)]
        keys = [read_public(each) for each in _unarmoured(content, _KEY)]
    except (KeyUnusable, Tampered, ValueError):
        pass  # said below
    if not keys:
        raise Unusable(f"{path} is no public key: write it by `quanmin log key`.")
    if known is not None and not any(
        _has_signed(each, keys, signatures) for each in read_keys(known)
    ):
        raise Unusable(
            f"None of the keys in {known} has signed the keys in {path}: they are another node's,"
            " or somebody has changed them."
        )
    return keys


def key_of(keys: Sequence[PublicKey], packed: bytes) -> PublicKey:
    """The one that a signature names, else the first."""
    named = packed[1 : 1 + KEY_ID_BYTES]
    return next((each for each in keys if each.key_id == named), keys[0])


def _has_signed(key: PublicKey, keys: Sequence[PublicKey], signatures: Sequence[Signature]) -> bool:
    message = keys_message(keys)
    for signature in signatures:
        try:
            key.verify(message, signature)
        except Tampered:
            continue
        return True
    return False


def _armoured(kind: str, content: bytes) -> str:
    text = b64encode(content).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _unarmoured(content: str, kind: str) -> list[bytes]:
    """What the blocks of this kind hold. Raises ValueError."""
    blocks = content.split(f"-----BEGIN {kind}-----")[1:]
    return [
        b64decode("".join(block.partition(f"-----END {kind}-----")[0].split()), validate=True)
        for block in blocks
    ]
