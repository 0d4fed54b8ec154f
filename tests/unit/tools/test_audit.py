"""The audit never reads silence as good news."""

from __future__ import annotations

from typing import Any

from audit import verdict

CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
UNKNOWN: dict[str, Any] = {"name": "b", "skip_reason": "not found"}
BROKEN: dict[str, Any] = {
    "name": "c",
    "version": "1",
    "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}],
}


def test_no_source_reachable_is_said_and_is_no_success() -> None:
    code, lines = verdict({"pypi": None, "osv": None})
    assert code == 2
    assert "no source of vulnerability data is reachable" in lines[-1]


def test_a_source_that_knows_no_package_is_no_success() -> None:
    code, lines = verdict({"pypi": [UNKNOWN], "osv": None})
    assert code == 2
    assert "Nothing was checked" in lines[-1]


def test_a_package_that_no_source_knows_is_named() -> None:
    code, lines = verdict({"pypi": [CLEAN, UNKNOWN]})
    assert (code, lines[-1]) == (2, "Not checked: b")


def test_one_source_that_answers_is_enough() -> None:
    code, _ = verdict({"pypi": None, "osv": [CLEAN]})
    assert code == 0


def test_a_vulnerable_package_fails_and_says_what_mends_it() -> None:
    code, lines = verdict({"pypi": [CLEAN, BROKEN], "osv": None})
    assert code == 1
    assert "  c 1: CVE-1, mended in 2" in lines
