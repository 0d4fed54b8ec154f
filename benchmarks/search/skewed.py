"""Skewed records without end: a code on half of all, a patient with a tenth of all.

They come in blocks of a hundred thousand, each different and each with the same proportions, so
that a node of any size is as skewed as a small one: four tenths are Synthea's bundles copied, a
fiftieth are people with common Chinese names, the rest their observations.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from random import Random

import copies
import msgspec

from quanmin.demo.dice import Dice
from quanmin.demo.names import draw_surname, make_name
from quanmin.demo.numbering import IDENTITIES, birth_day, identity_number, phone_number

HEAVY = "heavy-patient"
HALF = "8867-4"
"""Heart rate, as devices send it."""

_SYNTHEA_COPIES = 3
_PEOPLE = 2_000
_PEOPLE_A_BUNDLE = 10
# Of all records: with the code HALF, measured besides, of the patient HEAVY.
_SHARE_HALF, _SHARE_OTHERS, _SHARE_HEAVY = 0.5, 0.08, 0.1
_FIRST_DAY, _DAYS = date(2018, 1, 1), 3_240
# A county's numbers are enough for two million people of one sex; copies of Synthea use another.
_COUNTY = "519902"

# Code, unit, mean and deviation of what is measured besides; those in front are the more frequent.
_MEASURED = (
    ("8480-6", "mm[Hg]", 128.0, 18.0),
    ("8462-4", "mm[Hg]", 79.0, 11.0),
    ("2339-0", "mg/dL", 104.0, 27.0),
    ("29463-7", "kg", 63.0, 12.0),
    ("59408-5", "%", 97.0, 1.5),
    ("8310-5", "Cel", 36.6, 0.4),
    ("4548-4", "%", 6.1, 1.1),
    ("2093-3", "mg/dL", 181.0, 36.0),
    ("2160-0", "mg/dL", 0.9, 0.25),
    ("718-7", "g/dL", 13.6, 1.7),
    ("6690-2", "10*3/uL", 6.8, 1.9),
    ("777-3", "10*3/uL", 231.0, 58.0),
    ("1742-6", "U/L", 26.0, 14.0),
    ("14749-6", "mmol/L", 5.7, 1.4),
    ("33914-3", "mL/min/{1.73_m2}", 92.0, 19.0),
)
_WEIGHTS = [1 / rank for rank in range(1, len(_MEASURED) + 1)]

_OBSERVATION = (
    '{"request":{"method":"POST","url":"Observation"},"resource":{"resourceType":"Observation",'
    '"status":"%s","category":[{"coding":[{"system":'
    '"http://terminology.hl7.org/CodeSystem/observation-category","code":"%s"}]}],'
    '"code":{"coding":[{"system":"http://loinc.org","code":"%s"}]},"subject":{"reference":"%s"},'
    '"effectiveDateTime":"%sT%02d:%02d:%02d+08:00","valueQuantity":{"value":%s,"unit":"%s",'
    '"system":"http://unitsofmeasure.org","code":"%s"}}}'
)
_HEAD = '{"resourceType":"Bundle","type":"transaction","entry":['


def block(seed: int, number: int) -> Iterator[copies.Bundle]:
    """The bundles of one block, about a hundred thousand resources; block 0 brings HEAVY."""
    if number == 0:
        yield _heavy()
    synthea = _synthea(seed, number)
    copied = 0
    for bundle in synthea:
        copied += bundle.resources
        yield bundle
    yield from _measured(Random(f"{seed}.{number}.measured"), seed, number, copied)


def description() -> str:
    """What the data are, for the page."""
    return (
        f"four tenths {copies.description()}; a fiftieth people with Chinese names as frequent as"
        f" the register has them; the rest observations of them from {_FIRST_DAY.year} on. The"
        f" LOINC code {HALF} is on half of all records, and one patient has a tenth of all."
    )


def _synthea(seed: int, number: int) -> Iterator[copies.Bundle]:
    return islice(
        copies.bundles_from(seed, number * _SYNTHEA_COPIES),
        _SYNTHEA_COPIES * copies.bundles_a_copy(),
    )


def _heavy() -> copies.Bundle:
    name = '"name":[{"family":"王","given":["秀英"],"text":"王秀英"}]'
    body = (
        f'{_HEAD}{{"request":{{"method":"PUT","url":"Patient/{HEAVY}"}},"resource":'
        f'{{"resourceType":"Patient","id":"{HEAVY}",{name},"gender":"female",'
        '"birthDate":"1951-03-04"}}]}'
    )
    return copies.Bundle(body.encode(), 1)


def _measured(dice: Random, seed: int, number: int, copied: int) -> Iterator[copies.Bundle]:
    """People and what is measured of them, so many that the shares of the whole block are met."""
    whole = (copied + _PEOPLE) / (1 - _SHARE_HALF - _SHARE_OTHERS)
    bundles = _PEOPLE // _PEOPLE_A_BUNDLE
    each = round(whole * (_SHARE_HALF + _SHARE_OTHERS) / bundles)
    share_half = _SHARE_HALF / (_SHARE_HALF + _SHARE_OTHERS)
    share_heavy = _SHARE_HEAVY / (_SHARE_HALF + _SHARE_OTHERS)
    for place in range(bundles):
        people = [
            _person(seed, number * _PEOPLE + place * _PEOPLE_A_BUNDLE + one)
            for one in range(_PEOPLE_A_BUNDLE)
        ]
        entries = [entry for _, entry in people]
        for _ in range(each):
            subject = f"Patient/{HEAVY}"
            if dice.random() >= share_heavy:
                # Squared, so that the first of a bundle are ill more often than the last.
                subject = people[int(dice.random() ** 2 * _PEOPLE_A_BUNDLE)][0]
            entries.append(_observation(dice, subject, is_half=dice.random() < share_half))
        yield copies.Bundle(f"{_HEAD}{','.join(entries)}]}}".encode(), len(entries))


def _observation(dice: Random, subject: str, *, is_half: bool) -> str:
    if is_half:
        code, unit, category = HALF, "/min", "vital-signs"
        value = f"{max(dice.gauss(78, 14), 30):.0f}"
    else:
        code, unit, mean, deviation = dice.choices(_MEASURED, _WEIGHTS)[0]
        category = "vital-signs" if unit in {"mm[Hg]", "kg", "Cel"} else "laboratory"
        value = f"{max(dice.gauss(mean, deviation), mean / 10):.1f}"
    day = _FIRST_DAY + timedelta(days=int(dice.random() ** 0.7 * _DAYS))
    status = "amended" if dice.random() < 0.01 else "final"
    clock = (dice.randrange(7, 20), dice.randrange(60), dice.randrange(60))
    return _OBSERVATION % (status, category, code, subject, day, *clock, value, unit, unit)


def _person(seed: int, serial: int) -> tuple[str, str]:
    """The address by which entries of the bundle refer to somebody, and the entry."""
    drawn = Dice(seed, "skewed", serial)
    male = drawn.chance(0.5)
    year = drawn.between(1935, 2020)
    day, order = birth_day(year, serial % IDENTITIES)
    born = date(year, 1, 1) + timedelta(days=day)
    name = make_name(drawn, "01", draw_surname(drawn), year, male=male)
    url = f"urn:uuid:00000000-0000-4000-8000-{serial:012x}"
    identifiers = [
        {
            "system": "urn:oid:2.16.156.10011.1.3",
            "value": identity_number(_COUNTY, born, order, male=male),
        },
        {"system": "https://hospital.example/records", "value": f"S{serial:08d}"},
    ]
    resource = {
        "resourceType": "Patient",
        "identifier": identifiers,
        "name": [{"family": name.family, "given": [name.given], "text": name.text}],
        "telecom": [{"system": "phone", "value": phone_number(serial)}],
        "gender": "male" if male else "female",
        "birthDate": born.isoformat(),
    }
    entry = {
        "fullUrl": url,
        "request": {"method": "POST", "url": "Patient"},
        "resource": resource,
    }
    return url, msgspec.json.encode(entry).decode()
