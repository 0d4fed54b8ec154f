"""All official R4 examples: which are refused and why; the others survive byte for byte."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from shared import members as archived

from quanmin.fhir.extraction import index_values
from quanmin.fhir.json import decode, members, splice
from quanmin.fhir.table import load_table
from quanmin.fhir.validation import validate
from quanmin.fhir.validation.explanation import explain
from quanmin.fhir.validation.fast import is_clean

REFUSED = Path(__file__).parent / "refused_examples.json"
STAMP = "2026-11-22T08:30:00+08:00"
ZONE = ZoneInfo("Asia/Shanghai")

pytestmark = pytest.mark.shared


@lru_cache(maxsize=1)
def examples() -> dict[str, tuple[str, bytes]]:
    """File name -> (type, bytes) of every resource in the archive."""
    found = {}
    for path, raw in archived("hl7.fhir.r4.examples-4.0.1.tar.xz"):
        name = decode(raw).get("resourceType")
        if name in load_table().types:
            found[Path(path).name] = (name, raw)
    return found


def refused() -> dict[str, list[str]]:
    """File name -> what is told of it, at most three faults each."""
    return {
        file: [issue.text for issue in issues[:3]]
        for file, (name, raw) in sorted(examples().items())
        if (issues := validate(name, raw))
    }


def test_exactly_the_examples_with_faults_of_their_own_are_refused() -> None:
    assert len(examples()) == 5298
    assert refused() == json.loads(REFUSED.read_text("utf-8"))


@pytest.mark.parametrize(("is_ruled", "least"), [(False, 1000), (True, 850)])
def test_both_halves_of_validation_agree_on_a_fifth_of_the_examples(
    least: int, *, is_ruled: bool
) -> None:
    accepted = 0
    for name, raw in list(examples().values())[::5]:
        if is_clean(name, raw, is_ruled=is_ruled):
            accepted += 1
            assert explain(name, raw, at=name, may_search=False, is_ruled=is_ruled) == []
    # Most that keep the rules and need a closer look are StructureDefinitions.
    assert accepted > least


def test_splicing_leaves_every_byte_but_those_the_server_owns() -> None:
    for name, raw in examples().values():
        spliced = splice(raw, id="n1", version=2, updated_text=STAMP)
        before, after = _members(raw), _members(spliced)
        assert after.pop("id") == b'"n1"'
        meta = msgspec.json.decode(after.pop("meta"))
        assert meta.pop("versionId") == "2"
        assert meta.pop("lastUpdated") == STAMP
        sent = msgspec.json.decode(before.pop("meta", b"{}"))
        assert meta == {k: v for k, v in sent.items() if k not in {"versionId", "lastUpdated"}}
        before.pop("id", None)
        assert after == before, name


def test_every_example_can_be_indexed() -> None:
    found = sum(
        len(values)
        for name, raw in examples().values()
        for _, values in index_values(name, decode(raw), ZONE)
    )
    assert found > 100_000


def _members(raw: bytes) -> dict[str, bytes]:
    return {key: raw[start:end] for key, start, end in members(raw)}


def test_the_table_is_built_from_these_archives_byte_for_byte() -> None:
    import build_fhir_table  # noqa: PLC0415 - a script of tools/, not needed by the other tests
    from shared import archive  # noqa: PLC0415 - skips where the archives are absent

    sources = ("hl7.fhir.r4.examples-4.0.1.tar.xz", "hl7.fhir.r4.expansions.tar.xz")
    definitions = Path(__file__).parents[3] / "quanmin" / "definitions" / "fhir_r4"
    stated = (definitions / "source.toml").read_text("utf-8")
    for source in sources:
        digest = hashlib.sha256(archive(source).read_bytes()).hexdigest()
        assert digest in stated
    built = build_fhir_table.build(*(archive(source) for source in sources))
    for file, content in built.items():
        assert (definitions / file).read_bytes() == content


if __name__ == "__main__":
    REFUSED.write_text(json.dumps(refused(), indent=1, ensure_ascii=False) + "\n", "utf-8")
