"""Makes the offline bundle: everything a node needs, PostgreSQL included, in one file for a
machine.

The wheels are those of requirements.lock, each checked by its hash, for Linux with glibc on x86-64
and aarch64 and for the Python that makes the bundle; with them our own wheel, the install script
and the checksums of it all. The same commit gives the same bytes.

    python tools/bundle/bundle.py [--machine x86_64|aarch64] [--to FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = "requirements.lock"
MACHINES = ("x86_64", "aarch64")
# Every glibc from 2.17 (2012) to 2.34: pip takes a wheel for an older one where it finds it.
GLIBC = ("2014", "_2_17", "_2_24", "_2_26", "_2_27", "_2_28", "_2_31", "_2_34")


def say(what: str) -> None:
    """Tell what is being done."""
    print(f"== {what}", flush=True)


def python_version() -> str:
    """The Python this bundle is for, as in `3.11`."""
    return ".".join(map(str, sys.version_info[:2]))


def commit_moment() -> int:
    """When the commit was made that is bundled, in seconds: the time stamp of everything inside."""
    command = ["git", "log", "-1", "--format=%ct"]  # the git on the path made this tree
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return int(answer.stdout.strip() or 0)


def download(machine: str, wheels: Path) -> None:
    """Every locked wheel for `machine`, checked by hash. Raises CalledProcessError when one is
    missing.
    """
    platforms = [f"--platform=manylinux{glibc}_{machine}" for glibc in GLIBC]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", "--progress-bar", "off", "--quiet"),
            *platforms,
            *(f"--python-version={python_version()}", "--implementation=cp"),
            *("--requirement", LOCK, "--dest", str(wheels)),
        ],
        cwd=ROOT,
        check=True,
    )


def build(wheels: Path, moment: int) -> str:
    """Our own wheel into `wheels`; its version. Nothing is fetched."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", wheels],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(moment)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = wheels.glob("quanmin-*.whl")
    return wheel.name.split("-")[1]


def describe(folder: Path, machine: str, version: str) -> None:
    """What the bundle is for, and the checksum of every file in it."""
    lines = {"version": version, "machine": machine, "python": python_version()}
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    (folder / "BUNDLE").write_text(text, encoding="utf-8")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def pack(folder: Path, target: Path, moment: int) -> None:
    """The folder as one tar file, in a fixed order and with fixed owners and times."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = moment
        member.mode = 0o755 if member.isdir() or member.name.endswith(".sh") else 0o644
        return member

    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w") as out:
        for path in sorted([folder, *folder.rglob("*")]):
            out.add(path, str(path.relative_to(folder.parent)), recursive=False, filter=plain)
    # A bundle under its own name is always whole.
    partial.replace(target)


def bundle(machine: str, to: Path) -> Path:
    """The finished bundle for `machine` in the folder `to`."""
    moment = commit_moment()
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / "staged"
        wheels = staged / "wheels"
        wheels.mkdir(parents=True)
        say(f"collecting the locked packages for {machine}, Python {python_version()}")
        download(machine, wheels)
        say("building quanmin itself")
        version = build(wheels, moment)
        for file in (ROOT / LOCK, ROOT / "LICENSE", Path(__file__).with_name("install.sh")):
            shutil.copy(file, staged)
        describe(staged, machine, version)
        name = f"quanmin-{version}-{machine}-python{python_version()}"
        folder = staged.rename(staged.with_name(name))
        to.mkdir(parents=True, exist_ok=True)
        target = to / f"{name}.tar"
        pack(folder, target, moment)
    say(f"{target} ({target.stat().st_size // 2**20} MiB)")
    return target


def main(arguments: list[str]) -> int:
    """Run as a script; the arguments are in the module's docstring."""
    parser = argparse.ArgumentParser(description="Make the offline bundle.")
    parser.add_argument("--machine", choices=MACHINES, action="append")
    parser.add_argument("--to", type=Path, default=ROOT / "dist")
    chosen = parser.parse_args(arguments)
    for machine in chosen.machine or MACHINES:
        try:
            bundle(machine, chosen.to)
        except subprocess.CalledProcessError as error:
            print(f"no bundle for {machine}: {error}", file=sys.stderr)
            return 1
    if platform.machine() not in MACHINES:
        print(f"This machine, {platform.machine()}, is of neither kind.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
