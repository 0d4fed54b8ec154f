"""The tables of notifiable diseases: how many there are by which law, what a code of ICD-10
means on which day, and the hours and days at their limits.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from quanmin.records.sensitivity import load_kinds
from quanmin.workflow.forms import answers
from quanmin.workflow.notifiable import (
    Card,
    area_in,
    diagnosis,
    diseases,
    duplicate_days,
    guardian_up_to,
    hours,
    labels,
    notifiable,
    observation_days,
    options,
    read_card,
    revised,
    subtypes,
    subtypes_of,
    suspected_days,
    table_on,
    tables,
    until,
)

TODAY = date(2026, 3, 1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_the_table_of_2026_has_42_diseases_and_40_subtypes() -> None:
    table = table_on(TODAY)
    assert table is not None
    assert Counter(table.classes.values()) == {"A": 2, "B": 29, "C": 11}
    assert len(subtypes()) == 40
    assert {one.of for one in subtypes().values()} <= table.classes.keys()
    assert all(table.classes.keys() <= diseases().keys() for table in tables())


@pytest.mark.parametrize(
    ("day", "classes", "is_there"),
    [
        (date(2013, 6, 28), None, {}),
        (date(2013, 6, 29), {"A": 2, "B": 25, "C": 11}, {"h7n9": False, "avian-influenza": True}),
        (date(2013, 10, 31), {"A": 2, "B": 25, "C": 11}, {"h7n9": False}),
        (date(2013, 11, 1), {"A": 2, "B": 26, "C": 11}, {"h7n9": True}),
        (date(2020, 1, 19), {"A": 2, "B": 26, "C": 11}, {"covid-19": False}),
        (date(2020, 1, 20), {"A": 2, "B": 27, "C": 11}, {"covid-19": True}),
        (date(2023, 9, 19), {"A": 2, "B": 27, "C": 11}, {"mpox": False}),
        (date(2023, 9, 20), {"A": 2, "B": 28, "C": 11}, {"mpox": True, "chikungunya": False}),
        (date(2026, 1, 29), {"A": 2, "B": 28, "C": 11}, {"chikungunya": False}),
        (date(2026, 1, 30), {"A": 2, "B": 29, "C": 11}, {"chikungunya": True, "sfts": True}),
    ],
)
def test_the_table_in_force_is_that_of_the_day(
    day: date, classes: dict[str, int] | None, is_there: dict[str, bool]
) -> None:
    table = table_on(day)
    assert (None if table is None else dict(Counter(table.classes.values()))) == classes
    assert table is None or {code: code in table.classes for code in is_there} == is_there


@pytest.mark.parametrize(
    ("disease", "subtype", "day", "is_as_a"),
    [
        ("plague", "", TODAY, True),
        ("cholera", "", TODAY, True),
        ("sars", "", TODAY, True),
        ("anthrax", "pulmonary-anthrax", TODAY, True),
        ("anthrax", "cutaneous-anthrax", TODAY, False),
        ("measles", "", TODAY, False),
        ("unexplained-disease", "", TODAY, True),
        ("new-disease", "", date(2026, 1, 29), False),
        ("covid-19", "", date(2023, 1, 7), True),
        ("covid-19", "", date(2023, 1, 8), False),
        ("avian-influenza", "", date(2013, 10, 31), True),
        ("avian-influenza", "", date(2013, 11, 1), False),
    ],
)
def test_the_measures_of_class_a_are_taken(
    disease: str, subtype: str, day: date, *, is_as_a: bool
) -> None:
    diagnosed = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    card = Card(disease=disease, subtype=subtype, diagnosed=diagnosed)
    assert card.is_managed_as_a is is_as_a
    assert (card.limits.report, card.limits.review) == ((2, 2) if is_as_a else (24, 24))


def test_the_clock_is_of_hours_that_pass() -> None:
    begin = datetime(2028, 2, 28, 23, 30, tzinfo=UTC)
    assert until(begin, hours("measures_of_a").report) == datetime(2028, 2, 29, 1, 30, tzinfo=UTC)
    assert until(begin, hours("others").report) == datetime(2028, 2, 29, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("清河县疾病预防控制中心", "清河县"),
        ("青县疾控中心", "青县"),
        ("麋岩区人民医院", "麋岩区"),
        ("青市第一人民医院", ""),
        ("疾病预防控制中心", ""),
        ("青县中医医院", ""),
    ],
)
def test_counties_are_called_as_in_the_names_of_their_institutions(name: str, area: str) -> None:
    assert area_in(name) == area


def test_any_case_of_an_outbreak_is_reported_and_reviewed_within_two_hours() -> None:
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    card = Card(disease="measles", diagnosed=now, outbreak=True)
    assert (card.limits.report, card.limits.review, card.is_urgent) == (2, 2, True)
    assert not card.is_managed_as_a, "who reviews it is as for any other"


def test_what_is_new_or_unexplained_is_reported_beside_the_classes() -> None:
    for day, is_reported in ((TODAY, True), (date(2026, 1, 29), False)):
        now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        card = Card(disease="new-disease", diagnosed=now)
        assert card.is_notifiable is is_reported
        chosen = [one.value["code"] for one in options("x/notifiable-disease", day) or ()]
        assert ("unexplained-disease" in chosen) is is_reported


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("B05.9", ("measles", "")),
        ("b05900", ("measles", "")),
        ("B05.900x001", ("measles", "")),
        ("A22.1", ("anthrax", "pulmonary-anthrax")),
        ("A22.7", ("anthrax", "anthrax-untyped")),
        ("B17.1", ("viral-hepatitis", "hepatitis-c")),
        ("B17.8", ("viral-hepatitis", "hepatitis-untyped")),
        ("B16.0", ("viral-hepatitis", "hepatitis-d")),
        ("B16.9", ("viral-hepatitis", "hepatitis-b")),
        ("Z21", ("aids", "hiv")),
        ("B20.1", ("aids", "")),
        ("A16.0", ("tuberculosis", "tb-negative")),
        ("A16.2", ("tuberculosis", "tb-untested")),
        ("A50.0", ("syphilis", "syphilis-congenital")),
        ("B08.4", ("hand-foot-mouth", "")),
        ("A92.0", ("chikungunya", "")),
        ("B08.5", None),
        ("B0", None),
        ("I10", None),
        ("", None),
    ],
)
def test_a_code_means_the_disease_of_its_longest_prefix(
    code: str, means: tuple[str, str] | None
) -> None:
    assert notifiable(code, TODAY) == means


def test_what_was_not_notifiable_then_is_not() -> None:
    assert notifiable("A92.0", date(2026, 1, 29)) is None
    assert notifiable("A22.1", date(2020, 1, 1)) == ("anthrax", "")
    assert subtypes_of("anthrax", date(2020, 1, 1)) == frozenset()


def test_every_mapped_disease_is_found_by_its_own_codes() -> None:
    for one in (*diseases().values(), *subtypes().values()):
        table = table_on(TODAY)
        assert table is not None
        if (one.of or one.code) not in table.classes:
            continue
        for prefix in one.icd10:
            found = notifiable(prefix, TODAY)
            assert found is not None
            assert found[0] == (one.of or one.code), prefix


def test_a_diagnosis_fills_in_what_it_says() -> None:
    icd = "http://hl7.org/fhir/sid/icd-10"
    made = diagnosis(
        {
            "code": {
                "coding": [{"system": "urn:local", "code": "B05"}, {"system": icd, "code": "A22.1"}]
            },
            "recordedDate": "2026-03-01T10:00:00+08:00",
            "onsetDateTime": "2026-02-27T23:00:00Z",
        },
        TODAY,
        SHANGHAI,
    )
    assert made["disease"]["code"] == "anthrax"
    assert made["subtype"]["code"] == "pulmonary-anthrax"
    assert (made["icd10"]["code"], made["onsetOf"]) == ("A22.1", "2026-02-28")
    assert (
        diagnosis({"code": {"coding": [{"system": "urn:local", "code": "B05"}]}}, TODAY, UTC) == {}
    )


@pytest.mark.parametrize(
    ("status", "holds"),
    [("provisional", True), ("confirmed", True), ("refuted", False), ("entered-in-error", False)],
)
def test_a_diagnosis_that_does_not_hold_is_not_to_be_reported(status: str, *, holds: bool) -> None:
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B05.9"}]}
    condition = {"code": coded, "verificationStatus": {"coding": [{"code": status}]}}
    assert bool(diagnosis(condition, TODAY, UTC)) is holds


@pytest.mark.parametrize(
    ("changes", "disease", "subtype"),
    [
        ({"disease": "malaria", "class": "suspected"}, "malaria", "malaria-vivax"),
        ({"disease": "measles"}, "measles", ""),
        ({"disease": "malaria", "subtype": ""}, "malaria", ""),
        ({"disease": "anthrax", "subtype": "pulmonary-anthrax"}, "anthrax", "pulmonary-anthrax"),
        ({"class": "suspected"}, "malaria", "malaria-vivax"),
    ],
)
def test_a_revision_keeps_the_subtype_of_the_same_disease(
    changes: dict[str, str], disease: str, subtype: str
) -> None:
    coded = (diseases()["malaria"], subtypes()["malaria-vivax"])
    case = [
        {"linkId": link, "answer": [{"valueCoding": one.coding()}]}
        for link, one in zip(("disease", "subtype"), coded, strict=True)
    ]
    card = read_card(answers(revised({"item": [{"linkId": "case", "item": case}]}, changes)), UTC)
    assert (card.disease, card.subtype) == (disease, subtype)


@pytest.mark.parametrize(
    ("disease", "subtype", "fits"),
    [
        ("measles", "", True),
        ("malaria", "", False),
        ("malaria", "malaria-vivax", True),
        ("malaria", "hepatitis-a", False),
        ("aids", "", True),
        ("aids", "hiv", True),
        ("measles", "hiv", False),
    ],
)
def test_a_subtype_is_one_of_its_disease(disease: str, subtype: str, *, fits: bool) -> None:
    card = Card(disease=disease, subtype=subtype, diagnosed=datetime(2026, 3, 1, tzinfo=UTC))
    assert card.subtype_fits is fits


def test_what_is_kept_apart_is_labelled() -> None:
    assert [one["code"] for one in labels(Card(disease="aids"), ["x"])] == [
        "infectious",
        "HIV",
        "x",
    ]
    assert [one["code"] for one in labels(Card(disease="syphilis"), [])] == ["infectious", "STD"]
    assert [one["code"] for one in labels(Card(disease="measles"), [])] == ["infectious"]


LIFE = 36500


def test_the_days_of_the_norm_are_those_of_each_disease() -> None:
    """Whoever changes one says so here as well, with the source in the norm."""
    same_case = {code: duplicate_days(code) for code in diseases() if duplicate_days(code) != 30}
    assert same_case == {
        "aids": LIFE, "viral-hepatitis": LIFE, "leprosy": LIFE, "echinococcosis": LIFE,
        "schistosomiasis": 365, "syphilis": 365, "tuberculosis": 180, "brucellosis": 180,
        "influenza": 14, "infectious-diarrhoea": 14,
    }  # fmt: skip
    assert duplicate_days("measles") == 30
    observed = {code: observation_days(code) for code in diseases() if observation_days(code)}
    assert observed == {
        "plague": 9, "cholera": 5, "sars": 14, "covid-19": 7, "poliomyelitis": 35,
        "novel-influenza": 10, "measles": 21, "mpox": 21, "anthrax": 14, "meningococcal": 10,
        "pertussis": 21, "diphtheria": 7, "scarlet-fever": 7, "typhoid": 21, "dysentery": 7,
        "influenza": 7, "mumps": 21, "rubella": 21, "hand-foot-mouth": 14,
    }  # fmt: skip
    assert guardian_up_to() == 14
    assert suspected_days() == 60


def test_the_day_of_a_diagnosis_is_its_day_where_the_node_stands() -> None:
    card = read_card({"diagnosed": "2026-02-28T17:00:00Z", "onset": "2026-03-01"}, SHANGHAI)
    assert card.diagnosed
    assert (card.diagnosed.date(), card.diagnosed.hour) == (TODAY, 1)


@pytest.mark.parametrize("onset", ["2026-09", "2026", "soon", None])
def test_a_card_with_half_a_day_has_none(onset: str | None) -> None:
    card = read_card({"onset": onset, "diagnosed": "2026-09", "disease": "measles"}, UTC)
    assert card.onset is None
    assert card.disease == ""
    assert not card.is_notifiable


def test_what_is_reportable_is_what_the_table_names_and_nothing_else() -> None:
    tables_of = (*diseases().values(), *subtypes().values())
    named = {code for one in tables_of for code in one.icd10}
    (kind,) = (one for one in load_kinds() if one.label.code == "infectious")
    prefixes = kind.prefixes["icd10"]
    assert [one for one in sorted(named) if not one.startswith(prefixes)] == []
    assert [one for one in prefixes if one not in named] == []
