"""Writes the two lock files, and checks that they still belong to pyproject.toml.

`requirements.lock` is what a node runs on; `requirements-dev.lock` adds what tests and checks need.
Every file of every package is pinned by its hash, for x86-64 and aarch64 and any Python from 3.11
on. The header carries a digest of the dependency tables, so that a dependency added without
renewing the locks is noticed without a network.

    python tools/lock.py                 renew, keeping the versions that still fit
    python tools/lock.py --upgrade       renew with the newest versions
    python tools/lock.py --check         say what is stale; exit 1 if anything is
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "requirements.lock"
DEVELOPMENT = "requirements-dev.lock"
_HEADER = """\
# Written by `make lock`; change pyproject.toml, not this file.
# For Linux on x86-64 and aarch64, Python 3.11 and later.
# dependencies-sha256: {digest}
"""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def digest(root: Path) -> str:
    """The digest of everything in pyproject.toml that decides what is locked."""
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    tables = [
        declared["project"]["requires-python"],
        sorted(declared["project"]["dependencies"]),
        sorted(declared["dependency-groups"]["dev"]),
        declared["build-system"]["requires"],
    ]
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()


def pins(lock: str) -> dict[str, set[str]]:
    """Package name -> versions pinned; several when they differ by Python version."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall(lock):
        found.setdefault(_plain(name), set()).add(version)
    return found


def faults(root: Path) -> list[str]:
    """What is stale or unsafe in the lock files, each as a sentence that says what to do."""
    found = []
    expected = digest(root)
    locked: dict[str, dict[str, set[str]]] = {}
    for name in (RUNTIME, DEVELOPMENT):
        path = root / name
        if not path.exists():
            found.append(f"{name} is missing: run `make lock`")
            continue
        text = path.read_text(encoding="utf-8")
        locked[name] = pins(text)
        if f"dependencies-sha256: {expected}" not in text:
            found.append(f"{name} is older than pyproject.toml's dependencies: run `make lock`")
        found += [
            f"{name}: {block.split()[0]} has no hash: run `make lock`"
            for block in re.split(r"\n(?=[A-Za-z0-9])", text)
            if not block.startswith("#") and block.strip() and "--hash=sha256:" not in block
        ]
        if "://" in text:
            found.append(f"{name} names an address: locks hold names, versions and hashes only")
    if len(locked) == 2:
        found += [
            f"{name} differs between {RUNTIME} and {DEVELOPMENT}: run `make lock`"
            for name, versions in locked[RUNTIME].items()
            if locked[DEVELOPMENT].get(name) != versions
        ]
    return found


def renew(root: Path, *, upgrade: bool) -> None:
    """Write both lock files from pyproject.toml; needs a package registry."""
    header = _HEADER.format(digest=digest(root))
    for name, extra in (
        (RUNTIME, []),
        (DEVELOPMENT, ["--group", "pyproject.toml:dev", "--constraint", RUNTIME]),
    ):
        print(f"locking {name} ...", flush=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *extra),
                *("--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"),
                *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
                *(["--upgrade"] if upgrade else []),
                *("--output-file", name),
            ],
            cwd=root,
            check=True,
        )
        path = root / name
        path.write_text(header + path.read_text(encoding="utf-8"), encoding="utf-8")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: list[str]) -> int:
    """Run as a script; the arguments are in the module's docstring."""
    if "--check" in arguments:
        found = faults(ROOT)
        print("\n".join(found) or "The lock files belong to pyproject.toml.")
        return 1 if found else 0
    renew(ROOT, upgrade="--upgrade" in arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
