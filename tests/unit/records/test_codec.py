"""Bodies at rest: what was sealed once opens for good, and only where it was sealed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from quanmin.base.crypto import Tampered, suite_named
from quanmin.base.keys import FileKeys
from quanmin.records.abridgement import Told
from quanmin.records.codec import Codec, DataKey, Place, _dictionaries

KEY = DataKey(bytes(range(32)))
UPDATED_TEXT = "2026-11-22T06:11:11.123+08:00"
PLACE = Place(96, 5, 1, Told(b"q0000000009jsd8k", b"", 1_795_299_071_123_000))
BODY = (
    b'{"resourceType":"Observation","id":"q0000000009jsd8k","meta":{"versionId":"1",'
    b'"lastUpdated":"2026-11-22T06:11:11.123+08:00"},"status":"final","code":{"text":"x"}}'
)
# Written before bodies were abridged, with dictionary 17.
OF_THE_FIRST_FORM = bytes.fromhex(
    "01001112af64c7008c11f53db395c57461a43784c40eb07963d069675d3cbc9eb05a6f6a03ddc1319683147a5b"
    "b129010e092ac4ef50ed6c40bad6bc21670bcbb1778ff78bb03e6ac8c248de802e2711524cd60d2585d24b"
)


@pytest.fixture
def codec(tmp_path: Path) -> Codec:
    return Codec(FileKeys.create(tmp_path / "keys"), suite_named("international"))


def test_a_body_of_the_first_form_still_opens(codec: Codec) -> None:
    assert codec.open(KEY, PLACE, OF_THE_FIRST_FORM) == BODY


def test_a_body_comes_back_as_it_was_sealed(codec: Codec) -> None:
    sealed = codec.seal(KEY, "Observation", PLACE, BODY, updated_text=UPDATED_TEXT)
    assert codec.open(KEY, PLACE, sealed) == BODY
    assert len(sealed) < len(OF_THE_FIRST_FORM)


@pytest.mark.parametrize(
    "other",
    [
        {"type": 97},
        {"rid": 6},
        {"version": 2},
        {"told": Told(b"q0000000009jsd8k", b"", PLACE.told.updated + 1000)},
    ],
)
def test_a_body_opens_at_its_own_place_only(codec: Codec, other: dict[str, object]) -> None:
    sealed = codec.seal(KEY, "Observation", PLACE, BODY, updated_text=UPDATED_TEXT)
    with pytest.raises(Tampered):
        codec.open(KEY, msgspec.structs.replace(PLACE, **other), sealed)


def test_a_body_with_space_and_one_without_come_back(codec: Codec) -> None:
    for body in (BODY, msgspec.json.format(BODY, indent=4)):
        sealed = codec.seal(KEY, "Observation", PLACE, body, updated_text=UPDATED_TEXT)
        assert codec.open(KEY, PLACE, sealed) == body


def test_no_dictionary_is_taken_away_or_given_a_number_in_use() -> None:
    numbers = sorted(number for number, _, _ in _dictionaries())
    assert numbers == list(range(1, max(numbers) + 1))
