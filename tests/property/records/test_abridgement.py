"""What a row tells of its body is left out and comes back, to the last byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from quanmin.fhir.json import splice
from quanmin.records.abridgement import Told, abridge, complete
from quanmin.records.context import instant_text
from quanmin.records.rid import assign, id_of

ids = st.builds(
    lambda sequence, bucket: id_of(assign(sequence, bucket, 96), "q"),
    st.integers(0, 2**45 - 1),
    st.integers(0, 1023),
)
moments = st.integers(0, 4_102_444_800_000).map(lambda milliseconds: milliseconds * 1000)
zones = st.sampled_from(["Asia/Shanghai", "UTC", "America/St_Johns", "Asia/Kathmandu"])


@given(own=ids, patient=ids, moment=moments, zone=zones, data=st.data())
@example(own="q" * 15, patient="q" * 15, moment=0, zone="UTC", data=None)
def test_a_body_comes_back_as_it_was(
    own: str, patient: str, moment: int, zone: str, data: st.DataObject | None
) -> None:
    text = instant_text(moment, ZoneInfo(zone))
    pieces = ["x", own, patient, text, text[:23], "+08:00", "\x02+08:00"]
    values = [patient] if data is None else data.draw(st.lists(st.sampled_from(pieces)))
    sent = json.dumps({"resourceType": "Basic", "values": values}).encode()
    body = splice(sent, id=own, version=1, updated_text=text)
    told = Told(own.encode(), patient.encode(), moment)
    assert complete(abridge(body, told, text.encode()), told) == body


def test_ids_and_moment_are_left_out() -> None:
    moment = int(datetime(2026, 11, 22, 6, 11, 11, 123_000, UTC).timestamp() * 1_000_000)
    body = (
        b'{"resourceType":"Observation","id":"q00000000000001",'
        b'"meta":{"versionId":"1","lastUpdated":"2026-11-22T14:11:11.123+08:00"},'
        b'"subject":{"reference":"Patient/q00000000000002"}}'
    )
    told = Told(b"q00000000000001", b"q00000000000002", moment)
    assert abridge(body, told, b"2026-11-22T14:11:11.123+08:00") == (
        b'{"resourceType":"Observation","id":"\x01",'
        b'"meta":{"versionId":"1","lastUpdated":"\x02+08:00"},'
        b'"subject":{"reference":"Patient/\x03"}}'
    )
