"""What processes have used, from /proc: processor time and memory of a whole tree."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")
# With the number of a process, shifted and inverted, Linux's name of its clock.
_SCHEDULED = 2


class Used(msgspec.Struct, frozen=True):
    """Processor seconds of the node's Python and of PostgreSQL."""

    python: float
    postgres: float

    def since(self, earlier: Used) -> Used:
        """What has been used since an earlier look."""
        return Used(self.python - earlier.python, self.postgres - earlier.postgres)


def tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def used(root: int) -> Used:
    """Processor time of the tree so far, of its ended children too."""
    python = postgres = 0.0
    for process in tree(root):
        fields = _stat(process)
        if not fields:
            continue
        # The supervisor waits for short-lived children of its own; a server's ended backends are
        # counted by the server.
        seconds = sum(int(field) for field in fields[13:15]) / _TICKS + _own_seconds(process)
        if is_postgres(process):
            postgres += seconds
        else:
            python += seconds
    return Used(python, postgres)


def _own_seconds(process: int) -> float:
    """Processor time of a process itself, to the nanosecond: /proc has hundredths of a second."""
    try:
        return time.clock_gettime(~process << 3 | _SCHEDULED)
    except OSError:  # it has just ended
        return 0.0


def is_postgres(process: int) -> bool:
    """Whether it is a process of the database."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip() == "postgres"
    except OSError:
        return False


def resident_bytes(process: int) -> int:
    """Memory of a process, shared pages counted whole."""
    return _rollup(process, "Rss")


def proportional_bytes(processes: list[int]) -> int:
    """Memory of processes together, shared pages counted once."""
    return sum(_rollup(process, "Pss") for process in processes)


def _rollup(process: int, name: str) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _stat(process: int) -> list[str]:
    """The fields of /proc/N/stat after the name: state, parent, ..."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def machine() -> dict[str, str]:
    """What it was measured on."""
    cpu = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": cpu or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": load(),
    }


def load() -> str:
    """How many processes have wanted a core in the last 1, 5 and 15 minutes."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())
