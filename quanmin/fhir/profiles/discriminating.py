"""The paths of discriminators: the small part of FHIRPath that they may use, in steps.

R4 profiling.html#discriminator: element selections, extension(url), resolve() and ofType(type).
"""

from __future__ import annotations

import re
from typing import cast, get_args

from quanmin.fhir.path import compile_path
from quanmin.fhir.profiles.model import Discrimination, Discriminator, Step

_STEP = re.compile(
    r"""\.?(?:
      (?P<this>\$this)
    | extension\(\s*(?P<quote>['"])(?P<url>[^'"]+)(?P=quote)\s*\)
    | (?P<resolve>resolve\(\))
    | (?:ofType|as)\(\s*(?:FHIR\.)?(?P<type>\w+)\s*\)
    | (?P<name>[A-Za-z][A-Za-z0-9]*)(?:\[x\])?
    )(?=\.|\Z)""",
    re.VERBOSE,
)


def read_discriminator(kind: object, text: str) -> Discriminator:
    """The discriminator of this kind and path. Raises ValueError, PathProblem for what is none."""
    if kind not in get_args(Discrimination):
        raise ValueError(f"a discriminator is {', '.join(get_args(Discrimination))}")
    steps = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(
                f"the path of a discriminator is made of elements, extension('url'), resolve(),"
                f" ofType(type) and $this, not {text[at : at + 40]!r}"
            )
        step = _step(found)
        if step is not None:
            steps.append(step)
        at = found.end()
    text = text.replace("[x]", "").replace('"', "'") or "$this"
    before, resolve, _ = text.partition("resolve()")
    return Discriminator(
        cast("Discrimination", kind),
        compile_path(text),
        tuple(steps),
        compile_path(before.removesuffix(".") or "$this") if resolve else None,
    )


def _step(found: re.Match[str]) -> Step | None:
    if found["url"]:
        return Step("extension", found["url"])
    if found["resolve"]:
        return Step("resolve")
    if found["type"]:
        return Step("type", found["type"])
    if found["name"]:
        return Step("member", found["name"])
    return None
