"""Who a person is, over all their registrations."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

from quanmin.trust import Timeline
from quanmin.web.heads import Registration, tell_person
from quanmin.web.persons import Told, tell_patient
from quanmin.web.visit import Visit


def over(*patients: dict[str, Any]) -> Told:
    found = [tell_patient(one, "en", date(2026, 11, 23)) for one in patients]
    registrations = tuple(
        Registration(str(at), one, "", "", at == 0) for at, one in enumerate(found)
    )
    visit = cast("Visit", SimpleNamespace(say=str))
    return tell_person(visit, Timeline((), (), None), registrations).told


def test_birth_sex_and_death_are_known_whichever_registration_is_opened() -> None:
    bare = {"name": [{"text": "张伟"}]}
    full = {"birthDate": "1980-05-03", "gender": "male"}
    died = {"deceasedBoolean": True}
    for told in (over(bare, full), over(full, bare)):
        assert (told.birth, told.age, told.sex and told.sex.text) == (
            "1980-05-03", "46 years", "Male",
        )  # fmt: skip
    assert over(bare, full).name == "张伟"
    told = over(full, died)
    assert (told.deceased, told.age) == (True, "")
    assert over({"birthDate": "1970-01-01"}, full).birth == "1970-01-01"
