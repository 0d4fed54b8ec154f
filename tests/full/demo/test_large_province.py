"""A hundred thousand people: everyone has a number of their own, and memory stays small."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from quanmin.demo.households import LAST_DAY
from quanmin.demo.province import PEOPLE_MAX, Province

MEBIBYTES_MAX = 200
_STREAM = """
import itertools, re
from quanmin.demo.province import PEOPLE_MAX, Province
province = Province(3, PEOPLE_MAX)
sent = sum(b.resources for b in province.institutions())
for bundles in itertools.islice(province.bundles(), 4000):
    sent += sum(bundle.resources for bundle in bundles)
# Not getrusage: its peak is inherited from the process that started this one.
peak = re.search("VmHWM:\\s*([0-9]+) kB", open("/proc/self/status").read())
print(sent, int(peak[1]) // 1024)
"""


def test_a_hundred_thousand_people_have_a_hundred_thousand_identity_numbers() -> None:
    numbers: Counter[str] = Counter()
    alive = 0
    for household in Province(3, PEOPLE_MAX).households():
        for human in household.humans:
            numbers[human.identity] += 1
            alive += human.lives(LAST_DAY)
    assert PEOPLE_MAX <= numbers.total() < PEOPLE_MAX + 5
    assert [number for number, count in numbers.items() if count > 1] == []
    assert alive > PEOPLE_MAX * 0.9


def test_a_large_province_is_streamed() -> None:
    ran = subprocess.run([sys.executable, "-c", _STREAM], check=True, capture_output=True)
    sent, mebibytes = map(int, ran.stdout.split())
    assert sent > 900_000
    assert mebibytes < MEBIBYTES_MAX
