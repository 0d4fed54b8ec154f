"""Looks at foreign DER before a reader takes it apart, so that what it costs is bounded.

The reader (asn1crypto) adds up the number of a tag and the arcs of an object identifier octet by
octet, at a cost that grows with the square of their length: a megabyte takes it minutes. It opens
what octet strings hold as well, so these are looked into as far as they read as DER.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

# Nothing in use has more than a dozen octets. As long as this they still cost no more than reading
# them, and signatures and hashes, whose octets may look like anything, are shorter.
_NUMBER_OCTETS_MAX: Final = 1024
_DEPTH_MAX: Final = 64
_HIGH_TAG: Final = 0x1F
_CONSTRUCTED: Final = 0x20
_OBJECT_IDENTIFIER: Final = 0x06
_OCTETS: Final = 0x04
_SEQUENCE: Final = 0x30
_END: Final = 0x00
_OPEN: Final = -1


class NoDer(ValueError):  # noqa: N818 - names the finding
    """The bytes are no DER (X.690), or none that anybody writes in good faith."""


def refuse_bombs(content: bytes, bytes_max: int, *, may_be_ber: bool = False) -> None:
    """Raises NoDer for what is longer than this, is cut short, or is nested or numbered beyond all
    use; for indefinite lengths where BER is none, which messages may have (RFC 5652) and
    certificates may not.
    """
    if len(content) > bytes_max:
        raise NoDer
    waiting = [_Region(0, len(content), 0, is_certain=True)]
    while waiting:
        region = waiting.pop()
        try:
            # What comes before the place where one is cut short is kept.
            waiting.extend(_within(content, region, may_be_ber=may_be_ber))
        except IndexError:
            # An octet string of anything: its reader would come no further either.
            if region.is_certain:
                raise NoDer from None


class _Region(NamedTuple):
    """A part of the content, how deep it is nested, and whether it is certain to be DER."""

    at: int
    end: int
    depth: int
    is_certain: bool


def _within(content: bytes, region: _Region, *, may_be_ber: bool) -> Iterator[_Region]:
    """What the elements of a region hold. Raises NoDer, and IndexError where one is cut short."""
    at, end, depth, is_certain = region
    while at < end:
        tag, begin, stop = _head(content, at, end)
        if tag == _OBJECT_IDENTIFIER and stop - begin > _NUMBER_OCTETS_MAX:
            raise NoDer
        if stop == _OPEN:
            # What it holds is read on in this region, up to its end mark.
            if is_certain and not may_be_ber:
                raise NoDer
            depth, stop = depth + 1, begin
        elif tag == _END and stop == begin:
            depth = max(depth - 1, region.depth)
        elif tag & _CONSTRUCTED:
            yield _Region(begin, stop, depth + 1, is_certain)
        elif tag == _OCTETS and stop > begin and _may_be_read(content[begin]):
            yield _Region(begin, stop, depth + 1, is_certain=False)
        if depth >= _DEPTH_MAX:
            raise NoDer
        at = stop


def _may_be_read(first: int) -> bool:
    return first in {_SEQUENCE, _OCTETS} or first & _HIGH_TAG == _HIGH_TAG


def _head(content: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The first octet of the element's tag, and where its contents begin and stop; _OPEN where only
    an end mark says. Raises IndexError where there is no whole element.
    """
    tag = content[at]
    at += 1
    if tag & _HIGH_TAG == _HIGH_TAG:
        begun = at
        while content[at] & 0x80:
            at += 1
            if at - begun > _NUMBER_OCTETS_MAX:
                raise NoDer
        at += 1
    size = content[at]
    at += 1
    if size == 0x80:
        return tag, at, _OPEN
    if size > 0x80:
        octets = size & 0x7F
        size = int.from_bytes(content[at : at + octets], "big")
        at += octets
    if at + size > end:
        raise IndexError
    return tag, at, at + size
