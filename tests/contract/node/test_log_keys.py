"""Proofs from before a change of suite are checked after it, by who knows one key of the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from quanmin.base.keys import FileKeys
from quanmin.base.problems import Unusable
from quanmin.node.log_keys import key_file, key_of, read_keys
from quanmin.trust import Notary
from quanmin.trust.log.notary import is_signed_by


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    return FileKeys.create(tmp_path / "keys")


def written(path: Path, notary: Notary) -> Path:
    path.write_text(key_file(notary))
    return path


def test_what_was_signed_before_a_change_is_checked_with_the_file_of_after_it(
    keys: FileKeys, tmp_path: Path
) -> None:
    before, after = (Notary(keys, suite, "node") for suite in ("international", "gm"))
    file = read_keys(written(tmp_path / "new.pem", after))
    assert file[0].key_id == after.public.key_id
    for notary in (before, after):
        signature = notary.sign(b"deleted")
        assert is_signed_by(key_of(file, signature), b"deleted", signature)
        assert not is_signed_by(key_of(file, signature), b"kept", signature)


def test_who_has_one_key_of_a_node_takes_its_others_and_nobody_elses(
    keys: FileKeys, tmp_path: Path
) -> None:
    before, after = (Notary(keys, suite, "node") for suite in ("international", "gm"))
    earlier = tmp_path / "earlier.pem"
    block = key_file(before).partition("-----END PUBLIC KEY-----\n")
    earlier.write_text(block[0] + block[1])  # as it was written when there was but one
    assert [key.key_id for key in read_keys(earlier)] == [before.public.key_id]
    new = written(tmp_path / "new.pem", after)
    assert after.public.key_id in {key.key_id for key in read_keys(new, earlier)}

    stranger = Notary(FileKeys.create(tmp_path / "others"), "gm", "node")
    others = written(tmp_path / "others.pem", stranger)
    with pytest.raises(Unusable, match="None of the keys"):
        read_keys(others, earlier)
    # A stranger's key among them: what was signed is another list of keys.
    mixed = tmp_path / "mixed.pem"
    mixed.write_text(others.read_text().partition("-----BEGIN QUANMIN")[0] + new.read_text())
    with pytest.raises(Unusable, match="None of the keys"):
        read_keys(mixed, earlier)
    mixed.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(Unusable, match="no public key"):
        read_keys(mixed)
