"""The copy of the keys opens with its passphrase only, and never overwrites keys."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from quanmin.base.keys import FileKeys
from quanmin.base.problems import Unusable
from quanmin.node import backup
from quanmin.node.backup import back_up_keys, restore_keys
from quanmin.node.key_settings import KeySettings
from quanmin.node.own_keys import open_keys, passphrase_of, seal_keys
from quanmin.node.places import Places

PASSPHRASE = "seven words that belong to no saying"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "node")
    made.prepare()
    open_keys(made, KeySettings(), is_new=True)
    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase that costs nothing, where it is not what is asked about."""
    monkeypatch.setattr(backup, "stretch", lambda text, salt: sha256(salt + text.encode()).digest())


def test_keys_come_back_with_the_passphrase(places: Places, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert back_up_keys(places, copy, PASSPHRASE) == 2
    other = Places(tmp_path / "other")
    assert restore_keys(other, copy, PASSPHRASE) == 2
    assert FileKeys(other.keys).derive("x") == FileKeys(places.keys).derive("x")
    assert copy.stat().st_mode & 0o777 == 0o600


def test_after_a_rotation_the_copy_has_both_keys(places: Places, tmp_path: Path) -> None:
    keys = FileKeys(places.keys)
    wrapped = keys.wrap([(b"old", b"")])
    keys.add(2)
    wrapped += keys.wrap([(b"new", b"")])
    assert back_up_keys(places, tmp_path / "copy", PASSPHRASE) == 3
    other = Places(tmp_path / "other")
    assert restore_keys(other, tmp_path / "copy", PASSPHRASE) == 3
    opened = FileKeys(other.keys).unwrap([(each, b"") for each in wrapped])
    assert opened == [b"old", b"new"]


def test_the_copy_shows_no_key(places: Places, tmp_path: Path) -> None:
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    content = (tmp_path / "copy").read_bytes()
    for path in places.keys.glob("*.key"):
        key = path.read_text().strip()
        assert key.encode() not in content
        assert bytes.fromhex(key) not in content


def test_a_wrong_passphrase_brings_nothing_back(places: Places, tmp_path: Path) -> None:
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    other = Places(tmp_path / "other")
    with pytest.raises(Unusable, match="passphrase is wrong"):
        restore_keys(other, tmp_path / "copy", PASSPHRASE + "!")
    assert not other.keys.exists()


def test_a_short_passphrase_is_refused(places: Places, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="too short"):
        back_up_keys(places, tmp_path / "copy", "password")
    assert not (tmp_path / "copy").exists()


def test_keys_that_are_there_are_never_overwritten(places: Places, tmp_path: Path) -> None:
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    with pytest.raises(Unusable, match="already"):
        restore_keys(places, tmp_path / "copy", PASSPHRASE)


@pytest.mark.usefixtures("quick")
def test_a_key_that_was_destroyed_comes_back_beside_those_that_are_there(
    places: Places, tmp_path: Path
) -> None:
    keys = FileKeys(places.keys)
    wrapped = keys.wrap([(b"old", b"")])
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    keys.add(2)
    wrapped += keys.wrap([(b"new", b"")])
    keys.remove(1)
    assert restore_keys(places, tmp_path / "copy", PASSPHRASE) == 1
    opened = FileKeys(places.keys).unwrap([(each, b"") for each in wrapped])
    assert opened == [b"old", b"new"]


@pytest.mark.usefixtures("quick")
def test_a_copy_goes_on_where_it_was_interrupted(places: Places, tmp_path: Path) -> None:
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    other = Places(tmp_path / "other")
    restore_keys(other, tmp_path / "copy", PASSPHRASE)
    (other.keys / "node-1.key").rename(other.keys / ".node-1.key.part")
    assert restore_keys(other, tmp_path / "copy", PASSPHRASE) == 1
    assert {path.name for path in other.keys.iterdir()} == {"node-1.key", "root.key"}


@pytest.mark.usefixtures("quick")
def test_keys_of_another_node_or_of_the_same_number_are_not_mixed_in(
    places: Places, tmp_path: Path
) -> None:
    keys = FileKeys(places.keys)
    keys.add(2)
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    keys.remove(2)
    keys.add(2)
    keys.remove(1)
    with pytest.raises(Unusable, match=r"node-2.key is there already and another"):
        restore_keys(places, tmp_path / "copy", PASSPHRASE)
    other = Places(tmp_path / "other")
    other.prepare()
    FileKeys.create(other.keys)
    (other.keys / "node-1.key").rename(other.keys / "node-9.key")
    with pytest.raises(Unusable, match=r"root.key is there already and another"):
        restore_keys(other, tmp_path / "copy", PASSPHRASE)
    (other.keys / "root.key").unlink()
    with pytest.raises(Unusable, match="move them away"):
        restore_keys(other, tmp_path / "copy", PASSPHRASE)
    assert [path.name for path in other.keys.iterdir()] == ["node-9.key"]


@pytest.mark.usefixtures("quick")
def test_a_copy_from_before_the_keys_were_sealed_is_told_to_be_of_this_node(
    places: Places, tmp_path: Path
) -> None:
    keys = FileKeys(places.keys)
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    keys.add(2)
    keys.remove(1)
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    settings = KeySettings(passphrase_file=secret)
    seal_keys(places, settings, old=None)
    assert restore_keys(places, tmp_path / "copy", PASSPHRASE, settings) == 1
    seal_keys(places, settings, old=None)
    assert FileKeys(places.keys, passphrase_of(settings)).numbers() == (1, 2)


def test_a_file_that_is_there_is_never_overwritten(places: Places, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(Unusable, match="exists already"):
        back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    assert (tmp_path / "copy").read_text() == "mine"


def test_new_keys_are_not_made_beside_old_data(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="keys cannot be used"):
        open_keys(Places(tmp_path / "node"), KeySettings(), is_new=False)
    assert not (tmp_path / "node" / "keys").exists()


@pytest.mark.usefixtures("quick")
def test_keys_that_have_nothing_in_common_any_more_are_known_to_be_of_one_node(
    places: Places, tmp_path: Path
) -> None:
    back_up_keys(places, tmp_path / "copy", PASSPHRASE)
    keys = FileKeys(places.keys)
    old = keys.derive("x")
    for number in (2, 3):
        keys.add_root(number)
        keys.add(number)
        keys.remove_root(number - 1)
        keys.remove(number - 1)
    assert {path.name for path in places.keys.iterdir()} == {"node-3.key", "root-3.key"}
    back_up_keys(places, tmp_path / "later", PASSPHRASE)
    assert restore_keys(places, tmp_path / "copy", PASSPHRASE) == 2
    assert FileKeys(places.keys).roots() == (1, 3)
    assert FileKeys(places.keys).derive("x") == old
    other = Places(tmp_path / "other")
    restore_keys(other, tmp_path / "later", PASSPHRASE)
    restore_keys(other, tmp_path / "copy", PASSPHRASE)
    assert FileKeys(other.keys).derive("x", 3) == FileKeys(places.keys).derive("x", 3)
    stranger = Places(tmp_path / "stranger")
    stranger.prepare()
    strange = FileKeys.create(stranger.keys)
    strange.add_root(4)
    strange.add(9)
    strange.remove_root(1)
    strange.remove(1)
    with pytest.raises(Unusable, match="another node than the copy's"):
        restore_keys(stranger, tmp_path / "later", PASSPHRASE)
    assert FileKeys(stranger.keys).roots() == (4,)
