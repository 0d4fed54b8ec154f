"""Trains the compression dictionaries of bodies at rest, one for each frequent type and one for the
rest.

Only on synthetic data, since whatever is in a dictionary is readable by everyone who has the
program: the demo province, and any folder of synthetic bundles named on the command line. A new
training takes new numbers; files in use are never changed, because rows name the dictionary they
were packed with.

python tools/train_dictionaries.py [--people 400] [FOLDER ...]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from quanmin.demo.province import Province
from quanmin.fhir.json import splice

_OUT = Path(__file__).resolve().parent.parent / "quanmin" / "records" / "dictionaries"
_SIZE = 48 * 1024
_SAMPLES_MIN = 200
_BYTES_MAX = 24 * 1024 * 1024


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Typed(msgspec.Struct, rename={"type": "resourceType"}):
    type: str


def _bodies(people: int, folders: list[Path]) -> Iterator[bytes]:
    for bundles in Province(seed=7, people=people).bundles():
        for bundle in bundles:
            yield from _entries(bundle.body)
    for folder in folders:
        for file in sorted(folder.rglob("*.json")):
            yield from _entries(file.read_bytes())


def _entries(body: bytes) -> Iterator[bytes]:
    for entry in msgspec.json.decode(body, type=_Bundle).entry:
        yield bytes(entry.resource)


def _samples(people: int, folders: list[Path]) -> dict[str, list[bytes]]:
    samples: dict[str, list[bytes]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    stamp = "2026-01-01T00:00:00.000+08:00"
    for body in _bodies(people, folders):
        type_ = msgspec.json.decode(body, type=_Typed).type
        if sizes[type_] < _BYTES_MAX:
            # As it is stored: compact, with an id and a version in place.
            stored = splice(body, id="q000000000000000", version=1, updated_text=stamp)
            samples[type_].append(stored)
            sizes[type_] += len(stored)
    return samples


def main() -> None:
    """Train, write the files and print what each one saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("folders", nargs="*", type=Path)
    asked = parser.parse_args()
    samples = _samples(asked.people, asked.folders)
    used = [int(file.name.split("-", 1)[0]) for file in _OUT.glob("*.zdict")]
    number = max(used, default=0)
    rest: list[bytes] = []
    for type_, bodies in sorted(samples.items()):
        rest += bodies[:200]
        if len(bodies) >= _SAMPLES_MIN:
            number += 1
            _train(number, type_, bodies)
    _train(number + 1, "Resource", rest)


def _train(number: int, type_: str, bodies: list[bytes]) -> None:
    held_out = bodies[::5]
    dictionary = zstandard.train_dictionary(
        _SIZE, [body for place, body in enumerate(bodies) if place % 5], level=3
    )
    packer = zstandard.ZstdCompressor(level=3, dict_data=dictionary, write_dict_id=False)
    packed = sum(len(packer.compress(body)) for body in held_out) / len(held_out)
    plain = sum(map(len, held_out)) / len(held_out)
    (_OUT / f"{number:03d}-{type_}.zdict").write_bytes(dictionary.as_bytes())
    print(f"{number:3d} {type_:22s} {len(bodies):6d} samples  {plain:7.0f} -> {packed:5.0f} bytes")


if __name__ == "__main__":
    main()
