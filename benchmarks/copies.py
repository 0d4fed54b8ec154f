"""Synthetic bundles in any number, the same for the same seed.

Synthea's bundles where the shared folder is there, each copy with ids, dates, names and identifiers
of its own; else the invented province, which needs nothing from outside.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import tarfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import msgspec

from quanmin.demo.dice import Dice
from quanmin.demo.names import draw_surname, make_name
from quanmin.demo.numbering import identity_number
from quanmin.demo.province import Province

ROOT = Path(__file__).resolve().parent.parent
SYNTHEA = "synthea_r4_60.tar.xz"
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATE = re.compile(rb'"((?:19|20)\d\d-\d\d-\d\d)')
_HEAD = b'{"resourceType":"Bundle","type":"transaction","entry":['
_SHIFT_DAYS = 700


class Bundle(msgspec.Struct, frozen=True):
    """A transaction bundle, and how many resources are in it."""

    body: bytes
    resources: int


class _Entry(msgspec.Struct, rename="camel"):
    full_url: str
    resource: msgspec.Raw
    request: msgspec.Raw


class _Whole(msgspec.Struct):
    entry: list[_Entry]


def synthea() -> Path | None:
    """The archive of Synthea's bundles, when there is one."""
    named = os.environ.get("QUANMIN_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    path = folder / "data" / SYNTHEA
    return path if path.exists() else None


def description() -> str:
    """What the data are, for the report."""
    if synthea() is None:
        return "the invented province (no shared folder): synthetic people of an invented place"
    return (
        "62 Synthea bundles (13,390 resources), in the archive's own indented form, repeated with"
        " new ids, dates, names and identifiers"
    )


def bundles(seed: int) -> Iterator[Bundle]:
    """Bundles without end."""
    path = synthea()
    if path is None:
        yield from _province(seed)
        return
    yield from bundles_from(seed, 0)


def bundles_from(seed: int, copy: int) -> Iterator[Bundle]:
    """Synthea's bundles without end, beginning with the so many-th copy of them."""
    originals = _originals()
    while True:
        for place, original in enumerate(originals):
            yield original.copied(seed, copy, place)
        copy += 1


def bundles_a_copy() -> int:
    """How many bundles one copy of Synthea's people takes."""
    return len(_originals())


def _province(seed: int) -> Iterator[Bundle]:
    while True:
        for several in Province(seed=seed, people=20_000).bundles():
            for bundle in several:
                yield Bundle(bundle.body, bundle.body.count(b'"resource":'))
        seed += 1


class Original(msgspec.Struct, frozen=True):
    """One of Synthea's bundles: its Patient, and everything else as bytes."""

    patient: dict[str, object]
    patient_head: bytes
    rest: bytes
    resources: int

    def copied(self, seed: int, copy: int, place: int) -> Bundle:
        """The bundle with another person in it; the first copy keeps ids and dates."""
        dice = random.Random(f"{seed}.{copy}.{place}")
        patient = self.patient | _person(seed, copy, place, self.patient)
        body = b"".join((_HEAD, self.patient_head, msgspec.json.encode(patient), self.rest, b"]}"))
        if copy:
            body = _UUID.sub(_renamed(seed, copy), body)
            body = _DATE.sub(_moved(dice.randrange(1, _SHIFT_DAYS)), body)
        return Bundle(body, self.resources)


@cache
def _originals() -> tuple[Original, ...]:
    path = synthea()
    if path is None:
        raise SystemExit("Synthea's bundles are not there: see QUANMIN_SHARED in the manual")
    originals = []
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                originals.append(_read(content.read()))
    return tuple(originals)


def _read(raw: bytes) -> Original:
    entries = msgspec.json.decode(raw, type=_Whole).entry
    # The patient comes first in some bundles only; the order of a transaction means nothing.
    entries.sort(key=lambda entry: b'"Patient"' not in bytes(entry.resource)[:80])
    first, *others = entries
    patient: dict[str, object] = msgspec.json.decode(first.resource)
    rest = b"".join(
        b',{"fullUrl":"%s","resource":%s,"request":%s}'
        % (entry.full_url.encode(), bytes(entry.resource), bytes(entry.request))
        for entry in others
    )
    head = b'{"fullUrl":"%s","request":%s,"resource":' % (
        first.full_url.encode(),
        bytes(first.request),
    )
    return Original(patient, head, b"}" + rest, len(entries))


def _spaced(patient: dict[str, object]) -> bytes:
    """In the form of the archive, which is kept: bodies are stored as they are sent."""
    return msgspec.json.format(msgspec.json.encode(patient), indent=4)


def _person(seed: int, copy: int, place: int, patient: dict[str, object]) -> dict[str, object]:
    """A Chinese name and number of an invented person, and identifiers that nobody else has."""
    if patient.get("resourceType") != "Patient":
        return {}
    male = patient.get("gender") == "male"
    born = date.fromisoformat(str(patient["birthDate"]))
    drawn = Dice(seed, "benchmark", copy, place)
    name = make_name(drawn, "01", draw_surname(drawn), born.year, male=male)
    number = identity_number("519901", born, copy * 100 + place, male=male)
    identifiers = [
        {"system": "urn:oid:2.16.156.10011.1.3", "value": number},
        {"system": "https://hospital.example/records", "value": f"R{copy:05d}-{place:03d}"},
    ]
    given = [{"family": name.family, "given": [name.given], "text": name.text}]
    return {"identifier": identifiers, "name": given}


def _renamed(seed: int, copy: int) -> Callable[[re.Match[bytes]], bytes]:
    mask = int.from_bytes(hashlib.blake2b(f"{seed}.{copy}".encode(), digest_size=16).digest())

    @cache
    def rename(old: bytes) -> bytes:
        digits = f"{int(old.replace(b'-', b''), 16) ^ mask:032x}"
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return "-".join(parts).encode()

    return lambda found: rename(found[0])


def _moved(days: int) -> Callable[[re.Match[bytes]], bytes]:
    """Dates earlier by so many days, the clock times left as they are."""

    @cache
    def move(text: bytes) -> bytes:
        moved = date.fromisoformat(text.decode()) - timedelta(days=days)
        return b'"' + moved.isoformat().encode()

    return lambda found: move(found[1])
