"""CPU time of signing and verifying, by each algorithm and of a whole document in both suites.

    python benchmarks/signatures.py [--rounds N]

One thread; each round does everything once after the other, and the best round of each counts. A
document is an Observation of 1 KiB: its form, signature and stamp are made, and judged with
certificate and chain as `quanmin signature verify` does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from quanmin.base import sm2
from quanmin.base.authorities import Authorities
from quanmin.base.crypto import derive
from quanmin.base.signing import ALGORITHMS, DIGESTS, SUITES, SignatureSuite
from quanmin.trust.signatures import Judging, OwnAuthority
from quanmin.trust.signatures.content import CONTENT, canonical
from quanmin.trust.signatures.detached import sign

TEXT = b"x" * 1024
DOCUMENT = json.dumps(
    {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
        "valueQuantity": {"value": 5.4, "unit": "mmol/L"},
        "note": [{"text": "y" * 800}],
    }
).encode()
_REPEATED = 200


class _Keys:
    """A key port for measuring: nothing it derives is of use to anyone."""

    is_remote = False

    def wrap(self, key: bytes, place: bytes) -> bytes:
        return key + place

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        return wrapped.removesuffix(place)

    def derive(self, purpose: str, root: int = 1) -> bytes:
        return derive(b"measured %d" % root, purpose)

    def roots(self) -> tuple[int, ...]:
        return (1,)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = {**_bare(), **_documents()}
    best = dict.fromkeys(asked, float("inf"))
    for _ in range(parser.parse_args().rounds):
        for name, call in asked.items():
            started = time.process_time()
            for _ in range(_REPEATED):
                call()
            best[name] = min(best[name], (time.process_time() - started) / _REPEATED)
    table = Table("what", "us", "a second and core", title=f"SM2 by {sm2.library().name}")
    for name, seconds in best.items():
        table.add_row(name, f"{seconds * 1e6:,.0f}", f"{1 / seconds:,.0f}")
    Console(width=100).print(table)


def _bare() -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    for algorithm in ALGORITHMS.values():
        key = algorithm.private_key(b"k" * 32)
        signature = key.sign(TEXT)
        found[f"sign 1 KiB, {algorithm.name}"] = lambda key=key: key.sign(TEXT)
        found[f"verify 1 KiB, {algorithm.name}"] = lambda key=key, signature=signature: (
            key.public.verify(TEXT, signature)
        )
    for digest in DIGESTS.values():
        found[f"hash 1 KiB, {digest.name}"] = lambda digest=digest: digest.of(TEXT)
    return found


def _documents() -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    for name, suite in SUITES.items():
        found[f"sign and stamp a document, {name}"] = _signing(suite)
        found[f"judge a document, {name}"] = _judging(suite)
    return found


def _signing(suite: SignatureSuite) -> Callable[[], tuple[bytes, bytes]]:
    own = OwnAuthority(_Keys(), suite)

    def signed() -> tuple[bytes, bytes]:
        moment = datetime.now(UTC)
        certificate = own.certify("a", "A", "1", moment)
        content = canonical(DOCUMENT, CONTENT)
        signature = sign(content, own.key_of("a"), [certificate.der], moment)
        return signature, own.stamper.stamp(suite.digest, signature)

    return signed


def _judging(suite: SignatureSuite) -> Callable[[], object]:
    signature, stamp = _signing(suite)()
    judging = Judging(authorities=Authorities([OwnAuthority(_Keys(), suite).root]))
    now = datetime.now(UTC) + timedelta(minutes=1)
    if not judging.judge(DOCUMENT, signature, stamp, {"1"}, now).holds:
        raise SystemExit("the signature does not hold, so nothing is measured")
    return lambda: judging.judge(DOCUMENT, signature, stamp, {"1"}, now)


if __name__ == "__main__":
    main()
