"""What a search parameter finds in a record: typed values, ready to be indexed or compared."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Kind = Literal[
    "token",
    "string",
    "date",
    "number",
    "quantity",
    "reference",
    "uri",
    "composite",
    "special",
]


# Stands between the code of a parameter that is not of R4 and the number of its definition: what
# was indexed under another definition is not found by this one.
GENERATION = "~"


class Custom(msgspec.Struct, frozen=True):
    """What is true of a search parameter that somebody defined beside those of R4.

    `modifiers`, `comparators` and `chains` are what it takes, None where its definition leaves that
    open; `takes_lists` says whether one condition may have several values (multipleOr), `repeats`
    whether it may be asked several times (multipleAnd). `parts` are the components of a composite,
    each a parameter with an index of its own; their expressions begin at the composite's element.
    """

    generation: int
    url: str
    modifiers: frozenset[str] | None = None
    comparators: frozenset[str] | None = None
    chains: frozenset[str] | None = None
    takes_lists: bool = True
    repeats: bool = True
    parts: tuple[SearchParameter, ...] = ()


class SearchParameter(msgspec.Struct, frozen=True):
    """One search parameter of one resource type, as the compact table gives it.

    One that is not of R4 is `custom`; it has no bit (-1), and its expression is any FHIRPath. `bit`
    numbers the parameters of a type from 0 (stable for a FHIR release) and is the record's place in
    its presence mask. `implied_system` is the only code system its codes can have (a
    `code` element with a required binding), so that `system|code` and `code` find the same.
    `components` are the (parameter, expression) pairs of a composite.
    """

    name: str
    type: str
    kind: Kind
    bit: int
    expression: str
    targets: tuple[str, ...] = ()
    implied_system: str | None = None
    components: tuple[tuple[str, str], ...] = ()
    custom: Custom | None = None

    @property
    def code(self) -> str:
        """What a search calls it; `name` is what its keys are made of."""
        return self.name.partition(GENERATION)[0]

    @property
    def is_custom(self) -> bool:
        """Whether it is none of R4, but one that somebody defined or a part of such a one."""
        return GENERATION in self.name


def is_mime_type(param: SearchParameter) -> bool:
    """Whether its codes are MIME types, below whose base lie those with parameters (R4 search
    3.1.1.4.10.1).
    """
    return param.kind == "token" and param.expression.endswith(".contentType")


def mime_base(code: str) -> str:
    """A MIME type without its parameters: `text/xml` of `text/xml; charset=UTF-8`."""
    return code.partition(";")[0].strip().lower()


class Token(msgspec.Struct, frozen=True):
    """A code. `system` is None when none is stated; `code` is None for a Coding with a system only.

    `alone` says that the element can never have a system (code, boolean, string, id).
    """

    system: str | None
    code: str | None
    alone: bool = False


class Said(msgspec.Struct, frozen=True):
    """What is said for people along with a code: the texts and displays of one element, each once
    (R4 search 3.1.1.4.10, `:text`).
    """

    texts: tuple[str, ...]


class Typed(msgspec.Struct, frozen=True):
    """An identifier's value with one code of its type (R4 search 3.1.1.4.10, `:of-type`)."""

    system: str | None
    code: str | None
    value: str


class Spot(msgspec.Struct, frozen=True):
    """A place on the earth in degrees (WGS84)."""

    latitude: float
    longitude: float


class Text(msgspec.Struct, frozen=True):
    """A string as written."""

    value: str


class When(msgspec.Struct, frozen=True):
    """The half-open interval [low, high) an element covers, in microseconds since the epoch.

    None is open: a Period without a start or an end. Precision is the width: 2020 covers the year
    in the node's zone.
    """

    low: int | None
    high: int | None


class Number(msgspec.Struct, frozen=True):
    """A number as the exact interval [low, high] that the element itself states.

    Both are equal for a plain decimal.
    """

    low: Decimal | None
    high: Decimal | None


class Quantity(msgspec.Struct, frozen=True):
    """A number with a unit; `system` and `code` as given.

    `unit` is the human text, searchable when there is no code.
    """

    low: Decimal | None
    high: Decimal | None
    system: str | None
    code: str | None
    unit: str | None


class Link(msgspec.Struct, frozen=True):
    """A reference.

    Local (`type` and `id`), absolute or canonical (`url`), or by business identifier
    (`identifier`).
    """

    type: str | None
    id: str | None
    url: str | None = None
    identifier: Token | None = None


class Uri(msgspec.Struct, frozen=True):
    """A URI as written."""

    value: str


Value = Token | Said | Typed | Spot | Text | When | Number | Quantity | Link | Uri
