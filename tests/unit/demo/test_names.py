"""Names look like names, and clerks write them wrong in believable ways."""

from __future__ import annotations

from collections import Counter

import pytest

from quanmin.demo.dice import Dice
from quanmin.demo.names import (
    Name,
    draw_ethnic_group,
    draw_surname,
    in_pinyin,
    make_name,
    misheard,
    newborn_name,
)
from quanmin.demo.tables import GIVEN_NAMES, SURNAMES

HAN, YI, TIBETAN, UYGHUR = "01", "07", "04", "05"


def test_surnames_come_as_often_as_published() -> None:
    dice = Dice("surnames")
    drawn = Counter(draw_surname(dice) for _ in range(40_000))
    for surname, share in SURNAMES.common[:3]:
        assert drawn[surname] / 400 == pytest.approx(share, abs=0.6)
    assert drawn["欧阳"] > 0


def test_shares_of_surnames_add_up() -> None:
    total = sum(share for _, share in SURNAMES.common) + SURNAMES.uncommon_share
    assert total == pytest.approx(100, abs=0.5)
    names = [name for name, _ in SURNAMES.common] + list(SURNAMES.uncommon)
    assert len(set(names)) == len(names)


def test_minority_names_have_their_own_order_and_a_middle_dot() -> None:
    dice = Dice("minorities")
    assert "·" in make_name(dice, YI, "王", 1980, male=True).text
    assert "·" in make_name(dice, UYGHUR, "王", 1980, male=False).text
    assert make_name(dice, TIBETAN, "王", 1980, male=False).family == ""


def test_a_prefecture_of_the_yi_is_mostly_yi() -> None:
    dice = Dice("home")
    drawn = Counter(draw_ethnic_group(dice, "583400") for _ in range(1000))
    assert drawn[YI] > 450
    assert Counter(draw_ethnic_group(dice, "580100") for _ in range(1000))[HAN] > 900


def test_some_names_hold_characters_beyond_the_basic_plane() -> None:
    dice = Dice("rare")
    names = [make_name(dice, HAN, "李", 2000, male=True).text for _ in range(4000)]
    assert any(ord(character) > 0xFFFF for name in names for character in name)
    assert any(ord(character) > 0xFFFF for character in GIVEN_NAMES.rare)


def test_children_are_named_as_children_of_their_time() -> None:
    dice = Dice("eras")
    old = Counter(make_name(dice, HAN, "李", 1952, male=False).given for _ in range(2000))
    young = Counter(make_name(dice, HAN, "李", 2015, male=False).given for _ in range(2000))
    assert old["玉梅"] > young["玉梅"]
    assert young["梓涵"] > old["梓涵"]


@pytest.mark.parametrize(
    "name",
    [Name("王", "伟", "王伟"), Name("李", "小明", "李小明"), Name("木呷", "阿苏", "阿苏·木呷")],
)
def test_a_misheard_name_is_another_name_for_the_same_person(name: Name) -> None:
    wrong = misheard(Dice("typo"), name)
    assert wrong.text != name.text
    assert wrong.family == name.family


def test_pinyin_names_have_no_characters() -> None:
    assert in_pinyin(Name("欧阳", "明月", "欧阳明月")).text == "OUYANG MINGYUE"


def test_newborns_are_named_after_the_mother() -> None:
    mother = Name("王", "丽", "王丽")
    assert newborn_name(mother, male=True, order=None).text == "王丽之子"
    assert newborn_name(mother, male=False, order=2).text == "王丽之小女"
