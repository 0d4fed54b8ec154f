"""Finds the settings in force: defaults, a file, the environment, the command line, each checked.

A setting `section.name` is `name` under `[section]` in the file and `QUANMIN_SECTION_NAME` in the
environment, which goes before the file. What is wrong is told with its name, where it was set, and
what it may be.
"""

from __future__ import annotations

import difflib
import os
import tomllib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from quanmin.base.problems import Unusable
from quanmin.node.settings import PREFIX, Setting, Settings, decode_folder, home_folder, table

FILE_NAME: Final = "settings.toml"
# Variables with our prefix that are no settings: of the command line, and of the tests.
_NO_SETTINGS: Final = frozenset(
    {
        "QUANMIN_SETTINGS",
        "QUANMIN_PASSPHRASE",
        "QUANMIN_SHARED",
        "QUANMIN_TESTS",
        "QUANMIN_CHROMIUM",
        "QUANMIN_KEYCLOAK",
    }
)
_TEXT_MAX: Final = 60


class _Given(msgspec.Struct, frozen=True):
    """A value that somebody wrote, and where."""

    value: Any
    place: str


def load_settings(
    environment: Mapping[str, str] | None = None,
    *,
    file: Path | None = None,
    given: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force: defaults, the file, the environment, what the command line gave.

    `file` defaults to QUANMIN_SETTINGS, then to `settings.toml` in the node's folder. `given` has
    names like `node.port`. Raises Unusable naming the first setting that is wrong, what it may be,
    and where it was set.
    """
    environment = os.environ if environment is None else environment
    named = _from_environment(environment)
    for name, value in (given or {}).items():
        named[name] = _Given(value, "on the command line")
    path = _choose_file(environment, file, named)
    written = _from_file(path) if path is not None else {}
    return _convert(written | named)


def file_in_force(settings: Settings, file: Path | None) -> Path | None:
    """The file that `load_settings` read these settings from, given the same `file`; None without.

    Raises Unusable when the file named is not there any more.
    """
    directory = _Given(str(settings.node.directory), "in force")
    return _choose_file(os.environ, file, {"node.directory": directory})


def _choose_file(
    environment: Mapping[str, str], file: Path | None, named: Mapping[str, _Given]
) -> Path | None:
    if file is not None:
        if not file.is_file():
            raise Unusable(f"There is no settings file {file}: make it, or leave out --settings.")
        return file
    if "QUANMIN_SETTINGS" in environment:
        file = Path(environment["QUANMIN_SETTINGS"])
        if not file.is_file():
            raise Unusable(
                f"There is no settings file {file}: make it, or leave QUANMIN_SETTINGS unset."
            )
        return file
    directory = named.get("node.directory")
    usual = Path(directory.value if directory else home_folder()).expanduser() / FILE_NAME
    return usual if usual.is_file() else None


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        text = path.read_text("utf-8")
        sections = tomllib.loads(text)
    except OSError as error:
        raise Unusable(
            f"The settings file {path} cannot be read ({error.strerror}): run as its owner."
        ) from error
    except UnicodeDecodeError as error:
        raise Unusable(f"The settings file {path} is not UTF-8: save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"The settings file {path} cannot be read: {error}.") from error
    known = {setting.name: setting.name for setting in table()}
    names = {field.name: field.name for field in msgspec.structs.fields(Settings)}
    found = {}
    for section, several in sections.items():
        if section not in names:
            raise Unusable(f"{path}: there is no setting `{section}`{_meant(section, names)}")
        if not isinstance(several, dict):
            raise Unusable(
                f"{path}: `{section}` must be a table: write `[{section}]` above its settings."
            )
        for key, value in several.items():
            name = f"{section}.{key}"
            if name not in known:
                raise Unusable(f"{path}: there is no setting `{name}`{_meant(name, known)}")
            found[name] = _Given(value, f"in {path}")
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    """Values by name; any other variable with our prefix is refused as a slip."""
    known = {setting.variable: setting.name for setting in table()}
    found = {}
    for variable, value in environment.items():
        if variable in known:
            found[known[variable]] = _Given(value, f"as {variable} in the environment")
        elif variable.startswith(PREFIX) and variable not in _NO_SETTINGS:
            # Compared without the prefix, which alone would make any two of them look alike.
            near = {each.removeprefix(PREFIX): each for each in known}
            meant = _meant(variable.removeprefix(PREFIX), near)
            raise Unusable(f"{variable} names no setting{meant}")
    return found


def _meant(word: str, known: Mapping[str, str]) -> str:
    """How a sentence ends that refuses `word`; `known` has what might have been meant, as shown."""
    near = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {known[near[0]]}?" if near else ": docs/how-to/settings.md lists them."


def _convert(given: Mapping[str, _Given]) -> Settings:
    checked: dict[str, dict[str, Any]] = {}
    for setting in table():
        if setting.name in given:
            section, key = setting.name.split(".", 1)
            checked.setdefault(section, {})[key] = _checked(setting, given[setting.name])
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    return Settings(**{name: _section(name, sections[name], checked[name]) for name in checked})


def _section(name: str, section: Any, values: dict[str, Any]) -> Any:
    try:
        return section(**values)
    except ValueError as error:
        raise Unusable(f"The settings of `{name}`: {error}.") from error


def _checked(setting: Setting, given: _Given) -> Any:
    try:
        # Not strict: the environment can only speak in text. A float for a whole number is refused
        # all the same.
        value = msgspec.convert(given.value, setting.type, strict=False, dec_hook=decode_folder)
        if setting.name == "node.zone":
            zoneinfo.ZoneInfo(value)
    except (msgspec.ValidationError, zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        is_zone = setting.name == "node.zone"
        allowed = (
            "a time zone's name such as `Asia/Shanghai`" if is_zone else _article(setting.allowed)
        )
        raise Unusable(
            f"The setting `{setting.name}`, set {given.place}, must be {allowed}, not "
            f"{_shortly(setting, given.value)}."
        ) from error
    return value


def _article(kind: str) -> str:
    return kind if kind.startswith(("`", "text", "true")) else f"a {kind}"


def _shortly(setting: Setting, value: Any) -> str:
    if setting.name == "postgres.dsn":
        return "what it is"  # it may hold a password
    if value == "":
        return "empty"
    text = repr(value)
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + " ..."
