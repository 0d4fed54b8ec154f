"""Everything that can go wrong and be told to someone, in one closed family.

A problem is raised where it is noticed and mapped once: the door turns it into an OperationOutcome,
the pages into an error page, the command line into one sentence. Nothing here may carry personal
data: texts name elements, rules and limits, never values taken from a record.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Literal, Protocol, Self

import msgspec

Severity = Literal["fatal", "error", "warning", "information"]


class Bilingual(Protocol):
    """What a definition calls something, in both languages."""

    @property
    def zh(self) -> str:
        """In Chinese."""

    @property
    def en(self) -> str:
        """In English."""


class Sentence(str):
    """An English sentence with values in it, by names; pages say its template in the language of
    whoever reads it, then each value that is a Sentence or Bilingual, and put them in. A `%` that
    stands for itself is doubled.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """The sentence in English."""
        sentence = super().__new__(
            cls, template % {name: getattr(value, "en", value) for name, value in values.items()}
        )
        sentence.template, sentence.values = template, values
        return sentence

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        """What it is made of anew where another process gets it."""
        return (self.template,), self.values


def listed(several: Iterable[str]) -> str:
    """Clauses with a semicolon between, each of which may be a Sentence."""
    return reduce(lambda said, one: Sentence("%(said)s; %(one)s", said=said, one=one), several)


def either(several: Iterable[str]) -> str:
    """Names with "or" between, in the language of whoever reads it."""
    return reduce(lambda said, one: Sentence("%(said)s or %(one)s", said=said, one=one), several)


class Issue(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, where it is and how to mend it.

    `code` is a FHIR issue-type code (R4 `http://hl7.org/fhir/issue-type`); `text` is for people and
    says how to mend it; `expression` is a FHIRPath location, empty when the fault is not inside a
    resource.
    """

    severity: Severity
    code: str
    text: str
    expression: str = ""


class Problem(Exception):  # noqa: N818 - "problem" is the word for a refusal in this project
    """A refusal with at least one issue; subclasses fix the HTTP status and the issue code."""

    status: int = 500
    code: str = "exception"

    challenge: str = ""
    """What `WWW-Authenticate` says of a token that was sent (RFC 6750 section 3.1)."""

    def __init__(
        self, text: str, *, issues: tuple[Issue, ...] = (), retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(text)
        self.text = text
        self.issues = issues or (Issue("error", self.code, text),)
        self.retry_after_seconds = retry_after_seconds

    def blames(self, name: str) -> bool:
        """Whether one of the issues is with what has this name."""
        return any(issue.expression.rpartition(".")[2] == name for issue in self.issues)


class Malformed(Problem):
    """The bytes are not what they claim to be (JSON, encoding, parameters): 400."""

    status, code = 400, "structure"


class Invalid(Problem):
    """Well formed, but breaks a rule of FHIR or of this node: 422. One issue for each fault."""

    status, code = 422, "invalid"


class Unauthenticated(Problem):
    """Nobody known is asking: 401."""

    status, code = 401, "login"


class TokenRefused(Unauthenticated):
    """A token was sent that is none, or is none any more: 401."""

    challenge = 'error="invalid_token"'


class Forbidden(Problem):
    """Known, but not allowed: 403."""

    status, code = 403, "forbidden"


class Stopped(Forbidden):
    """Known, but the registers do not let them act at this moment, whatever they ask for: 403."""


class InsufficientScope(Forbidden):
    """Whoever asks may, but not through this application: its scopes do not reach so far: 403."""

    challenge = 'error="insufficient_scope"'


class GrantRefused(Problem):
    """An application is not given what it asks the authorization server for. `error` is the code of
    RFC 6749 (sections 4.1.2.1 and 5.2): 400, and 401 where the application itself is not known.
    """

    status, code = 400, "security"

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error
        self.status = 401 if error == "invalid_client" else 400


class NotFound(Problem):
    """No such record, or none that the asker may know of: 404."""

    status, code = 404, "not-found"


class Gone(Problem):
    """The record was here and has been deleted: 410."""

    status, code = 410, "deleted"


class NotEnrolled(NotFound):
    """A device asks that nobody has enrolled."""


class OthersDevice(Forbidden):
    """A device asks that somebody else has enrolled, or the same in another post."""


class Revoked(Gone):
    """A device asks that was revoked: it is to destroy what it holds."""


class NotAllowed(Problem):
    """The address exists and does not take this method: 405."""

    status, code = 405, "not-supported"


class NotAcceptable(Problem):
    """No representation that the asker accepts: 406."""

    status, code = 406, "not-supported"


class Conflict(Problem):
    """Another write was first, or the record's state forbids this one: 409."""

    status, code = 409, "conflict"


class Unanswered(Conflict):
    """The same was sent before, and nobody knows whether it was done: 409."""


class PreconditionFailed(Problem):
    """`If-Match` named another version, or criteria matched more than one record: 412."""

    status, code = 412, "conflict"


class TooLarge(Problem):
    """Larger than a named limit: 413."""

    status, code = 413, "too-long"


class UnsupportedMedia(Problem):
    """A media type this node does not read: 415."""

    status, code = 415, "not-supported"


class TooMany(Problem):
    """The asker is over its quota: 429, with `Retry-After`."""

    status, code = 429, "throttled"


class NotSupported(Problem):
    """Asks for something this node does not do; the text says what it does instead: 400."""

    status, code = 400, "not-supported"


class TooCostly(Problem):
    """Would take longer or more than a named limit; the text says how to narrow it: 400."""

    status, code = 400, "too-costly"


class Overloaded(Problem):
    """This node cannot take the work now; nothing was done: 503, with `Retry-After`."""

    status, code = 503, "transient"


class Outdated(Overloaded):
    """What this process knows of the node has just ceased to hold: it looks again and repeats what
    was asked. A client sees it only when that changes all the time.
    """


class StorageFull(Problem):
    """The disk is full or nearly so: writes are refused, reads go on: 507."""

    status, code = 507, "no-store"


class Unusable(Problem):
    """This node cannot run as it is set up; the text says how to mend it. No client sees it."""

    status, code = 500, "exception"
