"""What an application says of the processing register (PIPL articles 54 to 56), in its own folder:
the entry that it is part of, or all that an entry of its own says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from quanmin.base.problems import Unusable
from quanmin.trust.lifecycle.activity_rules import (
    Activity,
    Delivered,
    activity_rules,
    faults_of_activity,
)

FILE: Final = "definitions/activity.toml"


class _Described(Activity, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry as an application describes it. Who answers for it and the assessment are for the
    deployer to add.
    """


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    owner: str
    version: str
    effective: date
    part_of: str = ""
    activity: _Described | None = None


class DeclaredActivity(msgspec.Struct, frozen=True):
    """The entry that an application is part of, by its code, and what it says where the application
    describes it itself.
    """

    application: str
    code: str
    activity: Activity | None = None


def declared_activity(folder: Path, application: str) -> DeclaredActivity:
    """What the application in this folder declares; an entry of its own has its name for a code.
    Raises Unusable with all that is wrong, or when it declares nothing.
    """
    place = f"{folder.name}/{FILE}"
    if not (folder / FILE).is_file():
        raise Unusable(
            f"{place} is missing: say there of which entry of the processing register the "
            "application is a part (part_of), or describe one of its own ([activity])"
        )
    try:
        file = msgspec.convert(tomllib.loads((folder / FILE).read_text("utf-8")), _File)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Unusable(f"{place}: {error}") from error
    own = application.replace("_", "-")
    if bool(file.part_of) == (file.activity is not None):
        raise Unusable(f"{place}: give either part_of or [activity]")
    if file.activity is None:
        return DeclaredActivity(application, file.part_of)
    faults = faults_of_activity(own, file.activity)
    if file.activity.needs_assessment and not file.activity.risks.strip():
        faults.append(("risks", "say what an assessment of its risks has to weigh"))
    if faults:
        told = "; ".join(f"{name}: {text}" for name, text in faults)
        raise Unusable(f"{place}: {told}")
    return DeclaredActivity(application, own, file.activity)


def delivered_activities(declared: Iterable[DeclaredActivity]) -> tuple[Delivered, ...]:
    """The entries that a node begins with: those of the program, and those that its applications
    describe, each with all that is part of it. Raises Unusable for an application that describes an
    entry of the program anew, or is part of one that nobody describes.
    """
    found = {one.code: one for one in activity_rules().activity}
    several = tuple(declared)
    for one in several:
        if one.activity is not None:
            if one.code in found:
                raise Unusable(f"{one.application}/{FILE}: the program has an entry {one.code}")
            fields = {name: getattr(one.activity, name) for name in Activity.__struct_fields__}
            found[one.code] = Delivered(**fields, code=one.code)
    for one in several:
        whole = found.get(one.code)
        if whole is None:
            raise Unusable(
                f"{one.application}/{FILE}: there is no entry {one.code} to be part of; there are "
                f"{', '.join(sorted(found))}"
            )
        uses = (*whole.uses, f"application:{one.application}")
        found[one.code] = msgspec.structs.replace(whole, uses=uses)
    return tuple(found.values())
