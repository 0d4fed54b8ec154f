"""Where the node's own keys are kept, as its operator says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct


class KeySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The node's own keys, which wrap all others."""

    port: Annotated[
        Literal["file", "pkcs11", "vault"],
        Meta(
            description="Where the keys are: files of the node's folder, a module that speaks "
            "PKCS#11, or the transit engine of a Vault. `quanmin keys move` brings the keys of a "
            "node that has run to where this says."
        ),
    ] = "file"
    passphrase_file: Annotated[
        Path | None,
        Meta(
            description="A file with the passphrase that the key files are sealed under, which "
            "only the node's user can read, such as a credential of systemd; nothing: they are not "
            "sealed. `quanmin keys seal` brings those that are there under it."
        ),
    ] = None
    signing: Annotated[
        Literal["node", "module"],
        Meta(
            description="Where is signed what the node signs by itself, heads of the access log, "
            "documents, time stamps: with keys that follow from its root, in its own memory, or "
            "with keys that the module or Vault makes and keeps (ECDSA on P-256)."
        ),
    ] = "node"
    label: Annotated[
        str,
        Meta(
            description="What the names of this node's keys begin with in a module or a Vault.",
            pattern=r"^[a-z0-9][a-z0-9\-]{0,40}$",
        ),
    ] = "quanmin"
    reseal_pages: Annotated[
        int,
        Meta(
            description="How many pages of a table the job looks through in a step that seals anew "
            "what is under an older root.",
            ge=1,
        ),
    ] = 32
    reseal_share: Annotated[
        float,
        Meta(
            description="Which share of its time that job works; it rests the others.", gt=0, le=1
        ),
    ] = 0.5
    pkcs11_module: Annotated[
        Path | None,
        Meta(description="The library of the module, such as `/usr/lib/softhsm/libsofthsm2.so`."),
    ] = None
    pkcs11_token: Annotated[str, Meta(description="The token's label.")] = ""
    pkcs11_pin_file: Annotated[
        Path | None,
        Meta(description="A file with the token's pin, which only the node's user can read."),
    ] = None
    vault_address: Annotated[
        str, Meta(description="The Vault's address, `https://vault.example.org:8200`.")
    ] = ""
    vault_mount: Annotated[
        str, Meta(description="Where its transit engine is mounted.", min_length=1)
    ] = "transit"
    vault_token_file: Annotated[
        Path | None,
        Meta(
            description="A file with the token to use, read for every request, so that an agent "
            "may renew it."
        ),
    ] = None
    vault_certificates: Annotated[
        Path | None,
        Meta(
            description="A file of authorities that the Vault's certificate is checked by; "
            "nothing: the machine's."
        ),
    ] = None
