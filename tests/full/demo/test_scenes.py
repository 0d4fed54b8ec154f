"""What the accounts of a demonstration do, on the pages of a node that runs: nothing is refused,
and every application has something to show.
"""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path

import httpx
from ui.node import demonstration, visiting

from quanmin.demo.scenes import scenes_of_accounts
from quanmin.node.places import Places

# Account, list, how many rows at least, and what must stand among them.
SHOWN: tuple[tuple[str, str, int, set[str]], ...] = (
    ("demo-doctor", "/chronic/patients", 10,
     {"Referred", "Seen at the hospital", "Lost to follow-up"}),
    ("demo-doctor", "/chronic/due", 2, set()),
    ("demo-doctor", "/notifiable", 2, {"To be reported", "Reported"}),
    ("demo-doctor", "/infectious", 14, {"Returned for correction"}),
    ("demo-doctor", "/drafts", 1, {"Report card of an infectious disease"}),
    ("demo-prevention", "/vaccination/due", 5, {"overdue"}),
    ("demo-prevention", "/vaccine-stock", 5, set()),
    ("demo-prevention", "/cold-chain", 2, {"9.8"}),
    ("demo-cdc", "/infectious", 14, {"Confirmed", "Withdrawn"}),
    ("demo-cdc", "/direct-reporting", 1, set()),
    ("demo-cdc", "/contacts", 2, set()),
    ("demo-cdc", "/adverse-events", 2, set()),
    ("demo-cdc", "/epidemic/counts", 5, set()),
    ("demo-cdc", "/events", 2, set()),
    ("demo-supervisor", "/epidemic/weeks/counts", 26, {"12", "11"}),
    ("demo-mental", "/mental-health", 4, {"4"}),
    ("demo-mental", "/mental-health/due", 1, set()),
    ("demo-mental", "/mental-health/emergencies", 1, set()),
)  # fmt: skip


def test_every_application_has_something_to_show(passable_folder: Path) -> None:
    folder = passable_folder / "scenes"
    with demonstration(folder) as base:
        played = json.loads((folder / "played.json").read_text())
        assert played["scenes"] == [one.name for one in scenes_of_accounts().scene]
        assert played["refused"] == []
        accounts = {shown.code: shown for shown in Places(folder).accounts()}
        signed_in = {}
        for code in {code for code, *_ in SHOWN}:
            with closing(visiting(base, accounts[code])) as visitor:
                signed_in[code] = {one["name"]: one["value"] for one in visitor.cookies()}
        for account, path, least, words in SHOWN:
            held = signed_in[account]
            with httpx.Client(base_url=base, cookies=held, trust_env=False) as client:
                sheet = client.get(f"{path}.csv", headers={"Accept-Language": "en"})
            rows = list(csv.reader(sheet.text.lstrip("\ufeff").splitlines()))[1:]
            assert len(rows) >= least, (account, path, rows)
            missing = [one for one in words if not any(one in cell for row in rows for cell in row)]
            assert not missing, (account, path, missing)
