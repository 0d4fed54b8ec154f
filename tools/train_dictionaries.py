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
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from quanmin.demo.province import Province
from quanmin.fhir.json import splice
from quanmin.records.codec import is_spaced

_OUT = Path(__file__).resolve().parent.parent / "quanmin" / "records" / "dictionaries"
_SIZE = 64 * 1024
_SAMPLES_MIN = 200
_SAMPLES_MAX = 4000
_URN = re.compile(rb"urn:uuid:[0-9a-f-]{36}")
_STAMP = "2026-01-01T00:00:00.000+08:00"
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Typed(msgspec.Struct, rename={"type": "resourceType"}):
    type: str


def _of_the_province(people: int) -> Iterator[bytes]:
    for bundles in Province(seed=7, people=people).bundles():
        for bundle in bundles:
            yield bundle.body


def _of_folders(folders: list[Path]) -> Iterator[bytes]:
    for folder in folders:
        for file in sorted(folder.rglob("*.json")):
            yield file.read_bytes()


def _stored(bundle: bytes, chance: random.Random) -> Iterator[bytes]:
    """The resources as they are stored: ids given, references resolved."""
    resolved: dict[bytes, bytes] = {}

    def resolve(found: re.Match[bytes]) -> bytes:
        return resolved.setdefault(found[0], b"Patient/" + _id(chance).encode())

    for entry in msgspec.json.decode(bundle, type=_Bundle).entry:
        body = _URN.sub(resolve, bytes(entry.resource))
        yield splice(body, id=_id(chance), version=1, updated_text=_STAMP)


def _id(chance: random.Random) -> str:
    return "q0000" + "".join(chance.choices(_LETTERS, k=10))


def _samples(sources: list[Iterator[bytes]]) -> dict[str, list[bytes]]:
    """Bodies by type, from each source about as many."""
    chance = random.Random(7)  # noqa: S311 - the same dictionaries from the same samples
    samples: dict[str, list[bytes]] = defaultdict(list)
    for bundles in sources:
        found: dict[str, list[bytes]] = defaultdict(list)
        for bundle in bundles:
            for body in _stored(bundle, chance):
                found[msgspec.json.decode(body, type=_Typed).type].append(body)
        for type_, bodies in found.items():
            samples[type_] += chance.sample(bodies, min(len(bodies), _SAMPLES_MAX))
    return samples


def main() -> None:
    """Train, write the files and print what each one saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("folders", nargs="*", type=Path)
    asked = parser.parse_args()
    samples = _samples([_of_the_province(asked.people), _of_folders(asked.folders)])
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
                _train(number, form, found)
    for form, found in rest.items():
        if found:
            number += 1
            _train(number, form, found)


def _train(number: int, form: str, bodies: list[bytes]) -> None:
    held_out = bodies[::5]
    dictionary = zstandard.train_dictionary(
        _SIZE, [body for place, body in enumerate(bodies) if place % 5], level=3
    )
    packer = zstandard.ZstdCompressor(level=3, dict_data=dictionary, write_dict_id=False)
    packed = sum(len(packer.compress(body)) for body in held_out) / len(held_out)
    plain = sum(map(len, held_out)) / len(held_out)
    (_OUT / f"{number:03d}-{form}.zdict").write_bytes(dictionary.as_bytes())
    print(f"{number:3d} {form:29s} {len(bodies):6d} samples  {plain:7.0f} -> {packed:5.0f} bytes")


if __name__ == "__main__":
    main()
