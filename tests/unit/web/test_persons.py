from __future__ import annotations

from datetime import date

from quanmin.web.persons import identity_number, mask, tell_patient

TODAY = date(2026, 11, 22)
NUMBER = "58010119800503002X"


def test_a_patient_is_told_with_the_identity_number_masked() -> None:
    patient = {
        "name": [{"use": "old", "text": "张大伟"}, {"use": "official", "text": "张伟"}],
        "gender": "male",
        "birthDate": "1980-05-03",
        "identifier": [{"system": "x:y", "value": "123"}, {"system": "x:z", "value": NUMBER}],
        "address": [{"city": "白市", "district": "青县", "text": "岷省白市青县长街1号"}],
        "managingOrganization": {"reference": "Organization/o1", "display": "青县人民医院"},
    }
    told = tell_patient(patient, "zh", TODAY)
    assert (told.name, told.age, told.division) == ("张伟", "46岁", "白市青县")
    assert told.identity == "580***********002X"
    assert told.sex is not None
    assert told.sex.text == "男"
    assert told.institution == ("Organization/o1", "青县人民医院")


def test_a_number_of_the_system_of_identity_numbers_comes_before_one_that_looks_like_it() -> None:
    card = {"system": "urn:hospital:card", "value": "100000000000001"}
    for system in ("urn:oid:2.16.156.10011.1.3", "2.16.156.10011.1.3"):
        identifiers = [card, {"system": system, "value": NUMBER}]
        assert identity_number({"identifier": identifiers}) == NUMBER


def test_the_dead_have_no_age() -> None:
    told = tell_patient({"birthDate": "1930-01-01", "deceasedDateTime": "2020"}, "zh", TODAY)
    assert told.deceased
    assert told.age == ""


def test_a_patient_of_whom_nothing_is_known_is_told_as_empty() -> None:
    told = tell_patient({"name": "x", "identifier": {}, "address": [None]}, "en", TODAY)
    assert (told.name, told.sex, told.identity, told.division) == ("", None, "", "")


def test_no_more_than_seven_characters_of_a_number_are_shown() -> None:
    assert mask(NUMBER).count("*") == len(NUMBER) - 7
    assert mask("1234567") == "*******"
    assert mask("") == ""
