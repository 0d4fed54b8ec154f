"""What every port of keys promises: files, a module by PKCS#11 (SoftHSM), a Vault."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from softhsm import PIN, make_token, module
from vault import Vault, running_vault

from quanmin.base import keys as base_keys
from quanmin.base.authorities import Authorities
from quanmin.base.crypto import International, Tampered, derive
from quanmin.base.disk import replace_on_disk
from quanmin.base.epoch import Epoch
from quanmin.base.keys import FileKeys, KeyPort, Keyring, KeysUnreadable, expand_input
from quanmin.base.node_keys import NodeKeys
from quanmin.base.pkcs11_keys import Pkcs11Keys
from quanmin.base.problems import Overloaded, Unusable
from quanmin.base.signing import ECDSA_P256, SM2_SM3, SUITES
from quanmin.base.signing_keys import signing_key
from quanmin.base.vault_keys import VaultKeys
from quanmin.node.key_settings import KeySettings
from quanmin.node.own_keys import move_keys, open_keys, seal_keys
from quanmin.node.places import Places
from quanmin.trust.log import Notary
from quanmin.trust.log.notary import Head
from quanmin.trust.signatures import Office, OwnAuthority, SignatureSettings, provenance
from quanmin.trust.signatures.judging import Judging
from quanmin.trust.signatures.office import Signer


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with running_vault() as running:
        yield running


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_token(tmp_path_factory.mktemp("hsm"), f"node-{secrets.token_hex(4)}")


def settings_of(port: str, request: pytest.FixtureRequest, folder: Path) -> KeySettings:
    """Settings of a port, by which no node has kept keys before."""
    label = f"t{secrets.token_hex(4)}"
    secret = folder / "secret"
    if port == "pkcs11":
        token = request.getfixturevalue("hsm")
        secret.write_text(PIN)
        secret.chmod(0o600)
        return KeySettings(
            port="pkcs11",
            label=label,
            pkcs11_module=token.module,
            pkcs11_token=token.label,
            pkcs11_pin_file=secret,
        )
    if port == "vault":
        vault: Vault = request.getfixturevalue("vault")
        secret.write_text(vault.token)
        secret.chmod(0o600)
        return KeySettings(
            port="vault", label=label, vault_address=vault.address, vault_token_file=secret
        )
    return KeySettings()


@pytest.fixture(params=["file", "pkcs11", "vault"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> KeySettings:
    return settings_of(request.param, request, tmp_path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "node")
    made.prepare()
    return made


@pytest.fixture
def port(settings: KeySettings, places: Places) -> KeyPort:
    return open_keys(places, settings, is_new=True)


def again(places: Places, settings: KeySettings) -> KeyPort:
    return open_keys(places, settings, is_new=False)


def test_what_was_wrapped_is_unwrapped_at_its_place_by_another_process(
    port: KeyPort, places: Places, settings: KeySettings
) -> None:
    keys = [(secrets.token_bytes(size), b"place %d" % size) for size in (16, 32, 32)]
    wrapped = port.wrap(keys)
    placed = [(each, place) for each, (_, place) in zip(wrapped, keys, strict=True)]
    assert again(places, settings).unwrap(placed) == [key for key, _ in keys]
    assert port.wrap([]) == port.unwrap([]) == []
    for key, _ in keys:
        assert all(key not in each for each in wrapped)


def test_what_was_changed_or_moved_is_not_unwrapped(port: KeyPort) -> None:
    [wrapped] = port.wrap([(bytes(32), b"place")])
    changed = wrapped[:-3] + bytes([wrapped[-3] ^ 1]) + wrapped[-2:]
    for each, place in (
        (wrapped, b"other"),
        (changed, b"place"),
        (b"\0\x63" + wrapped[2:], b"place"),
    ):
        with pytest.raises(Tampered):
            port.unwrap([(each, place)])


def test_a_purpose_gives_the_same_key_at_every_start(
    port: KeyPort, places: Places, settings: KeySettings
) -> None:
    assert len(port.derive("index")) == 32
    assert port.derive("index") == again(places, settings).derive("index")
    assert port.derive("index") != port.derive("links")


def test_a_key_that_is_added_wraps_in_every_process_and_the_old_one_goes(
    port: KeyPort, places: Places, settings: KeySettings
) -> None:
    other = again(places, settings)
    [old] = other.wrap([(b"k" * 32, b"place")])
    assert port.numbers() == (1,)
    port.add(2)
    [new] = other.wrap([(b"k" * 32, b"place")])
    assert (old[:2], new[:2]) == (b"\0\1", b"\0\2")
    assert port.unwrap([(new, b"place"), (old, b"place"), (new, b"place")]) == [b"k" * 32] * 3
    port.remove(1)
    assert again(places, settings).numbers() == (2,)
    with pytest.raises(Tampered):
        again(places, settings).unwrap([(old, b"place")])
    assert other.unwrap([(new, b"place")]) == [b"k" * 32]


def test_a_root_that_is_added_is_the_newest_in_every_process_and_the_old_one_goes(
    port: KeyPort, places: Places, settings: KeySettings
) -> None:
    other, first = again(places, settings), port.derive("index")
    assert other.roots() == (1,)
    port.add_root(2)
    assert other.roots() == (1, 2)
    second = other.derive("index", 2)
    assert (other.derive("index"), port.derive("index", 2)) == (first, second)
    assert first != second
    # Opened by a process of the time before, sealed by either.
    own = NodeKeys(other)
    sealed = NodeKeys(port).rooted("x").seal(International(), b"content", b"place")
    assert sealed[:3] == b"\x41\0\2"
    assert own.rooted("x").open(sealed, b"place") == b"content"
    port.add_root(10)
    port.remove_root(1)
    assert again(places, settings).roots() == (2, 10)
    with pytest.raises(KeysUnreadable):
        again(places, settings).derive("index")
    assert again(places, settings).derive("index", 2) == second
    with pytest.raises(Tampered):
        NodeKeys(again(places, settings)).rooted("x").open(b"\1" + sealed[3:], b"place")


def test_while_a_vault_is_away_its_roots_are_those_it_had(
    vault: Vault, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    port = open_keys(places, settings_of("vault", request, tmp_path), is_new=True)
    epoch = Epoch()
    keys = NodeKeys(port, epoch=epoch)
    sealed = keys.rooted("x").seal(International(), b"content", b"place")
    vault.asked.clear()
    assert keys.rooted("x").open(sealed, b"place") == b"content"
    assert keys.roots() == (1,)
    assert vault.asked == []
    epoch.advance()
    vault.is_sealed = True
    try:
        assert keys.rooted("x").open(sealed, b"place") == b"content"
        assert keys.roots() == (1,)
        with pytest.raises(Overloaded):
            NodeKeys(port).roots()
    finally:
        vault.is_sealed = False
    port.add_root(2)
    assert keys.roots() == (1, 2)
    assert NodeKeys(port).rooted("x").open(sealed, b"place") == b"content"


@pytest.mark.parametrize("kind", ["pkcs11", "vault"])
def test_keys_move_from_files_and_nothing_that_was_derived_changes(
    kind: str, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    files = open_keys(places, KeySettings(), is_new=True)
    [old] = files.wrap([(b"k" * 32, b"place")])
    files.add_root(2)
    settings = settings_of(kind, request, tmp_path)
    with pytest.raises(Unusable, match="quanmin keys move"):
        again(places, settings)
    assert move_keys(places, settings) == 2
    assert move_keys(places, settings) == 2
    moved = again(places, settings)
    assert isinstance(moved, Keyring)
    assert moved.numbers() == (1, 2)
    assert moved.roots() == (1, 2)
    for purpose in ("index", "fingerprint", "backup"):
        assert moved.derive(purpose) == files.derive(purpose)
        assert moved.derive(purpose, 2) == files.derive(purpose, 2)
    [new] = moved.wrap([(b"k" * 32, b"place")])
    assert new[:2] == b"\0\2"
    assert moved.unwrap([(new, b"place"), (old, b"place")]) == [b"k" * 32] * 2
    moved.remove(1)
    alone = again(places, settings)
    assert not isinstance(alone, Keyring)
    assert alone.unwrap([(new, b"place")]) == [b"k" * 32]


def test_every_port_derives_as_files_do() -> None:
    root = secrets.token_bytes(32)
    pseudorandom = hmac.digest(bytes(32), root, "sha256")
    assert hmac.digest(pseudorandom, expand_input("x"), "sha256") == derive(root, "x")


@pytest.mark.parametrize("kind", ["pkcs11", "vault"])
def test_keys_that_are_not_there_are_not_made_for_a_node_that_has_data(
    kind: str, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    settings = settings_of(kind, request, tmp_path)
    with pytest.raises(Unusable, match="bring back its backup"):
        again(places, settings)


def test_no_key_leaves_the_module(hsm: Any) -> None:
    import pkcs11  # noqa: PLC0415 - where SoftHSM is missing the test has skipped

    keys = Pkcs11Keys(hsm.module, hsm.label, PIN, "kept")
    keys.create()
    for name in ("kept-root", "kept-node-1"):
        key = keys._find(keys._session, name)
        assert not key[pkcs11.Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pkcs11_token": "nobodys"}, "there is no token 'nobodys'"),
        ({"pkcs11_pin_file": None}, "set `keys.pkcs11_module` and `keys.pkcs11_pin_file`"),
        ({"pkcs11_module": Path("/nowhere.so")}, "the module /nowhere.so cannot be used"),
    ],
)
def test_a_module_that_cannot_be_used_says_what_is_wrong(
    changes: dict[str, Any],
    said: str,
    request: pytest.FixtureRequest,
    places: Places,
    tmp_path: Path,
) -> None:
    module()
    given = settings_of("pkcs11", request, tmp_path)
    fields = {name: getattr(given, name) for name in given.__struct_fields__}
    with pytest.raises(Unusable, match="cannot be used") as refused:
        again(places, KeySettings(**{**fields, **changes}))
    assert said in refused.value.text


def test_a_secret_that_others_can_read_is_refused(
    request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    settings = settings_of("vault", request, tmp_path)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(Unusable, match="chmod 600"):
        again(places, settings)


def test_a_vault_that_is_sealed_refuses_or_is_away_is_told_apart(
    vault: Vault, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    settings = settings_of("vault", request, tmp_path)
    port = open_keys(places, settings, is_new=True)
    vault.is_sealed = True
    try:
        with pytest.raises(Overloaded, match="sealed"):
            port.wrap([(bytes(32), b"place")])
        with pytest.raises(Unusable, match="cannot be reached"):
            again(places, settings)
    finally:
        vault.is_sealed = False
    (tmp_path / "secret").write_text("another")
    with pytest.raises(Unusable, match=r"keys\.vault_token_file"):
        again(places, settings)
    gone = VaultKeys("http://127.0.0.1:1", "transit", tmp_path / "secret", "x", None)
    with pytest.raises(Overloaded, match="does not answer"):
        gone.derive("index")
    with pytest.raises(KeysUnreadable, match="not https"):
        VaultKeys("http://vault.example.org", "transit", tmp_path / "secret", "x", None)


def test_many_keys_are_one_request_to_the_vault(
    vault: Vault, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    port = open_keys(places, settings_of("vault", request, tmp_path), is_new=True)
    vault.asked.clear()
    wrapped = port.wrap([(bytes(32), b"%d" % number) for number in range(200)])
    assert len(vault.asked) == 2  # which keys there are, and the wrapping
    vault.asked.clear()
    port.unwrap([(each, b"%d" % number) for number, each in enumerate(wrapped)])
    assert len(vault.asked) == 1


def test_files_come_by_no_other_way(places: Places) -> None:
    FileKeys.create(places.keys)
    with pytest.raises(Unusable, match="do not leave it"):
        move_keys(places, KeySettings())


def inside(settings: KeySettings) -> KeySettings:
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return KeySettings(**{**fields, "signing": "module"})


@pytest.mark.parametrize("kind", ["pkcs11", "vault"])
def test_a_module_signs_with_keys_that_are_made_there_and_the_same_for_every_process(
    kind: str, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    settings = settings_of(kind, request, tmp_path)
    in_memory = open_keys(places, settings, is_new=True)
    keys, others = (again(places, inside(settings)) for _ in range(2))
    derived = signing_key(in_memory, "heads", ECDSA_P256)
    key, same = (signing_key(each, "heads", ECDSA_P256) for each in (keys, others))
    assert key.public.encoded == same.public.encoded != derived.public.encoded
    assert key.public.encoded != signing_key(keys, "stamps", ECDSA_P256).public.encoded
    for each in (key, same):
        key.public.verify(b"message", each.sign(b"message"))
    with pytest.raises(Tampered):
        key.public.verify(b"other", key.sign(b"message"))
    with pytest.raises(Unusable, match=r"node\.signature_suite"):
        signing_key(keys, "heads", SM2_SM3)


def test_the_signing_key_of_a_module_cannot_be_taken_out(hsm: Any) -> None:
    import pkcs11  # noqa: PLC0415 - where SoftHSM is missing the test has skipped

    keys = Pkcs11Keys(hsm.module, hsm.label, PIN, "held", signs_inside=True)
    keys.public_key("heads")
    key = keys._found["held-sign-heads"]
    assert (key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.EXTRACTABLE]) == (True, False)
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key[pkcs11.Attribute.VALUE]


def test_files_do_not_sign_inside(places: Places) -> None:
    with pytest.raises(Unusable, match=r"set `keys\.signing` to node"):
        open_keys(places, KeySettings(signing="module"), is_new=True)


@pytest.mark.parametrize("kind", ["pkcs11", "vault"])
def test_an_authority_and_a_log_in_a_module_sign_and_are_believed_with_what_was_before(
    kind: str, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    settings, suite = settings_of(kind, request, tmp_path), SUITES["international"]
    in_memory = open_keys(places, settings, is_new=True)
    before = OwnAuthority(in_memory, suite)
    head_before = Notary(in_memory, "international", "n").sign_head(Head(1, 0, bytes(32), 7))
    keys = again(places, inside(settings))
    own, notary = OwnAuthority(keys, suite), Notary(keys, "international", "n")
    assert {root.key_id for root in before.roots()} < {root.key_id for root in own.roots()}
    assert own.root.key_id != before.root.key_id
    head = notary.sign_head(Head(1, 0, bytes(32), 8))
    assert notary.is_signed(head)
    assert notary.is_signed(head_before)
    assert not Notary(in_memory, "international", "n").is_signed(head)
    authorities = Authorities(own.roots())
    office = Office(own, SignatureSettings())
    told = office.sign(b'{"resourceType":"Basic"}', Signer("a", "A", "7"), "1.2", "Basic/1")
    signed = provenance.read(told)
    judging = Judging(authorities=authorities, is_stamp_required=True)
    judged = judging.judge(
        b'{"resourceType":"Basic"}', signed.signature, signed.stamp, frozenset({"7"})
    )
    assert judged.holds, judged


def test_a_vault_that_is_sealed_signs_nothing(
    vault: Vault, request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> None:
    settings = settings_of("vault", request, tmp_path)
    open_keys(places, settings, is_new=True)
    keys = again(places, inside(settings))
    notary = Notary(keys, "international", "n")
    office = Office(OwnAuthority(keys, SUITES["international"]), SignatureSettings())
    vault.is_sealed = True
    try:
        with pytest.raises(Overloaded, match="sealed"):
            notary.sign_head(Head(1, 0, bytes(32), 8))
        with pytest.raises(Overloaded, match="sealed"):
            office.sign(b"{}", Signer("a", "A", "7"), "1.2", "Basic/1")
    finally:
        vault.is_sealed = False
    (tmp_path / "secret").write_text("a token that may not")
    with pytest.raises(Overloaded, match="nothing was signed"):
        notary.sign_head(Head(1, 0, bytes(32), 8))


def under(folder: Path, text: str) -> KeySettings:
    path = folder / f"passphrase-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return KeySettings(passphrase_file=path)


def test_key_files_are_sealed_under_a_passphrase_and_open_for_no_other(
    places: Places, tmp_path: Path
) -> None:
    settings = under(tmp_path, "seven words 全民")
    port = open_keys(places, settings, is_new=True)
    port.add(2)
    [wrapped] = port.wrap([(b"k" * 32, b"place")])
    assert again(places, settings).unwrap([(wrapped, b"place")]) == [b"k" * 32]
    for path in places.keys.glob("*.key"):
        assert path.read_text().startswith("scrypt 1 ")
    with pytest.raises(Unusable, match=r"is sealed: set `keys\.passphrase_file`"):
        again(places, KeySettings())
    other = under(tmp_path, "eight other words")
    with pytest.raises(Unusable, match="does not open"):
        again(places, other)
    with pytest.raises(Unusable, match="cannot be sealed"):
        seal_keys(places, other, old=None)
    with pytest.raises(Unusable, match="too short"):
        again(places, under(tmp_path, "short"))
    # One file in another's place does not open: the name is sealed with it.
    (places.keys / "node-1.key").write_bytes((places.keys / "node-2.key").read_bytes())
    with pytest.raises(Unusable, match=r"does not open .*node-1"):
        again(places, settings)


def test_the_keys_of_a_node_that_has_run_are_sealed_resealed_and_opened_again(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = open_keys(places, KeySettings(), is_new=True)
    plain.add(2)
    [wrapped], index = plain.wrap([(b"k" * 32, b"place")]), plain.derive("index")
    first, second = under(tmp_path, "the first words"), under(tmp_path, "the second words")
    with pytest.raises(Unusable, match="quanmin keys seal"):
        again(places, first)

    written = 0

    def crash(path: Path, content: bytes) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise KeyboardInterrupt
        replace_on_disk(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(base_keys, "replace_on_disk", crash)
        with pytest.raises(KeyboardInterrupt):
            seal_keys(places, first, old=None)
    assert seal_keys(places, first, old=None) == 2
    assert seal_keys(places, first, old=None) == 0
    assert seal_keys(places, second, old=first.passphrase_file) == 3
    for settings in (second, KeySettings()):
        if settings.passphrase_file is None:
            assert seal_keys(places, settings, old=second.passphrase_file) == 3
        keys = again(places, settings)
        assert keys.unwrap([(wrapped, b"place")]) == [b"k" * 32]
        assert keys.derive("index") == index
    assert {path.stat().st_mode & 0o777 for path in places.keys.glob("*.key")} == {0o600}
