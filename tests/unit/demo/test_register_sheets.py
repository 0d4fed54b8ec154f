"""What the invented province says to the registers of a node."""

from __future__ import annotations

from quanmin.demo.households import LAST_DAY
from quanmin.demo.province import Province
from quanmin.demo.register_sheets import (
    first_of_staff,
    institution_sheet,
    parent_and_child,
    staff_sheet,
)
from quanmin.trust.registers.proxies import proxy_kinds
from quanmin.trust.registers.sheets import institutions, practitioners

PROVINCE = Province(people=60)


def test_institutions_and_staff_are_files_without_a_fault() -> None:
    entered = institutions(institution_sheet(PROVINCE))
    staff = practitioners(staff_sheet(PROVINCE))
    codes = {parcel.bundle["entry"][0]["request"]["url"].partition("|")[2] for parcel in entered}
    places = {
        entry["resource"]["organization"]["reference"].partition("|")[2]
        for parcel in staff
        for entry in parcel.bundle["entry"][1:]
    }
    assert codes >= places
    assert len(staff) > len(entered) > 5


def test_the_hospital_of_the_first_accounts_is_among_them() -> None:
    sheet = staff_sheet(PROVINCE)
    doctor = first_of_staff(PROVINCE, "demo-hospital-1", "心血管内科")
    assert f"{doctor.number},{doctor.name.text},physician,clinical" in sheet
    assert f"{doctor.number},{doctor.name.text},vaccinator" not in sheet
    nurse = first_of_staff(PROVINCE, "demo-hospital-1", "儿科")
    assert f"{nurse.number},{nurse.name.text},vaccinator," in sheet
    assert ",demo-hospital-1," in institution_sheet(PROVINCE)


def test_a_mother_has_a_child_that_is_still_one() -> None:
    both = parent_and_child(PROVINCE)
    assert both is not None
    age_max = proxy_kinds()["parent"].ends_at_age
    assert age_max is not None
    assert LAST_DAY.year - both.born.year < age_max
    assert both.parent != both.child
