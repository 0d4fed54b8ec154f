"""The divisions of the province down to villages, and addresses in them."""

from __future__ import annotations

from functools import cache

import msgspec

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.tables import PLACES, TOWNSHIPS


class County(msgspec.Struct, frozen=True):
    """A county, district or county-level city; `prefecture` is its prefecture's code."""

    code: str
    name: str
    prefecture: str
    prefecture_name: str


class Township(msgspec.Struct, frozen=True):
    """A township, town or street office; `code` has nine digits."""

    code: str
    name: str
    county: County
    villages: tuple[str, ...]

    @property
    def is_town(self) -> bool:
        """Whether it is a street office: its people live in streets and neighbourhoods."""
        return self.name.endswith(TOWNSHIPS.centre_kinds[0])


COUNTIES = {
    code: County(code, name, prefecture.code, prefecture.name)
    for prefecture in PLACES.prefectures
    for code, name in prefecture.counties
}


def _county_weights() -> Weighted[County]:
    """Counties of a prefecture share its weight, the first ones most; the focus county has its
    own share.
    """
    pairs: list[tuple[County, float]] = []
    for prefecture in PLACES.prefectures:
        ranks = [1 / (rank + 3) for rank in range(len(prefecture.counties))]
        pairs.extend(
            (COUNTIES[code], prefecture.weight * rank / sum(ranks))
            for (code, _), rank in zip(prefecture.counties, ranks, strict=True)
            if code != PLACES.focus_county
        )
    others = sum(weight for _, weight in pairs)
    focus = others * PLACES.focus_share / (1 - PLACES.focus_share)
    return Weighted([*pairs, (COUNTIES[PLACES.focus_county], focus)])


COUNTY_WEIGHTS = _county_weights()


@cache
def townships(county_code: str) -> Weighted[Township]:
    """The townships of a county; the same for every seed, the county's seat first and the
    fullest.
    """
    county = COUNTIES[county_code]
    dice = Dice("townships", county_code)
    names: dict[str, None] = {}
    count = dice.between(*TOWNSHIPS.per_county)
    while len(names) < count:
        parts = dice.pick(TOWNSHIPS.first), dice.pick(TOWNSHIPS.second), dice.pick(TOWNSHIPS.third)
        names["".join(parts)] = None
    return Weighted(
        (_township(county, number, name, dice), 1 / (number + 1) ** 1.3)
        for number, name in enumerate(names)
    )


def _township(county: County, number: int, name: str, dice: Dice) -> Township:
    kinds = TOWNSHIPS.centre_kinds
    kind = kinds[0] if number == 0 else kinds[1] if dice.chance(0.6) else kinds[2]
    # As in GB/T 10114: street offices from 001, towns from 100, townships from 200.
    code = f"{county.code}{number + 1 + 100 * kinds.index(kind):03d}"
    count = dice.between(*TOWNSHIPS.villages_per_township)
    suffix = TOWNSHIPS.village_kind if kinds.index(kind) else TOWNSHIPS.neighbourhood_kind
    villages: dict[str, None] = {}
    while len(villages) < count:
        parts = (
            dice.pick(TOWNSHIPS.village_first),
            dice.pick(TOWNSHIPS.village_second),
            dice.pick(TOWNSHIPS.village_third),
        )
        villages["".join(parts) + suffix] = None
    return Township(code, name + kind, county, tuple(villages))


def address_line(township: Township, dice: Dice) -> tuple[str, int]:
    """A street or village address below the township, and the number of its village."""
    village = dice.below(len(township.villages))
    if township.is_town:
        road = dice.pick(TOWNSHIPS.road_first) + dice.pick(TOWNSHIPS.road_first)
        kind = dice.pick(TOWNSHIPS.road_kinds)
        house = f"{dice.between(1, 280)}号{dice.between(1, 18)}栋"
        flat = f"{dice.between(1, 4)}单元{dice.between(1, 24)}0{dice.between(1, 4)}室"
        return f"{road}{kind}{house}{flat}", village
    return f"{township.villages[village]}{dice.between(1, 12)}组{dice.between(1, 90)}号", village
