"""How many there are by township and grade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def counted(told: Iterable[tuple[str, str]], grades: Sequence[str]) -> dict[str, list[int]]:
    """How many there are in each township (the first of each pair) by grade, in their order."""
    numbers = Counter(told)
    townships = sorted({township for township, _ in numbers})
    return {one: [numbers[one, grade] for grade in grades] for one in townships}
