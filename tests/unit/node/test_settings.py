"""A setting is typed, documented, and refused by name when it is wrong."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from shared import ROOT

from quanmin.base.problems import Unusable
from quanmin.node.settings import Settings, pack, table, unpack
from quanmin.node.settings_in_force import load_settings


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
        ({"QUANMIN_NODE_PORT": "eighty"}, "must be a whole number from 1 to 65535, not 'eighty'."),
        ({"QUANMIN_NODE_PORT": ""}, "must be a whole number from 1 to 65535, not empty."),
        ({"QUANMIN_NODE_PORT": "70000"}, "set as QUANMIN_NODE_PORT in the environment, must be"),
        ({"QUANMIN_NODE_PORT": "80.5"}, "`node.port`, set"),
        ({"QUANMIN_NODE_WORKERS": "0"}, "from 1 to 256"),
        ({"QUANMIN_NODE_DRAIN_SECONDS_MAX": "0"}, "must be a whole number, 1 or more"),
        ({"QUANMIN_NODE_LEVEL": "village"}, "must be `county` or `city` or `province` or `nation`"),
        ({"QUANMIN_NODE_TITLE_ZH": ""}, "of 1 to 60 characters, not empty"),
        ({"QUANMIN_NODE_ZONE": "Mars/Olympus"}, "time zone's name such as `Asia/Shanghai`"),
        ({"QUANMIN_NODE_PORTS": "80"}, "did you mean QUANMIN_NODE_PORT?"),
        ({"QUANMIN_NOD_PORT": "80"}, "did you mean QUANMIN_NODE_PORT?"),
        (
            {"QUANMIN_X": "80"},
            "QUANMIN_X names no setting: docs/how-to/settings.md",
        ),
        ({"QUANMIN_NODE_ID_PREFIX": "a/b"}, "`node.id_prefix`"),
        ({"QUANMIN_BACKUP_DIRECTORY": ""}, "must be a folder or nothing, not empty"),
        ({"QUANMIN_DOOR_RUNNING_MAX": "0"}, "must be a whole number above 0, not '0'"),
        ({"QUANMIN_DOOR_CLIENT_REQUESTS_PER_SECOND": "-1"}, "must be a number above 0"),
        ({"QUANMIN_SEARCH_COUNT_MAX": "many"}, "must be a whole number above 0, not 'many'"),
        ({"QUANMIN_STORE_SEARCH_SECONDS_MAX": "0"}, "must be a number above 0"),
        ({"QUANMIN_DOOR_WAITING_MAX": "-1"}, "must be a whole number, 0 or more"),
        ({"QUANMIN_SETTINGS": "/nowhere/settings.toml"}, "no settings file"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_what_it_may_be(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(Unusable) as refusal:
        load_settings(environment)
    assert said in refusal.value.text


def test_a_limit_may_be_zero_where_nothing_is_a_limit_too() -> None:
    assert load_settings({"QUANMIN_DOOR_WAITING_MAX": "0"}).door.waiting_max == 0


def test_a_log_kept_for_less_than_the_rule_says_stops_the_node() -> None:
    with pytest.raises(Unusable, match="`access_log`: `days_kept` must be 180 or more"):
        load_settings({"QUANMIN_ACCESS_LOG_DAYS_KEPT": "179"})
    assert load_settings({"QUANMIN_ACCESS_LOG_DAYS_KEPT": "180"}).access_log.days == 180


def test_a_wrong_database_address_is_not_repeated_since_it_may_hold_a_password(
    tmp_path: Path,
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[postgres]\ndsn = ["postgresql://u:secret@h/d"]\n')
    with pytest.raises(Unusable) as refusal:
        load_settings({}, file=file)
    assert "secret" not in refusal.value.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\nprot = 1\n", "no setting `node.prot`: did you mean node.port?"),
        ("[nod]\nport = 1\n", "no setting `nod`: did you mean node?"),
        ("[door]\nrunning = 5\n", "no setting `door.running`: did you mean door.running_max?"),
        ("[store]\nspeed = 5\n", "no setting `store.speed`"),
        ("[store]\nsort_rows_max = 0\n", "settings.toml, must be a whole number above 0, not 0."),
        ("node = 1\n", "write `[node]` above its settings"),
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
    assert str(file) in refusal.value.text


def test_a_file_in_another_encoding_is_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes('[node]\ntitle_zh = "四川省全民健康"\n'.encode("gb18030"))
    with pytest.raises(Unusable, match="save it as UTF-8"):
        load_settings({}, file=file)


def test_variables_of_other_programs_are_left_alone() -> None:
    others = {"QUANMIN_SHARED": "x", "QUANMIN_TESTS": "full", "PATH": "/bin", "NODE_PORT": "1"}
    assert load_settings(others) == load_settings({})


def test_settings_reach_another_process_unchanged(tmp_path: Path) -> None:
    environment = {"QUANMIN_BACKUP_DIRECTORY": str(tmp_path), "QUANMIN_DOOR_COUNT_MAX": "5"}
    settings = load_settings(environment)
    assert unpack(pack(settings)) == settings
    assert isinstance(settings, Settings)


def test_cookies_are_for_tls_only_where_the_door_speaks_it() -> None:
    assert load_settings({}).origin == "http://localhost:8080"
    with_tls = {
        "QUANMIN_NODE_TLS_CERTIFICATE": "/etc/door.pem",
        "QUANMIN_NODE_TLS_KEY": "/etc/door.key",
    }
    assert load_settings(with_tls).origin == "https://localhost:8080"
