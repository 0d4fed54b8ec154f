"""The signatures in files that left a node: which Provenance signs which document, and whether it
holds. Nothing is asked of any node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Malformed
from quanmin.fhir.json import decode
from quanmin.trust.signatures import provenance
from quanmin.trust.signatures.judging import Judgement, Judging, Refusal
from quanmin.trust.signatures.provenance import identifiers, is_signed

_MISSING: Final = Refusal(
    "unreadable-document", "The document that was signed is not among the files"
)
_OTHER_VERSION: Final = Refusal(
    "altered-document",
    "The files hold another version of the document than the one that was signed: add that one",
)


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_BUNDLE: Final = msgspec.json.Decoder(_Bundle)


class Found(msgspec.Struct, frozen=True):
    """One signature in the files: which Provenance, of what, and what was found of it."""

    provenance: str
    target: str
    judgement: Judgement


def resources_in(content: bytes) -> Iterator[bytes]:
    """The resources of a file, each as its own bytes: one, a Bundle's, or one a line (NDJSON).

    Raises Malformed.
    """
    try:
        whole = decode(content)
    except Malformed:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        for line in lines:
            decode(line)
            yield line
        return
    yield content
    if whole.get("resourceType") == "Bundle":
        for entry in _BUNDLE.decode(content).entry:
            if bytes(entry.resource):
                yield bytes(entry.resource)


def judge_files(
    contents: Iterable[bytes], judging: Judging, now: datetime | None = None
) -> Iterator[Found]:
    """Every signature in these files. Raises Malformed."""
    documents: dict[str, list[bytes]] = {}
    signed: list[tuple[dict[str, Any], bytes]] = []
    for content in contents:
        for body in resources_in(content):
            resource = decode(body)
            documents.setdefault(_name(resource), []).append(body)
            if is_signed(resource):
                signed.append((resource, body))
    for resource, body in signed:
        yield _judge(_name(resource), body, documents, judging, now)


def _judge(
    name: str,
    body: bytes,
    documents: dict[str, list[bytes]],
    judging: Judging,
    now: datetime | None,
) -> Found:
    try:
        found = provenance.read(body)
    except Invalid as problem:
        return Found(name, "", Judgement((Refusal("unreadable-signature", problem.text),)))
    plain, _, version = found.target.partition("/_history/")
    target = "/".join(plain.split("/")[-2:])
    candidates = documents.get(target, [])
    if not candidates:
        return Found(name, found.target, Judgement((_MISSING,)))
    chosen = next((each for each in candidates if _version(each) == version), None)
    reference = str(found.who.get("reference", ""))
    who = documents.get("/".join(reference.split("/")[-2:]), []) if reference else []
    signer = identifiers(decode(who[0])) if who else identifiers(found.who)
    judgement = judging.judge(
        chosen or candidates[0],
        found.signature,
        found.stamp,
        signer,
        now,
        statement=found.statement,
    )
    if chosen is None:
        refusals = tuple(
            _OTHER_VERSION if each.reason == "altered-document" else each
            for each in judgement.refusals
        )
        judgement = msgspec.structs.replace(judgement, refusals=refusals)
    return Found(name, found.target, judgement)


def _name(resource: dict[str, Any]) -> str:
    return f"{resource.get('resourceType', '')}/{resource.get('id', '')}"


def _version(body: bytes) -> str:
    meta = decode(body).get("meta")
    return str(meta.get("versionId", "")) if isinstance(meta, dict) else ""
