"""Whether a narrative is the safe subset of XHTML that FHIR allows (R4 narrative.html).

Checked before it is stored, so that no page that shows a narrative ever meets a script.
"""

from __future__ import annotations

import re
from typing import cast
from xml.parsers import expat

from quanmin.base.problems import Sentence

_NAMESPACE = "http://www.w3.org/1999/xhtml"
# HTML 4.0 chapters 7-11 (but section 4 of 9) and 15, and what narrative.html adds.
_TAGS = frozenset(
    {
        "a",
        "abbr",
        "acronym",
        "address",
        "area",
        "b",
        "big",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "dfn",
        "dir",
        "div",
        "dl",
        "dt",
        "em",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "map",
        "menu",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
    }
)
# The attributes of those chapters, of links and of images. `style` may stand within (txt-1).
_ATTRIBUTES = frozenset(
    {
        *("id", "class", "style", "title", "lang", "dir", "accesskey", "tabindex"),
        *("cite", "datetime", "width", "height", "type", "start", "value", "compact", "span"),
        *("summary", "border", "frame", "rules", "cellspacing", "cellpadding", "align", "char"),
        *("charoff", "valign", "abbr", "axis", "headers", "scope", "rowspan", "colspan", "nowrap"),
        *("bgcolor", "clear", "noshade", "size", "color", "face", "name", "href", "hreflang"),
        *("rel", "rev", "charset", "shape", "coords", "nohref", "src", "alt"),
        *("longdesc", "usemap", "ismap", "hspace", "vspace"),
        *(
            "http://www.w3.org/XML/1998/namespace lang",
            "http://www.w3.org/XML/1998/namespace space",
        ),
    }
)
_SAFE_ADDRESS = re.compile(r"(?i)(?!\s*(?:javascript:|vbscript:|data:(?!\s*image/)))")
# The div that programs write when they have nothing to say: no markup in it, nothing to parse for.
_PLAIN = re.compile(r'<div xmlns="http://www\.w3\.org/1999/xhtml">[^<>&]*?[^<>&\s][^<>&]*</div>\Z')


class _UnsafeError(Exception):
    """The narrative holds something that is not allowed; the text says what."""


def xhtml_fault(div: str) -> str | None:
    """What is wrong with a narrative's div, in words, or None."""
    if _PLAIN.match(div):
        return None
    try:
        is_empty = _parse(div)
    except expat.ExpatError as error:
        return Sentence(
            "is not well-formed XML (%(messages)s)", messages=expat.errors.messages[error.code]
        )
    except _UnsafeError as fault:
        return cast("str", fault.args[0])
    return Sentence("has no text and no image") if is_empty else None


def _parse(div: str) -> bool:
    """Walk the div; returns whether it is empty. Raises ExpatError and _UnsafeError."""
    parser = expat.ParserCreate(namespace_separator=" ")
    depth, has_content = 0, False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, has_content
        namespace, _, tag = name.rpartition(" ")
        if depth == 0 and (tag, namespace) != ("div", _NAMESPACE):
            raise _UnsafeError(
                Sentence('must be a div with xmlns="%(namespace)s"', namespace=_NAMESPACE)
            )
        if namespace != _NAMESPACE or tag not in _TAGS:
            raise _UnsafeError(
                Sentence("holds the element %(tag)s, which narratives may not have", tag=tag[:40])
            )
        _check_attributes(attributes)
        depth += 1
        has_content = has_content or tag == "img"

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def text(data: str) -> None:
        nonlocal has_content
        has_content = has_content or not data.isspace()

    def declaration(*_: object) -> None:
        raise _UnsafeError(Sentence("holds a document type or an entity declaration"))

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, declaration
    parser.Parse(div.encode("utf-8", "replace"), True)  # noqa: FBT003 - expat's own signature
    return not has_content


def _check_attributes(attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        if name.lower().startswith("on"):
            raise _UnsafeError(Sentence("holds the script attribute %(name)s", name=name[:40]))
        if name not in _ATTRIBUTES:
            bare = name.rpartition(" ")[2]
            raise _UnsafeError(
                Sentence(
                    "holds the attribute %(bare)s, which narratives may not have", bare=bare[:40]
                )
            )
        if name in {"href", "src"} and not _SAFE_ADDRESS.match(value):
            raise _UnsafeError(Sentence("holds a script in %(name)s", name=name))
