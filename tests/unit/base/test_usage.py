"""How much has been used, counted by all processes in one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from quanmin.base.usage import Usage


def test_what_is_beyond_the_most_is_refused_and_not_counted() -> None:
    usage = Usage()
    assert usage.take("a", 1, 3, 5) == 3
    assert usage.take("a", 1, 3, 5) is None
    assert usage.take("a", 1, 2, 5) == 5
    assert usage.used("a", 1) == 5
    assert usage.take("b", 1, 5, 5) == 5


def test_another_span_begins_with_nothing() -> None:
    usage = Usage()
    usage.take("a", 1, 5, 5)
    assert usage.used("a", 2) == 0
    assert usage.take("a", 2, 5, 5) == 5


def test_what_is_given_back_can_be_taken_again_and_never_makes_more() -> None:
    usage = Usage()
    usage.take("a", 1, 5, 5)
    usage.give_back("a", 1, 2)
    assert usage.take("a", 1, 2, 5) == 5
    usage.give_back("a", 1, 99)
    assert usage.used("a", 1) == 0
    usage.put("a", 1, 4)
    assert usage.used("a", 1) == 4


def test_names_that_meet_at_a_place_are_told_apart() -> None:
    usage = Usage(names_max=8)
    for number in range(8):
        assert usage.take(f"name {number}", 1, number, 100) == number
    assert [usage.used(f"name {number}", 1) for number in range(8)] == list(range(8))
    assert usage.take("one more than there are places", 1, 1, 100) is not None


def test_processes_count_together_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "usage"
    take = (
        "import sys; from pathlib import Path; from quanmin.base.usage import Usage\n"
        f"usage = Usage(Path({str(path)!r}))\n"
        "print(sum(usage.take('a', 1, 1, 3000) is not None for _ in range(2000)))"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", take], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    taken = [int(program.communicate()[0]) for program in programs]
    assert sum(taken) == 3000
    assert Usage(path).used("a", 1) == 3000
