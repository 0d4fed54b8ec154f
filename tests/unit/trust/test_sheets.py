"""The registers as CSV: what is read, what is told, and what a spreadsheet gets."""

from __future__ import annotations

import pytest

from quanmin.base.problems import Invalid
from quanmin.demo.numbering import credit_code
from quanmin.trust.registers.sheets import as_csv, institutions, practitioners

CODE = credit_code("580101", 7)


def faults(text: str) -> list[str]:
    with pytest.raises(Invalid) as refused:
        institutions(text)
    return [issue.text for issue in refused.value.issues]


def test_the_lines_of_one_code_are_one_institution_with_its_states() -> None:
    text = (
        "\ufeffcredit_code,name,state,from,until\r\n"
        f"{CODE},医院,active,2020-01-01,2024-12-31\r\n"
        f"{CODE.lower()},医院,closed,2025-01-01,\r\n"
    )
    (bundle,) = institutions(text)
    body = bundle["entry"][0]["resource"]
    periods = [one["extension"][1]["valuePeriod"] for one in body["extension"]]
    assert periods == [{"start": "2020-01-01", "end": "2024-12-31"}, {"start": "2025-01-01"}]


def test_every_fault_is_told_with_line_and_column_and_without_what_the_file_says() -> None:
    text = f"credit_code,name,level,from\nSECRET,,moon,\n{CODE},医院,,2020-13-01\n{CODE},a,b,c,d\n"
    told = faults(text)
    assert [fault.partition(" is ")[0] for fault in told if " is " in fault] == [
        "line 2, name",
        "line 2, credit_code",
        "line 2, level",
        "line 3, from",
    ]
    assert any(fault.startswith("line 4 has more fields") for fault in told)
    assert not any("SECRET" in fault for fault in told)


@pytest.mark.parametrize("text", ["", "name\nx\n", f"credit_code,name,colour\n{CODE},x,red\n"])
def test_a_file_with_other_columns_is_refused(text: str) -> None:
    assert any("columns" in fault for fault in faults(text))


def test_a_practitioner_has_a_role_at_each_institution_once() -> None:
    other = credit_code("580102", 8)
    (bundle,) = practitioners(
        "staff_number,name,licence,scopes,from,institution\n"
        f"S1,李明,physician,clinical;tcm,2020-01-01,{CODE}\n"
        f"S1,李明,nurse,,2021-01-01,{CODE}\n"
        f"S1,李明,,,,{other}\n"
    )
    types = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert types == ["Practitioner", "PractitionerRole", "PractitionerRole"]
    assert len(bundle["entry"][0]["resource"]["qualification"]) == 2


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_nothing_in_a_list_is_a_formula(text: str) -> None:
    assert f"'{text}" in as_csv(["name"], [[text]])
