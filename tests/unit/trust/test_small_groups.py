"""Numbers in which no small group is told, nor follows from the others and their sums."""

from __future__ import annotations

import itertools
import random

import numpy as np

from quanmin.trust.small_groups import hidden_among, suppressed

Table = dict[tuple[int, int], int]


def summed(rows: list[list[int]]) -> Table:
    """The numbers of a table with the sums of its rows, of its columns and of all."""
    whole = [[*row, sum(row)] for row in rows]
    whole.append([sum(column) for column in zip(*whole, strict=True)])
    return {(at, to): one for at, row in enumerate(whole) for to, one in enumerate(row)}


def lines_of(table: Table) -> list[list[tuple[int, int]]]:
    rows, columns = (range(max(key[place] for key in table) + 1) for place in (0, 1))
    across = [[(at, to) for to in columns] for at in rows]
    return across + [[(at, to) for at in rows] for to in columns]


def test_no_small_group_of_a_line_is_told_nor_can_be_worked_out() -> None:
    assert suppressed([0, 5, 6], 5) == ([0, 5, 6], 11)
    assert suppressed([0, 4, 0], 5) == ([0, None, 0], None)
    assert suppressed([0, 4, 6, 9], 5) == ([0, None, None, 9], 19)
    assert suppressed([1, 1, 6, 9], 5) == ([None, None, None, 9], 17)
    for numbers in itertools.product(range(8), repeat=3):
        shown, total = suppressed(numbers, 5)
        hidden = [held for held, one in zip(numbers, shown, strict=True) if one is None]
        assert all(one is None or one == 0 or one >= 5 for one in shown)
        assert total in {None, sum(numbers)}
        if hidden and total is not None:
            assert len(hidden) > 1
            assert sum(hidden) >= 5


def test_nothing_that_is_left_out_follows_from_the_rows_and_columns() -> None:
    dice = random.Random(7)  # noqa: S311 - the same tables in every run
    for _ in range(60):
        shape = [dice.randint(2, 7) for _ in range(2)]
        rows = [[dice.choice([0, 0, 1, 3, 6, 20]) for _ in range(shape[0])]
                for _ in range(shape[1])]  # fmt: skip
        table = summed(rows)
        lines = lines_of(table)
        hidden = sorted(hidden_among(table, lines, 5))
        assert all(key in hidden for key, one in table.items() if 0 < one < 5)
        if not hidden:
            continue
        # What follows from the equations alone is a row of their solved form with a single number.
        equations = np.array(
            [[(-1 if key == line[-1] else 1) * (key in line) for key in hidden] for line in lines]
        )
        rank = np.linalg.matrix_rank(equations)
        for at, key in enumerate(hidden):
            alone = np.zeros((1, len(hidden)))
            alone[0, at] = 1
            more = np.linalg.matrix_rank(np.vstack([equations, alone]))
            assert more > rank, (key, rows)


def test_two_squares_joined_by_one_number_do_not_give_it_away() -> None:
    # Each line has two numbers left out or more, and the one between the squares would follow.
    rows = [[1, 9, 20, 20], [9, 1, 3, 20], [20, 20, 1, 9], [20, 20, 9, 1]]
    table = summed(rows)
    hidden = hidden_among(table, lines_of(table), 5)
    assert len([key for key in hidden if max(key) < 4]) > 9
