"""The matrix of GB/T 39725-2020: level, role and scenario, each purpose in one place."""

from __future__ import annotations

from collections import Counter

import pytest

from quanmin.trust.deciding.levels import load_levels
from quanmin.trust.deciding.purposes import purposes_known
from quanmin.trust.registers.definitions import roles

SCENARIOS = (
    *("医生调阅", "患者查询", "临床研究", "二次利用"),
    *("健康传感", "移动应用", "商业保险", "医疗器械"),
)


def test_gb_39725_its_eight_scenarios_and_five_levels_are_there() -> None:
    of_standard = [one.name for one in load_levels().scenario if one.is_of_standard]
    assert tuple(of_standard) == SCENARIOS
    assert [one.level for one in load_levels().level] == [1, 2, 3, 4, 5]


def test_every_purpose_belongs_to_one_scenario() -> None:
    counted = Counter(code for one in load_levels().scenario for code in one.purposes)
    assert counted == Counter(purposes_known())


def test_no_scenario_names_a_role_or_level_that_there_is_not() -> None:
    for one in load_levels().scenario:
        assert set(one.levels) <= set(roles())
        assert set(one.levels.values()) <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    "role",
    [
        *("supervisor", "researcher", "system_administrator"),
        *("security_administrator", "audit_administrator"),
    ],
)
def test_who_works_with_numbers_alone_sees_no_level_of_any_record(role: str) -> None:
    assert {load_levels().seen_up_to(role, purpose) for purpose in purposes_known()} == {0}


def test_nobody_but_the_person_and_the_node_sees_the_fifth_level_by_level() -> None:
    highest = {
        role for one in load_levels().scenario for role, level in one.levels.items() if level == 5
    }
    assert highest == {"resident", "guardian", "operator"}
