"""What the operations of terminology have in common: which definition, which codes, which day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from quanmin.api.parameters import Parameters, answer, missing
from quanmin.base.problems import Malformed
from quanmin.terminology import Canonical, Check, Entry, Kind, Terms, Verdict

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.api.reply import Reply

CODE: Final = frozenset({"code", "system", "version", "display", "coding", "date"})
CHECK: Final = CODE | {"url", "codeableConcept", "abstract", "displayLanguage"}
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d.*)?)?)?")


def opened(call: Call) -> AbstractAsyncContextManager[Terms]:
    """Terminology at one moment."""
    return call.records.terminology(call.desk.term_limits)


def is_at_record(call: Call) -> bool:
    """Whether the address names the record that the operation is about."""
    return len(call.parts) > 2


async def entry_of(call: Call, terms: Terms, kind: Kind, said: Parameters, version: str) -> Entry:
    """The resource an operation is about: the record in the address, or the one the url names, in
    the version that the parameter `version` says.
    """
    url = said.text("url")
    if is_at_record(call):
        if url is not None:
            raise Malformed(f"the address names the {kind} already: leave url out")
        return await entry_of_record(call, terms, kind, call.parts[1])
    if url is None:
        raise missing(f"the operation needs the url of a {kind}, or its id in the address")
    return await terms.entry(kind, Canonical.read(url, said.text(version)), day(said))


async def entry_of_record(call: Call, terms: Terms, kind: Kind, id_: str) -> Entry:
    """What terminology knows of a record. Raises NotFound, Gone."""
    stored = await call.records.read(kind, id_)
    return await terms.entry_of(kind, stored.rid)


def sent(call: Call, said: Parameters, name: str, kind: Kind) -> dict[str, Any] | None:
    """The definition that came with the question itself; None without one."""
    given = said.tree(name)
    if given is None:
        return None
    if said.text("url") is not None or is_at_record(call):
        raise Malformed(f"a {name} is sent and named as well: leave one out")
    if given.get("resourceType") != kind:
        raise Malformed(f"the parameter {name} must be a {kind} resource")
    return dict(given)


def day(said: Parameters) -> str:
    """The parameter `date`: on which day definitions are asked for; "" for now."""
    date = said.text("date")
    if date is None:
        return ""
    if not _DATE.fullmatch(date):
        raise Malformed("the parameter date must be a date, such as 2026-01-31")
    return date


def coding(given: Mapping[str, Any]) -> Check:
    """A coding as a code to check."""
    if not given.get("code"):
        raise missing("the coding needs a code")
    return Check(
        given.get("system") or "",
        given["code"],
        given.get("display"),
        given.get("version") or "",
    )


def codes_of(said: Parameters, *, system: str | None, version: str | None) -> list[Check]:
    """The code, the coding or the codings of the concept: exactly one of the ways was used."""
    code, one, concept = said.text("code"), said.tree("coding"), said.tree("codeableConcept")
    if sum(each is not None for each in (code, one, concept)) != 1:
        raise missing("give one of code (with its system), coding and codeableConcept")
    if one is not None:
        return [coding(one)]
    if concept is not None:
        return [coding(each) for each in concept.get("coding") or ()]
    if system is None:
        raise missing("give the system of the code")
    return [Check(system, code or "", said.text("display"), version or "")]


def tell(verdict: Verdict) -> Reply:
    """Whether a code is valid (R4 codesystem-operation-validate-code.html)."""
    out: list[dict[str, Any]] = [{"name": "result", "valueBoolean": verdict.result}]
    if verdict.message is not None:
        out.append({"name": "message", "valueString": verdict.message})
    if verdict.display is not None:
        out.append({"name": "display", "valueString": verdict.display})
    return answer(out)
