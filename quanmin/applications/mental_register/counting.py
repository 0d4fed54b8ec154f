"""Numbers by township in which no small group can be told, nor worked out from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def counted(told: Iterable[tuple[str, str]], grades: Sequence[str]) -> dict[str, list[int]]:
    """How many there are in each township (the first of each pair) by grade, in their order."""
    numbers = Counter(told)
    townships = sorted({township for township, _ in numbers})
    return {one: [numbers[one, grade] for grade in grades] for one in townships}


def suppressed(numbers: Sequence[int], least: int) -> tuple[list[int | None], int | None]:
    """The numbers and their sum, None for what is not told: a group smaller than `least`, and as
    many others, the smallest first, as it takes that what is left out together is not a small
    group or a single one. That nobody is there may be told.
    """
    hidden = {at for at, number in enumerate(numbers) if 0 < number < least}
    others = sorted((number, at) for at, number in enumerate(numbers) if number >= least)
    for _, at in others:
        if not hidden or (len(hidden) > 1 and sum(numbers[one] for one in hidden) >= least):
            break
        hidden.add(at)
    total = sum(numbers)
    shown = [None if at in hidden else number for at, number in enumerate(numbers)]
    return shown, None if 0 < total < least else total
