"""A problem as a page, in the asker's language.

What happened, what to do, and the exact words underneath.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from quanmin.base import problems
from quanmin.base.problems import Problem
from quanmin.web.visit import Visit

# Marks the messages below for the catalogue; they are translated when a page is made.
_marked: Callable[[str], str] = str


def _(message: str) -> str:
    return _marked(message)


# What is told of each kind of problem: a heading and the next step. The problem's own text stands
# below.
_TOLD: tuple[tuple[type[Problem], str, str], ...] = (
    (
        problems.Unauthenticated,
        _("Please sign in first"),
        _("Your session has ended or has not begun."),
    ),
    (
        problems.Stopped,
        _("The registers do not let you act now"),
        _(
            "Your institution, post, licence or admission is not in force. Ask who keeps the"
            " registers; in exact words below is which."
        ),
    ),
    (
        problems.Forbidden,
        _("You may not open this"),
        _("Your role does not allow it. Ask the administrator of this node if it should."),
    ),
    (
        problems.Gone,
        _("This record has been deleted"),
        _("Its history may still be open to you."),
    ),
    (
        problems.NotFound,
        _("There is nothing here"),
        _("The address is wrong, or what it leads to is not open to you."),
    ),
    (
        problems.NotAllowed,
        _("This page cannot be opened like this"),
        _("Start again from the first page."),
    ),
    (
        problems.Unanswered,
        _("Perhaps it was stored"),
        _("Look whether what you sent is there, before you send it again."),
    ),
    (
        problems.Conflict,
        _("Somebody else was first"),
        _("The record has changed since you opened it. Open it again and repeat your change."),
    ),
    (
        problems.TooLarge,
        _("Too much at once"),
        _("What was sent is larger than this page takes."),
    ),
    (
        problems.TooMany,
        _("Too many requests"),
        _("Wait a little and try again."),
    ),
    (
        problems.TooCostly,
        _("This would take too long"),
        _("Narrow the search: more of the name, or a whole number."),
    ),
    (
        problems.Overloaded,
        _("The node is busy"),
        _("Nothing was changed. Wait a little and try again."),
    ),
    (
        problems.StorageFull,
        _("The disk of the node is full"),
        _("Nothing can be written until the administrator has made room. Reading goes on."),
    ),
)
# Of these one has to know at once what exactly is wrong.
_SENT_WRONG = (problems.Malformed, problems.Invalid, problems.Conflict, problems.NotSupported)
_INPUT = (
    _("This could not be understood"),
    _("Go back, check what was entered and try again."),
)
_FAILURE = (
    _("Something went wrong on our side"),
    _("Try again. If it goes on, tell the administrator the number below."),
)


def tell_problem(visit: Visit, problem: Problem) -> Response:
    """The page for a problem, with its HTTP status and, where there is one, how long to wait."""
    heading, advice = _words(problem)
    response = visit.page(
        "kit/problem.html",
        status=problem.status,
        heading=visit.say(heading),
        advice=visit.say(advice),
        issues=[visit.say(issue.text) for issue in problem.issues],
        is_sent_wrong=isinstance(problem, _SENT_WRONG),
        correlation=visit.correlation,
    )
    if problem.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(problem.retry_after_seconds)
    return response


def _words(problem: Problem) -> tuple[str, str]:
    for kind, heading, advice in _TOLD:
        if isinstance(problem, kind):
            return heading, advice
    return _FAILURE if problem.status >= 500 else _INPUT
