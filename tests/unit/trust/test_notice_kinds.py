"""The kinds of notice, and what their definitions must hold to."""

from __future__ import annotations

from pathlib import Path

import pytest

from quanmin.trust.notices import CLASSES, kernel_kinds, kinds_in, outside
from quanmin.trust.notices.kinds import fill

SOUND = """
[[kind]]
code = "trial.due"
class = "reminder"
days = 30
path = "/trial"
zh = "{vaccine}将于{day}到期"
en = "{vaccine} is due on {day}"
"""


def declared(folder: Path, text: str) -> Path:
    (folder / "definitions").mkdir(exist_ok=True)
    (folder / "definitions" / "notices.toml").write_text(text, "utf-8")
    return folder


def test_the_nodes_own_kinds_are_sound() -> None:
    assert {kind.class_ for kind in kernel_kinds().values()} <= set(CLASSES)
    assert kernel_kinds()["petition-filed"].class_ == "task"
    assert kernel_kinds()["new-browser"].is_urgent


def test_an_application_declares_its_kinds_in_one_file(tmp_path: Path) -> None:
    assert kinds_in(tmp_path, "trial") == {}
    kind = kinds_in(declared(tmp_path, SOUND), "trial")["trial.due"]
    assert kind.places == {"vaccine", "day"}
    values = {"vaccine": "HepB", "day": "2026-03-01"}
    assert kind.told("en", values, is_for_another=False) == "HepB is due on 2026-03-01"
    assert kind.told("zh", values, is_for_another=True) == "HepB将于2026-03-01到期"


@pytest.mark.parametrize(
    ("from_", "to"),
    [
        ('code = "trial.due"', 'code = "other.due"'),
        ('zh = "{vaccine}将于{day}到期"', 'zh = "{day}到期"'),
        ('zh = "{vaccine}将于{day}到期"', 'zh = ""'),
        ('path = "/trial"', 'path = "https://elsewhere.test"'),
        ("days = 30", "days = -1"),
        ("days = 30", 'days = 30\nen_for_another = "{vaccine} {day}"'),
    ],
)
def test_a_kind_that_is_not_sound_is_refused_by_name(tmp_path: Path, from_: str, to: str) -> None:
    with pytest.raises(TypeError, match=r"the notice (trial|other)\.due"):
        kinds_in(declared(tmp_path, SOUND.replace(from_, to)), "trial")


def test_a_kind_that_is_declared_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="twice"):
        kinds_in(declared(tmp_path, SOUND + SOUND), "trial")


def test_words_that_leave_the_node_have_no_place_for_anything_of_a_person() -> None:
    for language in ("zh", "en"):
        filled = fill(outside(language)[1], {"site": "S", "count": "2", "address": "A"})
        assert "{" not in filled
        assert "{" not in outside(language)[0]


def test_what_a_value_says_is_not_filled_in_again() -> None:
    assert fill("{a} {b}", {"a": "{b}", "b": "x"}) == "{b} x"
