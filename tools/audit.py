"""Asks the public vulnerability databases about every locked package; silence is not good news.

pip-audit ends well when a database knows none of the packages, as it does behind a mirror that
carries no advisories. Here a package counts as checked only when a source has answered for it.

Exit 0: every locked package was checked and none is known to be vulnerable. Exit 1: some are, and
they are listed. Exit 2: some or all could not be checked, because no source was reachable.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements-dev.lock"
SOURCES = {"pypi": "the package index's own advisories", "osv": "the OSV database"}


def ask(source: str, lock: Path) -> list[dict[str, Any]] | None:
    """Each locked package with what `source` knows of it; None when it cannot be reached."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"),
            *("--requirement", str(lock), "--vulnerability-service", source),
            *("--format", "json", "--progress-spinner", "off", "--timeout", "20"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages: list[dict[str, Any]] = json.loads(answer.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return None
    return packages


def verdict(answers: dict[str, list[dict[str, Any]] | None]) -> tuple[int, list[str]]:
    """The exit code and the lines to print, from what each source answered."""
    lines, checked, named = [], set(), set()
    vulnerable = False
    for source, packages in answers.items():
        if packages is None:
            lines.append(f"{SOURCES[source]}: not reachable from here")
            continue
        known = [package for package in packages if "skip_reason" not in package]
        named |= {package["name"] for package in packages}
        checked |= {package["name"] for package in known}
        lines.append(f"{SOURCES[source]}: answered for {len(known)} of {len(packages)} packages")
        for package in known:
            for advisory in package["vulns"]:
                vulnerable = True
                fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
                lines.append(
                    f"  {package['name']} {package['version']}: {advisory['id']}, mended in {fixed}"
                )
    if vulnerable:
        return 1, [*lines, "Vulnerable packages are locked: renew with `make lock UPGRADE=1`."]
    if not checked:
        return 2, [*lines, "Nothing was checked: no source of vulnerability data is reachable."]
    if named - checked:
        return 2, [*lines, "Not checked: " + ", ".join(sorted(named - checked))]
    return 0, [*lines, "No locked package is known to be vulnerable."]


def main() -> int:
    """Ask every source about the locks and say what came back."""
    answers = {}
    for source, name in SOURCES.items():
        print(f"asking {name} ...", flush=True)
        answers[source] = ask(source, ROOT / LOCK)
    code, lines = verdict(answers)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
