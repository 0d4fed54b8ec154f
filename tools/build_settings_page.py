"""Writes `docs/how-to/settings.md` out of the table in `quanmin.node.settings`.

python tools/build_settings_page.py            write the page
python tools/build_settings_page.py --check    end with 1 when the page is not what it would write
"""

from __future__ import annotations

import sys
import textwrap
from itertools import groupby
from pathlib import Path

import msgspec

from quanmin.node.settings import Setting, Settings, table

WIDTH = 100
PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "settings.md"

_HEAD = """# Settings

<!-- Written by tools/build_settings_page.py: change quanmin/node/settings.py, not this page. -->

Every setting has a default, so a node starts without any. To change one, name it

- in `settings.toml` in the node's folder (or in the file that `--settings` or the variable
  `QUANMIN_SETTINGS` names): `port = 8081` under `[node]`;
- or in the environment, which goes before the file: `QUANMIN_NODE_PORT=8081`;
- or on the command line, which goes before both, for the few that `--help` shows.

A name that does not exist and a value that is not allowed stop the node at start, with a sentence
that says which one and what is allowed. `quanmin doctor` looks the settings over at any time.
"""


def page() -> str:
    """The whole page."""
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    parts = [_HEAD]
    for section, settings in groupby(table(), key=lambda setting: setting.name.split(".")[0]):
        summary = (sections[section].__doc__ or "").strip().splitlines()[0]
        parts.append(f"## {section}\n\n{summary}\n")
        parts.extend(_paragraph(setting) for setting in settings)
    return "\n".join(parts)


def _paragraph(setting: Setting) -> str:
    unit = f", in {setting.unit}" if setting.unit else ""
    default = f" default `{setting.default}`;" if setting.default else ""
    facts = f"{setting.kind}{unit};{default} `{setting.variable}`"
    sentence = textwrap.fill(setting.sentence, WIDTH, break_on_hyphens=False)
    return f"### `{setting.name}`\n\n{sentence}\n\n({facts})\n"


def main() -> None:
    """Write the page, or check it."""
    written = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(written, encoding="utf-8")
        return
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != written:
        print(
            f"{PAGE.name} is stale: run `python tools/build_settings_page.py` and commit the page"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
