from __future__ import annotations

from dropped import dropped

LOCK = """\
Foo_Bar==1.0 \\
    --hash=sha256:00
zope.interface==2.0 ; python_version < "3.13" \\
    --hash=sha256:11
    # via gone
"""


def test_what_the_lock_does_not_name_is_dropped_however_names_are_written() -> None:
    installed = ["foo-bar", "Zope_Interface", "Gone", "gone", "pip", "quanmin"]
    assert dropped(installed, LOCK) == ["gone"]


def test_nothing_is_dropped_where_all_is_locked() -> None:
    assert dropped(["foo.bar", "zope-interface", "setuptools"], LOCK) == []
