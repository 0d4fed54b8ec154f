"""Conditions of a plan over many persons at once: for each whether it holds."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from quanmin.workflow.plans.conditions import Compares, Condition, Has, Joins, Not, Test
from quanmin.workflow.plans.facts import SEXES
from quanmin.workflow.plans.population import Mask, Population, number_of


def mask_of(
    population: Population, condition: Condition | None, last: Any = None, before: Any = None
) -> Mask:
    """For whom a condition holds; `last` and `before` are the results of their last visits, by
    number among the details.
    """
    if condition is None:
        return np.ones(population.size, np.bool_)
    return _test(population, condition.test, {"last": last, "before": before})


def _test(population: Population, test: Test, results: dict[str, Any]) -> Mask:
    match test:
        case Not(of=of):
            return ~_test(population, of, results)
        case Has(group=group):
            held = population.groups.get(group)
            return np.zeros(population.size, np.bool_) if held is None else held
        case Joins(sign=sign, left=left, right=right):
            join = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[sign]
            both = (_test(population, one, results) for one in (left, right))
            return np.asarray(join(*both))
        case Compares():
            return _compared(population, test, results)


def _compared(population: Population, test: Compares, results: dict[str, Any]) -> Mask:
    column: Any
    if isinstance(test.value, date):
        column, value = population.born, number_of(test.value)
    elif test.variable == "sex":
        column = population.sex
        value = next((n for n, sex in enumerate(SEXES) if sex == test.value), -2)
    else:
        details = population.details
        column = results[test.variable]
        value = details.index(test.value) if test.value in details else -2
    signs = {
        "=": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal,
        ">": np.greater, ">=": np.greater_equal,
    }  # fmt: skip
    return np.asarray(signs[test.sign](column, value))
