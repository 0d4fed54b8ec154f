"""A setting is typed, documented, and refused by name when it is wrong."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from shared import ROOT

from quanmin.base.problems import Unusable
from quanmin.node.settings import Settings, load_settings, pack, table, unpack


def test_a_node_needs_no_setting() -> None:
    settings = load_settings({})
    assert settings.node.port == 8080
    assert settings.postgres.dsn == ""
    assert str(settings.zone) == "Asia/Shanghai"


def test_every_setting_says_in_a_sentence_what_it_does() -> None:
    for setting in table():
        assert setting.sentence.endswith("."), setting.name
        assert setting.kind, setting.name


def test_every_setting_has_a_name_of_its_own_in_the_environment() -> None:
    variables = [setting.variable for setting in table()]
    assert len(set(variables)) == len(variables)


def test_the_page_of_settings_is_current() -> None:
    tool = ROOT / "tools" / "build_settings_page.py"
    spec = importlib.util.spec_from_file_location("build_settings_page", tool)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "how-to" / "settings.md").read_text("utf-8")
    assert page == module.page(), "run tools/build_settings_page.py"


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(
    tmp_path: Path,
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[node]\nport = 1001\nworkers = 3\ntitle_en = "File"\n')
    settings = load_settings(
        {"QUANMIN_NODE_PORT": "1002", "QUANMIN_NODE_WORKERS": "4"},
        file=file,
        given={"node.port": "1003"},
    )
    assert (settings.node.port, settings.node.workers, settings.node.title_en) == (1003, 4, "File")


def test_the_file_in_the_nodes_own_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[door]\ncount_max = 7\n")
    assert load_settings({"QUANMIN_NODE_DIRECTORY": str(tmp_path)}).door.count_max == 7


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"QUANMIN_NODE_PORT": "eighty"}, "`node.port` must be `?int"),
        ({"QUANMIN_NODE_PORT": "70000"}, "`node.port` must be"),
        ({"QUANMIN_NODE_PORT": "80.5"}, "`node.port` must be"),
        ({"QUANMIN_NODE_LEVEL": "village"}, "`node.level`"),
        ({"QUANMIN_NODE_ZONE": "Mars/Olympus"}, "time zone's name such as `Asia/Shanghai`"),
        ({"QUANMIN_NODE_PORTS": "80"}, "did you mean QUANMIN_NODE_PORT?"),
        ({"QUANMIN_NODE_ID_PREFIX": "a/b"}, "`node.id_prefix`"),
        ({"QUANMIN_SETTINGS": "/nowhere/settings.toml"}, "no settings file"),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(Unusable) as refusal:
        load_settings(environment)
    assert said.replace("`?", "") in refusal.value.text.replace("must be `", "must be ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\nprot = 1\n", "no setting `node.prot`: did you mean node.port?"),
        ("[nod]\nport = 1\n", "no setting `nod`: did you mean node?"),
        ("node = 1\n", "`node`"),
        ("[node\n", "cannot be read"),
        ("[node]\nport = '\xff'\n", "node.port"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Unusable) as refusal:
        load_settings({}, file=file)
    assert said in refusal.value.text


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load_settings({"QUANMIN_SHARED": "x", "PATH": "/bin"}) == load_settings({})


def test_settings_reach_another_process_unchanged(tmp_path: Path) -> None:
    environment = {"QUANMIN_BACKUP_DIRECTORY": str(tmp_path), "QUANMIN_DOOR_COUNT_MAX": "5"}
    settings = load_settings(environment)
    assert unpack(pack(settings)) == settings
    assert isinstance(settings, Settings)
