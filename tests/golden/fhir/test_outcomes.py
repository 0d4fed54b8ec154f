"""What a hospital engineer reads when a resource is refused, word for word.

`refusals/<name>.json` is sent, `refusals/<name>.told.json` is the answer. When a change of words is
meant, run this module as a script, then read the difference as the engineer would.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from quanmin.fhir.json import decode
from quanmin.fhir.outcome import operation_outcome
from quanmin.fhir.validation import validate

FOLDER = Path(__file__).parent / "refusals"
EXPECTED_TYPE = {"a_wrong_type": "Patient"}
SENT = sorted(path for path in FOLDER.glob("*.json") if not path.name.endswith(".told.json"))


def told(sent: Path) -> bytes:
    raw = sent.read_bytes()
    name = EXPECTED_TYPE.get(sent.stem) or decode(raw)["resourceType"]
    return msgspec.json.format(operation_outcome(validate(name, raw)), indent=2) + b"\n"


@pytest.mark.parametrize("sent", SENT, ids=lambda path: path.stem)
def test_a_refusal_reads_as_it_was_agreed(sent: Path) -> None:
    assert told(sent).decode() == sent.with_suffix(".told.json").read_text("utf-8")


def test_there_are_refusals_to_read() -> None:
    assert len(SENT) >= 6


if __name__ == "__main__":
    for path in SENT:
        path.with_suffix(".told.json").write_bytes(told(path))
