"""The registers as CSV: what is read, what is told, and what a spreadsheet gets."""

from __future__ import annotations

import pytest

from quanmin.base.problems import Invalid
from quanmin.demo.numbering import credit_code
from quanmin.trust.registers.sheets import as_csv, institutions, joined, posts, practitioners

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
    (parcel,) = institutions(text)
    bundle = parcel.bundle
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
    (parcel,) = practitioners(
        "staff_number,name,licence,scopes,from,institution\n"
        f"S1,李明,physician,clinical;tcm,2020-01-01,{CODE}\n"
        f"S1,李明,nurse,,2021-01-01,{CODE}\n"
        f"S1,李明,,,,{other}\n"
    )
    bundle = parcel.bundle
    types = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert types == ["Practitioner", "PractitionerRole", "PractitionerRole"]
    assert len(bundle["entry"][0]["resource"]["qualification"]) == 2


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_nothing_in_a_list_is_a_formula(text: str) -> None:
    assert f"'{text}" in as_csv(["name"], [[text]])


def test_a_post_is_a_line_and_its_faults_are_told() -> None:
    head = "actor,institution,duties,staff,from,until\n"
    (post,) = posts(f"{head}wang,{CODE.lower()},registrar;quality,S1,2026-01-01,\n")
    assert (post.line, post.institution, post.duties) == (2, CODE, ("registrar", "quality"))
    with pytest.raises(Invalid) as refused:
        posts(f"{head},X,tea,,2026-02-30,\nwang,{CODE},,,2026-02-01,2026-01-01\n")
    assert [issue.text.partition(" is ")[0] for issue in refused.value.issues] == [
        "line 2, actor",
        "line 2, institution",
        "line 2, duties",
        "line 2, from",
        "line 3, until",
    ]


def test_a_file_is_one_transaction_in_which_the_order_is_free() -> None:
    other = credit_code("580102", 8)
    text = f"credit_code,name,parent\n{CODE},卫生院,{other}\n{other},医院,\n"
    part, whole = joined(institutions(text))["entry"]
    assert part["resource"]["partOf"]["reference"] == whole["fullUrl"]
