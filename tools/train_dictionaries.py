"""Trains the compression dictionaries of bodies at rest, one for each frequent type and one for the
rest.

Only on synthetic data, since whatever is in a dictionary is readable by everyone who has the
program: the demo province, and any folder of synthetic bundles named on the command line, in their
own form and without white space. A new training takes new numbers; files in use are never changed,
because rows name the dictionary they were packed with.

python tools/train_dictionaries.py [--people 400] [FOLDER ...]
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from quanmin.demo.province import Province
from quanmin.fhir.json import splice
from quanmin.records.abridgement import Told, abridge
from quanmin.records.codec import is_spaced, packer_of

_OUT = Path(__file__).resolve().parent.parent / "quanmin" / "records" / "dictionaries"
_SIZE = 64 * 1024
# How long a stretch of a sample goes into a dictionary as one. The library's own choice, some
# dozens of bytes, cuts records into crumbs: three times as many bytes for a Procedure.
_SEGMENTS = (500, 1000, 2000, 4000)
_PIECE = 8
_SAMPLES_MIN = 100
_SAMPLES_MAX = 6000
_URN = re.compile(rb"urn:uuid:[0-9a-f-]{36}")
_MOMENT = 1_767_196_800_000_000
_STAMP = "2026-01-01T00:00:00.000+08:00"
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class _Entry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw
    full_url: str = ""


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Typed(msgspec.Struct, rename={"type": "resourceType"}):
    type: str


def _of_the_province(people: int) -> Iterator[bytes]:
    for bundles in Province(seed=7, people=people).bundles():
        for bundle in bundles:
            yield bundle.body


def _of_folders(folders: list[Path], *, is_compact: bool) -> Iterator[bytes]:
    for folder in folders:
        for file in sorted(folder.rglob("*.json")):
            body = file.read_bytes()
            yield msgspec.json.format(body, indent=0) if is_compact else body


def _stored(bundle: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """The resources by type as they are packed: ids given, references resolved, abridged."""
    entries = msgspec.json.decode(bundle, type=_Bundle).entry
    types = [msgspec.json.decode(entry.resource, type=_Typed).type for entry in entries]
    ids = [_id(chance) for _ in entries]
    patient = next((i for i, t in zip(ids, types, strict=True) if t == "Patient"), _id(chance))
    references = {
        entry.full_url.encode(): f"{type_}/{id_}".encode()
        for entry, type_, id_ in zip(entries, types, ids, strict=True)
    }

    def resolve(found: re.Match[bytes]) -> bytes:
        return references.setdefault(found[0], b"Patient/" + _id(chance).encode())

    for entry, type_, id_ in zip(entries, types, ids, strict=True):
        body = _URN.sub(resolve, bytes(entry.resource))
        whole = splice(body, id=id_, version=1, updated_text=_STAMP)
        yield type_, abridge(whole, Told(id_.encode(), patient.encode(), _MOMENT), _STAMP.encode())


def _id(chance: random.Random) -> str:
    return "q0000" + "".join(chance.choices(_LETTERS, k=10))


def _samples(sources: list[Iterator[bytes]]) -> dict[str, list[bytes]]:
    """Bodies by type, from each source about as many."""
    chance = random.Random(7)  # noqa: S311 - the same dictionaries from the same samples
    samples: dict[str, list[bytes]] = defaultdict(list)
    for bundles in sources:
        found: dict[str, list[bytes]] = defaultdict(list)
        for bundle in bundles:
            for type_, body in _stored(bundle, chance):
                found[type_].append(body)
        for type_, bodies in found.items():
            samples[type_] += chance.sample(bodies, min(len(bodies), _SAMPLES_MAX))
    return samples


def main() -> None:
    """Train, write the files and print what each one saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--out", type=Path, default=_OUT, help="where the files go")
    parser.add_argument("folders", nargs="*", type=Path)
    asked = parser.parse_args()
    samples = _samples(
        [
            _of_the_province(asked.people),
            _of_folders(asked.folders, is_compact=False),
            _of_folders(asked.folders, is_compact=True),
        ]
    )
    used = [int(file.name.split("-", 1)[0]) for file in _OUT.glob("*.zdict")]
    number = max(used, default=0)
    rest: dict[str, list[bytes]] = {"Resource": [], "Resource-spaced": []}
    for type_, bodies in sorted(samples.items()):
        # A body with white space shares little with one without: each form has a dictionary.
        forms = {
            type_: [body for body in bodies if not is_spaced(body)],
            f"{type_}-spaced": [body for body in bodies if is_spaced(body)],
        }
        for (form, found), others in zip(forms.items(), rest.values(), strict=True):
            others.extend(found[:200])
            if len(found) >= _SAMPLES_MIN:
                number += 1
                _train(asked.out, number, form, found)
    for form, found in rest.items():
        if found:
            number += 1
            _train(asked.out, number, form, found)


def _train(folder: Path, number: int, form: str, bodies: list[bytes]) -> None:
    held_out = bodies[::5]
    taught: list[bytes | bytearray | memoryview] = [
        body for place, body in enumerate(bodies) if place % 5
    ]
    trained = [
        zstandard.train_dictionary(_SIZE, taught, k=segment, d=_PIECE) for segment in _SEGMENTS
    ]
    dictionary = min(trained, key=lambda each: _packed(each, held_out))
    plain = sum(map(len, held_out)) / len(held_out)
    packed = _packed(dictionary, held_out)
    (folder / f"{number:03d}-{form}.zdict").write_bytes(dictionary.as_bytes())
    print(f"{number:3d} {form:29s} {len(bodies):6d} samples  {plain:7.0f} -> {packed:5.0f} bytes")


def _packed(dictionary: zstandard.ZstdCompressionDict, bodies: list[bytes]) -> float:
    packer = packer_of(dictionary)
    return sum(len(packer.compress(body)) for body in bodies) / len(bodies)


if __name__ == "__main__":
    main()
