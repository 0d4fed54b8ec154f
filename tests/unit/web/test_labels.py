from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from quanmin.applications.person_record.application import APPLICATION
from quanmin.fhir.table import load_table
from quanmin.web import labels
from quanmin.web.labels import as_text, before_choice, taken_apart, tell_element

FOLDER = Path(labels.__file__).parent / "labels"


@pytest.mark.parametrize("name", ["types", "elements", "codes"])
def test_every_table_of_words_says_where_it_is_from(name: str) -> None:
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert {"source", "owner", "version", "effective"} <= table.keys()


def test_every_word_stands_in_both_languages() -> None:
    types = tomllib.loads((FOLDER / "types.toml").read_text(encoding="utf-8"))["types"]
    codes = tomllib.loads((FOLDER / "codes.toml").read_text(encoding="utf-8"))["codes"]
    tables = [*types.values(), *(word for group in codes.values() for word in group.values())]
    assert all(word.keys() == {"zh", "en"} and all(word.values()) for word in tables)


def test_every_type_that_is_read_has_a_name_in_both_languages() -> None:
    told = {type_: as_text(type_) for type_ in APPLICATION.reads}
    unnamed = [type_ for type_, text in told.items() if text.zh.isascii()]
    assert not unnamed


def test_every_element_of_what_is_read_has_a_chinese_label() -> None:
    # Shapes are the resource types with their parts, and the data types.
    shapes = load_table().shapes
    others = load_table().types.keys() - APPLICATION.reads
    names = {
        element.name
        for shape, read in shapes.items()
        if shape.partition(".")[0] not in others
        for element in read
    }
    assert len(names) > 500
    unnamed = sorted(name for name in names if tell_element(name, "zh").language != "zh")
    assert not unnamed


def test_a_name_is_taken_apart_into_words() -> None:
    assert taken_apart("managingOrganization") == "Managing organization"
    assert taken_apart("valueUSDAmount") == "Value USD amount"


def test_only_a_choice_element_loses_its_type() -> None:
    assert before_choice("valueQuantity") == "value"
    assert before_choice("effectiveDateTime") == "effective"
    assert before_choice("quantity") == "quantity"
    assert before_choice("birthDate") == "birth"
    assert tell_element("birthDate", "zh").text == "出生日期"
