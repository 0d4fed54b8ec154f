"""Whom the steps and timers of a workflow tell, and by which kinds of notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quanmin.trust.notices import NoticeKind, kinds_in
from quanmin.trust.notices.tellings import Tell
from quanmin.web.application import Installed
from quanmin.workflow.states import Notice, Taken, Workflow


def notice_kinds(installed: Installed) -> Mapping[str, NoticeKind]:
    """The kinds of notice of an application, by code: those that it declares, and one for each
    notice of its workflow that it does not declare under the same code. Raises TypeError for one
    that is not sound.
    """
    application = installed.application
    declared = kinds_in(installed.folder, application.name)
    if application.workflow is None:
        return declared
    made = {}
    for notice in application.workflow.notices.values():
        kind = declared.get(_code(application.workflow, notice))
        if kind is None:
            kind = _kind(application.workflow, notice, application.home)
        elif kind.places:
            message = f"the notice {kind.code} of a workflow has words of its own and no places"
            raise TypeError(message)
        made[kind.code] = kind
    return {**declared, **made}


def told_by(workflow: Workflow, taken: Taken) -> Iterator[Tell]:
    """What a step or a timer tells, of the Task, which is the last entry."""
    entry = len(taken.entries) - 1
    subject = str((taken.task.get("for") or {}).get("reference") or "")
    for notice in taken.notices:
        code = _code(workflow, notice)
        if notice.roles:
            yield Tell(
                kind=code, entry=entry, roles=notice.roles, duties=notice.duties, where=notice.at
            )
        if notice.to_subject and subject.startswith("Patient/"):
            yield Tell(kind=code, entry=entry)


def over_by(workflow: Workflow) -> list[str]:
    """The kinds that are over when a case comes into another state: what staff were to do there."""
    return [_code(workflow, one) for one in workflow.notices.values() if not one.to_subject]


def _code(workflow: Workflow, notice: Notice) -> str:
    return f"{workflow.name}.{notice.code}"


def _kind(workflow: Workflow, notice: Notice, path: str) -> NoticeKind:
    return NoticeKind(
        code=_code(workflow, notice),
        class_="result" if notice.to_subject else "task",
        zh=notice.zh,
        en=notice.en,
        path=path,
    )
